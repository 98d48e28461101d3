"""BinaryPack, the default serialization of PeerJS: MessagePack's cousin, with its own type bytes.

Read off peerjs-js-binarypack 2.1.0 (``dist/binarypack.mjs``) and its behaviour in Node; each
decision, and where and why we differ, is a row in ``docs/binarypack.md``. In short: we decode
exactly and refuse what is malformed; we send the bytes JavaScript would send wherever its own
decoder reads them right, and bytes that it does read right elsewhere.
"""

from __future__ import annotations

import math
from struct import Struct
from typing import Any, Final, NamedTuple

from .errors import DecodeError, MessageTooBig
from .jsontext import Refused, well_formed
from .limits import DEFAULT_LIMITS

__all__ = ["pack", "unpack", "unpack_counted"]


def pack(value: Any, *, max_depth: int = DEFAULT_LIMITS.nesting) -> bytes:
    """``value`` in BinaryPack.

    Takes None, bool, int, float, str, bytes, bytearray, memoryview, list, tuple and dict with
    str keys; an instance of a subclass goes as its base. Numbers are JavaScript's: a whole one
    goes, and arrives, as an integer. Lone surrogates become U+FFFD.

    Raises:
        UnsupportedValue: any other type, integers beyond 64 bits, NaN, the key ``__proto__``,
            values deeper than ``max_depth`` (``[]`` is 1 deep) or inside themselves.
        MessageTooBig: text, bytes or a container of 2**32 items or more.
    """
    packer = _Packer()
    try:
        packer.add(value, max_depth)
    except Refused as refused:
        raise refused.error() from None
    except RecursionError:
        raise Refused.too_deep().error() from None
    return packer.joined()


def unpack(
    data: bytes | bytearray | memoryview,
    *,
    max_depth: int = DEFAULT_LIMITS.nesting,
    max_items: int = DEFAULT_LIMITS.message_items,
) -> Any:
    """The value packed in ``data``; see :func:`unpack_counted`."""
    return unpack_counted(data, max_depth=max_depth, max_items=max_items)[0]


def unpack_counted(
    data: bytes | bytearray | memoryview,
    *,
    max_depth: int = DEFAULT_LIMITS.nesting,
    max_items: int = DEFAULT_LIMITS.message_items,
) -> tuple[Any, int]:
    """The value packed in ``data``, and how many values and keys are in it, itself included.

    Yields None, bool, int, float, str, bytes, list and dict; JavaScript's ``undefined`` is None.
    Accepts longer forms than needed; of equal keys the last one wins.

    Raises:
        DecodeError: and nothing else, for any bytes at all.
    """
    with memoryview(data) as given, _flat(given) as view:  # released: no bytearray stays locked
        unpacker = _Unpacker(view, max_items)
        try:
            value = unpacker.value(max_depth)
        except RecursionError:
            raise DecodeError("BinaryPack nested too deeply") from None
        unpacker.finish()
        return value, unpacker.items


class _Packer:
    """Collects small things in one buffer, and refers to large ones until all are joined."""

    def __init__(self) -> None:
        self._parts: list[bytes | bytearray | memoryview] = []
        self._tail = bytearray()

    def joined(self) -> bytes:
        return b"".join([*self._parts, self._tail])

    def add(self, value: object, depth: int) -> None:
        """One value, within ``depth`` more levels of lists and maps."""
        if isinstance(value, str):
            self._text(value)
        elif value is None:
            self._tail.append(0xC0)
        elif isinstance(value, bool):
            self._tail.append(0xC3 if value else 0xC2)
        elif isinstance(value, int):
            self._integer(value)
        elif isinstance(value, float):
            self._float(value)
        elif isinstance(value, dict):
            self._map(value, depth)
        elif isinstance(value, list | tuple):
            self._array(value, depth)
        elif isinstance(value, bytes | bytearray):
            self._sized(_RAW, value, len(value))
        elif isinstance(value, memoryview):
            view = value if value.c_contiguous else memoryview(value.tobytes())
            self._sized(_RAW, view, view.nbytes)
        else:
            raise Refused.type_of(value)

    def _map(self, value: dict[Any, Any], depth: int) -> None:
        if depth <= 0:
            raise Refused.too_deep()
        self._head(_MAP, len(value))
        for key, item in value.items():
            if not isinstance(key, str):
                raise Refused.key(key)
            if key == "__proto__":
                raise Refused('the key "__proto__"', "JavaScript's decoder would not keep it")
            self._text(key)
            try:
                self.add(item, depth - 1)
            except Refused as refused:
                refused.under(key)
                raise

    def _array(self, value: list[Any] | tuple[Any, ...], depth: int) -> None:
        if depth <= 0:
            raise Refused.too_deep()
        self._head(_ARRAY, len(value))
        for index, item in enumerate(value):
            try:
                self.add(item, depth - 1)
            except Refused as refused:
                refused.under(index)
                raise

    def _text(self, value: str) -> None:
        try:
            encoded = str.encode(value)
        except UnicodeEncodeError:
            encoded = well_formed(value).encode()
        self._sized(_TEXT, encoded, len(encoded))

    def _float(self, value: float) -> None:
        if math.isnan(value):
            raise Refused("NaN", "JavaScript's decoder reads infinity")
        if value.is_integer() and -(2.0**63) <= value < 2.0**64:
            self._integer(int(value))  # as JavaScript does; its decoder cannot read 0.0
        else:
            self._number(0xCB, value)

    def _integer(self, value: int) -> None:
        if -0x20 <= value <= 0x7F:
            self._tail.append(value % 0x100)
        else:
            self._number(_integer_type(value), value)

    def _number(self, lead: int, value: float) -> None:
        self._tail.append(lead)
        self._tail += _NUMBERS[lead].pack(value)

    def _sized(self, kind: _Kind, data: bytes | bytearray | memoryview, size: int) -> None:
        self._head(kind, size)
        if size < _REFER_FROM:
            self._tail += data
        else:
            self._parts += (self._tail, data)
            self._tail = bytearray()

    def _head(self, kind: _Kind, size: int) -> None:
        if size <= 0x0F:
            self._tail.append(kind.short + size)
        elif size <= 0xFFFF:
            self._tail.append(kind.long)
            self._tail += _UINT16.pack(size)
        elif size <= 0xFFFF_FFFF:
            self._tail.append(kind.long + 1)
            self._tail += _UINT32.pack(size)
        else:
            raise MessageTooBig(f"BinaryPack counts to 2**32 - 1, and this counts {size}")


def _integer_type(value: int) -> int:
    """The type byte for an integer beyond the one-byte forms.

    JavaScript's own choice, shortest and unsigned first, wherever its decoder reads it right.
    """
    if value >= 0:
        if value <= 0xFFFF_FFFF:
            return 0xCC if value <= 0xFF else 0xCD if value <= 0xFFFF else 0xCE
        # Beyond the last double below 2**63, its int64 rounds up and comes out negative.
        if value <= 2**63 - 1024:
            return 0xD3
        if value < 2**64:
            return 0xCF
    else:
        if value >= -0x8000_0000:
            return 0xD0 if value >= -0x80 else 0xD1 if value >= -0x8000 else 0xD2
        if value >= -(2**63):
            # It reads int64 by way of 2**64 - n, rounded: right for multiples of 2048 alone.
            # Where no double holds n, JavaScript cannot have it, and Python can: int64.
            return 0xD3 if value % 2048 == 0 or float(value) != value else 0xCB
    raise Refused("an int beyond 64 bits", "BinaryPack has no form for it")


class _Unpacker:
    """Reads values from the front of flat bytes, and never past their end."""

    def __init__(self, view: memoryview, max_items: int) -> None:
        self.items = 1
        self._view = view
        self._at = 0
        self._max_items = max_items

    def value(self, depth: int) -> Any:
        """The next value, within ``depth`` more levels of lists and maps."""
        lead: int = self._view[self._take(1)]
        if lead <= 0x7F:
            return lead
        if lead >= 0xE0:
            return lead - 0x100
        if lead <= 0xBF:
            return self._sized(lead & 0xF0, lead & 0x0F, depth)
        if lead >= 0xD8:
            size = self._number(_UINT32 if lead & 1 else _UINT16)
            return self._sized(_SHORT[lead & 0xFE], size, depth)
        if lead in _NUMBERS:
            number = self._number(_NUMBERS[lead])
            # Only we send such doubles: see _integer_type.
            if lead == 0xCB and -(2.0**63) <= number < -(2.0**31) and number.is_integer():
                return int(number)
            return number
        if lead in _CONSTANTS:
            return _CONSTANTS[lead]
        raise DecodeError(f"BinaryPack has no type byte {lead:#04x} (at byte {self._at - 1})")

    def finish(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._view):
            raise DecodeError(f"BinaryPack value ends at byte {self._at} of {len(self._view)}")

    def _sized(self, kind: int, size: int, depth: int) -> Any:
        if kind == _TEXT.short:
            start = self._take(size)
            try:
                return str(self._view[start : self._at], "utf-8")
            except UnicodeDecodeError:
                raise DecodeError(f"BinaryPack text at byte {start} is not UTF-8") from None
        if kind == _RAW.short:
            start = self._take(size)
            return bytes(self._view[start : self._at])
        if depth <= 0:
            raise DecodeError(f"BinaryPack nested too deeply (at byte {self._at})")
        if kind == _ARRAY.short:
            self._announce(size)
            return [self.value(depth - 1) for _ in range(size)]
        self._announce(2 * size)
        return dict(self._pair(depth - 1) for _ in range(size))

    def _pair(self, depth: int) -> tuple[str, Any]:
        start = self._at
        key = self.value(depth)
        if not isinstance(key, str):
            raise DecodeError(f"BinaryPack key at byte {start} is not text")
        return key, self.value(depth)

    def _announce(self, items: int) -> None:
        """So many values follow, each of one byte at least: believe no count before it is paid."""
        if items > len(self._view) - self._at:
            raise DecodeError(f"BinaryPack count at byte {self._at} exceeds the bytes that follow")
        self.items += items
        if self.items > self._max_items:
            raise DecodeError(f"BinaryPack of more than {self._max_items} values")

    def _number(self, form: Struct) -> Any:
        return form.unpack_from(self._view, self._take(form.size))[0]

    def _take(self, size: int) -> int:
        """Step over ``size`` bytes and say where they start."""
        start = self._at
        self._at += size
        if self._at > len(self._view):
            raise DecodeError(f"BinaryPack cut short: {size} bytes wanted at byte {start}")
        return start


def _flat(view: memoryview) -> memoryview:
    if view.ndim == 1 and view.format == "B" and view.c_contiguous:
        return view[:]
    return memoryview(view.tobytes())


class _Kind(NamedTuple):
    """What has a size: its type byte for sizes 0 to 15, and the one before a uint16.

    The type byte before a uint32 is ``long + 1``.
    """

    short: int
    long: int


_MAP: Final = _Kind(0x80, 0xDE)
_ARRAY: Final = _Kind(0x90, 0xDC)
_RAW: Final = _Kind(0xA0, 0xDA)
_TEXT: Final = _Kind(0xB0, 0xD8)
_SHORT: Final = {kind.long: kind.short for kind in (_MAP, _ARRAY, _RAW, _TEXT)}

_UINT16: Final = Struct(">H")
_UINT32: Final = Struct(">I")
_NUMBERS: Final = {
    0xCA: Struct(">f"),
    0xCB: Struct(">d"),
    0xCC: Struct(">B"),
    0xCD: _UINT16,
    0xCE: _UINT32,
    0xCF: Struct(">Q"),
    0xD0: Struct(">b"),
    0xD1: Struct(">h"),
    0xD2: Struct(">i"),
    0xD3: Struct(">q"),
}
_CONSTANTS: Final = {
    **dict.fromkeys((0xC1, 0xD4, 0xD5, 0xD6, 0xD7), None),  # undefined
    0xC0: None,
    0xC2: False,
    0xC3: True,
}

_REFER_FROM: Final = 4096
"Bytes from which data is referred to until the end instead of copied twice."
