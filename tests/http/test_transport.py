"""httpx over a real data connection, with a real application behind it."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from pathlib import Path

import attrs
import httpx
import pytest
import trio

from peerjs_proto.errors import Unauthorized
from peerjs_proto.pairing import NewPair
from peerjs_trio import PeerUnavailable, open_peer
from peerjs_trio.http import serve
from peerjs_trio.http.faults import Timeouts
from peerjs_trio.http.transport import PeerTransport, open_transport
from peerjs_trio.pairing import Pairings
from tests.http.sides import PART, App, Sides, open_sides

pytestmark = pytest.mark.trio


@attrs.define
class Endless:
    """A body."""

    made: int = 0

    def __aiter__(self) -> Endless:
        return self

    async def __anext__(self) -> bytes:
        self.made += len(PART)
        return PART


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
    async with open_transport(sides.alice, "device", metadata={"who": "tests"}) as transport:
        yield transport


@pytest.fixture
async def client(transport: PeerTransport) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=transport, base_url="http://anything/", timeout=20
    ) as client:
        yield client


async def test_a_request_and_its_response(client: httpx.AsyncClient, app: App) -> None:
    body = os.urandom(300_000)
    response = await client.post("/echo/%2e%20x?q=%C3%A9&r", content=body, headers={"x-a": "1"})
    assert (response.status_code, response.content) == (200, body)
    assert response.headers["x-a"] == "1"
    assert response.headers["content-length"] == "300000"
    scope = app.scopes[0]
    assert (scope["method"], scope["raw_path"]) == ("POST", b"/echo/%2e%20x")
    assert scope["query_string"] == b"q=%C3%A9&r"
    assert (b"host", b"anything") not in scope["headers"]
    assert scope["extensions"]["peerjs"]["peer"] == "alice"


async def test_any_url_leads_to_the_same_device(transport: PeerTransport, app: App) -> None:
    async with httpx.AsyncClient(transport=transport) as client:
        for url in ("http://a/", "https://b:1/echo", "http://user:password@c/hello"):
            assert (await client.get(url)).status_code == 200
    authorization = [dict(scope["headers"]).get(b"authorization") for scope in app.scopes]
    assert authorization == [None, None, b"Basic dXNlcjpwYXNzd29yZA=="]


@pytest.mark.parametrize(("method", "status"), [("GET", 204), ("GET", 304), ("HEAD", 200)])
async def test_a_response_without_a_body(
    client: httpx.AsyncClient, method: str, status: int
) -> None:
    response = await client.request(method, f"/status?{status}")
    assert (response.status_code, response.content) == (status, b"")
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]


async def test_a_response_comes_as_it_is_made(client: httpx.AsyncClient, app: App) -> None:
    async with client.stream("GET", "/events") as response:
        parts = response.aiter_bytes()
        assert await anext(parts) == b"data: 1\n\n"
        app.go_on.set()
        assert [part async for part in parts] == [b"data: 2\n\n"]


async def test_a_request_goes_as_it_is_made(client: httpx.AsyncClient, app: App) -> None:
    async def said() -> AsyncGenerator[bytes]:
        yield b"first"
        await app.until(lambda: app.parts == 1)
        yield b""
        yield b"second"

    assert (await client.post("/count", content=said())).text == "11"


async def test_both_at_once(client: httpx.AsyncClient) -> None:
    """Each part is answered before the next is made."""
    send, receive = trio.open_memory_channel[bytes](0)
    async with client.stream("POST", "/echo", content=receive) as response:
        parts = response.aiter_bytes()
        for n in range(5):
            await send.send(b"%d" % n)
            assert await anext(parts) == b"%d" % n
        await send.aclose()
        assert [part async for part in parts] == []


async def test_an_upload_stops_where_nobody_reads(client: httpx.AsyncClient, app: App) -> None:
    body = Endless()
    with pytest.raises(httpx.WriteTimeout):
        await client.post("/count?wait", content=body, timeout=httpx.Timeout(20, write=0.5))
    assert body.made <= 600_000
    await app.until(lambda: app.ends == ["broke off count"])


async def test_an_answer_before_the_request_has_ended(client: httpx.AsyncClient) -> None:
    body = Endless()
    response = await client.post("/early", content=body)
    assert (response.status_code, response.text) == (413, "too much")
    before = body.made
    assert (await client.get("/")).text == "hello"
    assert body.made == before


async def test_two_hundred_at_once(client: httpx.AsyncClient) -> None:
    answers = set()

    async def ask(n: int) -> None:
        answers.add((await client.post("/echo", content=b"%d" % n)).text)

    async with trio.open_nursery() as nursery:
        for n in range(200):
            nursery.start_soon(ask, n)
    assert answers == {str(n) for n in range(200)}


async def test_giving_up_is_heard_of(client: httpx.AsyncClient, app: App) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.get, "/never")
        await app.until(lambda: len(app.scopes) == 1)
        nursery.cancel_scope.cancel()
    await app.until(lambda: app.ends == ["broke off never"])
    async with client.stream("GET", "/stream?1000"):
        pass
    await app.until(lambda: app.ends[1:] == ["broke off stream"])
    assert (await client.get("/")).text == "hello"


async def test_leaving_the_block_ends_what_is_under_way(sides: Sides, app: App) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        with pytest.raises(httpx.ReadError):
            await client.get("http://device/never")

    async with trio.open_nursery() as nursery:
        async with open_transport(sides.alice, "device") as transport:
            client = httpx.AsyncClient(transport=transport, timeout=None)
            nursery.start_soon(ask, client)
            await app.until(lambda: len(app.scopes) == 1)
        with pytest.raises(httpx.ConnectError, match="closed"):
            await client.get("http://device/")
    assert not sides.alice.connections


async def test_who_is_not_there(sides: Sides) -> None:
    with pytest.raises(PeerUnavailable):
        async with open_transport(sides.alice, "nobody"):
            pass


async def test_metadata_is_for_the_far_side_to_see(sides: Sides, nursery: trio.Nursery) -> None:
    async def dial() -> None:
        async with open_transport(sides.alice, "device", metadata=["seen"]):
            await trio.sleep_forever()

    nursery.start_soon(dial)
    async with sides.script() as session:
        assert session.connection.metadata == ["seen"]
        nursery.cancel_scope.cancel()


async def test_no_timeout_is_no_limit() -> None:
    assert Timeouts.of({}) == Timeouts(math.inf, math.inf, math.inf, math.inf)
    given = httpx.Timeout(None, read=3).as_dict()
    assert Timeouts.of({"timeout": given}) == Timeouts(read=3)


SECRET = "sixteen letters, and some more"


async def test_who_has_the_secret_is_answered(sides: Sides, nursery: trio.Nursery) -> None:
    nursery.start_soon(partial(serve, sides.device, App(), secret=SECRET))
    async with (
        open_transport(sides.alice, "device", secret=SECRET) as transport,
        httpx.AsyncClient(transport=transport) as client,
    ):
        assert (await client.get("http://device/")).text == "hello"
        # And again, over the next connection.
        (connection,) = sides.device.connections
        await connection.aclose()
        with trio.fail_after(10):
            while sides.alice.connections:
                await trio.lowlevel.checkpoint()
        assert (await client.get("http://device/")).text == "hello"


@pytest.mark.parametrize("secret", [None, "another secret, as long as it is"])
async def test_who_has_not_is_told(sides: Sides, nursery: trio.Nursery, secret: str | None) -> None:
    nursery.start_soon(partial(serve, sides.device, App(), secret=SECRET))
    with pytest.raises(Unauthorized):
        async with open_transport(sides.alice, "device", secret=secret):
            pass


async def test_a_secret_that_nobody_asks_for_is_not_told(sides: Sides, app: App) -> None:
    async with (
        open_transport(sides.alice, "device", secret=SECRET) as transport,
        httpx.AsyncClient(transport=transport) as client,
    ):
        assert (await client.get("http://device/")).text == "hello"


async def test_who_is_paired_is_answered(
    sides: Sides, nursery: trio.Nursery, tmp_path: Path
) -> None:
    ours, theirs = (Pairings.open(tmp_path / name, name=name) for name in ("alice", "lamp"))
    theirs.add(NewPair("0a" * 16, bytes(32), "alice"))
    lamp = ours.add(NewPair("0a" * 16, bytes(32), "lamp", theirs.id_secret))
    async with open_peer(theirs.own_id(), server=sides.url) as device:
        nursery.start_soon(partial(serve, device, app := App(), pairings=theirs))
        async with (
            open_transport(sides.alice, lamp, pairings=ours) as transport,
            httpx.AsyncClient(transport=transport) as client,
        ):
            assert (await client.get("http://lamp/")).text == "hello"
        nursery.cancel_scope.cancel()
    assert app.scopes[0]["extensions"]["peerjs"]["pair"] == "alice"
