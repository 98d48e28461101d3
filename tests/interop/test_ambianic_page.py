"""A page that asks for HTTP as ambianic's do, and our ASGI applications at the other end."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trio

from peerjs_proto.http_io import RequestHead
from peerjs_trio import Peer, open_peer, open_server
from peerjs_trio.http.ambianic import serve_ambianic
from peerjs_trio.rtc.choice import EngineName
from tests.interop.chromium import Browser
from tests.interop.devtools import Page, open_page

pytestmark = [pytest.mark.trio, pytest.mark.browser]

API = "http://localhost:8778/api"
"As the pages have it, wherever the device really has its API."


async def test_pages_use_a_rest_api(browser: Browser, site: str, engine: EngineName) -> None:
    async with (
        open_server() as server,
        open_peer("device", server=server.url, engine=engine) as device,
        trio.open_nursery() as nursery,
        visit(browser, site, server.url, "one") as one,
        visit(browser, site, server.url, "two") as two,
    ):
        for _ in range(2):
            nursery.start_soon(serve, device)
        async with trio.open_nursery() as pages:
            pages.start_soon(in_order, one)
            pages.start_soon(other_kinds, two)
        nursery.cancel_scope.cancel()


async def in_order(page: Page) -> None:
    """Several at once are asked for one after the other; then nothing is, and there are pings."""
    answers = await page.run(
        f"Promise.all([1, 2, 3].map((n) => ambianic.request({{url: '{API}/echo', params: {{n}}}})))"
    )
    assert [json.loads(answer["text"])["query"] for answer in answers] == [
        {"n": [str(n)]} for n in (1, 2, 3)
    ]
    assert answers[0]["content-type"] == "application/json"
    assert answers[0]["content-length"] == len(answers[0]["text"])

    slow = await ask(page, "/slow")
    assert slow["text"] == "at last"
    assert slow["busy"] >= 1
    heard = await page.run("ambianic.pongs(2)")
    assert heard["astray"] == 0


async def other_kinds(page: Page) -> None:
    assert await page.run(f"ambianic.image('{API}/image')") == [3, 2]

    posted = await ask(page, "/echo", method="POST", json={"name": "é"})
    assert json.loads(posted["text"])["body"] == '{"name":"é"}'

    put = await ask(page, "/nothing", method="PUT")
    assert (put["status"], put["text"]) == (204, None)
    missing = await ask(page, "/missing")
    assert (missing["status"], missing["text"]) == (404, "not here")
    head = await ask(page, "/echo", method="HEAD")
    assert (head["status"], head["text"]) == (200, "")

    large = await ask(page, "/large")
    assert large["status"] == 502
    assert "more than 262,144 bytes" in large["text"]
    largest = await ask(page, "/largest")
    assert (largest["status"], len(largest["text"])) == (200, 262_144)

    elsewhere = await page.call("ambianic.request", {"url": "http://example.org/"})
    assert elsewhere["status"] == 421
    nonsense = await page.call("ambianic.request", {"url": "no slash"})
    assert nonsense["status"] == 400
    assert (await page.call("ambianic.pongs", 0))["astray"] == 0


async def ask(page: Page, path: str, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = await page.call("ambianic.request", {"url": API + path, **options})
    return answer


@asynccontextmanager
async def visit(browser: Browser, site: str, server: str, id: str) -> AsyncIterator[Page]:
    url = urlsplit(server)
    options = {"host": url.hostname, "port": url.port, "path": url.path, "secure": False}
    async with open_page(browser, site) as page:
        await page.run("import('/ambianic.js').then((module) => { window.ambianic = module; })")
        await page.call("ambianic.connect", id, "device", options)
        yield page


# --- the device ----------------------------------------------------------------------------------


async def serve(device: Peer) -> None:
    connection = await anext(device.incoming_connections())
    await serve_ambianic(connection, app, authorize=by_id, base_url="http://127.0.0.1:8778/")


def by_id(peer: str, metadata: Any, head: RequestHead) -> bool:
    return peer in ("one", "two")


async def app(scope: Any, receive: Any, send: Any) -> None:
    body = (await receive())["body"]
    status, kind = 200, "text/plain"
    match scope["path"]:
        case "/api/echo":
            query = parse_qs(scope["query_string"].decode())
            kind, reply = "application/json", json.dumps({"query": query, "body": body.decode()})
            content = b"" if scope["method"] == "HEAD" else reply.encode()
        case "/api/slow":
            await trio.sleep(1.5)
            content = b"at last"
        case "/api/image":
            kind, content = "image/png", png(3, 2)
        case "/api/nothing":
            status, content = 204, b""
        case "/api/large":
            content = b"x" * 262_145
        case "/api/largest":
            content = b"x" * 262_144
        case _:
            status, content = 404, b"not here"
    headers = [(b"content-type", kind.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def png(width: int, height: int) -> bytes:
    """A picture, all grey."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = (b"\0" + b"\x80" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
