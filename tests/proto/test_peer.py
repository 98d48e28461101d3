"""Dialling, talking and closing, between cores in a simulated world."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peerjs_proto import commands, events, messages
from peerjs_proto.errors import (
    ConnectionClosed,
    ConnectTimeout,
    Disconnected,
    InvalidId,
    LocalProtocolError,
    MessageTooBig,
    NegotiationFailed,
    NotOpenYet,
    PeerUnavailable,
    UnsupportedValue,
)
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.testing.world import ENDPOINT, World
from tests.proto.pair import Pair, dial_error

VALUES: dict[str, list[Any]] = {
    "binary": [0, -1, "ü😀", b"", b"x" * 50_000, {"a": [1, None, {"b": b"c"}]}, 1.5, True],
    "binary-utf8": ["text", [1, 2, 3]],
    "json": [0, -1, "ü😀", {"a": [1, None]}, 1.5, True],
    "raw": ["text", b"bytes", "", b""],
}


@pytest.mark.parametrize("serialization", VALUES)
@pytest.mark.parametrize("reliable", [True, False])
def test_values_cross_both_ways_in_every_serialization(serialization: str, reliable: bool) -> None:
    pair = Pair(serialization=serialization, reliable=reliable)
    values = VALUES[serialization]
    pair.say(pair.alice, pair.ours, *values)
    pair.say(pair.bob, pair.theirs, *values)
    assert pair.bob.values(pair.theirs) == values
    assert pair.alice.values(pair.ours) == values


def test_the_offer_tells_all_that_the_dialler_said() -> None:
    pair = Pair(label="chat", metadata={"hi": [1]}, serialization="json", reliable=True)
    (offered,) = pair.bob.told(events.DataConnectionOffered)
    assert offered == events.DataConnectionOffered(
        pair.theirs, "alice", "dc_1", "chat", {"hi": [1]}, "json", True
    )


def test_the_label_defaults_to_the_connection_id() -> None:
    (offered,) = Pair().bob.told(events.DataConnectionOffered)
    assert offered.label == "dc_1"
    assert offered.metadata is None


def test_metadata_is_copied_when_dialling() -> None:
    metadata = {"n": 1}
    pair = Pair(metadata=metadata, settle=False)
    metadata["n"] = 2
    pair.world.settle()
    (offered,) = pair.bob.told(events.DataConnectionOffered)
    assert offered.metadata == {"n": 1}


# --- dials that come to nothing ------------------------------------------------------------------


def test_a_connection_tells_whether_it_keeps_order() -> None:
    for reliable in (True, False):
        pair = Pair(reliable=reliable)
        assert pair.alice.core.is_reliable(pair.ours) is reliable
        assert pair.bob.core.is_reliable(pair.theirs) is reliable
        pair.alice.core.close(pair.ours, pair.world.now)
        assert not pair.alice.core.is_reliable(pair.ours)


def test_a_peer_that_is_not_there_is_unavailable_after_the_server_says_so() -> None:
    world = World()
    alice = world.node("alice")
    world.settle()
    dials = [alice.core.connect("bob", connection_id=f"dc_{n}", now=world.now) for n in range(3)]
    alice.drain()
    world.settle()
    other = alice.core.connect("carol", connection_id="dc_9", now=world.now + 4)
    alice.drain()
    world.advance(6.0)
    # EXPIRE names no connection, so it is the answer to all dials to that peer.
    assert [type(dial_error(alice, dial)) for dial in dials] == [PeerUnavailable] * 3
    assert alice.told(events.SignalingRefused) == []
    assert len(alice.closed(other)) == 1


def test_expire_leaves_answered_dials_alone() -> None:
    pair = Pair()
    pair.alice.core.receive_text('{"type":"EXPIRE","src":"bob"}', pair.world.now)
    pair.alice.drain()
    pair.say(pair.alice, pair.ours, "still here")
    assert pair.bob.values(pair.theirs) == ["still here"]


def test_a_dial_nobody_answers_times_out() -> None:
    world = World(auto_accept=False)
    alice, bob = world.node("alice"), world.node("bob")
    world.settle()
    dial = alice.core.connect("bob", connection_id="dc_1", now=world.now)
    alice.drain()
    world.advance(19.9)
    assert not alice.closed(dial)
    world.advance(0.2)
    assert isinstance(dial_error(alice, dial), ConnectTimeout)
    # An offer that nobody decides on ends as well.
    (offered,) = bob.told(events.DataConnectionOffered)
    assert isinstance(dial_error(bob, offered.connection), ConnectTimeout)


def test_a_refused_offer_ends_quietly_here_and_in_a_timeout_there() -> None:
    world = World(auto_accept=False)
    alice, bob = world.node("alice"), world.node("bob")
    world.settle()
    dial = alice.core.connect("bob", connection_id="dc_1", now=world.now)
    alice.drain()
    world.settle()
    (offered,) = bob.told(events.DataConnectionOffered)
    bob.core.close(offered.connection, world.now)
    bob.drain()
    assert dial_error(bob, offered.connection) is None
    assert bob.rtcs == {}
    world.advance(30.0)
    assert isinstance(dial_error(alice, dial), ConnectTimeout)


def test_rtc_failure_before_open_is_a_failed_negotiation() -> None:
    pair = Pair(settle=False)
    pair.alice.core.rtc_failed(pair.ours, "no route")
    pair.alice.drain()
    error = dial_error(pair.alice, pair.ours)
    assert isinstance(error, NegotiationFailed)
    assert "no route" in str(error)


def test_a_peer_that_leaves_fails_the_dial_to_it() -> None:
    world = World(auto_accept=False)
    alice, bob = world.node("alice"), world.node("bob")
    world.settle()
    dial = alice.core.connect("bob", connection_id="dc_1", now=world.now)
    alice.drain()
    world.settle()
    bob.core.shut_down()
    bob.drain()
    world.settle()
    assert isinstance(dial_error(alice, dial), PeerUnavailable)


def test_a_dial_while_the_server_goes_away_fails() -> None:
    pair = Pair(settle=False)
    pair.alice.core.socket_closed("gone", pair.world.now)
    pair.alice.drain()
    pair.world.settle()
    assert isinstance(dial_error(pair.alice, pair.ours), Disconnected)


def test_connections_live_on_without_the_server() -> None:
    pair = Pair()
    pair.alice.core.socket_closed("gone", pair.world.now)
    pair.alice.drain()
    pair.world.advance(120.0)
    pair.say(pair.alice, pair.ours, "still here")
    assert pair.bob.values(pair.theirs) == ["still here"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"peer": "not valid!"}, InvalidId),
        ({"peer": "alice"}, InvalidId),
        ({"metadata": {1, 2}}, UnsupportedValue),
        ({"metadata": "x" * 200_000}, LocalProtocolError),
        ({"metadata": "é" * 70_000}, LocalProtocolError),  # bytes are what counts
        ({"serialization": "nonsense"}, LocalProtocolError),
        ({"connection_id": "dc_1"}, LocalProtocolError),
    ],
)
def test_misuse_of_connect_raises_and_starts_nothing(
    arguments: dict[str, Any], error: type[Exception]
) -> None:
    pair = Pair()
    usual: dict[str, Any] = {"peer": "bob", "connection_id": "dc_2", "now": 0.0}
    with pytest.raises(error):
        pair.alice.core.connect(**usual | arguments)
    assert pair.alice.core.next_command() is None
    assert pair.alice.core.next_event() is None


# --- sending -------------------------------------------------------------------------------------


def test_sending_too_early_or_too_late_is_misuse() -> None:
    pair = Pair(settle=False)
    with pytest.raises(NotOpenYet):
        pair.alice.core.send(pair.ours, 1)
    pair.world.settle()
    pair.alice.core.close(pair.ours, pair.world.now)
    with pytest.raises(ConnectionClosed):
        pair.alice.core.send(pair.ours, 1)


@pytest.mark.parametrize(
    ("serialization", "value", "error"),
    [
        ("binary", object(), UnsupportedValue),
        ("binary", None, UnsupportedValue),
        ("json", b"bytes", UnsupportedValue),
        ("json", "x" * 16_298, MessageTooBig),
        ("raw", 5, UnsupportedValue),
        ("raw", b"x" * 262_145, MessageTooBig),
    ],
)
def test_values_that_cannot_be_sent_leave_the_connection_as_it_was(
    serialization: str, value: Any, error: type[Exception]
) -> None:
    pair = Pair(serialization=serialization)
    with pytest.raises(error):
        pair.alice.core.send(pair.ours, value)
    pair.say(pair.alice, pair.ours, "next")
    assert pair.bob.values(pair.theirs) == ["next"]


def test_a_message_can_be_withdrawn_until_it_has_begun() -> None:
    pair = Pair()
    core = pair.alice.core
    first = core.send(pair.ours, b"x" * 200_000)
    second = core.send(pair.ours, "second")
    third = core.send(pair.ours, "third")
    pair.alice.drain()  # the channel is full with the first one's chunks
    assert core.sent(pair.ours) == 0 < first
    assert not core.withdraw(pair.ours, first)
    assert core.withdraw(pair.ours, second)
    assert not core.withdraw(pair.ours, second)
    pair.world.settle()
    assert core.sent(pair.ours) == third
    assert not core.withdraw(pair.ours, third)
    assert pair.bob.values(pair.theirs) == [b"x" * 200_000, "third"]


# --- closing -------------------------------------------------------------------------------------


def test_close_ends_both_sides_in_order() -> None:
    pair = Pair()
    pair.alice.core.close(pair.ours, pair.world.now)
    pair.alice.drain()
    pair.world.settle()
    assert dial_error(pair.alice, pair.ours) is None
    assert dial_error(pair.bob, pair.theirs) is None
    assert pair.alice.rtcs == pair.bob.rtcs == {}
    pair.alice.core.close(pair.ours, pair.world.now)  # a second time: nothing
    assert pair.alice.core.next_command() is None


@pytest.mark.parametrize("serialization", ["binary", "json", "raw"])
@pytest.mark.parametrize("reliable", [True, False])
def test_a_flushing_close_delivers_everything_first(serialization: str, reliable: bool) -> None:
    pair = Pair(serialization=serialization, reliable=reliable)
    values = [f"value {n}" for n in range(50)]
    for value in values:
        pair.alice.core.send(pair.ours, value)
    pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    pair.alice.drain()
    with pytest.raises(ConnectionClosed):
        pair.alice.core.send(pair.ours, "too late")
    pair.world.advance(1.0)
    assert pair.bob.values(pair.theirs) == values
    assert dial_error(pair.alice, pair.ours) is None
    assert dial_error(pair.bob, pair.theirs) is None


def test_a_flush_is_bounded_in_time() -> None:
    pair = Pair(limits=Limits(keep_alive=None))
    pair.alice.core.send(pair.ours, b"x" * 1_000_000)
    pair.alice.rtcs[pair.ours].other = None  # what is sent from here on goes nowhere
    pair.alice.rtcs[pair.ours].up = False
    pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    pair.alice.drain()
    pair.world.advance(Limits().flush_timeout + 1)
    assert isinstance(dial_error(pair.alice, pair.ours), ConnectTimeout)


MARKERS = {
    "binary": bytes.fromhex("81ba5f5f706565724461746181b474797065b5636c6f7365"),
    "json": b'{"__peerData":{"type":"close"}}',
}


@pytest.mark.parametrize("serialization", MARKERS)
def test_the_close_message_of_peerjs_closes(serialization: str) -> None:
    pair = Pair(serialization=serialization, reliable=True)
    pair.bob.core.receive_frame(pair.theirs, MARKERS[serialization], pair.world.now)
    pair.bob.drain()
    assert dial_error(pair.bob, pair.theirs) is None


def test_out_of_order_the_close_message_waits_for_stragglers() -> None:
    pair = Pair(serialization="binary", reliable=False)
    world, bob = pair.world, pair.bob
    bob.core.receive_frame(pair.theirs, MARKERS["binary"], world.now)
    bob.drain()
    with pytest.raises(ConnectionClosed):
        bob.core.send(pair.theirs, 1)
    world.advance(0.2)
    bob.core.receive_frame(pair.theirs, b"\x01", world.now)  # was overtaken
    bob.drain()
    world.advance(0.2)
    assert not bob.closed(pair.theirs)
    world.advance(0.1)
    assert dial_error(bob, pair.theirs) is None
    assert bob.values(pair.theirs) == [1]


def test_stragglers_cannot_keep_it_open_for_ever() -> None:
    pair = Pair(serialization="binary", reliable=False)
    world, bob = pair.world, pair.bob
    bob.core.receive_frame(pair.theirs, MARKERS["binary"], world.now)
    bob.drain()
    for _ in range(400):
        bob.core.receive_frame(pair.theirs, b"\x01", world.now)
        bob.drain()
        world.advance(0.1)
    assert len(bob.closed(pair.theirs)) == 1


def test_leave_closes_every_connection_to_that_peer() -> None:
    pair = Pair()
    more = [
        pair.alice.core.connect("bob", connection_id=f"dc_{n}", now=pair.world.now)
        for n in range(2, 6)
    ]
    pair.alice.drain()
    pair.world.settle()
    pair.alice.core.receive_text('{"type":"LEAVE","src":"bob"}', pair.world.now)
    pair.alice.drain()
    for number in (pair.ours, *more):
        assert dial_error(pair.alice, number) is None
    assert pair.alice.rtcs == {}


def test_shutting_down_closes_all_and_tells_the_peers() -> None:
    pair = Pair()
    pair.alice.core.shut_down()
    texts = []
    while command := pair.alice.core.next_command():
        if isinstance(command, commands.SendText):
            texts.append(json.loads(command.text))
    assert texts == [{"type": "LEAVE", "dst": "bob"}, {"type": "LEAVE"}]


def test_what_comes_after_shutting_down_changes_nothing() -> None:
    pair = Pair()
    pair.alice.core.shut_down()
    pair.alice.drain()
    pair.alice.events.clear()
    offer = messages.Offer(
        src="bob", kind="data", connection_id="dc_2", sdp="offer 0", serialization="binary"
    )
    candidate = messages.Candidate(src="bob", kind="data", connection_id="dc_3", candidate={})
    for text in (messages.encode(offer), messages.encode(candidate), "nonsense", b""):
        pair.alice.core.receive_text(text, pair.world.now)
    assert pair.alice.core.next_event() is None
    assert pair.alice.core.next_command() is None
    assert pair.alice.core.next_timeout() is None


def test_what_comes_before_the_start_changes_nothing() -> None:
    core = PeerProtocol(ENDPOINT, id="alice", token="t")
    for text in ('{"type":"ERROR","payload":{"msg":"no"}}', '{"type":"OPEN"}', "nonsense"):
        core.receive_text(text, 0.0)
    core.socket_opened(0.0)
    core.socket_closed("never was one", 0.0)
    assert core.next_event() is None
    assert core.next_command() is None
    core.start(0.0)
    assert isinstance(core.next_command(), commands.OpenSocket)
