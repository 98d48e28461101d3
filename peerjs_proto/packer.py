"""Writing BinaryPack: what :func:`peerjs_proto.binarypack.pack` does."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final, cast

from .binaryforms import ARRAY, MAP, RAW, TEXT, WRITE, Kind
from .errors import MessageTooBig
from .jsontext import Refused, well_formed

__all__ = ["Packer", "packed_head", "packed_integer"]


class Packer:
    """Collects small things in one buffer, and refers to large ones until all are joined."""

    def __init__(self, *, dates_as_text: bool) -> None:
        self._parts: list[bytes | bytearray | memoryview] = []
        self._tail = bytearray()
        self._dates_as_text = dates_as_text

    def whole(self, value: Any, max_depth: int) -> bytes:
        """All bytes of one value. Raises UnsupportedValue and MessageTooBig."""
        return b"".join(self._all(value, max_depth))

    def parts(self, value: Any, max_depth: int) -> list[bytes | bytearray]:
        """The same in parts, which nobody can change: large ``bytes`` are the value's own.

        Raises UnsupportedValue and MessageTooBig.
        """
        parts = self._all(value, max_depth)
        # Every other one is ours.
        parts[1::2] = map(bytes, parts[1::2])
        return cast("list[bytes | bytearray]", parts)

    def _all(self, value: Any, max_depth: int) -> list[bytes | bytearray | memoryview]:
        try:
            self.add(value, max_depth)
        except Refused as refused:
            raise refused.error() from None
        except RecursionError:
            raise Refused.too_deep().error() from None
        return [*self._parts, self._tail]

    def add(self, value: Any, depth: int) -> None:
        """One value, within ``depth`` more levels of lists and maps.

        Raises Refused, RecursionError, and MessageTooBig.
        """
        kind = type(value)
        if kind is str:
            self._text(value)
        elif kind is int:
            self._integer(value)
        elif kind is float:
            self._float(value)
        elif kind is dict:
            self._map(value, depth)
        elif kind is list:
            self._array(value, depth)
        elif value is None:
            self._tail.append(0xC0)
        elif kind is bool:
            self._tail.append(0xC3 if value else 0xC2)
        else:
            self._add_other(value, depth)

    def _add_other(self, value: object, depth: int) -> None:
        """Bytes, and instances of subclasses."""
        if isinstance(value, bytes | bytearray):
            self._sized(RAW, value, len(value))
        elif isinstance(value, memoryview):
            view = value if value.c_contiguous else memoryview(value.tobytes())
            self._sized(RAW, view, view.nbytes)
        elif isinstance(value, str):
            self._text(value)
        elif isinstance(value, int):
            self._integer(value)
        elif isinstance(value, float):
            self._float(value)
        elif isinstance(value, dict):
            self._map(value, depth)
        elif isinstance(value, list | tuple):
            self._array(value, depth)
        elif isinstance(value, date) and self._dates_as_text:
            self._text(_date_text(value))
        else:
            raise Refused.type_of(value)

    def _map(self, value: dict[Any, Any], depth: int) -> None:
        if depth <= 0:
            raise Refused.too_deep()
        self._head(MAP, len(value))
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
        self._head(ARRAY, len(value))
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
        size = len(encoded)
        if size <= 0x0F:
            self._tail.append(TEXT.short + size)
            self._tail += encoded
        else:
            self._sized(TEXT, encoded, size)

    def _float(self, value: float) -> None:
        if value.is_integer() and -(2.0**63) <= value < 2.0**64:
            self._integer(int(value))  # as JavaScript does; its decoder cannot read 0.0
        elif value == value:
            self._tail += WRITE[0xCB].pack(0xCB, value)
        else:
            raise Refused("NaN", "JavaScript's decoder reads infinity")

    def _integer(self, value: int) -> None:
        if -0x20 <= value <= 0x7F:
            self._tail.append(value & 0xFF)
        else:
            lead = _integer_type(value)  # as packed_integer does; a call more is 5 % of a list
            self._tail += WRITE[lead].pack(lead, value)

    def _sized(self, kind: Kind, data: bytes | bytearray | memoryview, size: int) -> None:
        self._head(kind, size)
        if size < _REFER_FROM:
            self._tail += data
        else:
            self._parts += (self._tail, data)
            self._tail = bytearray()

    def _head(self, kind: Kind, size: int) -> None:
        if size <= 0x0F:
            self._tail.append(kind.short + size)
        else:
            self._tail += packed_head(kind, size)


def packed_integer(value: int) -> bytes:
    """One integer. Raises Refused beyond 64 bits."""
    if -0x20 <= value <= 0x7F:
        return bytes((value & 0xFF,))
    lead = _integer_type(value)
    return WRITE[lead].pack(lead, value)


def packed_head(kind: Kind, size: int) -> bytes:
    """What stands before ``size`` bytes or items. Raises MessageTooBig."""
    if size <= 0x0F:
        return bytes((kind.short + size,))
    if size <= 0xFFFF:
        return WRITE[0xCD].pack(kind.long, size)
    if size <= 0xFFFF_FFFF:
        return WRITE[0xCE].pack(kind.long + 1, size)
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


def _date_text(value: date) -> str:
    """What JavaScript's ``new Date`` takes for the same point in time, whatever its time zone."""
    if not isinstance(value, datetime):
        return date.isoformat(value)
    if datetime.utcoffset(value) is None:
        raise Refused("a datetime without a time zone", "the far side would take it for its own")
    try:
        utc = datetime.astimezone(value, UTC)
    except OverflowError:
        raise Refused("a datetime outside the years 1 to 9999 in UTC") from None
    return datetime.isoformat(utc.replace(tzinfo=None), timespec="milliseconds") + "Z"


_REFER_FROM: Final = 4096
"Bytes from which data is referred to until the end instead of copied twice."
