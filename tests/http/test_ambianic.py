"""ASGI applications for ambianic's pages, over fakes and virtual time."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
import trio

from bench.ambianic_client import Answer, answer, dial, request
from peerjs_proto.http_io import RequestHead
from peerjs_trio import ConnectionClosed, DataConnection, LocalProtocolError, Peer
from peerjs_trio.http import serve
from peerjs_trio.http.ambianic import serve_ambianic
from tests.trio.fakes import open_fake_network, virtual_time
from tests.trio.test_peer import join

pytestmark = pytest.mark.trio(run=virtual_time)


SECRET = "".join(["a", " ", "secret"])  # in one piece it would be in the lines of a traceback


def everybody(peer: str, metadata: Any, head: RequestHead) -> bool:
    return True


class App:
    """What it does stands in the path; what it has seen can be looked at. It has no lifespan."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []
        self.log: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        self.scopes.append(scope)
        self.bodies.append((await receive())["body"])
        await getattr(self, scope["path"].strip("/"))(receive, send)

    async def answer(
        self, send: Any, body: bytes, status: int = 200, kind: bytes = b"text/plain"
    ) -> None:
        headers = [(b"Content-Type", kind)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def hello(self, receive: Any, send: Any) -> None:
        await self.answer(send, b"hello")

    async def parts(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 206})
        for part in (b"a", b"b"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.body", "body": b"too late"})
        self.log.append("parts")

    async def empty(self, receive: Any, send: Any) -> None:
        await self.answer(send, b"", 204)

    async def slow(self, receive: Any, send: Any) -> None:
        await anyio.sleep(3.5)
        await self.answer(send, b"at last")

    async def afterwards(self, receive: Any, send: Any) -> None:
        await self.answer(send, b"done")
        await anyio.sleep(5)
        self.log.append("afterwards")

    async def never(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        try:
            await anyio.sleep_forever()
        finally:
            self.log.append("cancelled")

    async def endless(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        while True:
            await send({"type": "http.response.body", "body": bytes(1000), "more_body": True})
            self.log.append("part")

    async def large(self, receive: Any, send: Any) -> None:
        await self.answer(send, bytes(1_000_000))

    async def raises(self, receive: Any, send: Any) -> None:
        raise ValueError(SECRET)

    async def breaks(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        raise ValueError(SECRET)

    async def stops(self, receive: Any, send: Any) -> None:
        pass

    async def misuses(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body"})

    async def teapot(self, receive: Any, send: Any) -> None:
        await self.answer(send, b"", 700)


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[DataConnection]:
    """A page's connection to it."""
    async with (
        open_fake_network() as network,
        join(network, "page") as page,
        join(network, "device") as device,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(serve_one, device, app, {"authorize": everybody} | options)
        yield await dial(page, "device", metadata={"n": 1})
        tasks.cancel_scope.cancel()


async def serve_one(device: Peer, app: Any, options: dict[str, Any]) -> None:
    await serve_ambianic(await anext(device.incoming_connections()), app, **options)


async def test_a_request_as_the_application_sees_it() -> None:
    app = App()
    async with serving(app, state={"a": 1}) as page:
        url = "http://localhost:8778/hello/?a=%20b"
        assert await request(page, "POST", url, json={"b": 1}) == Answer(
            200, "text/plain", b"hello", busy=0
        )
    (scope,) = app.scopes
    assert scope["type"] == "http"
    assert scope["method"] == "POST"
    assert scope["path"] == "/hello/"
    assert scope["raw_path"] == b"/hello/"
    assert scope["query_string"] == b"a=%20b"
    assert scope["extensions"]["peerjs"] == {"peer": "page", "pair": None}
    assert scope["state"] == {"a": 1}
    assert (b"content-type", b"application/json") in scope["headers"]
    assert (b"content-length", b"7") in scope["headers"]
    assert app.bodies == [b'{"b":1}']


async def test_answers() -> None:
    app = App()
    async with serving(app) as page:
        parts = await request(page, "GET", "/parts")
        assert parts == Answer(206, "application/octet-stream", b"ab", busy=0)
        assert (await request(page, "GET", "/empty")).status == 204
        assert (await request(page, "GET", "ping?")).body == "pong"
        assert (await request(page, "HEAD", "/hello")).status == 200
        assert app.log == ["parts"]


async def test_a_slow_answer() -> None:
    async with serving(App()) as page:
        assert await request(page, "GET", "/slow") == Answer(200, "text/plain", b"at last", busy=3)


async def test_what_it_does_after_its_answer_is_within_its_time() -> None:
    app = App()
    async with serving(app, request_timeout=7) as page:
        began = trio.current_time()
        await request(page, "GET", "/afterwards")
        assert trio.current_time() < began + 1
        await request(page, "GET", "/hello")
        assert app.log == ["afterwards"]
        assert trio.current_time() >= began + 5


async def test_no_answer_in_time() -> None:
    app = App()
    async with serving(app) as page:
        late = await request(page, "GET", "/never")
        assert late.status == 504
        assert late.busy in (14, 15), "the last and the answer are due at the same moment"
        assert late.body == b"there was no whole response within 15 seconds"
        assert app.log == ["cancelled"]
        assert (await request(page, "GET", "/hello")).status == 200


async def test_what_one_message_cannot_carry() -> None:
    app = App()
    async with serving(app) as page:
        for path in ("/endless", "/large"):
            reply = await request(page, "GET", path)
            assert reply.status == 502
            assert "65,536 bytes" in str(reply.body), "what this page has said that it takes"
        assert app.log == ["part"] * 65, "no more than it takes to know"


@pytest.mark.parametrize(
    ("path", "status", "name"),
    [
        ("raises", 500, "ValueError"),
        ("breaks", 502, "ValueError"),
        ("misuses", 500, "RuntimeError"),
        ("teapot", 500, "RuntimeError"),
        ("stops", 500, None),
    ],
)
async def test_the_application_fails(
    path: str, status: int, name: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(App()) as page:
        assert (await request(page, "GET", f"/{path}?{SECRET}")).status == status
        assert (await request(page, "GET", "/hello")).status == 200
    if name is None:
        assert not caplog.records
    else:
        (record,) = caplog.records
        assert f"a GET request of page raised {name}" in record.getMessage()
        assert SECRET not in record.getMessage()


async def test_the_end_of_the_connection_cancels_the_application() -> None:
    app = App()
    async with serving(app, request_timeout=1000) as page:
        await page.send('{"url":"/never"}')
        await anyio.sleep(1)
        assert not app.log
        await page.aclose()
        await anyio.sleep(1)
        assert app.log == ["cancelled"]


async def test_a_page_that_sends_more_than_it_reads_is_answered_in_order() -> None:
    async with serving(App()) as page:
        for url in ("/slow", "/hello", "ping", *["/hello"] * 20):
            await page.send(f'{{"url":"{url}"}}')
        bodies = [(await answer(page)).body for _ in range(3)]
        assert bodies == [b"at last", b"hello", "pong"]
        statuses = [(await answer(page)).status for _ in range(20)]
        assert statuses == [200] * 14 + [503] * 6


# --- who may ask ---------------------------------------------------------------------------------


async def test_without_the_operators_word_nobody_may() -> None:
    app = App()
    async with serving(app, authorize=None) as page:
        reply = await request(page, "GET", "/hello")
        assert reply.status == 401
        assert "authorize" in str(reply.body)
        assert (await request(page, "GET", "ping")).body == "pong"
    assert not app.scopes


async def test_the_operator_decides_about_each_request() -> None:
    seen: list[Any] = []

    def authorize(peer: str, metadata: Any, head: RequestHead) -> bool:
        seen.append((peer, metadata, head.path))
        return head.method == "GET"

    async with serving(App(), authorize=authorize) as page:
        assert (await request(page, "GET", "/hello")).status == 200
        assert (await request(page, "PUT", "/hello")).status == 403
    assert seen == [("page", {"n": 1}, "/hello")] * 2


async def test_the_operator_may_take_time() -> None:
    async def authorize(peer: str, metadata: Any, head: RequestHead) -> bool:
        await anyio.sleep(2.5)
        return head.path == "/hello"

    async with serving(App(), authorize=authorize) as page:
        assert (await request(page, "GET", "/hello")).busy == 2
        assert (await request(page, "GET", "/large")).status == 403


async def test_an_operator_who_fails_allows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def authorize(peer: str, metadata: Any, head: RequestHead) -> bool:
        raise KeyError(SECRET)

    app = App()
    async with serving(app, authorize=authorize) as page:
        assert (await request(page, "GET", "/hello")).status == 500
    assert not app.scopes
    assert "raised KeyError" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("secret", [None, "a secret of many letters"])
async def test_where_proof_is_wanted_a_word_is_not_enough(secret: str | None) -> None:
    async with (
        open_fake_network() as network,
        join(network, "page") as page,
        join(network, "device") as device,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(partial(serve, device, App(), authorize=everybody, secret=secret))
        reply = await request(await dial(page, "device"), "GET", "/hello")
        assert reply.status == (401 if secret else 200)
        tasks.cancel_scope.cancel()


# --- connections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("terms", [{"serialization": "raw"}, {"reliable": True}])
async def test_other_terms_than_a_pages(
    terms: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with (
        open_fake_network() as network,
        join(network, "page") as page,
        join(network, "device") as device,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(serve_one, device, App(), {"authorize": everybody})
        connection = await page.connect("device", label="http-proxy", **terms)
        with pytest.raises((ConnectionClosed, anyio.EndOfStream)):
            await connection.receive()
    assert "not raw and reliable" in caplog.text


async def test_a_base_url_that_is_none() -> None:
    async with (
        open_fake_network() as network,
        join(network, "page") as page,
        join(network, "device") as device,
    ):
        await dial(page, "device")
        connection = await anext(device.incoming_connections())
        with pytest.raises(LocalProtocolError, match="base URL"):
            await serve_ambianic(connection, App(), base_url="device/")
