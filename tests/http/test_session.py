"""Requests over a real data connection: HttpSession, and serve with an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
import pytest
import trio

from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.http_io import (
    RequestHead,
    ResetCode,
    ResponseHead,
    StreamReset,
    WebSocketClosed,
)
from peerjs_trio import BrokenConnection, ClosedConnection, Peer, open_peer, open_server
from peerjs_trio.http import ServeLimits, serve
from peerjs_trio.http.session import HttpSession, open_session
from peerjs_trio.http.stream import Stream

pytestmark = pytest.mark.trio

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def allow(peer: str, metadata: Any, request: RequestHead) -> bool:
    return True


@attrs.define
class App:
    """What the tests ask for, by path."""

    waiting: anyio.Event = attrs.Factory(anyio.Event)
    cancelled: anyio.Event = attrs.Factory(anyio.Event)
    pushed: anyio.Event = attrs.Factory(anyio.Event)
    scopes: list[Any] = attrs.Factory(list)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            try:
                await getattr(self, "_" + scope["path"].strip("/"))(scope, receive, send)
            except trio.Cancelled:
                self.cancelled.set()
                raise
        else:
            raise ValueError(scope["type"])

    async def _echo(self, scope: Any, receive: Receive, send: Send) -> None:
        """Send each part back as it comes."""
        headers = [(b"Content-Type", b"x/y"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    async def _early(self, scope: Any, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": []})
        await send({"type": "http.response.body", "body": b"too much"})

    async def _fails(self, scope: Any, receive: Receive, send: Send) -> None:
        raise ValueError("a secret of the application's")

    async def _breaks(self, scope: Any, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def _never(self, scope: Any, receive: Receive, send: Send) -> None:
        self.waiting.set()
        await trio.sleep_forever()

    async def _websocket(self, scope: Any, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        if scope["path"] == "/refused":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        if scope["path"] == "/push":  # never asks whether anybody is there
            try:
                while True:
                    await send({"type": "websocket.send", "text": "news"})
            except OSError:
                self.pushed.set()
                raise
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"] == "close, please":
                await send({"type": "websocket.close", "code": 4001, "reason": "as you wish"})
            else:
                await send({**message, "type": "websocket.send"})
        self.scopes.append(message)


@attrs.frozen
class World:
    alice: Peer
    bob: Peer
    app: App

    @asynccontextmanager
    async def session(self) -> AsyncIterator[HttpSession]:
        connection = await self.alice.connect(
            "bob", label="peerjs-http", serialization="raw", reliable=True
        )
        async with open_session(connection, client=True) as session:
            yield session


@pytest.fixture
async def peers() -> AsyncIterator[tuple[Peer, Peer]]:
    async with (
        open_server() as server,
        open_peer("alice", server=server.url) as alice,
        open_peer("bob", server=server.url) as bob,
    ):
        yield alice, bob


@pytest.fixture
async def world(peers: tuple[Peer, Peer], nursery: trio.Nursery) -> World:
    app = App()

    async def serving() -> None:
        await serve(peers[1], app, authorize=allow, limits=ServeLimits(requests=20))

    nursery.start_soon(serving)
    return World(*peers, app)


async def body_of(stream: Stream) -> bytes:
    body = b""
    while part := await stream.receive():
        body += part
    return body


async def get(session: HttpSession, path: str) -> tuple[int, bytes]:
    stream = await session.request(RequestHead("GET", path), end=True)
    return (await stream.response()).status, await body_of(stream)


async def test_a_body_goes_there_and_comes_back(world: World) -> None:
    body = bytes(range(256)) * 8000
    async with world.session() as session:
        head = RequestHead("POST", "/echo?a=%20b", (("host", "evil"), ("x-n", "\xe9")))
        stream = await session.request(head, end=False)

        async def upload() -> None:
            await stream.send(body)
            await stream.send(b"", end=True)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upload)
            response = await stream.response()
            assert response == ResponseHead(201, (("content-type", "x/y"),))
            assert await body_of(stream) == body
        assert await stream.receive() == b""
    scope = world.app.scopes[-1]
    assert (scope["method"], scope["path"], scope["query_string"]) == ("POST", "/echo", b"a=%20b")
    assert scope["headers"] == [(b"host", b"peer.invalid"), (b"x-n", b"\xe9")]
    assert scope["extensions"]["peerjs"] == {"peer": "alice", "pair": None}


async def test_many_at_once(world: World) -> None:
    answers: list[bytes] = []

    async with world.session() as session, anyio.create_task_group() as tasks:

        async def ask(n: int) -> None:
            stream = await session.request(RequestHead("PUT", "/echo"), end=False)
            await stream.send(b"%d" % n, end=True)
            answers.append(await body_of(stream))

        # More than the server does at once for all: those wait for nobody, and are told.
        for n in range(20):
            tasks.start_soon(ask, n)
    assert sorted(answers, key=int) == [b"%d" % n for n in range(20)]


async def test_too_many_at_once(world: World) -> None:
    async with world.session() as session:
        for _ in range(20):
            await session.request(RequestHead("GET", "/never"), end=True)
        assert await get(session, "/echo") == (503, b"too many requests at once\n")


async def test_an_answer_before_the_body_has_ended(world: World) -> None:
    async with world.session() as session:
        stream = await session.request(RequestHead("POST", "/early"), end=False)
        while stream.body_needed:
            await stream.send(bytes(100_000))
        await stream.send(b"nobody wants this", end=True)
        assert (await stream.response()).status == 413
        assert await body_of(stream) == b"too much"
        assert (await get(session, "/echo"))[0] == 201


async def test_an_application_that_fails(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with world.session() as session:
        assert await get(session, "/fails") == (500, b"the application has failed\n")
        with pytest.raises(StreamReset, match="broke off") as caught:
            await get(session, "/breaks")
        assert caught.value.code == ResetCode.FAILED
    assert "the application has failed" in caplog.text


async def test_giving_up_cancels_the_application(world: World) -> None:
    async with world.session() as session:
        stream = await session.request(RequestHead("GET", "/never"), end=True)
        await world.app.waiting.wait()
        stream.reset()
        await world.app.cancelled.wait()
        with pytest.raises(ClosedConnection, match="this side"):
            await stream.response()
        assert (await get(session, "/echo"))[0] == 201


async def test_losing_the_connection_cancels_the_application(world: World) -> None:
    async with world.session() as session:
        stream = await session.request(RequestHead("GET", "/never"), end=True)
        await world.app.waiting.wait()
        (theirs,) = world.bob.connections
        await theirs.aclose()
        await world.app.cancelled.wait()
        with pytest.raises(BrokenConnection):
            await stream.response()
        assert not session.is_open
        with pytest.raises(BrokenConnection, match="no more requests"):
            await session.request(RequestHead("GET", "/echo"), end=True)


async def websocket(session: HttpSession, path: str) -> Stream:
    protocols = (("sec-websocket-protocol", "chat, other"),)
    return await session.request(RequestHead("GET", path, protocols, websocket=True), end=False)


async def test_a_websocket(world: World) -> None:
    async with world.session() as session:
        stream = await websocket(session, "/ws")
        response = await stream.response()
        assert response == ResponseHead(101, (("sec-websocket-protocol", "chat"),))
        for value in ("text", b"bytes", "", b"", "é" * 400_000):
            await stream.send_message(value)
            assert await stream.receive_message() == value
        await stream.close(1000, "enough")
        with pytest.raises(WebSocketClosed, match="1000"):
            await stream.receive_message()
        with pytest.raises(WebSocketClosed):
            await stream.send_message("late")
        stream = await websocket(session, "/ws")
        await stream.response()
        await stream.send_message("close, please")
        with pytest.raises(WebSocketClosed, match=r"4001 \(as you wish\)"):
            await stream.receive_message()
    assert {"type": "websocket.disconnect", "code": 1000, "reason": "enough"} in world.app.scopes


async def test_a_message_for_nobody(world: World) -> None:
    async with world.session() as session:
        stream = await websocket(session, "/push")
        await stream.response()
        await stream.close()
        await world.app.pushed.wait()


async def test_a_websocket_that_is_refused(world: World) -> None:
    async with world.session() as session:
        stream = await websocket(session, "/refused")
        assert (await stream.response()).status == 403
        assert await body_of(stream) == b"the application refuses this WebSocket\n"


async def test_a_connection_that_may_lose_the_order(world: World) -> None:
    connection = await world.alice.connect("bob", label="peerjs-http", serialization="raw")
    with pytest.raises(LocalProtocolError, match="raw and reliable"):
        async with open_session(connection, client=True):
            raise AssertionError("unreachable")
    with pytest.raises(anyio.EndOfStream):
        await connection.receive()  # the server has no use for it either


async def test_nobody_is_served_by_mistake(peers: tuple[Peer, Peer]) -> None:
    with pytest.raises(LocalProtocolError, match="who may use it"):
        await serve(peers[1], App())


@pytest.mark.parametrize("form", ["sync", "async"])
async def test_authorize(form: str, peers: tuple[Peer, Peer], nursery: trio.Nursery) -> None:
    asked: list[Any] = []

    def decide(peer: str, metadata: Any, request: RequestHead) -> bool:
        asked.append((peer, metadata, request.path))
        if request.path == "/oops":
            raise ValueError
        return request.path == "/echo"

    async def decide_later(peer: str, metadata: Any, request: RequestHead) -> bool:
        await trio.lowlevel.checkpoint()
        return decide(peer, metadata, request)

    authorize = decide if form == "sync" else decide_later
    app = App()

    async def serving() -> None:
        await serve(peers[1], app, authorize=authorize)

    nursery.start_soon(serving)
    connection = await peers[0].connect(
        "bob", label="peerjs-http", serialization="raw", reliable=True, metadata={"n": 1}
    )
    async with open_session(connection, client=True) as session:
        assert await get(session, "/secret") == (403, b"you may not ask for this\n")
        assert (await get(session, "/oops"))[0] == 500
        assert (await get(session, "/echo"))[0] == 201
    assert asked[0] == ("alice", {"n": 1}, "/secret")
    assert [scope["path"] for scope in app.scopes if scope["type"] == "http"] == ["/echo"]
