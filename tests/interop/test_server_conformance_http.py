"""Our PeerServer does what npm's does, as seen by a client on the wire: HTTP.

As in test_server_conformance.py, every test runs against both.
"""

from __future__ import annotations

import json
import re
from typing import Final

import pytest

from tests.interop.differences import CASE, CORS_METHODS, NOT_FOUND_TYPE, PEERS_WITH_ANOTHER_KEY
from tests.interop.servers import StartServer, WhichServer, open_client, request

pytestmark = pytest.mark.trio

HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json; charset=utf-8"
PLAIN: Final = "text/plain; charset=utf-8"
UUID4 = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.mark.parametrize("query", ["", "?ts=1"])
async def test_the_base_describes_the_server(start_server: StartServer, query: str) -> None:
    async with start_server(path="/app") as server:
        reply = await request(server, query)
        assert (reply.status, reply.content_type) == (200, JSON)
        described = json.loads(reply.body)
        assert described.keys() == {"name", "description", "website"}
        assert described["name"] == "PeerJS Server"


async def test_an_id_for_whoever_asks(start_server: StartServer) -> None:
    async with start_server() as server:
        # The key is not checked here: that is for the WebSocket to do.
        replies = [await request(server, p) for p in ("peerjs/id?ts=1&version=1.5.5", "x/id/")]
        for reply in replies:
            assert (reply.status, reply.content_type) == (200, HTML)
            assert UUID4.fullmatch(reply.body)
        assert replies[0].body != replies[1].body


@pytest.mark.parametrize("path", ["peerjs/id/", "%70eerjs/id", "any%20key/id", "peerjs/id?"])
async def test_ways_to_write_it(start_server: StartServer, path: str) -> None:
    async with start_server() as server:
        assert UUID4.fullmatch((await request(server, path)).body)


async def test_paths_in_upper_case(start_server: StartServer, which: WhichServer) -> None:
    async with start_server(path="/app") as server:
        assert (await request(server, "PEERJS/id")).status == 200  # a key is a key
        assert (await request(server, "peerjs/ID")).status == CASE.of(which)


async def test_ids_of_ones_own_making(start_server: StartServer) -> None:
    ids = iter(["alice", "alice", "bob"])
    async with (
        start_server(generate_client_id=lambda: next(ids)) as server,
        open_client(server, "alice") as alice,
    ):
        assert await alice.receive() == {"type": "OPEN"}
        reply = await request(server, "peerjs/id")  # the first that is free
        assert (reply.status, reply.content_type, reply.body) == (200, HTML, b"bob")


async def test_discovery_is_off_unless_asked_for(start_server: StartServer) -> None:
    async with start_server() as server:
        reply = await request(server, "peerjs/peers")
        assert (reply.status, reply.content_type) == (401, PLAIN)
        assert reply.body == b"Unauthorized"


async def test_discovery(start_server: StartServer, which: WhichServer) -> None:
    async with (
        start_server(allow_discovery=True) as server,
        open_client(server, "bob") as bob,
    ):
        assert await bob.receive() == {"type": "OPEN"}
        async with open_client(server, "alice") as alice:
            assert await alice.receive() == {"type": "OPEN"}
            for path in ("peerjs/peers", "peerjs/peers/", "peerjs/peers?ts=1"):
                reply = await request(server, path)
                assert (reply.status, reply.content_type) == (200, JSON)
                assert json.loads(reply.body) == ["bob", "alice"]  # as they came
            other = await request(server, "another/peers")
            assert other.status == PEERS_WITH_ANOTHER_KEY.of(which)
        async with open_client(server, "bob"):  # once more, not twice
            assert json.loads((await request(server, "peerjs/peers")).body) == ["bob"]


async def test_nobody_there_is_an_empty_list(start_server: StartServer) -> None:
    async with start_server(allow_discovery=True) as server:
        assert (await request(server, "peerjs/peers")).body == b"[]"


async def test_origins_that_were_named(start_server: StartServer) -> None:
    # As npm's own test of its --cors.
    async with start_server(cors=["http://one.example", "http://two.example"]) as server:
        for origin, allowed in (
            ("http://one.example", "http://one.example"),
            ("http://two.example", "http://two.example"),
            ("http://three.example", None),
        ):
            reply = await request(server, "peerjs/id", headers={"Origin": origin})
            assert reply.status == 200
            assert reply.headers.get("access-control-allow-origin") == allowed
            assert "Origin" in reply.headers["vary"]


async def test_cors(start_server: StartServer, which: WhichServer) -> None:
    origin = {"Origin": "http://page.example"}
    async with start_server() as server:
        for path in ("", "peerjs/id", "peerjs/peers", "nothing"):
            reply = await request(server, path, "GET", origin)
            assert reply.headers["access-control-allow-origin"] == "http://page.example"
            assert "Origin" in reply.headers["vary"]
        assert "access-control-allow-origin" not in (await request(server, "")).headers

        asks = {
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "x-one,x-two",
        }
        reply = await request(server, "peerjs/id", "OPTIONS", origin | asks)
        assert (reply.status, reply.body) == (204, b"")
        assert reply.headers["access-control-allow-origin"] == "http://page.example"
        assert reply.headers["access-control-allow-headers"] == "x-one,x-two"
        assert reply.headers["access-control-allow-methods"] == CORS_METHODS.of(which)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("nothing", "peerjs", "peerjs/nothing", "peerjs/id/more")),
        *(("POST", path) for path in ("", "peerjs/id", "peerjs/peers")),
    ],
)
async def test_not_found(
    start_server: StartServer, which: WhichServer, method: str, path: str
) -> None:
    async with start_server(path="/app", allow_discovery=True) as server:
        reply = await request(server, path, method)
        assert (reply.status, reply.content_type) == (404, NOT_FOUND_TYPE.of(which))


async def test_head_is_get_without_its_body(start_server: StartServer) -> None:
    async with start_server() as server:
        reply = await request(server, "peerjs/id", "HEAD")
        assert (reply.status, reply.content_type, reply.body) == (200, HTML, b"")
        assert reply.headers["content-length"] == "36"
