"""A server with others beside it: ids are shared, and messages forwarded."""

from __future__ import annotations

import json

from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import (
    ClientGone,
    CloseClient,
    Departure,
    Forward,
    HttpRequest,
    SendText,
    ServerLimits,
)
from tests.proto.server_clients import commands, events, join, message, target, told

OFFER = '{"type": "OFFER", "dst": "bob", "payload": null,"src":"alice"}'


def forwards(server: ServerProtocol) -> list[Forward]:
    found = []
    while (forward := server.next_forward()) is not None:
        found.append(forward)
    return found


def test_what_is_for_others_is_forwarded() -> None:
    server = ServerProtocol()
    server.set_others(True)
    alice = join(server, "alice")
    server.receive_message(alice, message("OFFER", "bob"), 0.0)
    server.receive_message(alice, message("LEAVE", "bob"), 0.0)
    server.receive_message(alice, message("OFFER", "alice"), 0.0)
    assert len(commands(server)) == 1
    offer, leave = forwards(server)
    assert offer == Forward("alice", "bob", OFFER, True)
    assert (leave.src, leave.dst, leave.waits) == ("alice", "bob", False)
    assert json.loads(leave.text)["src"] == "alice"
    assert server.statistics().waiting_messages == 0


def test_what_waits_is_forwarded_when_the_others_come() -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    server.receive_message(alice, message("OFFER", "bob"), 0.0)
    assert forwards(server) == []
    server.set_others(True)
    assert forwards(server) == [Forward("alice", "bob", OFFER, True)]
    assert server.statistics().waiting_messages == 0
    server.set_others(False)  # they are out of reach: it waits here
    server.receive_message(alice, message("OFFER", "bob"), 0.0)
    assert forwards(server) == []
    assert server.statistics().waiting_messages == 1


def test_what_others_forward() -> None:
    server = ServerProtocol()
    bob = join(server, "bob")
    assert server.receive_forwarded("bob", OFFER)
    assert commands(server) == [SendText(bob, OFFER)]
    assert not server.receive_forwarded("nobody", OFFER)
    assert server.statistics().relayed == 1


def test_a_client_that_moved_to_another() -> None:
    server = ServerProtocol()
    bob = join(server, "bob")
    server.client_moved(bob)
    taken, closed = commands(server)
    assert isinstance(taken, SendText)
    assert closed == CloseClient(bob, 1000, Departure.REPLACED.value)
    assert events(server) == [ClientGone(bob, "bob", Departure.REPLACED)]
    server.client_moved(bob)
    assert commands(server) == []
    assert told(server, server.client_connected(target("bob"), 0.0)) == [{"type": "OPEN"}]


def test_signs_of_life() -> None:
    server = ServerProtocol(alive_timeout=10.0)
    alice, bob = join(server, "alice"), join(server, "bob")
    server.client_heard(alice, 6.0)
    assert server.silent_since(5.0) == [bob]
    server.handle_timeout(12.0)
    assert server.is_registered(alice)
    assert not server.is_registered(bob)
    server.client_heard(bob, 12.0)
    assert not server.is_registered(bob)


def test_everybody_is_listed() -> None:
    server = ServerProtocol(allow_discovery=True)
    join(server, "alice")

    def ask(target: str, method: str = "GET") -> bool:
        return server.lists_ids(HttpRequest(method, target))

    assert ask("/peerjs/peers")
    assert ask("/peerjs/peers/", "HEAD")
    assert not ask("/peerjs/peers", "POST")
    assert not ask("/other/peers")
    assert not ask("/peerjs/id")
    assert not ServerProtocol(path="/app").lists_ids(HttpRequest("GET", "/peerjs/peers"))
    assert not ServerProtocol().lists_ids(HttpRequest("GET", "/peerjs/peers"))
    reply = server.respond(
        HttpRequest("GET", "/peerjs/peers"),
        fresh_id=lambda: "",
        now=0.0,
        everybody=["alice", "bob"],
    )
    assert json.loads(reply.body) == ["alice", "bob"]


def test_what_others_go_by() -> None:
    limits = ServerLimits(waiting_messages=7)
    server = ServerProtocol(limits=limits, expire_timeout=2.5)
    assert server.limits is limits
    assert server.expire_timeout == 2.5
