"""MsgPack: one stream over all frames of a connection, cut by the sender wherever it likes."""

from __future__ import annotations

from typing import Any, Final

from peerjs_proto.errors import LocalProtocolError, RemoteProtocolError
from peerjs_proto.limits import Limits
from peerjs_proto.serialization import SERIALIZATIONS, serializer_for
from peerjs_proto.serializer import Incoming, Message

from . import Skipped
from .choices import Choices
from .values import same

INVARIANT: Final = (
    "Decoding any stream raises a RemoteProtocolError or nothing, brings the same messages "
    "wherever it is cut into frames, and decode(encode(x)) == x."
)

LIMITS: Final = Limits(
    message_bytes=30_000,
    message_items=300,
    partial_bytes=30_000,
    nesting=8,
)

if "MsgPack" not in SERIALIZATIONS:
    raise Skipped("this peerjs_proto has no MsgPack serialization")


def check(data: bytes) -> None:
    whole = _decoded([data])
    for cut in {1, len(data) // 3, len(data) - 1, *data[:3]}:
        _compare(whole, _decoded([data[:cut], data[cut:]]))
    size = 1 + len(data) // 200
    _compare(whole, _decoded([data[at : at + size] for at in range(0, len(data), size)]))
    choices = Choices(data)
    _there_and_back([choices.value() for _ in range(1 + choices.below(3))], choices)


def _decoded(frames: list[bytes]) -> tuple[list[Incoming], bool]:
    """What came, and whether the connection goes on."""
    serializer, got = serializer_for("MsgPack", LIMITS), list[Incoming]()
    try:
        for frame in frames:
            for incoming in serializer.decode(frame, 0.0) if frame else ():
                got.append(incoming)
    except RemoteProtocolError:
        return got, False
    assert serializer.incomplete <= 1
    return got, True


def _compare(a: tuple[list[Incoming], bool], b: tuple[list[Incoming], bool]) -> None:
    assert repr(a[0]) == repr(b[0])
    assert a[1] == b[1], "what ends one ends the other"


def _there_and_back(values: list[Any], choices: Choices) -> None:
    sender, receiver = serializer_for("MsgPack", LIMITS), serializer_for("MsgPack", LIMITS)
    sent, stream = [], b""
    for value in values:
        try:
            outgoing = sender.encode(value)
        except LocalProtocolError:
            continue
        frames = list(outgoing.frames)
        if sum(map(len, frames)) > LIMITS.message_bytes:
            continue
        sent.append(value)
        for frame in frames:
            assert isinstance(frame, bytes)
            stream += frame
    got = list[Incoming]()
    while stream:
        size = 1 + max(choices.below(3000), len(stream) // 30)
        got += receiver.decode(stream[:size], 0.0)
        stream = stream[size:]
    assert len(got) == len(sent)
    for value, incoming in zip(sent, got, strict=True):
        assert isinstance(incoming, Message)
        assert same(incoming.value, value)
    assert receiver.incomplete == 0
