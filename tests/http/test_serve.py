"""What serve allows itself to be made to do: times and numbers, over fakes and virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import attrs
import pytest
import trio

from peerjs_proto.http_io import RequestHead, ResetCode, StreamReset
from peerjs_trio import DataConnection, Peer, open_peer
from peerjs_trio.http import ServeLimits, serve
from peerjs_trio.http.lifespan import open_lifespan
from peerjs_trio.http.session import HttpSession, open_session
from tests.http.test_session import App, allow, body_of, get, websocket
from tests.trio.fakes import FakeNetwork, open_fake_network, virtual_time

pytestmark = pytest.mark.trio(run=virtual_time)

Dial = Callable[[], Awaitable[DataConnection]]


@attrs.frozen
class Device:
    """A peer that serves, and another that dials it."""

    alice: Peer
    bob: Peer
    mallory: Peer

    async def dial(self, who: Peer | None = None) -> DataConnection:
        return await (who or self.alice).connect(
            "bob", label="peerjs-http", serialization="raw", reliable=True
        )

    @asynccontextmanager
    async def session(self) -> AsyncIterator[HttpSession]:
        async with open_session(await self.dial(), client=True) as session:
            yield session


@pytest.fixture
async def network() -> AsyncIterator[FakeNetwork]:
    async with open_fake_network() as network:
        yield network


@asynccontextmanager
async def device(network: FakeNetwork, app: Any, **options: Any) -> AsyncIterator[Device]:
    join = partial(
        open_peer, server="http://127.0.0.1:9000/", transport=network, engine=network.engine
    )
    async with (
        join("alice") as alice,
        join("bob") as bob,
        join("mallory") as mallory,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(partial(serve, bob, app, authorize=allow, **options))
        yield Device(alice, bob, mallory)
        tasks.cancel_scope.cancel()


async def flood(scope: Any, receive: Any, send: Any) -> None:
    """More than any window has."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(1 << 20)})


async def test_a_response_that_nobody_reads(network: FakeNetwork) -> None:
    async with device(network, flood) as it, it.session() as session:
        stream = await session.request(RequestHead("GET", "/"), end=True)
        before = trio.current_time()
        await stream.wait_reset()
        assert trio.current_time() - before == pytest.approx(60, abs=1)
        with pytest.raises(StreamReset, match="not being read") as caught:
            await body_of(stream)
        assert caught.value.code == ResetCode.TIMEOUT


async def test_a_body_that_does_not_come(network: FakeNetwork) -> None:
    async with device(network, App()) as it, it.session() as session:
        stream = await session.request(RequestHead("POST", "/echo"), end=False)
        await stream.send(b"first")
        before = trio.current_time()
        await stream.wait_reset()
        assert trio.current_time() - before == pytest.approx(60, abs=1)
        assert await stream.receive() == b"first"
        with pytest.raises(StreamReset, match="does not come"):
            await stream.receive()


async def test_a_websocket_may_be_silent(network: FakeNetwork) -> None:
    async with device(network, App()) as it, it.session() as session:
        stream = await websocket(session, "/ws")
        await stream.response()
        await trio.sleep(600)
        await stream.send_message("still there")
        assert await stream.receive_message() == "still there"


async def test_one_peer_cannot_take_the_places_of_all(network: FakeNetwork) -> None:
    limits = ServeLimits(requests_per_peer=4, connections_per_peer=2)
    async with device(network, App(), limits=limits) as it, AsyncExitStack() as stack:
        first = await stack.enter_async_context(it.session())
        second = await stack.enter_async_context(it.session())
        for session in (first, second):
            for _ in range(2):
                await session.request(RequestHead("GET", "/never"), end=True)
        assert await get(second, "/echo") == (503, b"too many requests at once\n")
        third = await it.dial()
        assert [message async for message in third] == []  # it was closed
        await first.connection.aclose()  # its places are free again
        async with it.session() as session:
            assert (await get(session, "/echo"))[0] == 201


async def test_all_together_have_a_number_of_connections(network: FakeNetwork) -> None:
    app = App()
    async with (
        device(network, app, limits=ServeLimits(connections=1)) as it,
        it.session() as session,
    ):
        await session.request(RequestHead("GET", "/never"), end=True)
        await app.waiting.wait()
        second = await it.dial()
        assert [message async for message in second] == []  # it was closed
        assert (await get(session, "/echo"))[0] == 201


async def test_an_idle_connection_makes_room_for_another(network: FakeNetwork) -> None:
    async with (
        device(network, App(), limits=ServeLimits(connections=1)) as it,
        it.session() as first,
    ):
        assert (await get(first, "/echo"))[0] == 201
        async with it.session() as second:
            await first.wait_closed()
            assert (await get(second, "/echo"))[0] == 201


async def test_other_connections_stay_with_the_application(network: FakeNetwork) -> None:
    async with device(network, App()) as it:
        ours = await it.alice.connect("bob", label="chat")
        theirs = await anext(it.bob.incoming_connections())
        await ours.send("hello")
        assert await theirs.receive() == "hello"


async def test_a_head_answers_without_a_body(network: FakeNetwork) -> None:
    async with device(network, flood) as it, it.session() as session:
        stream = await session.request(RequestHead("HEAD", "/"), end=True)
        assert (await stream.response()).status == 200
        assert await stream.receive() == b""


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.body", "body": b"no head before it"},
        {"type": "http.response.start", "status": 99, "headers": []},
        {"type": "http.response.start", "status": 200, "headers": [(b"a b", b"")]},
        {"type": "websocket.accept"},
    ],
    ids=["body", "status", "header", "websocket"],
)
async def test_an_application_out_of_turn(message: Any, network: FakeNetwork) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(message)

    async with device(network, app) as it, it.session() as session:
        assert await get(session, "/") == (500, b"the application has failed\n")


# --- lifespan -----------------------------------------------------------------------------------


async def test_a_lifespan_has_a_state(network: FakeNetwork) -> None:
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            scope["state"]["database"] = "open"
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            log.append("shut down")
            await send({"type": "lifespan.shutdown.complete"})
        else:
            log.append(scope["state"].pop("database"))
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

    async with device(network, app) as it, it.session() as session:
        for _ in range(2):  # what one request does to the state is its own
            assert await get(session, "/") == (204, b"")
    assert log == ["open", "open", "shut down"]


async def test_an_application_that_cannot_start() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no disk"})

    with pytest.raises(RuntimeError, match="did not start: no disk"):
        async with open_lifespan(app):
            raise AssertionError("unreachable")


async def test_a_lifespan_that_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})
        await trio.sleep_forever()

    before = trio.current_time()
    async with open_lifespan(app):
        pass
    assert trio.current_time() - before == pytest.approx(10)


@pytest.mark.parametrize("late", [False, True])
async def test_a_lifespan_that_fails(late: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if late:
            await send({"type": "lifespan.startup.complete"})
        raise ValueError("oops")

    async with open_lifespan(app) as state:
        assert state == {}
    assert ("lifespan has failed" in caplog.text) == late
