"""How often the bytes of a large message are copied, told by the memory it takes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from peerjs_proto.limits import DEFAULT_LIMITS
from peerjs_proto.serialization import serializer_for
from peerjs_proto.serializer import Frame, Message

SIZE = 16 * 1024 * 1024
LITTLE = SIZE // 16


@attrs.define
class Peak:
    """Bytes that were taken at once inside the block, beyond those taken before."""

    copies: float = 0.0
    "In sizes of the message."


@contextmanager
def peak() -> Iterator[Peak]:
    found = Peak()
    tracemalloc.start()
    try:
        yield found
        found.copies = tracemalloc.get_traced_memory()[1] / SIZE
    finally:
        tracemalloc.stop()


def frames_of(name: str, value: Any) -> list[Frame]:
    return list(serializer_for(name, DEFAULT_LIMITS).encode(value).frames)


LARGE = bytes(SIZE)
TEXT = "x" * SIZE


def _id(value: Any) -> str:
    return (
        str(value) if value is not TEXT and isinstance(value, str | int) else type(value).__name__
    )


@pytest.mark.parametrize(
    ("name", "value", "copies"),
    [
        ("raw", LARGE, 0),
        ("raw", bytearray(LARGE), 1),
        ("raw", TEXT, 0),
        ("binary", LARGE, 0),
        ("binary", [{"a": LARGE[: SIZE // 2], "b": 1}, LARGE[: SIZE // 2]], 0),
        ("binary", bytearray(LARGE), 1),
        ("binary", [memoryview(LARGE)], 1),
        ("binary", TEXT, 1),
    ],
    ids=_id,
)
def test_copies_before_the_frames(name: str, value: Any, copies: int) -> None:
    """Of what is in each frame, besides: the last copy, made when the frame is asked for."""
    sender = serializer_for(name, DEFAULT_LIMITS)
    with peak() as taken:
        for _frame in sender.encode(value).frames:
            pass
    assert copies <= taken.copies < copies + 1 / 16


@pytest.mark.parametrize(
    ("name", "value", "copies"),
    [
        ("raw", LARGE, 0),
        ("binary", LARGE, 1),
        ("binary", {"a": LARGE}, 2),
        ("binary", TEXT, 2),
    ],
    ids=_id,
)
def test_copies_behind_the_frames(name: str, value: Any, copies: int) -> None:
    receiver = serializer_for(name, DEFAULT_LIMITS)
    frames = frames_of(name, value)
    with peak() as taken:
        (message,) = [each for frame in frames for each in receiver.decode(frame, 0.0)]
    assert isinstance(message, Message)
    assert message.value == value
    assert type(message.value) is type(value)
    assert copies <= taken.copies < copies + 1 / 16


def test_what_is_sent_is_what_it_was_at_the_call() -> None:
    value = bytearray(b"x" * 100_000)
    for sent in (value, memoryview(value), [value], {"a": memoryview(value)}):
        sender, receiver = (serializer_for("binary", DEFAULT_LIMITS) for _ in range(2))
        frames = sender.encode(sent).frames
        value[:] = b"y" * 100_000
        (message,) = [each for frame in frames for each in receiver.decode(frame, 0.0)]
        assert isinstance(message, Message)
        assert b"y" not in repr(message.value).encode()
        value[:] = b"x" * 100_000
