"""What goes wrong with a request, as httpx's exceptions; the far side is played by hand."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from peerjs_proto.errors import ConnectTimeout, LimitExceeded, RemoteProtocolError
from peerjs_proto.http_io import HttpLimits, ResetCode, ResponseHead
from peerjs_trio import DataConnection
from peerjs_trio.http import dialler
from peerjs_trio.http.faults import dial_error, request_error
from peerjs_trio.http.session import HttpSession, open_session
from peerjs_trio.http.stream import Stream
from peerjs_trio.http.transport import open_transport
from tests.http.sides import Sides, open_sides

pytestmark = pytest.mark.trio

OK = ResponseHead(200)


class Device:
    """What becomes of each connection and each request, as the test says."""

    def __init__(self, sides: Sides) -> None:
        self.sides = sides
        self.sessions: list[HttpSession] = []
        self.seen: list[Stream] = []
        self.limits = HttpLimits()
        self._news = trio.Event()

    async def serve(self, answer: Callable[[Stream], Awaitable[None]]) -> None:
        async with trio.open_nursery() as nursery:
            async for connection in self.sides.device.incoming_connections("peerjs-http"):
                nursery.start_soon(self._session, connection, answer)

    async def _session(
        self, connection: DataConnection, answer: Callable[[Stream], Awaitable[None]]
    ) -> None:
        async with (
            open_session(connection, client=False, limits=self.limits) as session,
            trio.open_nursery() as nursery,
        ):
            self.sessions.append(session)
            async for stream in session.incoming():
                self.seen.append(stream)
                self._news.set()
                self._news = trio.Event()
                nursery.start_soon(answer, stream)
            nursery.cancel_scope.cancel()

    async def until_seen(self, count: int) -> None:
        with trio.fail_after(10):
            while len(self.seen) < count:
                await self._news.wait()


@pytest.fixture
async def sides() -> AsyncIterator[Sides]:
    async with open_sides() as sides:
        yield sides


@pytest.fixture
async def device(sides: Sides) -> Device:
    return Device(sides)


async def never(stream: Stream) -> None:
    await trio.sleep_forever()


@asynccontextmanager
async def asking(
    device: Device, answer: Callable[[Stream], Awaitable[None]], **options: Any
) -> AsyncGenerator[httpx.AsyncClient]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(device.serve, answer)
        async with open_transport(device.sides.alice, "device") as transport:
            options = {"timeout": 10.0, **options}
            yield httpx.AsyncClient(transport=transport, base_url="http://device/", **options)
        nursery.cancel_scope.cancel()


class Endless:
    """A body."""

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        return bytes(65_536)


# --- time ------------------------------------------------------------------------------------


async def test_no_response_in_time(device: Device) -> None:
    async with asking(device, never) as client:
        with pytest.raises(httpx.ReadTimeout) as caught:
            await client.get("/", timeout=httpx.Timeout(10, read=0.2))
        assert caught.value.request.url == "http://device/"
        await device.seen[0].wait_reset()


async def test_a_response_that_does_not_go_on(device: Device) -> None:
    async def begin(stream: Stream) -> None:
        await stream.respond(OK)
        await stream.send(b"half")

    async with asking(device, begin, timeout=httpx.Timeout(10, read=0.2)) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/")
        await device.seen[0].wait_reset()


async def test_the_time_for_a_response_begins_when_the_request_is_sent(device: Device) -> None:
    whole = trio.Event()

    async def count(stream: Stream) -> None:
        while await stream.receive():
            pass
        whole.set()
        await trio.sleep_forever()

    async def slowly() -> AsyncGenerator[bytes]:
        yield b"one"
        await trio.sleep(0.4)
        yield b"two"

    async with asking(device, count, timeout=httpx.Timeout(10, read=0.2)) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/", content=slowly())
        with trio.fail_after(10):
            await whole.wait()


async def test_nobody_takes_the_body(device: Device) -> None:
    async with asking(device, never, timeout=httpx.Timeout(10, write=0.2)) as client:
        for content in (bytes(1_000_000), Endless()):
            with pytest.raises(httpx.WriteTimeout):
                await client.post("/", content=content)


async def test_no_free_place(device: Device) -> None:
    device.limits = HttpLimits(streams=2)
    async with (
        asking(device, never, timeout=httpx.Timeout(10, pool=0.2)) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.get, "/1")
        nursery.start_soon(client.get, "/2")
        await device.until_seen(2)
        with pytest.raises(httpx.PoolTimeout):
            await client.get("/3")
        nursery.cancel_scope.cancel()


# --- the connection --------------------------------------------------------------------------


async def test_a_connection_that_is_lost_is_dialled_again_once_for_all(device: Device) -> None:
    async def answer(stream: Stream) -> None:
        if stream.head.path == "/":
            await trio.sleep_forever()
        await stream.respond(OK, end=True)

    async with asking(device, answer) as client:

        async def lose() -> None:
            await device.until_seen(1)
            await device.sessions[0].connection.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lose)
            with pytest.raises(httpx.ReadError):
                await client.get("/")
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(client.get, "/again")
        assert len(device.sessions) == 2
        assert [stream.head.path for stream in device.seen] == ["/"] + ["/again"] * 20


async def test_a_connection_that_is_lost_while_sending(device: Device) -> None:
    async def leave(stream: Stream) -> None:
        await device.sessions[0].connection.aclose()

    async with asking(device, leave) as client:
        with pytest.raises(httpx.WriteError):
            await client.post("/", content=Endless())


async def test_a_response_that_is_lost(device: Device) -> None:
    async def leave(stream: Stream) -> None:
        await stream.respond(OK)
        await stream.send(b"half")
        await device.sessions[0].connection.aclose(flush=True)

    async with asking(device, leave) as client:
        with pytest.raises(httpx.ReadError):
            await client.get("/")


async def test_a_dial_that_fails_fails_all_who_wait(device: Device) -> None:
    failed = 0

    async def fail(client: httpx.AsyncClient) -> None:
        nonlocal failed
        with pytest.raises(httpx.ConnectError, match="device"):
            await client.get("/")
        failed += 1

    async with asking(device, never) as client:
        await device.sides.device.disconnect()
        await device.sessions[0].connection.aclose()
        with trio.fail_after(10):
            while device.sides.alice.connections:
                await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(fail, client)
    assert failed == 3


async def test_who_gives_up_on_a_dial_leaves_it_to_others(device: Device) -> None:
    async def answer(stream: Stream) -> None:
        await stream.respond(OK, end=True)

    async with asking(device, answer) as client:
        await device.sessions[0].connection.aclose()
        with trio.fail_after(10):
            while device.sides.alice.connections:
                await trio.lowlevel.checkpoint()

        async def hurry() -> None:
            with pytest.raises(httpx.ConnectTimeout):
                await client.get("/", timeout=httpx.Timeout(10, connect=0.001))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hurry)
            nursery.start_soon(client.get, "/")
        assert len(device.sessions) == 2


async def test_a_far_side_that_does_not_speak_http(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialler, "_GREETING", 0.2)
    with pytest.raises(ConnectTimeout, match="has not spoken HTTP"):
        async with open_transport(sides.alice, "device"):
            pass


# --- resets ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (ResetCode.DONE, httpx.RemoteProtocolError),
        (ResetCode.CANCELLED, httpx.ReadError),
        (ResetCode.REFUSED, httpx.ConnectError),
        (ResetCode.INVALID, httpx.LocalProtocolError),
        (ResetCode.TOO_LARGE, httpx.LocalProtocolError),
        (ResetCode.FAILED, httpx.ReadError),
        (ResetCode.TIMEOUT, httpx.ReadTimeout),
        (77, httpx.ReadError),
    ],
)
async def test_a_reset(device: Device, code: ResetCode, error: type[Exception]) -> None:
    async def reset(stream: Stream) -> None:
        stream.reset(code, "in words")

    async with asking(device, reset) as client:
        with pytest.raises(error, match="in words"):
            await client.get("/")
    # Only what was not looked at is asked again.
    assert len(device.seen) == (3 if code == ResetCode.REFUSED else 1)


async def test_what_was_refused_once_is_sent_again(device: Device) -> None:
    async def refuse_first(stream: Stream) -> None:
        if len(device.seen) == 1:
            stream.reset(ResetCode.REFUSED)
            return
        await stream.respond(OK)
        await stream.send(await stream.receive(), end=True)

    async with asking(device, refuse_first) as client:
        assert (await client.post("/", content=b"once more")).text == "once more"


async def test_a_body_that_was_begun_is_not_sent_again(device: Device) -> None:
    async def refuse(stream: Stream) -> None:
        await stream.receive()
        stream.reset(ResetCode.REFUSED)

    async with asking(device, refuse) as client:
        with pytest.raises(httpx.ConnectError):
            await client.post("/", content=Endless())
    assert len(device.seen) == 1


async def test_a_server_that_leaves_in_good_order_is_dialled_again(device: Device) -> None:
    async def answer(stream: Stream) -> None:
        await stream.respond(OK)
        await stream.send(b"half, ")
        if stream.head.path == "/slow":
            await device.until_seen(2)
        await stream.send(b"whole", end=True)

    async with asking(device, answer) as client:
        async with client.stream("GET", "/slow") as response:
            parts = response.aiter_text()
            assert await anext(parts) == "half, "
            with device.sessions[0].turn() as core:
                core.go_away("an update")
            session = client._transport._dialler._line.session  # type: ignore[attr-defined]
            with trio.fail_after(5):
                while session.is_open:
                    await trio.lowlevel.checkpoint()
            assert (await client.get("/")).text == "half, whole"
            assert [part async for part in parts] == ["whole"]
        assert len(device.sessions) == 2
        # What takes no more requests and has none is closed.
        await device.sessions[0].wait_closed()
        assert device.sessions[1].is_open


# --- faults of either side ---------------------------------------------------------------------


async def test_a_far_side_that_breaks_the_rules(device: Device) -> None:
    async def babble(stream: Stream) -> None:
        await device.sessions[0].connection.send(b"\x02\x00\x00\x00\x63\x00{}")

    async with asking(device, babble) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")


async def test_a_response_of_no_http(device: Device) -> None:
    async def lie(stream: Stream) -> None:
        number = stream.number.to_bytes(4)
        await device.sessions[0].connection.send(b"\x02" + number + b'\x01{"status": 42}')

    async with asking(device, lie) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")
        await device.seen[0].wait_reset()


async def test_a_body_that_raises(device: Device) -> None:
    async def fails() -> AsyncGenerator[bytes]:
        yield b"one"
        raise KeyError("of the caller's")

    async with asking(device, never) as client:
        with pytest.raises(KeyError, match="of the caller's"):
            await client.post("/", content=fails())
        await device.until_seen(1)
        await device.seen[0].wait_reset()


async def test_a_body_that_raises_behind_the_response_s_head(device: Device) -> None:
    go_on = trio.Event()

    async def fails() -> AsyncGenerator[bytes]:
        yield b"one"
        await go_on.wait()
        raise KeyError("of the caller's")

    async def begin(stream: Stream) -> None:
        await stream.respond(OK)

    async with (
        asking(device, begin) as client,
        client.stream("POST", "/", content=fails()) as response,
    ):
        go_on.set()
        with pytest.raises(KeyError, match="of the caller's"):
            await response.aread()


@pytest.mark.parametrize(
    "headers",
    [{"x-a": "1\r\nx-b: 2"}, {"x a": "1"}, {"x-a": "\0"}, {"x-a": "x" * 70_000}],
)
async def test_a_request_of_no_http(device: Device, headers: dict[str, str]) -> None:
    async with asking(device, never) as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.get("/", headers=headers)
    assert not device.seen


async def test_errors_of_a_dial() -> None:
    assert isinstance(dial_error(ConnectTimeout("late")), httpx.ConnectTimeout)
    assert isinstance(request_error(LimitExceeded("x"), sending=True), httpx.RemoteProtocolError)
    assert isinstance(
        request_error(RemoteProtocolError("x"), sending=False), httpx.RemoteProtocolError
    )
