"""Chunks: pieces of several messages in any order, among chunks that somebody made up."""

from __future__ import annotations

from typing import Any, Final

from peerjs_proto.binarypack import pack
from peerjs_proto.chunks import FRAME_OVERHEAD, Reassembler
from peerjs_proto.errors import DecodeError, LimitExceeded, LocalProtocolError, RemoteProtocolError
from peerjs_proto.limits import Limits
from peerjs_proto.serialization import serializer_for
from peerjs_proto.serializer import Incoming, Message

from .choices import Choices
from .values import same

INVARIANT: Final = (
    "Chunks in any order, twice, late or made up bring whole messages as they were sent or a "
    "RemoteProtocolError, within the bounds of Limits, and no frame is larger than agreed."
)

LIMITS: Final = Limits(
    message_bytes=20_000,
    message_items=5000,
    partial_messages=3,
    partial_bytes=24_000,
    partial_timeout=60.0,
    nesting=8,
)


def check(data: bytes) -> None:
    choices = Choices(data)
    match choices.below(3):
        case 0:
            _reassemble(choices)
        case 1:
            _between_serializers(choices)
        case _:
            _any_frames(choices)


def _reassemble(choices: Choices) -> None:
    """Honest pieces arrive as their message; hostile ones cost their sender the connection."""
    reassembler, now = Reassembler(LIMITS), 0.0
    messages = [b"%d" % n * choices.below(12_000) + b"." for n in range(4)]
    sizes = [1 + choices.below(3000) for _ in messages]
    meddled: set[object] = set()
    while choices:
        match choices.below(8):
            case 0:
                now += choices.one_of((0.0, 1.0, 59.0, 60.0))
                before = reassembler.incomplete
                assert reassembler.expire(now) + reassembler.incomplete == before
                continue
            case 1:
                chunk = _made_up(choices)
                meddled.add(chunk["__peerData"])
            case _:
                chunk = _piece(messages, sizes, choices)
        held = reassembler.held_bytes, reassembler.incomplete
        try:
            pieces = reassembler.feed(chunk, now)
        except (DecodeError, LimitExceeded):
            assert (reassembler.held_bytes, reassembler.incomplete) == held, "nothing was kept"
            continue
        assert 0 <= reassembler.held_bytes <= LIMITS.partial_bytes
        assert reassembler.incomplete <= LIMITS.partial_messages
        assert (reassembler.held_bytes == 0) == (reassembler.incomplete == 0)
        assert (reassembler.deadline is None) == (reassembler.incomplete == 0)
        if pieces is not None:
            whole = b"".join(pieces)
            assert len(whole) <= LIMITS.message_bytes
            if chunk["__peerData"] not in meddled:
                assert whole == messages[chunk["__peerData"] - 1]
    reassembler.expire(now + LIMITS.partial_timeout)
    assert (reassembler.held_bytes, reassembler.incomplete) == (0, 0), "what is unfinished goes"


def _piece(messages: list[bytes], sizes: list[int], choices: Choices) -> dict[str, Any]:
    """Any piece of any of the messages."""
    which = choices.below(len(messages))
    message, size = messages[which], sizes[which]
    total = -(-len(message) // size)
    n = choices.below(total)
    data = message[n * size : (n + 1) * size]
    return {"__peerData": which + 1, "n": n, "data": data, "total": total}


def _made_up(choices: Choices) -> dict[str, Any]:
    def number() -> Any:
        match choices.below(4):
            case 0:
                return choices.below(8)
            case 1:
                return choices.integer()
            case 2:
                return choices.float()
            case _:
                return choices.one_of(("1", None, True, b"1"))

    chunk = {"__peerData": number(), "n": number(), "total": number(), "data": b"x"}
    if choices.flip():
        chunk["data"] = choices.one_of((b"", b"y" * 5000, "text", None, 0))
    if choices.flip():
        chunk.pop(choices.one_of(("n", "total", "data")))
    return chunk


def _between_serializers(choices: Choices) -> None:
    """What one serializer sends, the other reads, frames in any order and some twice."""
    sender, receiver = serializer_for("binary", LIMITS), serializer_for("binary", LIMITS)
    bound = sender.max_message_size = FRAME_OVERHEAD + choices.below(17_000)
    value = choices.value()
    try:
        outgoing = sender.encode(value)
    except LocalProtocolError:
        return
    if outgoing.size > LIMITS.message_bytes or outgoing.size > 60 * (bound - FRAME_OVERHEAD):
        return  # the receiver may refuse it
    frames = list(outgoing.frames)
    assert all(len(frame) <= bound for frame in frames)
    got: list[Incoming] = []
    while frames and not got:
        at = choices.below(len(frames))
        got += receiver.decode(frames[at], 0.0)
        if not choices.flip():
            del frames[at]
    (message,) = got
    assert isinstance(message, Message)
    assert same(message.value, value)
    assert receiver.incomplete == 0


def _any_frames(choices: Choices) -> None:
    """Frames of maps that look like framing, well packed: the way to the inside."""
    serializer = serializer_for("binary", LIMITS)
    now = 0.0
    while choices:
        now += choices.one_of((0.0, 0.0, 61.0))
        chunk: dict[str, Any] = _made_up(choices)
        if choices.flip():
            inner = {"__peerData": choices.one_of((0, 1, {"type": "close"}, {}, "", float("inf")))}
            chunk["data"] = pack(choices.one_of((inner, None, 5, b"", inner)))
        try:
            for incoming in serializer.decode(_packed(chunk), now):
                if isinstance(incoming, Message) and isinstance(incoming.value, dict):
                    assert incoming.value.get("__peerData") != 1, "framing is no message"
            serializer.expire(now)
        except RemoteProtocolError:
            pass
        assert serializer.incomplete <= LIMITS.partial_messages


def _packed(chunk: dict[str, Any]) -> bytes:
    try:
        return pack(chunk)
    except LocalProtocolError:
        return b"\x80"
