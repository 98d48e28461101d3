"""What others do wrong ends as little as possible, and inputs may come at any time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peerjs_proto import commands, events
from peerjs_proto.binarypack import pack
from peerjs_proto.chunks import split
from peerjs_proto.errors import (
    ConnectionClosed,
    DecodeError,
)
from peerjs_proto.limits import Limits
from peerjs_proto.testing.world import World
from tests.proto.pair import Pair, dial_error


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
        bob.core.accept(offered.connection, 0.0)
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
    bob.core.socket_closed("gone", world.now)
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


def test_a_message_that_is_never_finished_is_dropped_and_reported() -> None:
    pair = Pair(limits=Limits(partial_timeout=10.0))
    first, *rest = split(pack("x" * 50_000), chunk_id=1)
    bob, now = pair.bob, pair.world.now
    bob.core.receive_frame(pair.theirs, first, now)
    bob.drain()
    pair.world.advance(9.9)
    assert not bob.told(events.MessagesDropped)
    pair.world.advance(0.1)
    assert bob.told(events.MessagesDropped) == [events.MessagesDropped(pair.theirs, 1)]
    for frame in rest:
        bob.core.receive_frame(pair.theirs, frame, now + 10.0)
    pair.say(pair.alice, pair.ours, "still here")
    assert bob.values(pair.theirs) == ["still here"]
    pair.world.advance(100.0)
    assert len(bob.told(events.MessagesDropped)) == 1
    assert not bob.closed(pair.theirs)


def test_a_flush_ends_though_a_message_is_never_finished() -> None:
    pair = Pair(limits=Limits(partial_timeout=10.0, flush_timeout=30.0, flush_linger=0.25))
    first, *_ = split(pack("x" * 50_000), chunk_id=1)
    bob, now = pair.bob, pair.world.now
    bob.core.receive_frame(pair.theirs, first, now)
    bob.core.receive_frame(pair.theirs, pack({"__peerData": {"type": "close"}}), now)
    bob.drain()
    pair.world.advance(9.9)
    assert not bob.closed(pair.theirs)
    pair.world.advance(0.4)
    assert bob.told(events.MessagesDropped) == [events.MessagesDropped(pair.theirs, 1)]
    assert bob.closed(pair.theirs) == [events.DataConnectionClosed(pair.theirs, None)]
