"""Rooms as a ServerProtocol has them: who is asked, who is let in, and who drops out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.rooms import RoomResult
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import HttpReply, HttpRequest
from tests.proto.server_clients import join, message, target

SECRET = b"sixteen bytes or more"
HOME = "192.0.2.1"


def ask(
    server: ServerProtocol,
    path: str,
    method: str = "POST",
    *,
    id: str = "alice",
    network: str = HOME,
    **headers: str,
) -> HttpReply:
    request = HttpRequest(method, f"/app/peerjs/{id}/secret/room/{path}?ts=1", headers)
    return server.respond(request, fresh_id=lambda: "fresh", now=0.0, network=network)


def server(rooms: Any = "named") -> ServerProtocol:
    return ServerProtocol(path="app", rooms=rooms, room_secret=SECRET)


def members(server: ServerProtocol, id: str = "bob", room: str = "chess") -> Any:
    return json.loads(ask(server, f"{room}/members", "GET", id=id).body)


def test_a_client_finds_those_of_its_network() -> None:
    home = server("network")
    for id in ("alice", "bob", "carol"):
        join(home, id)
    room = json.loads(ask(home, "id", "GET").body)["roomId"]
    assert json.loads(ask(home, f"{room}/join").body) == {"clientsIds": ["alice"]}
    assert json.loads(ask(home, f"{room}/join", id="bob").body) == {"clientsIds": ["alice", "bob"]}
    assert ask(home, f"{room}/join", id="carol", network="198.51.100.7").status == 403
    assert members(home, "alice", room) == ["alice", "bob"]
    assert ask(home, "chess/join").status == 403


def test_without_rooms_there_are_none() -> None:
    for plain in (ServerProtocol(path="app"), server("off")):
        join(plain, "alice")
        assert ask(plain, "id", "GET").status == 404
        assert ask(plain, "chess/join").status == 404
        assert "POST" not in methods(plain)
    assert methods(server()) == "GET,HEAD,POST"


def methods(server: ServerProtocol) -> str:
    request = HttpRequest("OPTIONS", "/app/peerjs/id", {"origin": "https://page.example"})
    reply = server.respond(request, fresh_id=lambda: "fresh", now=0.0)
    return reply.headers["Access-Control-Allow-Methods"]


def test_pages_may_read_the_replies() -> None:
    home = server()
    for path, status in (("id", 401), ("chess/join", 401)):
        method = "GET" if path == "id" else "POST"
        reply = ask(home, path, method, origin="https://page.example")
        assert reply.status == status
        assert reply.headers["Access-Control-Allow-Origin"] == "https://page.example"
    request = HttpRequest("GET", "/app/wrong/alice/secret/room/id", {"origin": "https://a.example"})
    reply = home.respond(request, fresh_id=lambda: "fresh", now=0.0)
    assert (reply.status, reply.body) == (401, b"Invalid key provided")
    assert reply.headers["Access-Control-Allow-Origin"] == "https://a.example"


def test_who_goes_is_in_no_room() -> None:
    home = server()
    bob = join(home, "bob")
    ask(home, "chess/join", id="bob")
    for leave in (
        home.client_closed,
        lambda client: home.receive_message(client, message("LEAVE"), 0.0),
        home.client_moved,
    ):
        alice = join(home, "alice")
        ask(home, "chess/join")
        assert members(home) == ["bob", "alice"]
        leave(alice)
        assert members(home) == ["bob"]
        join(home, "alice")  # it comes back, and has not been in a room since
        assert members(home) == ["bob"]
        home.client_closed(alice + 1)
    home.client_closed(bob)
    join(home, "alice")
    assert members(home, "alice") == []


def test_who_is_silent_for_too_long_drops_out() -> None:
    home = server()
    join(home, "alice")
    ask(home, "chess/join")
    join(home, "bob", now=50.0)
    assert members(home) == ["alice"]
    home.handle_timeout(61.0)
    assert members(home) == []


def test_who_comes_back_with_its_token_is_where_it_was() -> None:
    home = server()
    old = join(home, "alice")
    ask(home, "chess/join")
    new = home.client_connected(target("alice"), 1.0)
    assert new != old
    home.client_closed(old)
    assert members(home, "alice") == ["alice"]


def test_a_server_that_has_stopped_has_no_rooms() -> None:
    home = server()
    join(home, "alice")
    ask(home, "chess/join")
    home.shut_down()
    join(home, "alice")
    assert members(home, "alice") == []


def test_another_store_may_answer() -> None:
    home = server()
    request = HttpRequest(
        "POST", "/app/peerjs/al%20ice/se%2Fcret/room/che%2Fss/join", {"origin": "https://a.example"}
    )
    call = home.rooms.call(request, HOME)
    assert call is not None
    assert (call.action, call.id, call.token) == ("join", "al ice", "se/cret")
    assert (call.room, call.is_open) == ("che/ss", True)
    reply = home.rooms.reply(request, call, RoomResult(["al ice", "bob"]))
    assert reply.body == b'{"clientsIds":["al ice","bob"]}'
    assert reply.headers["Access-Control-Allow-Origin"] == "https://a.example"
    for other in ("/app/peerjs/id", "/elsewhere", "/app/wrong/alice/secret/room/id"):
        assert home.rooms.call(HttpRequest("GET", other), HOME) is None


def test_rooms_that_cannot_be() -> None:
    with pytest.raises(LocalProtocolError, match="secret"):
        ServerProtocol(rooms="network")
    with pytest.raises(LocalProtocolError, match="'on'"):
        server("on")
