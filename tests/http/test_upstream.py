"""The reverse proxy to one base URL, with a real server behind it."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from peerjs_proto.errors import LocalProtocolError
from peerjs_trio.http.upstream import BrokenResponse, Upstream
from peerjs_trio.http.upstream_request import UpstreamLimits
from tests.http.asking import Asker, ask, open_request
from tests.http.device import PART, Device, open_device
from tests.trio.certificates import Files, write

pytestmark = pytest.mark.trio


@asynccontextmanager
async def proxied(**limits: float) -> AsyncIterator[tuple[Device, Upstream]]:
    """A device, and the proxy to its API."""
    some = UpstreamLimits(**limits)  # type: ignore[arg-type]
    async with (
        open_device() as device,
        Upstream(f"http://127.0.0.1:{device.port}/api", limits=some) as app,
    ):
        yield device, app


def error_of(asker: Asker) -> str:
    """The text of one of the proxy's own responses."""
    assert asker.is_whole
    assert asker.header(b"content-type") == b"text/plain; charset=utf-8"
    assert asker.header(b"content-length") == str(len(asker.body)).encode()
    return asker.body.decode().strip()


# --- requests and responses --------------------------------------------------------------------


async def test_a_request_and_its_response() -> None:
    async with proxied() as (device, app):
        headers = [(b"accept", b"a/b"), (b"x-forwarded-for", b"127.0.0.1"), (b"host", b"evil")]
        asker = await ask(app, "/x%20y?a=%2F..&b", "POST", headers=headers, body=b"\xe4\0")
        assert device.seen == [("POST", "/api/x%20y?a=%2F..&b")]
        assert asker.status == 200
        assert asker.is_whole
        seen = asker.json()
        assert seen["method"] == "POST"
        assert seen["body"] == "\xe4\0"
        assert dict(seen["headers"]) == {
            "host": f"127.0.0.1:{device.port}",
            "accept": "a/b",
            "x-forwarded-for": "unknown",
            "x-forwarded-proto": "https",
            "forwarded": "for=_alice;proto=https",
            "x-peer-id": "alice",
            "content-length": "2",
        }
        cookies = [value for name, value in asker.headers if name == b"set-cookie"]
        assert cookies == [b"id=1; Path=/api/", b"b=2"]
        assert asker.header(b"connection") is None


async def test_without_a_peer() -> None:
    async with proxied() as (_, app):
        seen = (await ask(app, "/", peer=None)).json()
        assert ["forwarded", "for=unknown;proto=https"] in seen["headers"]


async def test_cookies_belong_to_who_sends_them() -> None:
    async with proxied() as (_, app):
        await ask(app, "/")
        seen = (await ask(app, "/", headers=[(b"cookie", b"mine=1")])).json()
        assert [value for name, value in seen["headers"] if name == "cookie"] == ["mine=1"]
        seen = (await ask(app, "/")).json()
        assert "cookie" not in dict(seen["headers"])


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND", "get"])
async def test_methods_stay_as_they_are(method: str) -> None:
    async with proxied() as (device, app):
        asker = await ask(app, "/", method)
        assert asker.status == 200
        assert asker.is_whole
        assert (asker.body == b"") is (method == "HEAD")
        assert device.seen == [(method.upper(), "/api/")]  # hypercorn's own


@pytest.mark.parametrize("status", [200, 204, 304, 404, 500])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_responses_with_a_body_and_without(method: str, status: int) -> None:
    async with proxied() as (_, app):
        for _ in range(2):  # the second goes by the same connection
            asker = await ask(app, f"/status?{status}", method)
            assert (asker.status, asker.is_whole) == (status, True)
            assert asker.header(b"etag") == b'"1"'
            assert asker.header(b"content-length") == (None if status == 204 else b"5")
            has_body = method == "GET" and status not in (204, 304)
            assert asker.body == (b"hello" if has_body else b"")


async def test_a_body_in_parts_has_no_length() -> None:
    async def parts() -> AsyncGenerator[bytes]:
        for part in (b"a", b"", b"bc"):
            yield part

    async with proxied() as (_, app):
        seen = (await ask(app, "/", "PUT", body=parts())).json()
        assert seen["body"] == "abc"
        assert ["transfer-encoding", "chunked"] in seen["headers"]


async def test_a_request_without_a_body_says_nothing_of_one() -> None:
    async with proxied() as (_, app):
        for method in ("GET", "POST"):
            names = dict((await ask(app, "/", method)).json()["headers"])
            assert names.get("content-length", "0") == "0"
            assert "transfer-encoding" not in names


@pytest.mark.parametrize(
    ("location", "seen"),
    [
        ("http://127.0.0.1:PORT/api/x?y", "/x?y"),
        ("/api/x", "/x"),
        ("x", "/x"),
        ("/login", "/login"),
        ("https://elsewhere.example/api/", "https://elsewhere.example/api/"),
    ],
)
async def test_redirects_are_for_who_asks(location: str, seen: str) -> None:
    async with proxied() as (device, app):
        asker = await ask(app, "/moved?" + location.replace("PORT", str(device.port)))
        assert asker.status == 302
        assert asker.header(b"location") == seen.encode()
        assert len(device.seen) == 1


async def test_a_server_with_tls(tmp_path: Path) -> None:
    authority, files = trustme.CA(), Files(tmp_path / "c.pem", tmp_path / "k.pem")
    write(files, authority)
    root = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(root)
    async with open_device(files.certificate, files.key) as device:
        url = f"https://127.0.0.1:{device.port}/api/"
        async with Upstream(url, ca_file=str(root)) as app:
            assert (await ask(app, "/")).status == 200
        async with Upstream(url) as app:
            asker = await ask(app, "/")
            assert asker.status == 502
            assert error_of(asker) == "the server cannot be reached"


async def test_what_is_no_base_url() -> None:
    with pytest.raises(LocalProtocolError, match="base URL"):
        Upstream("file:///etc/")


async def test_the_environment_has_no_proxy_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    async with proxied() as (_, app):
        assert (await ask(app, "/")).status == 200


async def test_other_scopes() -> None:
    async with proxied() as (_, app):
        with pytest.raises(ValueError, match="lifespan"):
            await app({"type": "lifespan"}, trio.sleep_forever, trio.sleep_forever)  # type: ignore[arg-type]


async def test_a_host_without_raw_path() -> None:
    async with proxied() as (device, app):
        await ask(app, "/", raw_path=None, path="/ä b?c", query_string=b"")
        await ask(app, "/", raw_path=b"/x?y", query_string=b"y")
        assert [target for _, target in device.seen] == ["/api/%C3%A4%20b%3Fc", "/api/x?y"]


# --- streams ------------------------------------------------------------------------------------


async def test_events_arrive_when_they_are_sent() -> None:
    async with proxied() as (device, app), open_request(app, "/events") as asker:
        await asker.send(b"", more=False)
        await asker.until(body=b"data: 1\n\n")
        assert not asker.is_whole
        device.go_on.set()
        await asker.until(is_whole=True)
        assert asker.body == b"data: 1\n\ndata: 2\n\n"


async def test_fifty_megabytes_each_way_in_little_memory() -> None:
    count = 800
    digest = hashlib.sha256(PART * count).hexdigest()

    async def parts() -> AsyncGenerator[bytes]:
        for _ in range(count):
            yield PART

    async with proxied() as (_, app):
        await ask(app, "/stream?1")
        tracemalloc.start()
        try:
            down = await ask(app, f"/stream?{count}")
            up = await ask(app, "/hash", "POST", body=parts())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (down.size, down.is_whole) == (len(PART) * count, True)
    assert up.body.decode() == f"{len(PART) * count} {digest}"
    assert peak < 8_000_000


async def test_who_does_not_read_stops_the_sender() -> None:
    async with proxied() as (device, app), open_request(app, "/stream?100000") as asker:
        asker.reads = False
        await asker.send(b"", more=False)
        await device.until(lambda: bool(device.seen))
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert asker.size == 0
        assert device.parts * len(PART) < 20_000_000  # what is in the kernel's buffers


async def test_who_leaves_is_not_worked_for() -> None:
    async with proxied() as (device, app), open_request(app, "/hangs") as asker:
        await asker.send(b"", more=False)
        await device.until(lambda: bool(device.seen))
        await asker.leave()
        await asker.until(error=None)
        await device.until(lambda: device.left == ["/api/hangs"])
        with trio.fail_after(5):
            await asker.ended.wait()
        assert (asker.error, asker.status) == (None, 0)


async def test_who_leaves_in_the_middle_of_a_response() -> None:
    async with proxied() as (_, app), open_request(app, "/events") as asker:
        await asker.send(b"", more=False)
        await asker.until(body=b"data: 1\n\n")
        await asker.leave()
        with trio.fail_after(5):
            await asker.ended.wait()
        assert (asker.error, asker.is_whole) == (None, False)


async def test_who_leaves_in_the_middle_of_an_upload() -> None:
    async with proxied() as (device, app), open_request(app, "/hangs", "POST") as asker:
        await asker.send(b"x", more=True)
        await device.until(lambda: bool(device.seen))
        await asker.leave()
        await device.until(lambda: device.left == ["/api/hangs"])
        with trio.fail_after(5):
            await asker.ended.wait()
        assert (asker.error, asker.status) == (None, 0)


# --- limits ---------------------------------------------------------------------------------------


async def test_a_request_that_is_too_large() -> None:
    async def endless() -> AsyncGenerator[bytes]:
        while True:
            yield b"x" * 1000

    async with proxied(request_bytes=10_000) as (device, app):
        said = await ask(app, "/hash", "POST", headers=[(b"content-length", b"10001")])
        assert (said.status, device.seen) == (413, [])
        assert "10000 bytes" in error_of(said)
        assert (await ask(app, "/hash", "POST", body=endless())).status == 413
        assert (await ask(app, "/hash", "POST", body=b"x" * 10_000)).status == 200


@pytest.mark.parametrize("body", [b"123", b"12345"])
async def test_a_request_that_is_not_as_long_as_it_says(body: bytes) -> None:
    async with proxied() as (_, app):
        asker = await ask(app, "/hash", "POST", headers=[(b"content-length", b"4")], body=body)
        assert asker.status == 400
        assert "as long as it says" in error_of(asker)


async def test_a_request_that_does_not_come() -> None:
    async with proxied(part_timeout=0.05) as (device, app):
        async with open_request(app, "/hash", "POST") as asker:
            await asker.until(status=408)
        assert device.seen == []
        async with open_request(app, "/hash", "POST") as asker:
            await asker.send(b"x", more=True)
            await asker.until(status=408)


async def test_a_response_that_is_too_large() -> None:
    async with proxied(response_bytes=100_000) as (_, app):
        asker = await ask(app, "/stream?10")
        assert isinstance(asker.error, BrokenResponse)
        assert (asker.status, asker.is_whole) == (200, False)
        assert asker.size <= 100_000
    async with proxied(response_bytes=4) as (_, app):
        asker = await ask(app, "/status?200")
        assert asker.status == 502
        assert "4 bytes" in error_of(asker)
        assert (await ask(app, "/status?200", "HEAD")).status == 200


async def test_a_response_that_is_not_taken() -> None:
    async with proxied(part_timeout=0.05) as (_, app), open_request(app, "/stream?100") as asker:
        asker.reads = False
        await asker.send(b"", more=False)
        with trio.fail_after(5):
            await asker.ended.wait()
        assert isinstance(asker.error, BrokenResponse)


async def test_a_head_that_does_not_come() -> None:
    async with proxied(head_timeout=0.1) as (device, app):
        asker = await ask(app, "/hangs")
        assert asker.status == 504
        assert error_of(asker) == "the server takes too long"
        await device.until(lambda: device.left == ["/api/hangs"])


async def test_a_rest_that_does_not_come() -> None:
    async with proxied(part_timeout=0.3) as (_, app):
        asker = await ask(app, "/events")
        assert isinstance(asker.error, BrokenResponse)
        assert (asker.body, asker.is_whole) == (b"data: 1\n\n", False)


async def test_too_many_at_once() -> None:
    async with proxied(requests=1, connect_timeout=0.4) as (device, app):
        async with open_request(app, "/events") as first:
            await first.send(b"", more=False)
            await first.until(body=b"data: 1\n\n")
            asker = await ask(app, "/")
            assert asker.status == 503
            device.go_on.set()
            await first.until(is_whole=True)
        assert (await ask(app, "/")).status == 200


async def test_what_waits_gets_its_turn() -> None:
    async with proxied(requests=2) as (device, app):
        statuses = []

        async def once(number: int) -> None:
            statuses.append((await ask(app, f"/{number}")).status)

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(once, number)
        assert statuses == [200] * 50
        assert len(device.seen) == 50


async def test_the_text_of_an_error_is_not_for_head() -> None:
    async with proxied() as (_, app):
        asker = await ask(app, "/../x", "HEAD")
        assert (asker.status, asker.body, asker.is_whole) == (400, b"", True)
