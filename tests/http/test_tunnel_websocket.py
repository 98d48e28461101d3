"""A local WebSocket that leads to another peer's: trio-websocket and bare frames on one side."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio_websocket
import wsproto.events as ws
from wsproto.connection import Connection, ConnectionType
from wsproto.frame_protocol import CloseReason

from peerjs_trio.http.tunnel import TunnelLimits
from tests.http.test_tunnel import Tunnel, open_tunnel

pytestmark = pytest.mark.trio

PATIENCE = 20


@pytest.fixture
async def tunnel() -> AsyncIterator[Tunnel]:
    async with open_tunnel() as tunnel:
        yield tunnel


@asynccontextmanager
async def local_websocket(
    tunnel: Tunnel, target: str, **options: Any
) -> AsyncGenerator[trio_websocket.WebSocketConnection]:
    # trio-websocket leaves a socket of its own open where the far side closes.
    async with (
        await trio.open_tcp_stream("127.0.0.1", tunnel.port) as stream,
        trio.open_nursery() as nursery,
    ):
        yield await trio_websocket.wrap_client_stream(
            nursery, stream, f"localhost:{tunnel.port}", target, **options
        )
        nursery.cancel_scope.cancel()


async def closing(connection: trio_websocket.WebSocketConnection) -> trio_websocket.CloseReason:
    """What it is closed with, by the far side."""
    with trio.fail_after(PATIENCE), pytest.raises(trio_websocket.ConnectionClosed) as caught:
        await connection.get_message()
    assert caught.value.reason is not None
    return caught.value.reason


async def test_messages_there_and_back(tunnel: Tunnel) -> None:
    async with local_websocket(
        tunnel, "/socket/a%20b?q=1", subprotocols=["a", "b"], extra_headers=[(b"Cookie", b"c=1")]
    ) as connection:
        assert connection.subprotocol == "b"
        assert (b"x-socket", b"yes") in connection.handshake_headers
        for message in ("text ∞", b"\0\xff", "", b"", "x" * 300_000, b"y" * 300_000):
            await connection.send_message(message)
            with trio.fail_after(PATIENCE):
                assert await connection.get_message() == message
        with trio.fail_after(PATIENCE):
            await connection.ping(b"local")
        await connection.aclose(4321, "enough")
    await tunnel.app.until(lambda: tunnel.app.ends == ["closed 4321 enough"])
    scope = tunnel.app.scopes[0]
    assert (scope["raw_path"], scope["query_string"]) == (b"/socket/a%20b", b"q=1")
    headers = dict(scope["headers"])
    assert headers[b"cookie"] == b"c=1"
    assert not {b"upgrade", b"connection", b"sec-websocket-key"} & set(headers)


async def test_the_device_closes(tunnel: Tunnel) -> None:
    for code, reason in ((1000, "done"), (4000, "a fault"), (1011, "of its own")):
        async with local_websocket(tunnel, "/socket") as connection:
            await connection.send_message(f"close {code} {reason}")
            closed = await closing(connection)
            assert (closed.code, closed.reason) == (code, reason)


async def test_a_refusal_has_its_status_and_text(tunnel: Tunnel) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", tunnel.port) as stream:
        answer = await shake(stream, "/refused")
        while not answer.endswith(b"who are you?"):
            answer += await stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nwww-authenticate: Basic\r\n" in answer


async def test_a_peer_that_is_gone_is_a_502(tunnel: Tunnel) -> None:
    await tunnel.sides.device.disconnect()
    (connection,) = tunnel.sides.device.connections
    await connection.aclose()
    async with await trio.open_tcp_stream("127.0.0.1", tunnel.port) as stream:
        assert (await shake(stream)).startswith(b"HTTP/1.1 502 ")


async def test_a_connection_that_is_lost_closes_without_a_word(tunnel: Tunnel) -> None:
    async with raw_websocket(tunnel) as stream:
        (connection,) = tunnel.sides.device.connections
        await connection.aclose()
        with trio.fail_after(PATIENCE):
            assert await stream.receive_some() == b""


async def test_who_leaves_without_a_word_is_1006(tunnel: Tunnel) -> None:
    async with raw_websocket(tunnel):
        pass
    await tunnel.app.until(lambda: tunnel.app.ends == ["closed 1006"])


async def test_a_message_in_fragments_is_one(tunnel: Tunnel) -> None:
    async with raw_websocket(tunnel) as stream:
        far = Connection(ConnectionType.CLIENT)
        for part, last in (("in ", False), ("", False), ("three ∞", True)):
            await stream.send_all(far.send(ws.TextMessage(data=part, message_finished=last)))
            await stream.send_all(far.send(ws.Ping(payload=b"between")))
        seen: list[object] = []
        with trio.fail_after(PATIENCE):
            while not any(isinstance(event, ws.TextMessage) for event in seen):
                far.receive_data(await stream.receive_some())
                seen += far.events()
    assert [e.data for e in seen if isinstance(e, ws.TextMessage)] == ["in three ∞"]
    assert [e.payload for e in seen if isinstance(e, ws.Pong)] == [b"between"] * 3


async def test_a_close_without_a_code(tunnel: Tunnel) -> None:
    async with raw_websocket(tunnel) as stream:
        far = Connection(ConnectionType.CLIENT)
        await stream.send_all(far.send(ws.CloseConnection(code=CloseReason.NO_STATUS_RCVD)))
        with trio.fail_after(PATIENCE):
            far.receive_data(await stream.receive_some())
        (close,) = far.events()
        assert isinstance(close, ws.CloseConnection)
        assert close.code == 1005
    await tunnel.app.until(lambda: tunnel.app.ends == ["closed 1005"])


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x85\0\0\0\0\xff\xff\xff\xff\xff", 1007),  # no UTF-8
        (b"\xf1\x80\0\0\0\0", 1002),  # reserved bits
        (b"\x01\x05hello", 1002),  # not masked
        (b"\x82\xff" + (1 << 40).to_bytes(8) + b"\0\0\0\0" + bytes(200_000), 1009),
    ],
)
async def test_what_breaks_a_rule_is_closed_on_both_sides(frame: bytes, code: int) -> None:
    async with (
        open_tunnel(limits=TunnelLimits(message_bytes=100_000)) as tunnel,
        raw_websocket(tunnel) as stream,
    ):
        far = Connection(ConnectionType.CLIENT)
        await stream.send_all(frame)
        with trio.fail_after(PATIENCE):
            far.receive_data(await stream.receive_some())
        (close,) = far.events()
        assert isinstance(close, ws.CloseConnection)
        assert close.code == code
        await tunnel.app.until(lambda: bool(tunnel.app.ends))
        assert tunnel.app.ends[0].startswith(f"closed {code}")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400),
    ],
)
async def test_a_handshake_that_is_none(
    tunnel: Tunnel, headers: dict[str, str], status: int
) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", tunnel.port) as stream:
        answer = await shake(stream, **headers)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert not tunnel.app.scopes


async def shake(stream: trio.SocketStream, path: str = "/socket", **headers: str) -> bytes:
    """Ask for a WebSocket; the answer's head."""
    key = base64.b64encode(bytes(16)).decode()
    head = {
        "Host": "localhost",
        "Upgrade": "WebSocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
        **headers,
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    await stream.send_all("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    with trio.fail_after(PATIENCE):
        while b"\r\n\r\n" not in answer:
            answer += await stream.receive_some(1)
    return answer


@asynccontextmanager
async def raw_websocket(tunnel: Tunnel) -> AsyncGenerator[trio.SocketStream]:
    """An accepted one, frame by frame; leaving closes the socket without a word."""
    async with await trio.open_tcp_stream("127.0.0.1", tunnel.port) as stream:
        assert b" 101 " in await shake(stream)
        yield stream
