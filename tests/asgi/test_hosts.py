"""The ASGI application in real web servers, alone and mounted: the same of each of them."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import pytest
import trio

from peerjs_trio import open_peer
from tests.asgi.hosts import SERVERS, Host, ServerName, run_host
from tests.interop.servers import Client, open_client, request
from tests.trio.server_clients import handshake

pytestmark = pytest.mark.trio

HOSTS: Final[list[tuple[ServerName, str]]] = [
    *((server, "peers") for server in SERVERS),
    ("hypercorn-trio", "in_starlette"),
    ("uvicorn", "in_fastapi"),
    ("hypercorn-asyncio", "in_quart"),
    ("granian", "in_litestar"),
]

SHUTDOWN_CODES: Final = {
    "uvicorn": {1012},  # it says so itself, before we hear of it
    "hypercorn-asyncio": {1001},
    "hypercorn-trio": {1001},
    "granian": {1001, 1006},  # it hangs up while we say so
}

OPEN: Final = {"type": "OPEN"}


def run(host: tuple[ServerName, str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    server, app = host
    return run_host(
        server,
        tmp_path_factory.mktemp("host") / "log",
        f"tests.asgi.apps.{app}",
        path="/" if app == "peers" else "/chat/",
        options={"expire_timeout": 0.3},
        limits={"message_bytes": 65_536, "backlog_bytes": 300_000, "waiting_bytes": 150_000},
    )


@pytest.fixture(scope="module", params=HOSTS, ids="-".join)
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """One for all tests that leave it running."""
    with run(request.param, tmp_path_factory) as host:
        yield host


@asynccontextmanager
async def registered(host: Host, id: str, **options: Any) -> AsyncIterator[Client]:
    async with open_client(host, id, **options) as client:
        assert await client.receive() == OPEN
        yield client


async def fence(client: Client, id: str) -> None:
    """Everything before has been done with, and nothing has come that was not asked for."""
    await client.send({"type": "OFFER", "dst": id, "payload": "fence"})
    assert await client.receive() == {"type": "OFFER", "src": id, "dst": id, "payload": "fence"}


# --- HTTP ----------------------------------------------------------------------------------------


async def test_an_id_to_take(host: Host) -> None:
    for path in ("peerjs/id", "peerjs/id?ts=1", "peerjs/id/"):
        reply = await request(host, path)
        assert (reply.status, reply.content_type) == (200, "text/html; charset=utf-8")
        assert re.fullmatch(rb"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", reply.body)
    head = await request(host, "peerjs/id", "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "36")


async def test_what_is_there_and_what_is_not(host: Host) -> None:
    reply = await request(host, "")
    assert (reply.status, json.loads(reply.body)["name"]) == (200, "PeerJS Server")
    assert (await request(host, "healthz")).status == 200
    assert (await request(host, "peerjs/peers")).status == 401
    for path in ("nothing", "peerjs", "peerjs/id/more", "%2e%2e/other", "peerjs%2Fid/x"):
        assert (await request(host, path)).status == 404
    assert (await request(host, "peerjs/id", "POST")).status == 404
    if host.path != "/":  # it is mounted: the host has something to say as well
        other = await request(attrs.evolve(host, path="/"), "other")
        assert (other.status, other.body) == (200, b"the host's own")


async def test_pages_from_elsewhere(host: Host) -> None:
    page = {"Origin": "http://page.example"}
    reply = await request(host, "peerjs/id", "GET", page)
    assert reply.headers["access-control-allow-origin"] == "http://page.example"
    asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-one"}
    reply = await request(host, "peerjs/id", "OPTIONS", page | asks)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == "http://page.example"
    assert reply.headers["access-control-allow-headers"] == "x-one"


# --- clients -------------------------------------------------------------------------------------


async def test_messages_between_two(host: Host) -> None:
    async with registered(host, "alice") as alice, registered(host, "bob") as bob:
        for here, there, src, dst in ((alice, bob, "alice", "bob"), (bob, alice, "bob", "alice")):
            message = {"type": "OFFER", "dst": dst, "payload": {"é": ["😀", None, 1.5]}}
            await here.send(message)
            assert await there.receive() == message | {"src": src}
        await alice.send("{")
        await alice.send({"type": "HEARTBEAT"})
        await fence(alice, "alice")
    async with registered(host, "alice", token="another"):
        pass  # it was free again


async def test_who_comes_later_and_who_never_comes(host: Host) -> None:
    async with registered(host, "alice") as alice:
        await alice.send({"type": "OFFER", "dst": "late", "payload": 1})
        async with registered(host, "late") as late:
            assert (await late.receive())["payload"] == 1
        await alice.send({"type": "OFFER", "dst": "nobody"})
        assert await alice.receive() == {"type": "EXPIRE", "src": "nobody", "dst": "alice"}


async def test_time_is_kept_whoever_leaves(host: Host) -> None:
    async with registered(host, "second") as second:
        async with registered(host, "third") as third:
            await fence(third, "third")
        await second.send({"type": "OFFER", "dst": "nobody"})
        assert (await second.receive())["type"] == "EXPIRE"
        async with registered(host, "fourth") as fourth:
            assert await second.hang_up()
            await fourth.send({"type": "OFFER", "dst": "nobody"})
            assert (await fourth.receive())["type"] == "EXPIRE"


async def test_an_id_that_is_taken_and_one_taken_over(host: Host) -> None:
    async with registered(host, "alice") as old:
        async with open_client(host, "alice", token="another") as thief:
            assert await thief.receive() == {"type": "ID-TAKEN", "payload": {"msg": "ID is taken"}}
            assert await thief.close_code() == 1000
        async with registered(host, "alice") as new:
            assert (await old.receive())["type"] == "ID-TAKEN"
            assert await old.close_code() == 1000
            await fence(new, "alice")


async def test_a_wrong_key(host: Host) -> None:
    async with open_client(host, "alice", key="wrong") as client:
        assert await client.receive() == {
            "type": "ERROR",
            "payload": {"msg": "Invalid key provided"},
        }
        assert await client.close_code() == 1000


async def test_a_websocket_where_none_is(host: Host) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    upgrade |= {"Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==", "Sec-WebSocket-Version": "13"}
    query = "?key=peerjs&id=bob&token=token"
    reply = await request(host, f"elsewhere{query}", headers=upgrade)
    assert (reply.status, reply.body) == (400, b"There is no WebSocket here")


async def test_a_message_that_is_too_big(host: Host) -> None:
    async with registered(host, "alice") as alice, registered(host, "bob") as bob:
        await alice.send({"type": "OFFER", "dst": "bob", "payload": "x" * 65536})
        assert await alice.close_code() == 1009
        await fence(bob, "bob")


async def test_a_client_that_does_not_read(host: Host) -> None:
    """It is given up, its id is free, and nobody has waited for it."""
    message = {"type": "OFFER", "dst": "slow", "payload": "x" * 60_000}
    shake = handshake("slow", "its own").replace(b"GET /", f"GET {host.path}".encode(), 1)
    shake = shake.replace(b"Sec-WebSocket-Extensions: permessage-deflate\r\n", b"")
    async with registered(host, "bob") as bob, registered(host, "alice") as alice:
        slow = trio.socket.socket()
        slow.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await slow.connect(("127.0.0.1", host.port))
        with slow, trio.fail_after(20):
            await slow.send(shake)
            head = b""
            while b'"OPEN"' not in head:
                head += await slow.recv(1)
            taken = True
            while taken:
                for _ in range(10):
                    await alice.send(message)
                await fence(bob, "bob")
                async with open_client(host, "slow", token="another") as heir:
                    taken = await heir.receive() != OPEN


# --- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", HOSTS, ids="-".join)
async def test_a_server_that_stops_says_so(
    which: tuple[ServerName, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with run(which, tmp_path_factory) as host:
        async with registered(host, "alice") as alice, registered(host, "bob") as bob:
            status = await trio.to_thread.run_sync(host.stop)
            assert status in (0, -signal.SIGTERM)
            codes = {await alice.close_code(), await bob.close_code()}
            assert codes <= SHUTDOWN_CODES[host.server]
        assert "token=" not in host.log.read_text()


async def test_peers(host: Host) -> None:
    async with (
        open_peer("alice", server=host.url) as alice,
        open_peer("bob", server=host.url) as bob,
    ):
        conn = await bob.connect("alice")
        await conn.send("hello")
        answer = await anext(alice.incoming_connections())
        assert await answer.receive() == "hello"
