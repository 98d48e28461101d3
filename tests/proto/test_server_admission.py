"""Who gets which id, who may dial whom, and how fast."""

from __future__ import annotations

import pytest

from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import (
    ClientRefused,
    Credentials,
    Fault,
    HttpRequest,
    MessageRefused,
    Refusal,
    SendText,
    ServerLimits,
)
from tests.proto.server_clients import commands, events, join, message, target, told

OPEN = {"type": "OPEN"}
TAKEN = {"type": "ID-TAKEN", "payload": {"msg": "ID is taken"}}


def give(server: ServerProtocol, *fresh: str, network: str = "", now: float = 0.0) -> str | None:
    """What ``/id`` answers when the generator has these."""
    ids = iter(fresh)
    reply = server.respond(
        HttpRequest("GET", "/peerjs/id"),
        fresh_id=lambda: next(ids, fresh[-1]),
        now=now,
        network=network,
        guessable=True,
    )
    return reply.body.decode() if reply.status == 200 else None


def register(server: ServerProtocol, id: str, network: str = "", now: float = 0.0) -> object:
    return first(server, server.client_connected(target(id), now, network=network))


def first(server: ServerProtocol, client: int) -> object:
    return told(server, client)[0]


# --- what somebody else decides -----------------------------------------------------------------


def test_what_a_target_asks_for() -> None:
    server = ServerProtocol()
    asked = server.credentials(target("alice", token="hers"))
    assert asked == Credentials("alice", "hers", "peerjs")
    assert "hers" not in repr(asked)
    assert server.credentials("/peerjs?key=other&id=alice&token=t") is Refusal.BAD_KEY


def test_a_refusal_from_outside() -> None:
    server = ServerProtocol()
    alice = server.client_connected(target("alice"), 0.0, refusal=Refusal.UNAUTHORIZED)
    assert first(server, alice) == {"type": "ERROR", "payload": {"msg": "Unauthorized"}}
    assert events(server) == [ClientRefused(alice, Refusal.UNAUTHORIZED)]
    assert server.statistics().clients == 0


# --- ids ----------------------------------------------------------------------------------------


def test_a_reserved_id_is_for_who_has_its_token() -> None:
    server = ServerProtocol(reserved_ids={"camera": "the token"})
    assert first(server, server.client_connected(target("camera", token="other"), 0.0)) == TAKEN
    assert first(server, server.client_connected(target("camera", token="the token"), 0.0)) == OPEN
    assert give(server, "camera", "free") == "free"


def test_an_id_is_given_out_once() -> None:
    server = ServerProtocol()
    join(server, "alice")
    assert give(server, "alice", "one", network="192.0.2.1") == "one"
    assert give(server, "one", "two", network="192.0.2.1") == "two"
    assert give(server, "one") is None
    assert give(server, "one", network="192.0.2.1", now=60.0) == "one"


def test_an_id_that_was_given_out_is_kept_for_its_network() -> None:
    server = ServerProtocol()
    for id, network in (("one", "192.0.2.1"), ("two", "192.0.2.1"), ("six", "2001:db8::/64")):
        assert give(server, id, network=network) == id
    assert register(server, "one", "192.0.2.2") == TAKEN
    assert register(server, "six", "2001:db8:0:1::/64") == TAKEN
    assert register(server, "one", "192.0.2.1") == OPEN
    assert register(server, "six", "2001:db8::/64") == OPEN
    # A browser asks by IPv6 and comes by IPv4, or the other way round.
    assert register(server, "two", "2001:db8::/64") == OPEN


def test_a_lease_ends() -> None:
    server = ServerProtocol(limits=ServerLimits(id_lease=5.0, id_leases=2))
    assert give(server, "one", network="192.0.2.1", now=0.0)
    assert register(server, "one", "192.0.2.2", now=4.9) == TAKEN
    assert register(server, "one", "192.0.2.2", now=5.0) == OPEN
    for id in ("two", "three", "four"):  # the oldest makes room
        assert give(server, id, network="192.0.2.1", now=6.0)
    assert register(server, "two", "192.0.2.2", now=6.0) == OPEN
    assert register(server, "three", "192.0.2.2", now=6.0) == TAKEN


def test_who_knows_an_unguessable_id_may_have_it() -> None:
    server = ServerProtocol()
    assert give(server, "one")
    assert register(server, "one", "192.0.2.1") == OPEN


# --- pairs --------------------------------------------------------------------------------------


def test_who_may_dial_whom() -> None:
    server = ServerProtocol(may_offer=lambda src, dst: (src, dst) == ("alice", "bob"))
    alice, bob = join(server, "alice"), join(server, "bob")
    for sender, type_, dst in ((alice, "OFFER", "bob"), (bob, "ANSWER", "alice")):
        server.receive_message(sender, message(type_, dst), 0.0)
        assert len(commands(server)) == 1
    server.receive_message(bob, message("OFFER", "bob"), 0.0)  # itself it may always ask
    assert len(commands(server)) == 1
    assert events(server) == []

    server.receive_message(bob, message("OFFER", "alice"), 0.0)
    assert told(server, bob) == [{"type": "EXPIRE", "src": "alice", "dst": "bob"}]
    server.receive_message(alice, message("CANDIDATE", "carol"), 0.0)
    assert told(server, alice) == [{"type": "EXPIRE", "src": "carol", "dst": "alice"}]
    assert events(server) == [
        MessageRefused(bob, "bob", Fault.NOT_ALLOWED),
        MessageRefused(alice, "alice", Fault.NOT_ALLOWED),
    ]


# --- rates --------------------------------------------------------------------------------------


def test_who_sends_too_fast_is_left_unread_and_loses_nothing() -> None:
    limits = ServerLimits(messages_per_second=10.0, message_burst=3)
    server = ServerProtocol(limits=limits)
    alice = join(server, "alice")
    pauses = [server.receive_message(alice, message("OFFER", "alice"), 1.0) for _ in range(5)]
    assert pauses == pytest.approx([0.0, 0.0, 0.0, 0.1, 0.2])
    assert len([c for c in commands(server) if isinstance(c, SendText)]) == 5
    assert server.receive_message(alice, message("HEARTBEAT"), 1.2) == pytest.approx(0.1)
    assert server.receive_message(alice, message("HEARTBEAT"), 9.0) == 0.0


def test_who_is_left_unread_is_not_silent() -> None:
    limits = ServerLimits(messages_per_second=1.0, message_burst=1)
    server = ServerProtocol(limits=limits, alive_timeout=5.0)
    alice = join(server, "alice")
    pauses = [server.receive_message(alice, message("HEARTBEAT"), 1.0) for _ in range(10)]
    assert pauses[-1] == pytest.approx(9.0)
    for now in (6.0, 14.9):
        server.handle_timeout(now)
        assert server.statistics().clients == 1
    server.handle_timeout(15.9)
    assert server.statistics().clients == 0


def test_a_network_has_a_rate_of_its_own() -> None:
    limits = ServerLimits(messages_per_second_from_network=10.0, message_burst_from_network=2)
    server = ServerProtocol(limits=limits)
    alice, bob, carol, dave = (
        server.client_connected(target(id), 0.0, network=network)
        for id, network in (
            ("alice", "192.0.2.1"),
            ("bob", "192.0.2.1"),
            ("carol", "192.0.2.2"),
            ("dave", "private"),
        )
    )
    beat = message("HEARTBEAT")
    assert [server.receive_message(alice, beat, 1.0) for _ in range(2)] == [0.0, 0.0]
    assert server.receive_message(bob, beat, 1.0) == pytest.approx(0.1)
    assert server.receive_message(carol, beat, 1.0) == 0.0
    assert [server.receive_message(dave, beat, 1.0) for _ in range(3)] == [0.0] * 3


def test_clients_are_counted_by_network() -> None:
    server = ServerProtocol(limits=ServerLimits(connections_per_network=1))
    one = server.client_connected(target("one"), 0.0, network="192.0.2.1")
    assert first(server, one) == OPEN
    refused = register(server, "two", "192.0.2.1")
    assert refused == {"type": "ERROR", "payload": {"msg": Refusal.TOO_MANY.value}}
    assert register(server, "two", "192.0.2.2") == OPEN
    assert register(server, "one", "192.0.2.1") == OPEN  # it comes back, and is the same one
    assert list(server.ids()) == ["two", "one"]
    for id in ("three", "four"):
        assert register(server, id, "private") == OPEN
        assert register(server, id + "x") == OPEN


def test_a_network_is_forgotten_with_its_last_client() -> None:
    server = ServerProtocol(limits=ServerLimits(connections_per_network=2))
    one, two = (
        server.client_connected(target(id), 0.0, network="192.0.2.1") for id in ("one", "two")
    )
    server.client_closed(one)
    assert register(server, "three", "192.0.2.1") == OPEN
    assert register(server, "four", "192.0.2.1") != OPEN
    server.client_closed(two)
    assert register(server, "four", "192.0.2.1") == OPEN
