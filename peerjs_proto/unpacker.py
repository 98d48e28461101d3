"""Reading BinaryPack: what :func:`peerjs_proto.binarypack.unpack` does.

The loops over lists and maps have the commonest forms written out, for speed; all others, and
all that is wrong, go through :meth:`Unpacker.value`, which knows every form.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from itertools import chain
from struct import Struct
from typing import Any, Final

from .binaryforms import ARRAY, CONSTANTS, MAP, RAW, READ, TEXT
from .errors import DecodeError

__all__ = ["Unpacker", "raw_head"]


def raw_head(data: bytes | memoryview, size: int) -> int:
    """Where the bytes begin, if ``size`` packed bytes are all one value of them, else 0.

    ``data`` is their front, or the little of it there is.
    """
    lead = data[0] if data else 0
    if lead & 0xF0 == RAW.short:
        head, count = 1, lead & 0x0F
    elif lead == RAW.long or lead == RAW.long + 1:
        head = 3 if lead == RAW.long else 5
        count = int.from_bytes(data[1:head])
    else:
        return 0
    return head if head <= len(data) and head + count == size else 0


class Unpacker:
    """Reads values from the front of ``data``.

    Few steps look for the end of the data: a slice that goes beyond it is only shorter, and
    leaves ``_at`` beyond it too. The next step fails then, or :meth:`whole` does.
    """

    def __init__(self, data: bytes, max_items: int) -> None:
        self.items = 1
        self._data = data
        self._at = 0
        self._max_items = max_items

    def whole(self, max_depth: int) -> Any:
        """The one value that ``data`` is. Raises DecodeError."""
        try:
            value = self.value(max_depth)
        except (IndexError, struct.error):
            raise self._cut_short() from None
        except RecursionError:
            raise DecodeError("BinaryPack nested too deeply") from None
        size = len(self._data)
        if self._at > size:
            raise self._cut_short()
        if self._at < size:
            raise DecodeError(f"BinaryPack value ends at byte {self._at} of {size}")
        return value

    def value(self, depth: int) -> Any:
        """The next value, within ``depth`` more levels of lists and maps.

        Raises:
            DecodeError: it is malformed.
            IndexError, struct.error: it is cut short.
        """
        data, at = self._data, self._at
        start, lead = at, data[at]
        if 0x80 <= lead <= 0xBF:
            kind, size = lead & 0xF0, lead & 0x0F
            at += 1
        elif 0xD8 <= lead <= 0xDF:
            form = READ[0xCE if lead & 1 else 0xCD]
            kind, (size,) = _SHORT[lead & 0xFE], form.unpack_from(data, at)
            at += form.size
        else:
            return self._number_or_constant(lead, at)

        if kind <= _ARRAY:  # or a map
            if depth <= 0:
                raise DecodeError(f"BinaryPack nested too deeply (at byte {at})")
            # So many values follow, of a byte or more: believe no count before it is paid.
            items = size if kind == _ARRAY else 2 * size
            if items > len(data) - at:
                raise DecodeError(f"BinaryPack count at byte {at} exceeds the bytes that follow")
            self.items += items
            if self.items > self._max_items:
                raise self._too_many()
            self._at = at
            if kind == _ARRAY:
                return self._array(size, depth - 1)
            return self._map(size, depth - 1)
        self._at = end = at + size
        if kind == _RAW:
            return data[at:end]
        try:
            # A large text would be copied on its way.
            return str(memoryview(data)[at:end] if size > _VIEW_FROM else data[at:end], "utf-8")
        except UnicodeDecodeError:
            raise self._no_text(start, end) from None

    def _too_many(self) -> DecodeError:
        return DecodeError(f"BinaryPack of more than {self._max_items} values")

    def _cut_short(self) -> DecodeError:
        """More bytes were wanted than there are."""
        return DecodeError(f"BinaryPack cut short at byte {len(self._data)}")

    def _number_or_constant(self, lead: int, at: int) -> Any:
        step = _STEP[lead]
        if step == _OTHER:
            raise DecodeError(f"BinaryPack has no type byte {lead:#04x} (at byte {at})")
        if step == 0:
            self._at = at + 1
            return _WHOLE[lead]
        (value,) = _READ[lead](self._data, at)
        self._at = at - step
        return _exact(value) if lead == 0xCB and not value >= _PLAIN_FROM else value

    def _array(self, size: int, depth: int) -> list[Any]:
        data, at = self._data, self._at
        values: list[Any] = []
        in_runs = size >= _RUN_FROM
        end = 0
        try:
            while size:
                lead = data[at]
                if in_runs and lead in _RUNS:
                    run = self._run(values, lead, at, size)
                    in_runs = run >= _RUN_FROM
                    at = self._at
                    size -= run
                    continue
                step = _STEP[lead]
                if step > 0:
                    end = at + step
                    values.append(data[at + 1 : end].decode())
                    at = end
                elif step == 0:
                    values.append(_WHOLE[lead])
                    at += 1
                elif step > _OTHER:
                    (value,) = _READ[lead](data, at)
                    if lead == 0xCB and not value >= _PLAIN_FROM:
                        value = _exact(value)
                    values.append(value)
                    at -= step
                elif lead == 0xD8:
                    begin = at + 3
                    end = begin + (data[at + 1] << 8 | data[at + 2])  # a uint16
                    values.append(data[begin:end].decode())
                    at = end
                else:
                    self._at = at
                    values.append(self.value(depth))
                    at = self._at
                size -= 1
        except UnicodeDecodeError:
            raise self._no_text(at, end) from None
        self._at = at
        return values

    def _map(self, size: int, depth: int) -> dict[str, Any]:
        data, at = self._data, self._at
        values: dict[str, Any] = {}
        end = 0
        try:
            for _ in range(size):
                step = _STEP[data[at]]
                if step > 0:
                    end = at + step
                    key = data[at + 1 : end].decode()
                    at = end
                else:
                    self._at = at
                    key = self.value(depth)
                    if not isinstance(key, str):
                        raise DecodeError(f"BinaryPack key at byte {at} is not text")
                    at = self._at
                lead = data[at]
                step = _STEP[lead]
                if step > 0:
                    end = at + step
                    values[key] = data[at + 1 : end].decode()
                    at = end
                elif step == 0:
                    values[key] = _WHOLE[lead]
                    at += 1
                elif step > _OTHER:
                    (value,) = _READ[lead](data, at)
                    if lead == 0xCB and not value >= _PLAIN_FROM:
                        value = _exact(value)
                    values[key] = value
                    at -= step
                elif lead == 0xD8:
                    begin = at + 3
                    end = begin + (data[at + 1] << 8 | data[at + 2])  # a uint16
                    values[key] = data[begin:end].decode()
                    at = end
                else:
                    self._at = at
                    values[key] = self.value(depth)
                    at = self._at
        except UnicodeDecodeError:
            raise self._no_text(at, end) from None
        self._at = at
        return values

    def _run(self, values: list[Any], lead: int, at: int, most: int) -> int:
        """Append the numbers of one form that begin at ``at``, and say how many they are.

        Lists of numbers are mostly of one form, and these are read many at a time.
        """
        step, leads, read = _RUNS[lead]
        ahead = self._data[at : at + min(most, _RUN_AT_MOST) * step : step]
        run = len(ahead)
        if ahead.translate(None, leads):  # not all of them; translate is the fastest to tell
            run -= len(ahead.lstrip(leads))
        self._at = at + run * step
        numbers = read(self._data[at : self._at])
        if lead == 0xCB and not min(numbers) >= _PLAIN_FROM:
            numbers = [_exact(number) for number in numbers]
        values += numbers
        return run

    def _no_text(self, at: int, end: int) -> DecodeError:
        """What is wrong with the text whose type byte is at ``at``, and which ends at ``end``."""
        if end > len(self._data):
            return self._cut_short()
        return DecodeError(f"BinaryPack text at byte {at} is not UTF-8")


def _exact(number: float) -> float:
    """A whole double that stands for an integer: only we send them, see ``packer``."""
    if -(2.0**63) <= number < _PLAIN_FROM and number.is_integer():
        return int(number)
    return number


def _no_number(data: bytes, at: int) -> tuple[float]:
    raise AssertionError("not a number")  # pragma: no cover - fills the table


def _small_integers(data: bytes) -> list[int]:
    return list(data) if data.isascii() else memoryview(data).cast("b").tolist()


def _reader(form: Struct) -> Callable[[bytes], list[Any]]:
    return lambda data: list(chain.from_iterable(form.iter_unpack(data)))


_OTHER: Final = -0x100
_TEXTS: Final = range(TEXT.short, TEXT.short + 0x10)

# By type byte, all 256, as a tuple is the fastest to look things up in.
_STEP: Final = tuple(
    lead - TEXT.short + 1
    if lead in _TEXTS
    else 0
    if lead in CONSTANTS
    else -READ[lead].size
    if lead in READ
    else _OTHER
    for lead in range(0x100)
)
"""Bytes of a whole short text, its type byte included; 0: it is all in the type byte; below 0:
bytes of a number, as negative; ``_OTHER``: something else. One look tells the commonest apart."""
_WHOLE: Final = tuple(CONSTANTS.get(lead) for lead in range(0x100))
"What has no bytes but its type byte."
_READ: Final = tuple(
    READ[lead].unpack_from if lead in READ else _no_number for lead in range(0x100)
)
"What reads a number."
# A global is found faster than a member of it. Below the list there is only the map.
_ARRAY: Final = ARRAY.short
_RAW: Final = RAW.short
_SHORT: Final = {kind.long: kind.short for kind in (MAP, ARRAY, RAW, TEXT)}

_SMALL: Final = bytes(range(0x80)) + bytes(range(0xE0, 0x100))
"Integers that are their own type byte: signed bytes, in effect."
_RUNS: Final[Mapping[int, tuple[int, bytes, Callable[[bytes], list[Any]]]]] = {
    **dict.fromkeys(_SMALL, (1, _SMALL, _small_integers)),
    **{lead: (form.size, bytes([lead]), _reader(form)) for lead, form in READ.items()},
}
"By type byte of a number: bytes it takes, type bytes of the same form, and what reads many."
_RUN_FROM: Final = 16
"Numbers in a row from which it is faster to read them together."
_RUN_AT_MOST: Final = 4096
"Numbers looked at in one go: however often a run turns out short, reading stays linear."

_VIEW_FROM: Final = 4096
"Bytes in a text from which a view of it is faster than a copy."

_PLAIN_FROM: Final = -(2.0**31)
"Doubles below are looked at once more."
