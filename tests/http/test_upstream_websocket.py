"""WebSockets through the reverse proxy, with a real server behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
import wsproto
import wsproto.events as events

from peerjs_trio.http.upstream import Upstream
from peerjs_trio.http.upstream_request import UpstreamLimits
from tests.http.asking import Socket, open_websocket
from tests.http.device import Device, open_device, open_socket_server, read_head
from tests.trio.certificates import Files, write

pytestmark = pytest.mark.trio


@asynccontextmanager
async def proxied(**limits: float) -> AsyncIterator[tuple[Device, Upstream]]:
    some = UpstreamLimits(**limits)  # type: ignore[arg-type]
    async with (
        open_device() as device,
        Upstream(f"http://127.0.0.1:{device.port}/api", limits=some) as app,
    ):
        yield device, app


async def accepted(socket: Socket) -> Any:
    event = await socket.event()
    assert event["type"] == "websocket.accept", event
    return event


async def refused(socket: Socket) -> tuple[int, dict[bytes, bytes], bytes]:
    start, body = await socket.event(), await socket.event()
    assert start["type"] == "websocket.http.response.start", start
    with trio.fail_after(5):
        await socket.ended.wait()
    return start["status"], dict(start["headers"]), body["body"]


async def test_messages_of_both_kinds() -> None:
    async with proxied() as (device, app), open_websocket(app, "/socket?a=%2F") as socket:
        event = await accepted(socket)
        assert (b"x-socket", b"yes") in event["headers"]
        assert not any(name.startswith(b"sec-") for name, _ in event["headers"])
        assert event["subprotocol"] is None
        for message in ("text", "", "ä€\U0001f600", b"bytes", b"", b"\xff\0" * 100_000):
            await socket.say(message)
            assert await socket.message() == message
        assert device.seen == [("WEBSOCKET", "/api/socket?a=%2F")]
        await socket.leave(1000)


async def test_what_the_server_hears_of_who_asks() -> None:
    headers = [
        (b"host", b"evil"),
        (b"origin", b"https://page.example"),
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"sec-websocket-key", b"x"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
        (b"upgrade", b"h2c"),
        (b"cookie", b"a=b"),
    ]
    async with (
        proxied() as (device, app),
        open_websocket(app, "/socket", headers=headers, subprotocols=["a", "b"]) as socket,
    ):
        assert (await accepted(socket))["subprotocol"] == "b"
        await socket.say("headers")
        seen = json.loads(str(await socket.message()))
        said = dict(seen)
        assert len([name for name, _ in seen if name == "host"]) == 1
        assert said["host"] == f"127.0.0.1:{device.port}"
        assert said["origin"] == "https://page.example"
        assert said["cookie"] == "a=b"
        assert said["x-forwarded-for"] == "unknown"
        assert said["x-peer-id"] == "alice"
        assert said["upgrade"] == "websocket"
        assert "sec-websocket-extensions" not in said


async def test_how_the_server_closes() -> None:
    async with proxied() as (_, app), open_websocket(app, "/socket") as socket:
        await accepted(socket)
        await socket.say("close 4001 enough now")
        event = await socket.event()
        assert event == {"type": "websocket.close", "code": 4001, "reason": "enough now"}
        with trio.fail_after(5):
            await socket.ended.wait()


async def test_a_refusal_is_the_server_s() -> None:
    async with proxied() as (_, app):
        async with open_websocket(app, "/refused") as socket:
            status, headers, body = await refused(socket)
            assert (status, body) == (401, b"who are you?")
            assert headers[b"location"] == b"/login"
            assert headers[b"content-length"] == b"12"
        async with open_websocket(app, "/refused", extensions={}) as socket:
            assert (await socket.event())["type"] == "websocket.close"


@pytest.mark.parametrize(
    ("target", "more", "status"),
    [
        ("/../socket", {}, 400),
        ("//evil.example/", {}, 400),
        ("/socket", {"headers": [(b"a", b"x\r\ny: z")]}, 400),
        ("/socket", {"subprotocols": ["a\r\nx: y"]}, 400),
    ],
)
async def test_the_fence_is_around_these_too(target: str, more: Any, status: int) -> None:
    async with proxied() as (device, app), open_websocket(app, target, **more) as socket:
        assert (await refused(socket))[0] == status
        assert device.seen == []


async def test_messages_that_are_too_big() -> None:
    async with proxied(message_bytes=1000) as (_, app):
        for message in ("x" * 1001, "ä" * 501, b"x" * 1001):
            async with open_websocket(app, "/socket") as socket:
                await accepted(socket)
                await socket.say(message)
                event = await socket.event()
                assert (event["type"], event["code"]) == ("websocket.close", 1009)
                with trio.fail_after(5):
                    await socket.ended.wait()
        async with open_websocket(app, "/socket") as socket:
            await accepted(socket)
            await socket.say("x" * 1000)
            assert await socket.message() == "x" * 1000
            await socket.say("big 1001")
            event = await socket.event()
            assert (event["type"], event["code"]) == ("websocket.close", 1009)


async def test_too_many_at_once() -> None:
    async with proxied(websockets=1, connect_timeout=0.4) as (_, app):
        async with open_websocket(app, "/socket") as first:
            await accepted(first)
            async with open_websocket(app, "/socket") as second:
                assert (await refused(second))[0] == 503
            await first.leave(1000)
        async with open_websocket(app, "/socket") as third:
            await accepted(third)


async def test_by_tls(tmp_path: Path) -> None:
    authority, files = trustme.CA(), Files(tmp_path / "c.pem", tmp_path / "k.pem")
    write(files, authority)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with open_device(files.certificate, files.key) as device:
        url = f"https://127.0.0.1:{device.port}/api/"
        async with (
            Upstream(url, ca_file=str(tmp_path / "ca.pem")) as app,
            open_websocket(app, "/socket") as socket,
        ):
            await accepted(socket)
            await socket.say("hello")
            assert await socket.message() == "hello"
            await socket.leave(1000)
        async with Upstream(url) as app, open_websocket(app, "/socket") as socket:
            assert (await refused(socket))[0] == 502


# --- servers that are not there, or not right ---------------------------------------------------


@asynccontextmanager
async def in_front_of(
    answer: Callable[[trio.SocketStream], Awaitable[None]], **limits: float
) -> AsyncIterator[Socket]:
    some = UpstreamLimits(**limits)  # type: ignore[arg-type]
    async with (
        open_socket_server(answer) as port,
        Upstream(f"http://127.0.0.1:{port}/", limits=some) as app,
        open_websocket(app, "/") as socket,
    ):
        yield socket


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 101 Yes\r\n\r\n",
        b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Accept: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nx",
        b"HTTP/1.1 403 No\r\na: " + b"x" * 200_000,
    ],
)
async def test_what_is_no_handshake(said: bytes) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await read_head(stream)
        with suppress(trio.BrokenResourceError):
            await stream.send_all(said)

    async with in_front_of(answer) as socket:
        assert (await refused(socket))[0] == 502


async def test_nobody_is_there() -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        async with Upstream(url) as app, open_websocket(app, "/") as socket:
            status, _, body = await refused(socket)
            assert (status, body) == (502, b"the server cannot be reached\n")


async def test_a_handshake_that_does_not_come() -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with in_front_of(answer, head_timeout=0.05) as socket:
        assert (await refused(socket))[0] == 504


async def test_who_leaves_before_the_handshake() -> None:
    asked, gone = trio.Event(), trio.Event()

    async def answer(stream: trio.SocketStream) -> None:
        await read_head(stream)
        asked.set()
        await read_head(stream)
        gone.set()

    async with in_front_of(answer) as socket:
        with trio.fail_after(5):
            await asked.wait()
            await socket.leave(1006)
            await gone.wait()


async def handshake(stream: trio.SocketStream) -> wsproto.WSConnection:
    websocket = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    websocket.receive_data(await read_head(stream))
    assert isinstance(next(websocket.events()), events.Request)
    await stream.send_all(websocket.send(events.AcceptConnection()))
    return websocket


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x83\x00", id="an opcode that is none"),
        pytest.param(b"\xc1\x01x", id="a reserved bit"),
        pytest.param(b"\x81\x01\xff", id="text that is not UTF-8"),
    ],
)
async def test_what_breaks_off(last: bytes) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        websocket = await handshake(stream)
        await stream.send_all(websocket.send(events.TextMessage("hello")) + last)

    async with in_front_of(answer) as socket:
        await accepted(socket)
        assert await socket.message() == "hello"
        event = await socket.event()
        assert event["type"] == "websocket.close"
        assert event["code"] in (1002, 1006, 1007)
        with trio.fail_after(5):
            await socket.ended.wait()


async def test_a_server_that_does_not_read() -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await handshake(stream)
        await trio.sleep_forever()

    async with in_front_of(answer, part_timeout=0.1) as socket:
        await accepted(socket)

        async def push() -> None:
            while True:
                await socket.say(b"x" * 1_000_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(push)
            event = await socket.event()
            nursery.cancel_scope.cancel()
        assert event == {"type": "websocket.close", "code": 1006, "reason": ""}
        with trio.fail_after(5):
            await socket.ended.wait()


@pytest.mark.parametrize(
    ("left", "heard"),
    [
        ((1000, "bye"), (1000, "bye")),
        ((1001, ""), (1001, "")),
        ((4321, "grün"), (4321, "grün")),
        ((1005, ""), (1005, "")),
        ((1006, ""), None),
        ((999, ""), (1002, "")),
    ],
)
async def test_how_the_client_closes(left: tuple[int, str], heard: tuple[int, str] | None) -> None:
    closes, ended = list[tuple[int, str]](), trio.Event()

    async def answer(stream: trio.SocketStream) -> None:
        websocket = await handshake(stream)
        async for data in stream:
            websocket.receive_data(bytes(data))
            for event in websocket.events():
                if isinstance(event, events.CloseConnection):
                    closes.append((event.code, event.reason or ""))
                    await stream.send_all(websocket.send(event.response()))
        ended.set()

    async with in_front_of(answer) as socket:
        await accepted(socket)
        await socket.leave(*left)
        with trio.fail_after(5):
            await ended.wait()
        assert closes == ([] if heard is None else [heard])


async def test_the_server_hears_of_a_message_that_is_too_big() -> None:
    codes, ended = [], trio.Event()

    async def answer(stream: trio.SocketStream) -> None:
        websocket = await handshake(stream)
        async for data in stream:
            websocket.receive_data(bytes(data))
            for event in websocket.events():
                assert isinstance(event, events.CloseConnection)
                codes.append(event.code)
                await stream.send_all(websocket.send(event.response()))
        ended.set()

    async with in_front_of(answer, message_bytes=10) as socket:
        await accepted(socket)
        await socket.say("x" * 11)
        with trio.fail_after(5):
            await ended.wait()
    assert codes == [1009]
