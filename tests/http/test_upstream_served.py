"""A device's API for a peer, all of it real: WebRTC, the proxy, and the server behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from peerjs_proto.http_io import RequestHead, ResetCode, StreamReset, WebSocketClosed
from peerjs_trio import open_peer, open_server
from peerjs_trio.http import serve
from peerjs_trio.http.session import HttpSession, open_session
from peerjs_trio.http.stream import Stream
from peerjs_trio.http.upstream import Upstream, UpstreamLimits
from tests.http.device import PART, Device, open_device

pytestmark = pytest.mark.trio


@asynccontextmanager
async def open_page() -> AsyncIterator[tuple[Device, HttpSession]]:
    """A device that is served, and the session of a peer that may use it."""
    limits = UpstreamLimits(response_bytes=10 * len(PART))
    async with (
        open_device() as device,
        Upstream(f"http://127.0.0.1:{device.port}/api/", limits=limits) as app,
        open_server() as server,
        open_peer("device", server=server.url) as ours,
        open_peer("page", server=server.url) as page,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(partial(serve, ours, app, authorize=lambda *_: True))
        connection = await page.connect(
            "device", label="peerjs-http", serialization="raw", reliable=True
        )
        async with open_session(connection, client=True) as session:
            yield device, session
        nursery.cancel_scope.cancel()


async def body_of(stream: Stream) -> bytes:
    body = b""
    while part := await stream.receive():
        body += part
    return body


async def test_a_request_by_way_of_a_peer() -> None:
    async with open_page() as (device, session):
        with trio.fail_after(20):
            head = RequestHead("POST", "/x?y=1", (("accept", "a/b"), ("host", "evil")))
            stream = await session.request(head, end=False)
            await stream.send(b"hello", end=True)
            assert (await stream.response()).status == 200
            seen = json.loads(await body_of(stream))
            headers = dict(seen["headers"])
            assert seen["body"] == "hello"
            assert device.seen == [("POST", "/api/x?y=1")]
            assert headers["host"] == f"127.0.0.1:{device.port}"
            assert headers["x-peer-id"] == "page"

            stream = await session.request(RequestHead("GET", "/%2e%2e/secret"), end=True)
            assert (await stream.response()).status == 400

            stream = await session.request(RequestHead("GET", "/stream?100"), end=True)
            assert (await stream.response()).status == 200
            with pytest.raises(StreamReset) as broken:
                await body_of(stream)
            assert broken.value.code == ResetCode.FAILED

            stream = await session.request(RequestHead("GET", "/hangs"), end=True)
            await device.until(lambda: ("GET", "/api/hangs") in device.seen)
            stream.reset()
            await device.until(lambda: device.left == ["/api/hangs"])


async def test_a_websocket_by_way_of_a_peer() -> None:
    async with open_page() as (_, session):
        with trio.fail_after(20):
            protocols = (("sec-websocket-protocol", "a, b"),)
            head = RequestHead("GET", "/socket", protocols, websocket=True)
            stream = await session.request(head, end=False)
            accepted = await stream.response()
            assert accepted.status == 101
            assert ("sec-websocket-protocol", "b") in accepted.headers
            for message in ("text", b"bytes", "", b""):
                await stream.send_message(message)
                assert await stream.receive_message() == message
            await stream.send_message("close 4001 enough now")
            with pytest.raises(WebSocketClosed) as closed:
                await stream.receive_message()
            assert (closed.value.code, closed.value.reason) == (4001, "enough now")

            head = RequestHead("GET", "/refused", websocket=True)
            stream = await session.request(head, end=False)
            assert (await stream.response()).status == 401
            assert await body_of(stream) == b"who are you?"
