"""PeerServer and those who mean no good, or are broken: they end themselves and nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from peerjs_proto.server_io import ServerLimits
from peerjs_trio.server import PeerServer, open_server
from tests.trio.server_clients import fetch, frame, handshake, open_raw, open_tcp, until

pytestmark = pytest.mark.trio

LIMITS = ServerLimits(
    message_bytes=1000, head_bytes=2000, head_timeout=5.0, close_timeout=0.2, sockets=50
)

TLS_HELLO = bytes.fromhex(
    "16030100c8010000c40303d1a3f0aa5d7b6c4b8f6d3c2b1a09182736455463728190"
    "a0b0c0d0e0f0a120d1a3f0aa5d7b6c4b8f6d3c2b1a0918273645546372819000a0b0"
)


@asynccontextmanager
async def bystander(limits: ServerLimits = LIMITS) -> AsyncIterator[PeerServer]:
    """A server with a client on it, that is served as ever when the block is done."""
    async with open_server(limits=limits) as server, open_raw(server, "bystander") as client:
        yield server
        await client.send(frame(1, b'{"type":"OFFER","dst":"bystander"}'))
        assert (await client.receive())["src"] == "bystander"
        await until(lambda: server.clients == 1)


async def read_all(stream: trio.SocketStream) -> bytes:
    received = b""
    with trio.fail_after(10):
        try:
            while data := await stream.receive_some():
                received += data
        except trio.BrokenResourceError:
            pass  # the server threw us out
    return received


# --- before there is HTTP ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", b""),
        (b"\r\n", b"400"),
        (bytes(5000), b"400"),
        (TLS_HELLO, b"400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", b"200"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 5000, b"431"),
        (b"GET /" + b"a" * 5000, b"431"),
        (b"GET / HTTP/1.1\r\nHost:", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nOrigin: \xe4\xf6\r\n\r\n", b"200"),
        (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", b"404"),
        (b"GET / HTTP/1.0\r\n\r\n", b"200"),
    ],
)
async def test_bytes_that_are_no_request(data: bytes, status: bytes) -> None:
    async with bystander() as server, open_tcp(server) as stream:
        await stream.send_all(data)
        await stream.send_eof()
        assert (await read_all(stream))[9:12] == status


async def test_requests_whose_answers_are_not_read_are_not_read_either() -> None:
    count = 20_000
    requests = b"GET /peerjs/id HTTP/1.1\r\nHost: x\r\n\r\n" * count
    async with bystander() as server, open_tcp(server) as greedy, trio.open_nursery() as nursery:
        nursery.start_soon(greedy.send_all, requests)
        async with open_raw(server, "other") as other:
            for n in range(50):
                await other.send(frame(1, b'{"type":"OFFER","dst":"other","payload":%d}' % n))
                assert (await other.receive())["payload"] == n
        received, answers = b"", 0
        with trio.fail_after(30):
            while answers < count:
                received += await greedy.receive_some()
                answers += received.count(b"HTTP/1.1 200 OK")
                received = received[-14:]


BRIEF = ServerLimits(head_timeout=0.1, close_timeout=0.1)


async def test_a_head_that_never_ends_is_not_waited_for() -> None:
    async with bystander(BRIEF) as server, open_tcp(server) as slow:
        await slow.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with trio.fail_after(10), pytest.raises(trio.BrokenResourceError):  # noqa: PT012
            while True:
                await slow.send_all(b"A: b\r\n")
                await trio.sleep(0.01)


async def test_silent_connections_are_not_kept() -> None:
    async with bystander(BRIEF) as server, open_tcp(server) as silent, open_tcp(server) as idle:
        assert (await fetch(idle)).status == 200
        assert await read_all(silent) == await read_all(idle) == b""


async def test_more_sockets_than_the_limit_are_closed_as_they_come() -> None:
    async with (
        open_server(limits=ServerLimits(sockets=2)) as server,
        open_tcp(server) as first,
        open_tcp(server) as second,
    ):
        assert (await fetch(first)).status == (await fetch(second)).status == 200
        async with open_tcp(server) as third:
            assert await read_all(third) == b""
        assert (await fetch(second)).status == 200


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("/peerjs?", "/elsewhere?", 400),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400),
        ("Version: 13", "Version: 8", 426),
        ("Connection: Upgrade\r\n", "", 404),
        ("GET", "POST", 404),
        ("HTTP/1.1", "HTTP/1.0", 404),
    ],
)
async def test_handshakes_that_are_none(old: str, new: str, status: int) -> None:
    async with bystander() as server, open_tcp(server) as stream:
        request = handshake("alice").decode().replace(old, new)
        reply = await fetch(stream, request)
        assert reply.status == status


# --- WebSocket frames ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, b"{}", mask=False), 1002),
        (frame(0x41, b"{}"), 1002),  # compressed, though nothing was agreed
        (frame(3, b"{}"), 1002),
        (frame(0, b"{}"), 1002),
        (frame(1, b"{", fin=False) + frame(1, b"}"), 1002),
        (frame(9, b"x" * 126), 1002),
        (frame(9, b"x", fin=False), 1002),
        (frame(8, b"\x03"), 1002),
        (frame(8, (1005).to_bytes(2, "big")), 1002),
        (frame(1, b"\xff"), 1007),
        (frame(1, b"\xe2", fin=False) + frame(0, b"\x28"), 1007),
        (frame(1, b"x" * 1001), 1009),
        (frame(1, b"x" * 600, fin=False) + frame(0, b"x" * 600), 1009),
        (b"\x81\xff" + b"\x7f" + b"\xff" * 7 + bytes(4), 1009),
        (frame(8, (3000).to_bytes(2, "big") + b"bye"), 3000),
        (frame(8), None),
    ],
)
async def test_frames_that_end_their_sender(data: bytes, code: int | None) -> None:
    async with bystander() as server, open_raw(server, "alice") as alice:
        await alice.send(data)
        assert await alice.closed() == code


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b'{"type":"OFFER","dst":"alice","payload":1}'),
        frame(2, b'{"type":"OFFER","dst":"alice","payload":1}'),
        frame(1, b"null") + frame(1, b"5") + frame(1) + frame(2, b"\xff")
        + frame(1, b'{"type":"OFFER","dst":"alice","payload":1}'),
        frame(1, b'{"type":"OFFER",', fin=False) + frame(9, b"ping") + frame(10, b"unasked")
        + frame(0, fin=False) * 1000 + frame(0, b'"dst":"alice","payload":1}'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("early", [True, False])
async def test_frames_that_are_fine(data: bytes, early: bool) -> None:
    behind = data if early else b""
    async with bystander() as server, open_raw(server, "alice", behind=behind) as alice:
        if not early:
            for at in range(len(data)):  # split anywhere, and everywhere
                await alice.send(data[at : at + 1])
        received = await alice.receive_frame()
        if received == (10, b"ping"):
            received = await alice.receive_frame()
        assert received is not None
        assert json.loads(received[1])["payload"] == 1


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=200), st.booleans())
async def test_any_bytes_at_all(data: bytes, upgraded: bool) -> None:
    async with bystander() as server:
        if upgraded:
            async with open_raw(server, "alice") as alice:
                await alice.send(data)
                await alice.stream.send_eof()
                await read_all(alice.stream)
        else:
            async with open_tcp(server) as stream:
                await stream.send_all(data)
                await stream.send_eof()
                await read_all(stream)


async def test_sockets_that_break_off_in_the_middle() -> None:
    whole = handshake("alice") + frame(1, b'{"type":"OFFER","dst":"bystander","payload":1}')
    async with bystander() as server:
        for at in range(0, len(whole), 16):
            async with open_tcp(server) as stream:
                await stream.send_all(whole[:at])
                if at % 32:  # in order, or with a reset
                    await stream.send_eof()
                    await read_all(stream)


# --- slow readers --------------------------------------------------------------------------------


async def flood(server: PeerServer, victim: str, until_gone: int) -> None:
    """Send to a client that does not read, until the server closes it."""
    async with open_raw(server, "sender") as sender:
        text = json.dumps({"type": "OFFER", "dst": victim, "payload": "x" * 100_000}).encode()
        with trio.fail_after(20):
            while server.clients > until_gone:
                await sender.send(frame(1, text))
                await sender.send(frame(9, b"done"))
                while await sender.receive_frame() != (10, b"done"):
                    pass


async def test_a_client_that_does_not_read_is_closed_and_nobody_waits_for_it() -> None:
    limits = ServerLimits(backlog_bytes=300_000, close_timeout=0.1)
    async with bystander(limits) as server, open_raw(server, "victim"):
        await flood(server, "victim", until_gone=2)


async def test_a_backlog_that_stands_still_is_closed() -> None:
    limits = ServerLimits(backlog_bytes=2**40, send_timeout=0.1, close_timeout=0.1)
    async with bystander(limits) as server, open_raw(server, "victim"):
        await flood(server, "victim", until_gone=2)


async def test_a_client_that_reads_late_gets_everything() -> None:
    async with (
        bystander(ServerLimits(backlog_bytes=2**40, close_timeout=0.1)) as server,
        open_raw(server, "late") as late,
        open_raw(server, "sender") as sender,
    ):
        text = json.dumps({"type": "OFFER", "dst": "late", "payload": "x" * 200_000}).encode()
        for _ in range(100):
            await sender.send(frame(1, text))
        for _ in range(100):
            assert len((await late.receive())["payload"]) == 200_000


async def test_pings_without_end_fill_only_their_own_backlog() -> None:
    limits = ServerLimits(backlog_bytes=100_000, close_timeout=0.1)
    async with bystander(limits) as server, open_raw(server, "alice") as alice:
        pings = frame(9, b"x" * 125) * 1000
        with trio.fail_after(20), pytest.raises(trio.BrokenResourceError):  # noqa: PT012
            while True:
                await alice.send(pings)
