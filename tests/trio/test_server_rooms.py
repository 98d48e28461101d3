"""Rooms of a real PeerServer: as the pages of ambianic-ui ask for them, and behind a proxy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peerjs_proto.addresses import Proxies
from peerjs_trio.server import PeerServer, open_server
from tests.trio.server_clients import fetch, open_raw, open_tcp, until

pytestmark = pytest.mark.trio

SECRET = b"sixteen bytes or more"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


async def ask(server: PeerServer, id: str, method: str, path: str, came_from: str) -> Any:
    """What the server says, or its status, asked as PeerRoom of ambianic-ui does."""
    request = (
        f"{method} /peerjs/{id}/secret/room/{path}?ts=16370000000000.5 HTTP/1.1\r\nHost: x\r\n"
        f"X-Forwarded-For: {came_from}\r\nOrigin: https://page.example\r\nContent-Length: 0\r\n\r\n"
    )
    async with open_tcp(server) as stream:
        reply = await fetch(stream, request)
    assert reply.headers["access-control-allow-origin"] == "https://page.example"
    return json.loads(reply.body) if reply.status == 200 else reply.status


async def find_others(server: PeerServer, id: str, came_from: str) -> Any:
    room = (await ask(server, id, "GET", "id", came_from))["roomId"]
    return await ask(server, id, "POST", f"{room}/join", came_from)


async def test_clients_of_one_network_find_each_other() -> None:
    async with (
        open_server(rooms="network", room_secret=SECRET, proxied=Proxies.parse("true")) as server,
        open_raw(server, "alice"),
        open_raw(server, "carol"),
    ):
        assert await find_others(server, "alice", HOME) == {"clientsIds": ["alice"]}
        assert await find_others(server, "carol", ELSEWHERE) == {"clientsIds": ["carol"]}
        async with open_raw(server, "bob"):
            assert await find_others(server, "bob", HOME) == {"clientsIds": ["alice", "bob"]}
        room = (await ask(server, "alice", "GET", "id", HOME))["roomId"]
        await until(lambda: server.clients == 2)
        assert await ask(server, "alice", "GET", f"{room}/members", HOME) == ["alice"]
        assert await ask(server, "bob", "GET", "id", HOME) == 401
        assert await ask(server, "carol", "POST", f"{room}/join", ELSEWHERE) == 403
        assert await ask(server, "alice", "POST", f"{room}/leave", HOME) == {"wasInRoom": True}


async def test_an_address_that_nobody_trusted_says_nothing() -> None:
    async with (
        open_server(rooms="network", room_secret=SECRET) as server,
        open_raw(server, "alice"),
        open_raw(server, "bob"),
    ):
        await find_others(server, "alice", HOME)
        assert await find_others(server, "bob", ELSEWHERE) == {"clientsIds": ["alice", "bob"]}


async def test_the_same_secret_makes_the_same_rooms() -> None:
    rooms = []
    for secret in (SECRET, SECRET, SECRET + b"!"):
        async with (
            open_server(rooms="network", room_secret=secret) as server,
            open_raw(server, "alice"),
        ):
            rooms.append((await ask(server, "alice", "GET", "id", HOME))["roomId"])
    assert rooms[0] == rooms[1] != rooms[2]
