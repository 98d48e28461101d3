"""BinaryPack: any bytes into the decoder, and any value there and back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from peerjs_proto.binarypack import pack, unpack_counted
from peerjs_proto.chunks import split
from peerjs_proto.errors import DecodeError, UnsupportedValue
from peerjs_proto.limits import Limits
from peerjs_proto.serialization import serializer_for
from peerjs_proto.serializer import Message

from .choices import Choices
from .values import arrives, depth, same, unsupported

INVARIANT: Final = (
    "Decoding any bytes raises DecodeError or nothing, decode(encode(x)) == x, "
    "and a message cut anywhere into chunks is the message whole."
)

DEPTH: Final = 8
ITEMS: Final = 30
LIMITS: Final = Limits(nesting=DEPTH)


def check(data: bytes) -> None:
    _from_the_wire(data)
    choices = Choices(data)
    _there_and_back(choices.value(), piece_size=1 + choices.below(20_000))


def _from_the_wire(data: bytes) -> None:
    try:
        value, items = unpack_counted(data, max_depth=DEPTH, max_items=ITEMS)
    except DecodeError:
        return
    assert items <= min(ITEMS, len(data)), "every value costs a byte"
    assert depth(value) <= DEPTH
    for other in (bytearray(data), memoryview(b"x" + data)[1:]):
        assert repr(unpack_counted(other, max_depth=DEPTH)[0]) == repr(value)
    for wrong in (data + b"\0", data[:-1]):
        with suppress(DecodeError):
            unpack_counted(wrong, max_depth=DEPTH)
            raise AssertionError("where a value ends, there it ends")
    _there_and_back(value, piece_size=max(1, len(data) // 7))


def _there_and_back(value: Any, *, piece_size: int) -> None:
    try:
        packed = pack(value, max_depth=DEPTH)
    except UnsupportedValue:
        assert unsupported(value), "an application may send this"
        return
    assert not unsupported(value)
    back, _ = unpack_counted(packed, max_depth=DEPTH)
    assert same(back, value)
    assert pack(back) == pack(arrives(value)), "one form for each value"
    if len(packed) // piece_size < 20:
        _in_chunks(packed, back, piece_size)


def _in_chunks(packed: bytes, value: Any, piece_size: int) -> None:
    if value is None or (isinstance(value, dict) and "__peerData" in value):
        return  # framing
    serializer = serializer_for("binary", LIMITS)
    frames = list(split(packed, chunk_id=1, piece_size=piece_size))
    # From the back: the order is the network's.
    incoming = [each for frame in reversed(frames) for each in serializer.decode(frame, 0.0)]
    (message,) = incoming
    assert isinstance(message, Message)
    assert repr(message.value) == repr(value)
    assert serializer.incomplete == 0
