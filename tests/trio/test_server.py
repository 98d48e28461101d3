"""PeerServer on real sockets, with clients that mean well."""

from __future__ import annotations

import json
import logging
import re
import socket
import uuid
from typing import Any, cast

import pytest
import trio

from peerjs_proto.endpoint import Endpoint
from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.server_io import HttpReply, ServerLimits
from peerjs_trio.hub import Hub
from peerjs_trio.server import open_server
from tests.trio.server_clients import (
    fetch,
    frame,
    handshake,
    open_client,
    open_files,
    open_raw,
    open_tcp,
    until,
)

pytestmark = pytest.mark.trio

OPEN = {"type": "OPEN"}


def get(target: str, method: str = "GET", *headers: str) -> str:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *headers, "", ""])


# --- signaling -----------------------------------------------------------------------------------


async def test_two_clients_and_what_they_say() -> None:
    async with open_server() as server, open_client(server, "alice") as alice:
        assert await alice.receive() == OPEN
        await alice.send("OFFER", "bob", {"early": True})
        async with open_client(server, "bob") as bob:
            assert await bob.receive() == OPEN
            assert (await bob.receive())["payload"] == {"early": True}
            await alice.send("OFFER", "bob", {"text": "żółw 🐢"})
            assert await bob.receive() == {
                "type": "OFFER",
                "src": "alice",
                "dst": "bob",
                "payload": {"text": "żółw 🐢"},
            }
            await bob.send("LEAVE", "alice")
            assert (await alice.receive())["type"] == "LEAVE"
            assert server.clients == 2
            assert server.statistics().relayed == 3
        await until(lambda: server.clients == 1)


async def test_an_absent_peer_expires() -> None:
    async with open_server(expire_timeout=0.05) as server, open_client(server, "alice") as alice:
        assert await alice.receive() == OPEN
        await alice.send("OFFER", "nobody")
        assert await alice.receive() == {"type": "EXPIRE", "src": "nobody", "dst": "alice"}


async def test_a_silent_client_is_closed() -> None:
    async with open_server(alive_timeout=0.05) as server, open_client(server, "alice") as alice:
        assert await alice.receive() == OPEN
        assert await alice.closed() == (1005, None)
        assert server.clients == 0


@pytest.mark.parametrize(
    ("id", "token", "key", "told"),
    [
        ("bob", "wrong", "peerjs", {"type": "ID-TAKEN", "payload": {"msg": "ID is taken"}}),
        ("carol", "x", "wrong", {"type": "ERROR", "payload": {"msg": "Invalid key provided"}}),
    ],
)
async def test_who_is_turned_away_is_told_and_closed_without_a_status(
    id: str, token: str, key: str, told: dict[str, object]
) -> None:
    async with (
        open_server() as server,
        open_client(server, "bob"),
        open_client(server, id, token, key=key) as client,
    ):
        assert await client.receive() == told
        assert await client.closed() == (1005, None)


async def test_the_same_token_takes_over() -> None:
    async with open_server() as server, open_client(server, "alice") as old:
        assert await old.receive() == OPEN
        async with open_client(server, "alice") as new:
            assert await new.receive() == OPEN
            assert (await old.receive())["type"] == "ID-TAKEN"
            assert (await old.closed())[0] == 1000
            await new.send("OFFER", "alice", 1)
            assert (await new.receive())["payload"] == 1
            assert server.clients == 1


async def test_path_and_key() -> None:
    async with open_server(path="some/where", key="k", allow_discovery=True) as server:
        assert server.url == f"http://127.0.0.1:{server.port}/some/where/"
        assert server.path == "/some/where/"
        async with open_tcp(server) as stream:
            assert (await fetch(stream, get("/some/where/k/peers"))).body == b"[]"
            assert (await fetch(stream, get("/k/peers"))).status == 404


# --- HTTP ----------------------------------------------------------------------------------------


async def test_http_requests_share_a_connection() -> None:
    async with open_server() as server, open_tcp(server) as stream:
        root = await fetch(stream, get("/", "GET", "Origin: http://page.example"))
        assert root.status == 200
        assert "name" in json.loads(root.body)
        assert root.headers["access-control-allow-origin"] == "http://page.example"
        fresh = await fetch(stream, get("/peerjs/id?ts=1&version=2"))
        assert uuid.UUID(fresh.body.decode()).version == 4
        head = await fetch(stream, get("/peerjs/id", "HEAD"))
        assert (head.status, head.headers["content-length"], head.body) == (200, "36", b"")
        assert (await fetch(stream, get("/peerjs/id", "OPTIONS"))).status == 204
        assert (await fetch(stream, get("/peerjs/peers"))).status == 401
        assert (await fetch(stream, get("/nothing"))).status == 404
        last = await fetch(stream, get("/", "GET", "Connection: close"))
        assert last.status == 200
        assert await stream.receive_some() == b""


async def test_http_requests_in_one_piece() -> None:
    async with open_server() as server, open_tcp(server) as stream:
        await stream.send_all((get("/peerjs/id") * 200).encode())
        await stream.send_eof()
        received = b""
        while data := await stream.receive_some():
            received += data
        assert received.count(b"HTTP/1.1 200 OK") == 200


@pytest.mark.parametrize("expect", ["X: y", "Expect: 100-continue"])
async def test_a_body_is_not_read_but_does_no_harm(expect: str) -> None:
    async with open_server() as server, open_tcp(server) as stream:
        request = get("/peerjs/id", "POST", expect, "Content-Length: 1000000")
        reply = await fetch(stream, request + "x" * 100_000)
        assert (reply.status, reply.headers["connection"]) == (404, "close")
        assert await stream.receive_some() == b""


async def test_other_upgrades_are_ignored() -> None:
    async with open_server() as server, open_tcp(server) as stream:
        upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA")
        assert (await fetch(stream, get("/", "GET", *upgrade))).status == 200
        assert (await fetch(stream, get("/"))).status == 200


async def test_a_page_is_served_whole_beside_the_api() -> None:
    script = b"/* */" * 1_000_000
    routes = {
        "/": HttpReply(200, b"<!doctype html>", "text/html; charset=utf-8"),
        "/peerjs.min.js": HttpReply(200, script, "text/javascript", {"Cache-Control": "no-cache"}),
    }
    async with open_server(routes=routes) as server, open_tcp(server) as stream:
        page = await fetch(stream, get("/"))
        assert page.body == b"<!doctype html>"
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        reply = await fetch(stream, get("/peerjs.min.js"))
        assert reply.body == script  # more than a backlog may hold
        assert reply.headers["cache-control"] == "no-cache"
        assert (await fetch(stream, get("/peerjs/id"))).status == 200


# --- where it listens ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "at"),
    [
        ("127.0.0.1", r"127\.0\.0\.1"),
        ("localhost", r"(127\.0\.0\.1|\[::1\])"),
        ("0.0.0.0", r"127\.0\.0\.1"),
        ("::", r"127\.0\.0\.1"),
        pytest.param("::1", r"\[::1\]", marks=pytest.mark.skipif(
            not socket.has_dualstack_ipv6(), reason="needs IPv6")),
    ],
)  # fmt: skip
async def test_the_url_can_be_connected_to(host: str, at: str) -> None:
    async with open_server(host) as server:
        assert re.fullmatch(rf"http://{at}:{server.port}/", server.url)
        endpoint = Endpoint.parse(server.url)
        assert (endpoint.host, endpoint.port) == (server.host, server.port)
        async with open_tcp(server) as stream:
            assert (await fetch(stream)).status == 200


async def test_a_port_in_use_and_an_address_of_others() -> None:
    async with open_server() as server:
        with pytest.raises(OSError, match=rf"in use.*127\.0\.0\.1.*{server.port}"):
            async with open_server(port=server.port):
                pass
    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        async with open_server("192.0.2.1"):
            pass
    with pytest.raises(OSError, match="no such host"):
        async with open_server("no such host"):
            pass
    with pytest.raises(LocalProtocolError):
        async with open_server(key=""):
            pass


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
async def test_a_port_that_is_none(port: int) -> None:
    with pytest.raises(LocalProtocolError, match="is no port"):
        async with open_server(port=port):
            pass


async def test_the_port_is_free_again_at_once() -> None:
    async with open_server() as server, open_client(server, "alice") as alice:
        assert await alice.receive() == OPEN
        port = server.port
    async with open_server(port=port):
        pass


# --- leaving -------------------------------------------------------------------------------------


async def test_leaving_the_block_closes_everything() -> None:
    before = open_files()
    with trio.fail_after(10):
        async with trio.open_nursery() as clients:
            async with open_server() as server:

                async def stay(id: str, *, task_status: trio.TaskStatus[None]) -> None:
                    async with open_client(server, id) as client:
                        assert await client.receive() == OPEN
                        task_status.started()
                        assert (await client.closed())[0] == 1001

                for number in range(10):
                    await clients.start(stay, f"client{number}")
                idle = await trio.open_tcp_stream(server.host, server.port)
                assert (await fetch(idle)).status == 200
                left_at = trio.current_time()
            assert trio.current_time() - left_at < 0.9  # polite clients need no timeout
        await idle.aclose()
    assert open_files() == before


async def test_leaving_does_not_wait_long_for_the_impolite() -> None:
    with trio.fail_after(10):
        async with open_server(limits=ServerLimits(close_timeout=0.05)) as server:
            mute = await trio.open_tcp_stream(server.host, server.port)
            await mute.send_all(handshake("mute"))  # and never again a word
            await until(lambda: server.clients == 1)
        received = b""
        while data := await mute.receive_some():
            received += data
        await mute.aclose()
    assert received.endswith((1001).to_bytes(2, "big") + b"the server stopped")


async def test_an_exception_of_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_server():
            raise ZeroDivisionError


async def test_cancelling_the_block_says_goodbye() -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def serve(*, task_status: trio.TaskStatus[object]) -> None:
                with scope:
                    async with open_server() as server:
                        task_status.started(server)
                        await trio.sleep_forever()

            server = await nursery.start(serve)
            async with open_client(server, "alice") as alice:
                assert await alice.receive() == OPEN
                scope.cancel()
                assert await alice.closed() == (1001, "the server stopped")


async def test_cancelling_the_start_ends_it() -> None:
    class SlowBus:
        healthy = True

        async def run(self, hub: Hub, *, task_status: trio.TaskStatus[None]) -> None:
            scope.cancel()
            for _ in range(10):
                await trio.lowlevel.cancel_shielded_checkpoint()
            task_status.started()
            await trio.sleep_forever()

    with trio.fail_after(10), trio.CancelScope() as scope:
        async with open_server(bus=cast(Any, SlowBus())):
            await trio.sleep_forever()
    assert scope.cancelled_caught


# --- the rest ------------------------------------------------------------------------------------


async def test_tokens_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with open_server() as server, open_raw(server, "alice", token="hush") as alice:
            await alice.send(frame(1, b'{"type":"OFFER","dst":"alice","payload":"hush"}'))
            await alice.receive()
    assert "hush" not in caplog.text
