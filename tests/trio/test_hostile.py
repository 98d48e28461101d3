"""A hostile peer and a hostile server: nothing raises out, nothing grows, the rest goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
import trio
import trio_websocket

import peerjs_trio
from peerjs_proto import events
from peerjs_proto.limits import Limits
from peerjs_trio import open_peer
from tests.trio.fakes import FakeNetwork, open_fake_network, virtual_time
from tests.trio.test_peer import dialled, join

in_virtual_time = pytest.mark.trio(run=virtual_time)


def frame(type: str, **members: Any) -> str:
    return json.dumps({"type": type, "src": "mallory", "dst": "alice"} | members)


def candidate(connection_id: str, text: str = "candidate:1") -> str:
    payload = {"candidate": {"candidate": text}, "type": "data", "connectionId": connection_id}
    return frame("CANDIDATE", payload=payload)


def offer(**changes: Any) -> str:
    payload = {
        "sdp": {"type": "offer", "sdp": "v=0"},
        "type": "data",
        "connectionId": "dc_evil",
        "serialization": "binary",
    }
    return frame("OFFER", payload=payload | changes)


NONSENSE: list[str | bytes] = [
    "",
    "null",
    "5",
    "[]",
    "{",
    "[" * 1_000_000,
    '{"a":' * 100_000,
    "9" * 200_000,
    "x" * 1_000_000,
    b"\x00\xff binary",
    frame("WHAT"),
    frame("OFFER"),
    frame("OFFER", payload=[]),
    frame("OFFER", src=None, payload={}),
    frame("ANSWER", payload={"type": "data", "connectionId": "dc_?", "sdp": {"sdp": "v=0"}}),
    frame("CANDIDATE", payload={"type": "data", "connectionId": "dc_?", "candidate": 5}),
    candidate("dc_?", "x" * 100_000),
    frame("LEAVE", src=None),
    frame("EXPIRE", src=7),
    offer(serialization=None),
    offer(serialization="nonsense"),
    offer(type="media"),
    offer(label=5),
    offer(connectionId={}),
    offer(src="alice", serialization=None),
]


@pytest.fixture
async def network() -> AsyncIterator[FakeNetwork]:
    async with open_fake_network() as network:
        yield network


@in_virtual_time
async def test_nonsense_is_reported_and_the_rest_goes_on(network: FakeNetwork) -> None:
    async with join(network, "alice") as alice, join(network, "bob") as bob:
        ours, theirs = await dialled(alice, bob)
        socket = network.sockets[min(network.sockets)]
        for n, text in enumerate(NONSENSE):
            socket.put(text)
            with anyio.fail_after(1):
                report = await anext(alice.reports())
            assert isinstance(report, events.SignalingRefused), text[:60]
            assert len(report.reason) < 300
            await ours.send(n)
            assert await theirs.receive() == n
        assert alice.is_open
        assert len(alice._connections) == 1


@in_virtual_time
async def test_a_flood_of_early_candidates_is_bounded(network: FakeNetwork) -> None:
    limits = Limits()
    async with join(network, "alice", limits=limits) as alice:
        (socket,) = network.sockets.values()
        for n in range(200):
            for _ in range(50):
                socket.put(candidate(f"dc_{n}"))
        await anyio.sleep(1)
        early = alice._core._connections._early
        assert len(early) <= limits.early_connections
        assert all(len(kept) <= limits.early_candidates for kept in early.values())
        assert alice.is_open
        reports = []
        with anyio.move_on_after(1):
            async for report in alice.reports():
                reports.append(report)
        assert len(reports) == 256  # the last ones: reports are bounded too


@in_virtual_time
async def test_a_flood_of_offers_is_bounded(network: FakeNetwork) -> None:
    limits = Limits(pending_connections=8)
    async with join(network, "alice", limits=limits) as alice:
        (socket,) = network.sockets.values()
        network.engine_delay = 1000.0  # none of them ever opens
        for n in range(1000):
            socket.put(offer(connectionId=f"dc_{n}"))
        await anyio.sleep(1)
        assert len(alice._connections) == 8
        await anyio.sleep(limits.connect_timeout)
        assert len(alice._connections) == 0
        assert alice.is_open


@in_virtual_time
async def test_a_server_that_stops_reading_is_given_up(network: FakeNetwork) -> None:
    async with join(network, "alice", reconnect=None) as alice:
        (socket,) = network.sockets.values()

        socket.stuck = True
        for n in range(3000):
            alice._link.send(f"message {n}")
        assert alice._link._line is not None
        assert len(alice._link._line._backlog) <= 1024
        with pytest.raises(peerjs_trio.ServerUnavailable, match="does not read"):
            await anext(alice.incoming_connections())
        assert socket.client not in network.sockets


# --- over real sockets ---------------------------------------------------------------------------

Script = Callable[[trio_websocket.WebSocketConnection], Coroutine[Any, Any, None]]


@asynccontextmanager
async def evil_server(script: Script) -> AsyncIterator[str]:
    async def serve(request: trio_websocket.WebSocketRequest) -> None:
        with suppress(trio_websocket.ConnectionClosed):
            await script(await request.accept())

    async with trio.open_nursery() as nursery:
        server = await nursery.start(trio_websocket.serve_websocket, serve, "127.0.0.1", 0, None)
        yield f"http://127.0.0.1:{server.port}/"
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_frames_of_every_kind_over_a_real_socket() -> None:
    async def script(socket: trio_websocket.WebSocketConnection) -> None:
        await socket.send_message('{"type":"OPEN"}')
        for text in NONSENSE:
            await socket.send_message(text)
        await socket.send_message("[" * 3_000_000)
        await trio.sleep_forever()

    async with evil_server(script) as url, open_peer("alice", server=url) as alice:
        seen = 0
        async for report in alice.reports():
            assert isinstance(report, events.SignalingRefused)
            seen += 1
            if seen == len(NONSENSE) + 1:
                break
        assert alice.is_open


@pytest.mark.trio
async def test_a_frame_beyond_all_measure_ends_the_socket_alone() -> None:
    async def script(socket: trio_websocket.WebSocketConnection) -> None:
        await socket.send_message('{"type":"OPEN"}')
        await socket.send_message("x" * 20_000_000)

    async with evil_server(script) as url, open_peer("alice", server=url) as alice:
        report = await anext(alice.reports())
        assert isinstance(report, events.PeerDisconnected)
        assert not alice.is_open


@pytest.mark.trio
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00" * 1000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhey",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=lambda answer: repr(answer[:30]),
)
@pytest.mark.parametrize("id", ["alice", None])
async def test_a_server_that_does_not_speak_the_protocol(answer: bytes, id: str | None) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await stream.receive_some(65536)
                await stream.send_all(answer)
            except trio.BrokenResourceError:
                pass

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        port = listener.socket.getsockname()[1]
        # One that hangs up without a word keeps trio-websocket waiting.
        impatient = Limits(server_timeout=1.0)
        with pytest.raises((peerjs_trio.ServerUnavailable, peerjs_trio.ServerError)):
            async with open_peer(id, server=f"http://127.0.0.1:{port}/", limits=impatient):
                pass
        nursery.cancel_scope.cancel()
