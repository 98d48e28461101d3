"""BinaryPack as peerjs before 1.5, and 2.0 beta, speak it: peerjs-js-binarypack 1.0.

It differs in text with characters beyond U+FFFF, such as emoji. It sends them as UTF-8 does, in
four bytes, and counts six bytes for each in texts of up to 600 UTF-16 units; it reads them as
two surrogates of three bytes each only. All of it is in ``docs/versions.md``.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final

from .binaryforms import TEXT
from .errors import DecodeError
from .limits import DEFAULT_LIMITS
from .packer import Packer
from .unpacker import Unpacker

__all__ = ["pack", "pack_parts", "unpack_counted"]


def pack(
    value: Any, *, max_depth: int = DEFAULT_LIMITS.nesting, dates_as_text: bool = False
) -> bytes:
    """As :func:`peerjs_proto.binarypack.pack`, for such a far side to read."""
    return _Packer(dates_as_text=dates_as_text).whole(value, max_depth)


def pack_parts(
    value: Any, *, max_depth: int = DEFAULT_LIMITS.nesting, dates_as_text: bool = False
) -> list[bytes | bytearray]:
    """As :func:`peerjs_proto.binarypack.pack_parts`, for such a far side to read."""
    return _Packer(dates_as_text=dates_as_text).parts(value, max_depth)


def unpack_counted(
    data: bytes | bytearray | memoryview,
    *,
    max_depth: int = DEFAULT_LIMITS.nesting,
    max_items: int = DEFAULT_LIMITS.message_items,
) -> tuple[Any, int]:
    """As :func:`peerjs_proto.binarypack.unpack_counted`, of what such a far side packed.

    Characters beyond U+FFFF count among the values, for what they cost.
    """
    unpacker = _Unpacker(data if type(data) is bytes else bytes(data), max_items)
    return unpacker.whole(max_depth), unpacker.items


class _Packer(Packer):
    def _text(self, value: str) -> None:
        if str.isascii(value):
            super()._text(value)
            return
        plain = str.encode(value, "utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        encoded = _BEYOND_FFFF.sub(_in_halves, plain).encode(errors="surrogatepass")
        self._sized(TEXT, encoded, len(encoded))


def _in_halves(character: re.Match[str]) -> str:
    """Its UTF-16 surrogates."""
    above = ord(character[0]) - 0x1_0000
    return chr(0xD800 + (above >> 10)) + chr(0xDC00 + (above & 0x3FF))


class _Unpacker(Unpacker):
    """Without the shortcuts for speed: every text has to be looked at."""

    def value(self, depth: int) -> Any:
        lead = self._data[self._at]
        if 0xB0 <= lead <= 0xBF:
            return self._text(self._at, 1, lead - 0xB0)
        if lead in _LONG_TEXT:
            form = _LONG_TEXT[lead]
            head = self._data[self._at + 1 : self._at + 1 + form]
            return self._text(self._at, 1 + form, int.from_bytes(head))
        return super().value(depth)

    def _array(self, size: int, depth: int) -> list[Any]:
        return [self.value(depth) for _ in range(size)]

    def _map(self, size: int, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for _ in range(size):
            at = self._at
            key = self.value(depth)
            if not isinstance(key, str):
                raise DecodeError(f"BinaryPack key at byte {at} is not text")
            values[key] = self.value(depth)
        return values

    def _text(self, at: int, head: int, counted: int) -> str:
        start = at + head
        end = start + (counted if counted > 3 * _COUNTED_SO else self._size(start, counted))
        self._at = end
        try:
            return self._data[start:end].decode()
        except UnicodeDecodeError:
            raise self._no_text(at, end) from None

    def _size(self, start: int, counted: int) -> int:
        """Bytes of a text for which ``counted`` was written."""
        ahead = self._data[start : start + counted]
        if ahead.isascii():
            return counted
        with suppress(UnicodeDecodeError):
            if len(ahead.decode().encode("utf-16-le")) > 2 * _COUNTED_SO:
                return counted
        over = 0
        for lead in _FOUR_BYTES.finditer(ahead):
            if lead.start() + over >= counted:
                break
            over += 2
            self.items += 1
            if self.items > self._max_items:
                raise self._too_many()
        return counted - over


_BEYOND_FFFF: Final = re.compile("[\U00010000-\U0010ffff]")
_FOUR_BYTES: Final = re.compile(b"[\xf0-\xf4]")
_LONG_TEXT: Final = {0xD8: 2, 0xD9: 4}
"By type byte, the bytes of the size behind it."
_COUNTED_SO: Final = 600
"UTF-16 units of the longest text that is counted so."
