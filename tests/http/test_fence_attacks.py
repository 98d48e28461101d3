"""Nothing gets out of the base URL: the attacks of docs/http-attacks.md on a real proxy.

The server behind it is asked what it has seen. A second one listens beside it and must never be
connected to, and nothing that the first has seen may be read as a path outside of ``/api/``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import httpx
import pytest
import trio
from hypothesis import given, settings

from fuzz.fence import readings
from peerjs_proto.fence import Fence, RequestRefused
from peerjs_trio.http.upstream import Upstream
from peerjs_trio.http.upstream_request import UpstreamLimits
from tests.http.asking import ask, open_websocket
from tests.http.attacks_document import DOCUMENT, with_tables
from tests.http.device import Device, open_device, open_socket_server
from tests.http.fence_attacks import ATTACKS, REQUEST_BYTES, SECTIONS, Attack
from tests.proto.test_fence import requests


@attrs.frozen
class Place:
    """A device behind its proxy, and the server that is none of anybody's business."""

    device: Device
    app: Upstream
    secret_port: int

    def real(self, value: Any) -> Any:
        """With the port of the secret server."""
        if isinstance(value, str):
            return value.replace("SECRET", str(self.secret_port))
        return value.replace(b"SECRET", str(self.secret_port).encode())


@asynccontextmanager
async def open_place() -> AsyncIterator[Place]:
    connections = 0

    async def secret(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1

    limits = UpstreamLimits(request_bytes=REQUEST_BYTES)
    async with (
        open_socket_server(secret) as port,
        open_device() as device,
        Upstream(f"http://127.0.0.1:{device.port}/api/", limits=limits) as app,
    ):
        yield Place(device, app, port)
    assert connections == 0


async def strike(attack: Attack, place: Place) -> tuple[int, list[Any]]:
    """The status that comes back, and the headers that the device has got."""
    headers = [(name, place.real(value)) for name, value in attack.headers]
    target = place.real(attack.target).decode("utf-8", "surrogateescape")
    if not attack.is_websocket:
        asker = await ask(
            place.app, target, attack.method, headers=headers, body=attack.body or b""
        )
        assert asker.error is None
        assert asker.is_whole
        if asker.status in (400, 413, 414, 431, 501):
            assert b"127.0.0.1" not in asker.body
        return asker.status, asker.json()["headers"] if asker.status == 200 else []
    async with open_websocket(place.app, target, headers=headers) as socket:
        event = await socket.event()
        if event["type"] != "websocket.accept":
            return event["status"], []
        await socket.say("headers")
        return 200, json.loads(str(await socket.message()))


@pytest.mark.trio
@pytest.mark.parametrize("title", SECTIONS)
async def test_nothing_gets_out(title: str) -> None:
    async with open_place() as place:
        for attack in SECTIONS[title]:
            place.device.seen.clear()
            status, headers = await strike(attack, place)
            seen = [target for _, target in place.device.seen]
            for target in seen:
                for segments in readings(target.encode().partition(b"?")[0]):
                    assert segments[0] == b"api", attack.name
            if isinstance(attack.comes_of_it, int):
                # A body that turns out too large has a request before it, which it breaks off.
                assert status == attack.comes_of_it, attack.name
                assert seen == [] or attack.body is not None, attack.name
            else:
                assert (status, seen) == (attack.status, [place.real(attack.comes_of_it)])
            assert all(gone.decode() not in v for gone in attack.gone for _, v in headers), attack
            names = [name for name, _ in headers]
            assert len(names) == len(set(names)), attack.name


def test_no_attack_is_there_twice() -> None:
    for title, attacks in SECTIONS.items():
        names = [attack.name for attack in attacks]
        assert len(set(names)) == len(names), title
    assert len(ATTACKS) > 100


def test_the_document_has_every_attack() -> None:
    document = DOCUMENT.read_text("utf-8")
    assert document == with_tables(document), "python -m tests.http.attacks_document"
    titles = {section.partition("\n")[0] for section in document.split("\n## ")[1:]}
    assert set(SECTIONS) <= titles


# --- as others read URLs ------------------------------------------------------------------------

FENCE = Fence.parse("http://127.0.0.1:8778/api/")


@settings(max_examples=500)
@given(requests)
def test_httpx_reads_what_passes_as_we_do(asked: str) -> None:
    with suppress(RequestRefused):
        url = httpx.URL(FENCE.url_for(f"/{asked}".encode("utf-8", "surrogatepass")))
        assert (url.scheme, url.host, url.port, url.userinfo) == ("http", "127.0.0.1", 8778, b"")
        assert url.raw_path.startswith(b"/api/")
        # It resolves dots, where there are any.
        assert url.join("").raw_path.startswith(b"/api/")
