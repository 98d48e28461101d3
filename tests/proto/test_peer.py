"""Dialling, talking and closing, between cores in a simulated world."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peerjs_proto import commands, events
from peerjs_proto.errors import (
    ConnectionClosed,
    ConnectTimeout,
    DecodeError,
    Disconnected,
    InvalidId,
    LocalProtocolError,
    MessageTooBig,
    NegotiationFailed,
    NotOpenYet,
    PeerError,
    PeerUnavailable,
    UnsupportedValue,
)
from peerjs_proto.limits import Limits
from tests.proto.world import Node, World


class Pair:
    """Alice has dialled Bob."""

    def __init__(self, *, limits: Limits | None = None, settle: bool = True, **options: Any):
        self.world = World()
        self.alice = self.world.node("alice", limits)
        self.bob = self.world.node("bob", limits)
        self.world.settle()
        self.ours = self.alice.core.connect(
            "bob", connection_id="dc_1", now=self.world.now, **options
        )
        self.alice.drain()
        if settle:
            self.world.settle()

    @property
    def theirs(self) -> int:
        (offered,) = self.bob.told(events.DataConnectionOffered)
        assert isinstance(offered, events.DataConnectionOffered)
        return offered.connection

    def say(self, node: Node, number: int, *values: Any) -> None:
        for value in values:
            node.core.send(number, value)
        node.drain()
        self.world.settle()


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


def dial_error(node: Node, number: int) -> PeerError | None:
    (closed,) = node.closed(number)
    return closed.error


def test_a_peer_that_is_not_there_is_unavailable_after_the_server_says_so() -> None:
    world = World()
    alice = world.node("alice")
    world.settle()
    dials = [alice.core.connect("bob", connection_id=f"dc_{n}", now=world.now) for n in range(3)]
    alice.drain()
    world.settle()
    other = alice.core.connect("carol", connection_id="dc_9", now=world.now + 4)
    alice.drain()
    world.advance(5.0)
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
    pair.alice.core.socket_closed("gone")
    pair.alice.drain()
    pair.world.settle()
    assert isinstance(dial_error(pair.alice, pair.ours), Disconnected)


def test_connections_live_on_without_the_server() -> None:
    pair = Pair()
    pair.alice.core.socket_closed("gone")
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
    pair = Pair()
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


# --- what others do wrong ------------------------------------------------------------------------


def offer(**changes: Any) -> str:
    payload = {
        "sdp": {"type": "offer", "sdp": "v=0"},
        "type": "data",
        "connectionId": "dc_evil",
        "serialization": "binary",
        "reliable": False,
    }
    payload = {k: v for k, v in (payload | changes).items() if v is not ...}
    return json.dumps({"type": "OFFER", "src": "mallory", "payload": payload})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (offer(serialization=...), "no serialization"),
        (offer(serialization="MsgPack2"), "MsgPack2"),
        (offer(type="media"), "media"),
        (offer(type="x" * 1000), "xxx"),
        (
            '{"type":"ANSWER","src":"m","payload":{"type":"data","connectionId":"dc_1","sdp":{"sdp":"v"}}}',
            "no offer",
        ),
        ('{"type":"WHAT","src":"m"}', "unknown type"),
    ],
)
def test_what_is_refused_is_said_and_the_rest_goes_on(text: str, reason: str) -> None:
    pair = Pair()
    pair.bob.core.receive_text(text, pair.world.now)
    pair.bob.drain()
    (refused,) = pair.bob.told(events.SignalingRefused)
    assert reason in refused.reason
    assert len(refused.reason) < 200
    pair.say(pair.alice, pair.ours, "unharmed")
    assert pair.bob.values(pair.theirs) == ["unharmed"]


def test_a_bad_payload_ends_that_connection_and_no_other() -> None:
    pair = Pair()
    other = pair.alice.core.connect("bob", connection_id="dc_2", now=pair.world.now)
    pair.alice.drain()
    pair.world.settle()
    pair.alice.core.receive_frame(pair.ours, b"\xdd\xff\xff\xff\xff", pair.world.now)
    pair.alice.drain()
    assert isinstance(dial_error(pair.alice, pair.ours), DecodeError)
    pair.say(pair.alice, other, "fine")
    assert not pair.alice.closed(other)


def test_early_candidates_are_kept_in_bounds_and_applied_later() -> None:
    limits = Limits(early_candidates=3, early_connections=2)
    world = World()
    bob = world.node("bob", limits)
    world.settle()

    def candidate(connection_id: str, n: int) -> str:
        payload = {"candidate": {"candidate": str(n)}, "type": "data"}
        payload["connectionId"] = connection_id
        return json.dumps({"type": "CANDIDATE", "src": "mallory", "payload": payload})

    for connection_id in ("dc_a", "dc_b", "dc_c"):  # one more than is kept
        for n in range(5):
            bob.core.receive_text(candidate(connection_id, n), world.now)
    bob.drain()
    assert len(bob.told(events.SignalingRefused)) == 3 * 2
    bob.core.receive_text(candidate("dc_big", 10**4000), world.now)
    bob.drain()
    assert "4096" in bob.told(events.SignalingRefused)[-1].reason
    for connection_id, kept in (("dc_a", 0), ("dc_c", 3)):
        bob.core.receive_text(offer(connectionId=connection_id), world.now)
        (offered,) = iter(bob.core.next_event, None)
        assert isinstance(offered, events.DataConnectionOffered)
        bob.core.accept(offered.connection)
        added = [
            c for c in iter(bob.core.next_command, None) if isinstance(c, commands.AddCandidate)
        ]
        assert [c.candidate["candidate"] for c in added] == [str(n) for n in range(kept)]


def test_a_second_offer_with_the_same_id_replaces_the_connection() -> None:
    pair = Pair()
    text = offer(connectionId="dc_1").replace("mallory", "alice")
    pair.bob.core.receive_text(text, pair.world.now)
    pair.bob.drain()
    first, second = pair.bob.told(events.DataConnectionOffered)
    assert isinstance(dial_error(pair.bob, first.connection), ConnectionClosed)
    assert not pair.bob.closed(second.connection)


def test_the_same_connection_id_of_another_peer_is_another_connection() -> None:
    pair = Pair()
    pair.bob.core.receive_text(offer(connectionId="dc_1"), pair.world.now)
    pair.bob.drain()
    assert not pair.bob.closed(pair.bob.told(events.DataConnectionOffered)[0].connection)


def test_offers_are_bounded() -> None:
    limits = Limits(pending_connections=4, connections=6)
    world = World(auto_accept=False)
    bob = world.node("bob", limits)
    world.settle()
    for n in range(10):
        bob.core.receive_text(offer(connectionId=f"dc_{n}"), world.now)
    bob.drain()
    assert len(bob.told(events.DataConnectionOffered)) == 4
    assert len(bob.told(events.SignalingRefused)) == 6
    world.advance(limits.connect_timeout + 1)
    bob.core.receive_text(offer(connectionId="dc_x"), world.now)
    bob.drain()
    assert len(bob.told(events.DataConnectionOffered)) == 5


def test_several_inputs_before_a_drain_are_safe() -> None:
    world = World(auto_accept=False)
    bob = world.node("bob")
    world.settle()
    bob.core.receive_text(offer(connectionId="dc_1"), world.now)
    bob.core.receive_text('{"type":"LEAVE","src":"mallory"}', world.now)
    bob.core.receive_text(offer(connectionId="dc_2"), world.now)
    bob.core.handle_timeout(world.now + 1000)
    bob.core.socket_closed("gone")
    bob.drain()
    kinds = [type(event).__name__ for event in bob.events]
    assert kinds == [
        "PeerOpened",
        "DataConnectionOffered",
        "DataConnectionClosed",
        "DataConnectionOffered",
        "DataConnectionClosed",
        "PeerDisconnected",
    ]


def test_inputs_for_connections_that_are_gone_do_nothing() -> None:
    pair = Pair()
    core = pair.alice.core
    core.close(pair.ours, pair.world.now)
    pair.alice.drain()
    told = len(pair.alice.events)
    core.offer_made(pair.ours, "v")
    core.answer_made(pair.ours, "v")
    core.channel_opened(pair.ours, 1)
    core.channel_closed(pair.ours)
    core.rtc_failed(pair.ours, "late")
    core.receive_frame(pair.ours, b"\x01", pair.world.now)
    core.fail(pair.ours, ConnectionClosed("x"))
    assert core.next_frame(pair.ours) is None
    assert core.sent(pair.ours) == 0
    pair.alice.drain()
    assert len(pair.alice.events) == told
