"""WebSockets at another peer, from Python."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from peerjs_proto.errors import MessageTooBig
from peerjs_proto.http_io import HttpLimits, ResetCode, ResponseHead, WebSocketClosed
from peerjs_trio.http.client_websocket import ClientWebSocket, WebSocketRefused
from peerjs_trio.http.session import HttpSession
from peerjs_trio.http.transport import PeerTransport, open_transport
from tests.http.sides import App, Sides, open_sides

pytestmark = pytest.mark.trio


@pytest.fixture
async def sides() -> AsyncIterator[Sides]:
    async with open_sides() as sides:
        yield sides


@pytest.fixture
async def app(sides: Sides, nursery: trio.Nursery) -> App:
    app = App()
    nursery.start_soon(sides.serve, app)
    return app


@pytest.fixture
async def transport(sides: Sides, app: App) -> AsyncIterator[PeerTransport]:
    async with open_transport(sides.alice, "device") as transport:
        yield transport


async def test_text_and_bytes_there_and_back(transport: PeerTransport, app: App) -> None:
    async with transport.websocket(
        "/socket/é?q=1", subprotocols=["a.1", "b.2"], headers={"cookie": "c=1", "Upgrade": "x"}
    ) as websocket:
        assert (websocket.subprotocol, websocket.headers["x-socket"]) == ("b.2", "yes")
        for message in ("text ∞", b"\0\xff", "", b"", "x" * 400_000):
            await websocket.send(message)
            assert await websocket.receive() == message
        assert websocket.close_code is None
        assert "open" in repr(websocket)
    assert websocket.close_code == 1000
    await app.until(lambda: app.ends == ["closed 1000"])
    scope = app.scopes[0]
    assert (scope["raw_path"], scope["query_string"]) == (b"/socket/%C3%A9", b"q=1")
    headers = dict(scope["headers"])
    assert headers[b"cookie"] == b"c=1"
    assert b"upgrade" not in headers


async def test_it_is_closed_with_a_code(transport: PeerTransport, app: App) -> None:
    async with transport.websocket("/socket") as websocket:
        await websocket.close(4321, "enough")
        await websocket.close(1000)
        with pytest.raises(WebSocketClosed):
            await websocket.send("too late")
        with pytest.raises(WebSocketClosed):
            await websocket.receive()
    assert websocket.close_code == 4321
    await app.until(lambda: app.ends == ["closed 4321 enough"])


async def test_the_far_side_closes(transport: PeerTransport) -> None:
    async with transport.websocket("/socket") as websocket:
        await websocket.send("one")
        await websocket.send("close 1000 done")
        assert [message async for message in websocket] == ["one"]
    assert (websocket.close_code, websocket.close_reason) == (1000, "done")
    async with transport.websocket("/socket") as websocket:
        await websocket.send("close 4000 a fault")
        with pytest.raises(WebSocketClosed) as caught:
            async for _ in websocket:
                pass
        assert (caught.value.code, caught.value.reason) == (4000, "a fault")
    assert "4000" in repr(websocket)


async def test_closing_what_the_far_side_has_closed_keeps_its_code(
    transport: PeerTransport,
) -> None:
    async with transport.websocket("/socket") as websocket:
        await websocket.send("close 4000 first")
        await websocket._stream.wait_reset()
        await websocket.close()
        assert (websocket.close_code, websocket.close_reason) == (4000, "first")


async def test_a_refusal_has_its_status_and_text(transport: PeerTransport) -> None:
    with pytest.raises(WebSocketRefused, match="401: who are you") as caught:
        async with transport.websocket("/refused"):
            pass
    refusal = caught.value
    assert (refusal.status, refusal.text) == (401, "who are you?")
    assert refusal.headers["www-authenticate"] == "Basic"


async def test_an_exception_breaks_it_off(transport: PeerTransport, app: App) -> None:
    broken: ClientWebSocket | None = None
    with pytest.raises(KeyError):
        async with transport.websocket("/socket") as broken:
            raise KeyError
    assert broken is not None
    assert broken.close_code == 1006
    await app.until(lambda: app.ends == ["closed 1006"])


async def test_a_connection_that_is_lost_is_1006(transport: PeerTransport, sides: Sides) -> None:
    async with transport.websocket("/socket") as websocket:
        (connection,) = sides.device.connections
        await connection.aclose()
        with pytest.raises(WebSocketClosed) as caught:
            await websocket.receive()
        assert caught.value.code == 1006


async def test_what_is_too_large_for_the_far_side_is_not_sent(transport: PeerTransport) -> None:
    async with transport.websocket("/socket") as websocket:
        with pytest.raises(MessageTooBig):
            await websocket.send(bytes(HttpLimits().message_bytes + 1))
        await websocket.send("small")
        assert await websocket.receive() == "small"


async def test_a_path_that_is_none(transport: PeerTransport) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        async with transport.websocket("socket"):
            pass


@pytest.mark.parametrize(
    ("code", "closed"),
    [(ResetCode.TOO_LARGE, 1009), (ResetCode.INVALID, 1007), (ResetCode.FAILED, 1006)],
)
async def test_a_reset_is_a_close(
    sides: Sides, nursery: trio.Nursery, code: ResetCode, closed: int
) -> None:
    async def reset(session: HttpSession) -> None:
        async for stream in session.incoming():
            await stream.respond(ResponseHead(101))
            stream.reset(code)

    async def device() -> None:
        async with sides.script() as session:
            await reset(session)

    nursery.start_soon(device)
    async with open_transport(sides.alice, "device") as transport:
        async with transport.websocket("/") as websocket:
            with pytest.raises(WebSocketClosed):
                await websocket.receive()
        assert websocket.close_code == closed


async def test_refused_once_it_is_asked_for_again_and_late_it_is_a_timeout(
    sides: Sides, nursery: trio.Nursery
) -> None:
    seen = 0

    async def device() -> None:
        nonlocal seen
        async with sides.script() as session:
            async for stream in session.incoming():
                seen += 1
                if seen == 1:
                    stream.reset(ResetCode.REFUSED)

    nursery.start_soon(device)
    async with open_transport(sides.alice, "device") as transport:
        with pytest.raises(httpx.ConnectTimeout):
            async with transport.websocket("/", open_timeout=0.5):
                pass
    assert seen == 2
