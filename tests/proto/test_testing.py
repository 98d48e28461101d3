"""The public strategies yield what they say."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import math
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerjs_proto import messages
from peerjs_proto.errors import (
    ConnectionClosed,
    DecodeError,
    Disconnected,
    LocalProtocolError,
    RemoteProtocolError,
)
from peerjs_proto.limits import DEFAULT_LIMITS
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.serialization import SERIALIZATIONS, serializer_for
from peerjs_proto.serializer import CloseRequested, Frame, Message
from peerjs_proto.server import ServerProtocol
from peerjs_proto.testing.frames import chunked, frames, hostile_frames
from peerjs_proto.testing.messages import hostile_texts, ids, texts
from peerjs_proto.testing.operations import Operation, peer_operations, server_operations
from peerjs_proto.testing.values import equal, msgpack_values, sendable, values_of
from peerjs_proto.testing.world import ENDPOINT

STRATEGIES = ["values", "messages", "frames", "operations", "mutations"]


@pytest.mark.parametrize("module", STRATEGIES)
def test_without_hypothesis_they_say_which_extra_to_install(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    for name in [*STRATEGIES, "_hypothesis"]:
        monkeypatch.delitem(sys.modules, f"peerjs_proto.testing.{name}", raising=False)
    with pytest.raises(ImportError, match=r"peerjs-sansio\[testing\]"):
        importlib.import_module(f"peerjs_proto.testing.{module}")


# --- values and frames ---------------------------------------------------------------------------


def named(
    names: Iterable[str], made: Callable[[str], st.SearchStrategy[Any]]
) -> st.SearchStrategy[tuple[str, Any]]:
    """A name, and something made for it."""
    return st.sampled_from(sorted(names)).flatmap(lambda name: st.tuples(st.just(name), made(name)))


@given(
    st.sampled_from(sorted(SERIALIZATIONS)).flatmap(lambda n: st.tuples(st.just(n), values_of(n)))
)
def test_values_arrive_as_equals(case: tuple[str, Any]) -> None:
    name, value = case
    sender, receiver = (serializer_for(name, DEFAULT_LIMITS) for _ in range(2))
    arrived: list[Any] = []
    for frame in sender.encode(value).frames:
        arrived += receiver.decode(frame, 0.0)
    (message,) = arrived
    assert equal(value, message.value)


@pytest.mark.parametrize(
    ("sent", "received", "same"),
    [
        (1, 1, True),
        (1.0, 1, True),
        (1, True, False),
        (None, 0, False),
        ([1, [2]], [1, [2.0]], True),
        ([1], [1, 2], False),
        ([1], {"0": 1}, False),
        ({"a": [True]}, {"a": [True]}, True),
        ({"a": True}, {"a": 1}, False),
        ({"a": 1}, {"b": 1}, False),
        ({}, [], False),
        ("1", b"1", False),
        (math.inf, math.inf, True),
    ],
)
def test_what_is_equal(sent: Any, received: Any, same: bool) -> None:
    assert equal(sent, received) is same


@given(msgpack_values())
def test_messagepack_carries_such_values(value: Any) -> None:
    assert sendable([value])


@given(
    st.sampled_from(["binary", "json", "raw"]).flatmap(lambda n: st.tuples(st.just(n), frames(n)))
)
def test_frames_hold_one_message_or_the_word_to_close(case: tuple[str, Frame]) -> None:
    name, frame = case
    (incoming,) = serializer_for(name, DEFAULT_LIMITS).decode(frame, 0.0)
    assert isinstance(incoming, Message | CloseRequested)


@given(chunked())
def test_chunks_are_whole_at_the_last(case: tuple[Any, list[bytes]]) -> None:
    value, chunks = case
    receiver = serializer_for("binary", DEFAULT_LIMITS)
    arrived = [list(receiver.decode(chunk, 0.0)) for chunk in chunks]
    assert not any(arrived[:-1])
    (message,) = arrived[-1]
    assert isinstance(message, Message)
    assert equal(value, message.value)
    assert receiver.incomplete == 0


@given(st.sampled_from(sorted(SERIALIZATIONS)), st.lists(hostile_frames(), max_size=5))
def test_hostile_frames_are_refused_or_read(name: str, sent: list[Frame]) -> None:
    receiver = serializer_for(name, DEFAULT_LIMITS)
    with contextlib.suppress(RemoteProtocolError):
        for frame in sent:
            list(receiver.decode(frame, 0.0))


# --- messages ------------------------------------------------------------------------------------


@given(texts(src=st.just("bob"), connection_ids=st.just("dc_1")))
def test_texts_are_read_and_concern_whom_they_are_narrowed_to(text: str) -> None:
    message = messages.decode(text)
    assert getattr(message, "src", "bob") == "bob"
    assert getattr(message, "connection_id", "dc_1") == "dc_1"


@given(hostile_texts(src=ids))
def test_hostile_texts_are_refused_or_read(text: str | bytes) -> None:
    with contextlib.suppress(DecodeError):
        messages.decode(text)


# --- operations ----------------------------------------------------------------------------------


def drawn(strategy: st.SearchStrategy[Operation], core: type, out: set[str]) -> set[str]:
    """Inputs of a core that no operation calls."""
    found: set[str] = set()

    @settings(database=None, max_examples=300)
    @given(strategy)
    def draw(operation: Operation) -> None:
        method = inspect.signature(getattr(core, operation.method))
        now = {"now": 0.0} if operation.timed else {}
        method.bind(None, *operation.arguments, **operation.options, **now)
        found.add(operation.method)

    draw()
    methods = inspect.getmembers(core, inspect.isfunction)
    return {name for name, _ in methods if not name.startswith("_")} - out - found


OUT = {"next_command", "next_event", "next_timeout"}


def test_operations_are_all_inputs_of_a_peer() -> None:
    assert drawn(peer_operations(), PeerProtocol, OUT) == set()


def test_operations_are_all_inputs_of_a_server() -> None:
    assert (
        drawn(
            server_operations(),
            ServerProtocol,
            OUT
            | {"next_forward", "statistics", "ids", "is_registered", "lists_ids", "silent_since"},
        )
        == set()
    )


@given(st.lists(peer_operations(), max_size=20))
def test_operations_do_what_they_say_to_a_peer(operations: list[Operation]) -> None:
    core = PeerProtocol(ENDPOINT, token="t", media=True)
    for operation in operations:
        with contextlib.suppress(LocalProtocolError, ConnectionClosed, Disconnected):
            operation.do(core, 0.0)


@given(st.lists(server_operations(), max_size=20))
def test_operations_do_what_they_say_to_a_server(operations: list[Operation]) -> None:
    server = ServerProtocol()
    for now, operation in enumerate(operations):
        with contextlib.suppress(LocalProtocolError):  # a handle never given
            operation.do(server, float(now))
    assert server.statistics().clients <= len(operations)
