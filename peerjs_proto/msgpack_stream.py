"""MsgPack: MessagePack values in one stream of bytes, however the frames cut it.

Rules from peerjs 1.5.5 (``dist/serializer.msgpack.mjs``: ``MsgPack`` on ``StreamConnection``) and
the @msgpack/msgpack 2.8.0 inside it; each decision is a row in ``docs/msgpack.md``. The only
module that needs the ``msgpack`` library, hence the extra of that name.

The library makes the values. It believes what counts say, so no byte of a stream reaches it
before the value is whole, and ``_Walk`` has found it within bounds.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any, Final, cast

import msgpack  # type: ignore[import-untyped]

from .errors import DecodeError, LimitExceeded, MessageTooBig
from .jsontext import Refused, well_formed
from .limits import Limits
from .serializer import (
    CLOSE,
    VALUE_COST,
    CloseRequested,
    Frame,
    Incoming,
    Message,
    Outgoing,
    Serializer,
    check_top,
    is_close,
)

__all__ = ["FRAME_SIZE", "MsgPackSerializer"]

FRAME_SIZE: Final = 32 * 1024
"""Bytes in a frame at most: peerjs 1.5.5, ``StreamConnection._CHUNK_SIZE``."""


class MsgPackSerializer(Serializer):
    """``MsgPack``: MessagePack, always in order; a message goes on over as many frames as it needs.

    Sends None, bool, int, float, str, bytes, bytearray, memoryview, list, tuple, dict with str
    keys, and a datetime that knows its time zone; receives the same as list, dict, bytes and
    datetime in UTC. A float stays a float, though JavaScript does not tell 1.0 from 1.
    """

    name = "MsgPack"
    always_reliable = True

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._data = bytearray()
        "The value that is coming in, from its first byte."
        self._walk = _Walk(limits)
        self._touched = 0.0

    @property
    def incomplete(self) -> int:
        return 1 if self._data else 0

    @property
    def deadline(self) -> float | None:
        return self._touched + self._limits.partial_timeout if self._data else None

    def encode(self, value: Any) -> Outgoing:
        check_top(value)
        packed = _pack(value, max_depth=self._limits.nesting)
        bound = self.max_message_size
        size = FRAME_SIZE if bound is None else min(FRAME_SIZE, bound)
        if size < 1:
            raise MessageTooBig(f"no frame fits into the {bound} bytes the far side takes")
        return Outgoing(len(packed), _cut(packed, size))

    def close_marker(self) -> Frame:
        return _pack(CLOSE, max_depth=2)

    def decode(self, frame: Frame, now: float) -> Iterator[Incoming]:
        if isinstance(frame, str):
            raise DecodeError("text frame on a MsgPack connection")
        self._touched = now
        self._data += frame
        while (end := self._walk.end(self._data)) is not None:
            size = end + VALUE_COST * self._walk.items
            with memoryview(self._data) as data, data[:end] as packed:
                value = _unpack(packed)
            del self._data[:end]
            self._walk = _Walk(self._limits)
            yield CloseRequested() if is_close(value) else Message(value, size)
        if len(self._data) > self._limits.partial_bytes:
            raise LimitExceeded(
                f"incomplete message of more than {self._limits.partial_bytes} bytes"
            )

    def expire(self, now: float) -> int:
        due = self.deadline
        if due is not None and due <= now:
            # Nobody knows where in the stream the next message would begin.
            timeout = self._limits.partial_timeout
            raise LimitExceeded(f"nothing came of an incomplete message for {timeout:g} s")
        return 0


def _cut(packed: bytes, size: int) -> Iterator[bytes]:
    """Frames of ``size`` bytes, each made when it is asked for."""
    view = memoryview(packed)
    for start in range(0, len(packed), size):
        yield bytes(view[start : start + size])


# --- values out -------------------------------------------------------------------------------


def _pack(value: object, *, max_depth: int) -> bytes:
    """Raises UnsupportedValue and MessageTooBig."""
    try:
        plain = _plain(value, min(max_depth, _DEEPEST))
    except Refused as refused:
        raise refused.error() from None
    except RecursionError:
        raise Refused.too_deep().error() from None
    try:
        return cast(bytes, msgpack.packb(plain))
    except ValueError as error:  # nothing else is left that it would not take
        raise MessageTooBig(f"MessagePack counts to 2**32 - 1: {error}") from None


def _plain(value: object, depth: int) -> object:
    """``value`` as the library takes it, within ``depth`` more levels, or Refused."""
    if isinstance(value, str):
        return value if str.isascii(value) else well_formed(value)
    if value is None or isinstance(value, bool | float | bytes | bytearray):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise Refused("an int beyond 64 bits", "MessagePack has no form for it")
        return value
    if isinstance(value, dict):
        return _plain_map(value, depth)
    if isinstance(value, list | tuple):
        return _plain_list(value, depth)
    if isinstance(value, memoryview):
        return value if value.c_contiguous else value.tobytes()
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise Refused("a datetime without a time zone", "it names no moment")
        since = value - _EPOCH
        return msgpack.Timestamp(since.days * 86_400 + since.seconds, since.microseconds * 1000)
    raise Refused.type_of(value)


def _plain_map(value: dict[Any, Any], depth: int) -> dict[str, object]:
    if depth <= 0:
        raise Refused.too_deep()
    plain: dict[str, object] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise Refused.key(key)
        if key == "__proto__":
            raise Refused('the key "__proto__"', "JavaScript's decoder fails on it")
        try:
            plain[well_formed(key)] = _plain(item, depth - 1)
        except Refused as refused:
            refused.under(key)
            raise
    return plain


def _plain_list(value: list[Any] | tuple[Any, ...], depth: int) -> list[object]:
    if depth <= 0:
        raise Refused.too_deep()
    plain: list[object] = []
    for index, item in enumerate(value):
        try:
            plain.append(_plain(item, depth - 1))
        except Refused as refused:
            refused.under(index)
            raise
    return plain


# --- values in --------------------------------------------------------------------------------


class _Walk:
    """Goes over one value by its headers, as its bytes come in, and makes nothing of them.

    Time is linear in the values; what lies inside a text or bytes is stepped over at once.
    """

    def __init__(self, limits: Limits) -> None:
        self.items = 1
        "Values and keys announced so far, the outermost included."
        self._limits = limits
        self._at = 0
        # What is still to come, level by level. Of a map it is minus the keys and values, so
        # that an even number says that a key is next.
        self._left = [1]

    def end(self, data: bytearray) -> int | None:
        """Where the value at the front of ``data`` ends; None while not all of it is there.

        Raises DecodeError and LimitExceeded.
        """
        left, at, there = self._left, self._at, len(data)
        while left and at < there:
            kind, head, count = _FORMS[data[at]]
            body = at + head
            if body > there:
                break
            if count is None:
                count = int.from_bytes(data[at + 1 : body])
            if kind == _DATE:
                _check_date_header(data[at:body])
                if body + count > there:
                    break
                _check_date(data[body : body + count])
            elif kind == _WRONG:
                raise DecodeError(f"MessagePack type byte {data[at]:#04x} is none of PeerJS's")
            if left[-1] > 0:
                left[-1] -= 1
            elif kind == _TEXT or left[-1] % 2:
                left[-1] += 1
            else:
                raise DecodeError("MessagePack key that is not text")
            if kind == _LIST:
                self._open(count)
                at = body
            elif kind == _MAP:
                self._open(-2 * count)
                at = body
            else:
                at = body + count
            while left and not left[-1]:
                left.pop()
        self._at = at
        if at > self._limits.message_bytes:
            raise LimitExceeded(f"message of {at} bytes, more than {self._limits.message_bytes}")
        return at if not left and at <= there else None

    def _open(self, items: int) -> None:
        """A list begins, or with a negative number a map."""
        self._left.append(items)
        self.items += abs(items)
        depth = min(self._limits.nesting, _DEEPEST)
        if len(self._left) > depth + 1:
            raise LimitExceeded(f"MessagePack nested more than {depth} deep")
        if self.items > self._limits.message_items:
            raise LimitExceeded(f"MessagePack of more than {self._limits.message_items} values")


def _check_date_header(head: bytearray) -> None:
    """The specification has a timestamp in 4, 8 and 12 bytes, each with one form."""
    if bytes(head) not in (b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff"):
        raise DecodeError("MessagePack extension that is not a timestamp")


def _check_date(payload: bytearray) -> None:
    """The library would take another moment for one that datetime cannot hold."""
    nanoseconds = seconds = 0
    if len(payload) == 8:
        nanoseconds = int.from_bytes(payload) >> 34
    elif len(payload) == 12:
        nanoseconds, seconds = _TIMESTAMP_96.unpack(payload)
    if nanoseconds >= 10**9 or not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise DecodeError("MessagePack timestamp out of range")


def _unpack(packed: memoryview) -> Any:
    """The value that a walk has been over. Raises DecodeError."""
    try:
        return msgpack.unpackb(
            packed, timestamp=3, strict_map_key=False, unicode_errors=_LONE_SURROGATES
        )
    except UnicodeDecodeError:
        raise DecodeError("MessagePack text is not UTF-8") from None


def _replace_lone_surrogate(error: UnicodeError) -> tuple[str, int]:
    """Pages send short texts cut in the middle of an emoji so; as in JSON, it becomes U+FFFD."""
    if isinstance(error, UnicodeDecodeError) and _SURROGATE.match(error.object, error.start):
        return "\ufffd", error.start + 3
    raise error


_SURROGATE: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_LONE_SURROGATES: Final = "peerjs_proto.msgpack_stream"
codecs.register_error(_LONE_SURROGATES, _replace_lone_surrogate)

_DEEPEST: Final = 256
"The library packs 511 levels, and unpacks 1,024; Python's own recursion allows some 450."

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_LAST_SECOND: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_TIMESTAMP_96: Final = Struct(">Iq")

_PLAIN, _TEXT, _BYTES, _LIST, _MAP, _DATE, _WRONG = range(7)


def _forms() -> Iterator[tuple[int, int, int | None]]:
    """For every type byte: what it begins, the length of its header, and its size or count.

    The size is None where the header ends with it. Of numbers all is header.
    """
    yield from [(_PLAIN, 1, 0)] * 0x80
    yield from ((_MAP, 1, count) for count in range(16))
    yield from ((_LIST, 1, count) for count in range(16))
    yield from ((_TEXT, 1, size) for size in range(32))
    yield from [(_PLAIN, 1, 0), (_WRONG, 1, 0), (_PLAIN, 1, 0), (_PLAIN, 1, 0)]  # nil, false, true
    yield from [(_BYTES, 2, None), (_BYTES, 3, None), (_BYTES, 5, None)]
    yield from [(_DATE, 3, 12), (_WRONG, 1, 0), (_WRONG, 1, 0)]
    yield from [(_PLAIN, 5, 0), (_PLAIN, 9, 0)]  # float32, float64
    yield from [(_PLAIN, 1 + size, 0) for size in (1, 2, 4, 8)] * 2  # unsigned, signed
    yield from [(_WRONG, 1, 0), (_WRONG, 1, 0), (_DATE, 2, 4), (_DATE, 2, 8), (_WRONG, 1, 0)]
    yield from [(_TEXT, 2, None), (_TEXT, 3, None), (_TEXT, 5, None)]
    yield from [(_LIST, 3, None), (_LIST, 5, None)]
    yield from [(_MAP, 3, None), (_MAP, 5, None)]
    yield from [(_PLAIN, 1, 0)] * 0x20


_FORMS: Final = tuple(_forms())
