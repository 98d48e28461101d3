"""A local port that leads to another peer: httpx, curl and bare sockets on one side of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import attrs
import httpx
import pytest
import trio

from peerjs_trio.http.transport import open_transport
from peerjs_trio.http.tunnel import TunnelLimits, serve_tunnel
from peerjs_trio.rtc.choice import EngineName
from tests.http.sides import PART, App, Sides, open_sides
from tests.interop.programs import find_program

pytestmark = pytest.mark.trio


@attrs.frozen
class Tunnel:
    port: int
    app: App
    sides: Sides

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def talk(self, *lines: str, body: bytes = b"") -> bytes:
        """Say this on a fresh connection; all that comes back."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            await stream.send_all("\r\n".join([*lines, "", ""]).encode() + body)
            answer = b""
            with trio.fail_after(20):
                async for part in stream:
                    answer += part
            return answer

    async def status(self, *lines: str, body: bytes = b"") -> int:
        return int((await self.talk(*lines, body=body)).split()[1])


@asynccontextmanager
async def open_tunnel(engine: EngineName = "aiortc", **options: Any) -> AsyncGenerator[Tunnel]:
    app = App()
    async with open_sides(engine) as sides, trio.open_nursery() as nursery:
        nursery.start_soon(sides.serve, app)
        async with open_transport(sides.alice, "device") as transport:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(partial(serve_tunnel, transport, listeners, **options))
            yield Tunnel(listeners[0].socket.getsockname()[1], app, sides)
            nursery.cancel_scope.cancel()


@pytest.fixture
async def tunnel() -> AsyncIterator[Tunnel]:
    async with open_tunnel() as tunnel:
        yield tunnel


@pytest.fixture
async def client(tunnel: Tunnel) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=tunnel.url, timeout=20) as client:
        yield client


# --- what goes through -------------------------------------------------------------------------


async def test_a_request_and_its_response(client: httpx.AsyncClient, tunnel: Tunnel) -> None:
    body = os.urandom(300_000)
    for _ in range(2):
        headers = {"x-a": "1", "keep-alive": "5", "connection": "keep-alive, x-b", "x-b": "2"}
        response = await client.post("/echo/%2e?q=%20", content=body, headers=headers)
        assert (response.status_code, response.content) == (200, body)
        assert response.headers["x-a"] == "1"
        assert "x-b" not in response.headers
    scope = tunnel.app.scopes[0]
    assert (scope["raw_path"], scope["query_string"]) == (b"/echo/%2e", b"q=%20")
    names = [name for name, _ in scope["headers"]]
    assert not {b"connection", b"keep-alive", b"transfer-encoding"} & set(names)


async def test_a_connection_is_kept(client: httpx.AsyncClient, tunnel: Tunnel) -> None:
    streams = set()
    for _ in range(3):
        response = await client.get("/")
        assert response.text == "hello"
        streams.add(response.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(streams) == 1


@pytest.mark.parametrize(
    ("method", "target", "status", "body"),
    [
        ("HEAD", "/status?200", 200, b""),
        ("GET", "/status?204", 204, b""),
        ("GET", "/status?304", 304, b""),
        ("GET", "/status?599", 599, b"hello"),
        ("BREW", "/status?418", 418, b"hello"),
    ],
)
async def test_any_method_and_status(
    client: httpx.AsyncClient, method: str, target: str, status: int, body: bytes
) -> None:
    for _ in range(2):
        response = await client.request(method, target)
        assert (response.status_code, response.content) == (status, body)
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]


async def test_both_bodies_come_as_they_are_made(client: httpx.AsyncClient, tunnel: Tunnel) -> None:
    async with client.stream("GET", "/events") as response:
        parts = response.aiter_bytes()
        assert await anext(parts) == b"data: 1\n\n"
        tunnel.app.go_on.set()
        assert [part async for part in parts] == [b"data: 2\n\n"]

    async def said() -> AsyncGenerator[bytes]:
        yield b"first"
        await tunnel.app.until(lambda: tunnel.app.parts == 1)
        yield b"second"

    assert (await client.post("/count", content=said())).text == "11"


@pytest.fixture
async def fast() -> AsyncIterator[Tunnel]:
    async with open_tunnel("wrtc") as tunnel:
        yield tunnel


async def test_a_reader_that_waits_stops_the_device(fast: Tunnel) -> None:
    """The kernel's buffers on the way take some; they do not take sixteen megabytes."""
    app, size = fast.app, 0
    async with (
        httpx.AsyncClient() as client,
        client.stream("GET", f"{fast.url}/stream?256") as response,
    ):
        parts = response.aiter_raw()
        size += len(await anext(parts))
        before = -1
        while app.parts > before:
            before = app.parts
            await trio.sleep(0.3)
        assert app.parts < 200
        async for part in parts:
            size += len(part)
    assert size == 256 * len(PART)


async def test_a_writer_that_is_not_read_stops(fast: Tunnel) -> None:
    app, made = fast.app, 0

    async def body() -> AsyncGenerator[bytes]:
        nonlocal made
        for made in range(1, 257):  # noqa: B007
            yield PART

    async with trio.open_nursery() as nursery:
        answers: list[str] = []

        async def ask() -> None:
            async with httpx.AsyncClient(timeout=20) as client:
                url = f"{fast.url}/count?wait"
                answers.append((await client.post(url, content=body())).text)

        nursery.start_soon(ask)
        before = -1
        while made > before:
            before = made
            await trio.sleep(0.3)
        assert made < 200
        app.go_on.set()
    assert answers == [str(256 * len(PART))]


async def test_who_asks_before_sending_is_told_to_go_on(tunnel: Tunnel) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", tunnel.port) as stream:
        await stream.send_all(
            b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
            b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        with trio.fail_after(10):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
            await stream.send_all(b"body")
            answer = b""
            async for part in stream:
                answer += part
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert tunnel.app.bytes == 4
    assert b"expect" not in dict(tunnel.app.scopes[0]["headers"])


async def test_a_refusal_before_the_body_has_come_is_the_end(tunnel: Tunnel) -> None:
    answer = await tunnel.talk("POST /early HTTP/1.1", "Host: localhost", "Content-Length: 4")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


async def test_requests_in_a_row_without_waiting(tunnel: Tunnel) -> None:
    lines = ("GET /hello HTTP/1.1", "Host: localhost", "")
    answer = await tunnel.talk(*lines, *lines, "GET / HTTP/1.1", "Host: a", "Connection: close")
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.count(b"HTTP/1.1 421 ") == 1


async def test_http_1_0(tunnel: Tunnel) -> None:
    answer = await tunnel.talk("GET /stream?2 HTTP/1.0", "Host: localhost")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n" + PART * 2)


async def test_a_proxy_s_form_of_a_url(tunnel: Tunnel) -> None:
    ends = ("Host: localhost", "Connection: close")
    assert await tunnel.status("GET http://localhost:80/hello HTTP/1.1", *ends) == 200
    assert await tunnel.status("GET http://evil.example/hello HTTP/1.1", *ends) == 421
    assert await tunnel.status("OPTIONS * HTTP/1.1", *ends) == 400
    assert await tunnel.status("CONNECT a.example:443 HTTP/1.1", *ends) == 400


# --- what does not -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Host: localhost:8080"], 200),
        (["Host: 127.0.0.1"], 200),
        (["Host: LOCALHOST"], 200),
        (["Host: [::1]:80"], 200),
        (["Host: evil.example"], 421),
        (["Host: localhost.evil.example"], 421),
        (["Host: localhost@evil.example"], 421),
        (["Host: "], 421),
        ([], 400),
        (["Host: localhost", "Host: localhost"], 400),
        (["Host: localhost", "Origin: http://localhost:3000"], 200),
        (["Host: localhost", "Origin: https://evil.example"], 403),
        (["Host: localhost", "Origin: null"], 403),
    ],
)
async def test_only_under_its_own_names(headers: list[str], status: int) -> None:
    async with open_tunnel() as tunnel:
        assert await tunnel.status("GET /hello HTTP/1.1", *headers, "Connection: close") == status
        assert len(tunnel.app.scopes) == (status == 200)


async def test_other_names_if_it_is_told() -> None:
    async with open_tunnel(hosts=["device.test"]) as tunnel:
        for host, status in (("Device.Test:1", 200), ("localhost", 421)):
            head = ("GET / HTTP/1.1", f"Host: {host}", "Connection: close")
            assert await tunnel.status(*head) == status


async def test_what_is_no_http(tunnel: Tunnel) -> None:
    assert await tunnel.status("hello?") == 400
    host = "Host: localhost"
    assert await tunnel.status("GET / HTTP/1.1", host, "Content-Length: x") == 400
    assert await tunnel.status("GET / HTTP/1.1", host, f"x-a: {'a' * 40_000}") == 431
    chunked = ("POST /count HTTP/1.1", host, "Transfer-Encoding: chunked")
    assert await tunnel.status(*chunked, body=b"zzz\r\n") == 400


async def test_bodies_have_a_limit_if_it_is_told() -> None:
    async with open_tunnel(limits=TunnelLimits(request_bytes=10)) as tunnel:
        head = ("POST /count HTTP/1.1", "Host: localhost")
        assert await tunnel.status(*head, "Content-Length: 11", body=b"x" * 11) == 413
        chunks = b"6\r\n123456\r\n6\r\n123456\r\n0\r\n\r\n"
        assert await tunnel.status(*head, "Transfer-Encoding: chunked", body=chunks) == 413


async def test_who_is_slow_is_not_waited_for() -> None:
    limits = TunnelLimits(head_timeout=0.2, idle_timeout=0.3, part_timeout=0.2)
    async with open_tunnel(limits=limits) as tunnel:
        async with await trio.open_tcp_stream("127.0.0.1", tunnel.port) as stream:
            with trio.fail_after(10):
                assert await stream.receive_some() == b""
        async with await trio.open_tcp_stream("127.0.0.1", tunnel.port) as stream:
            await stream.send_all(b"GET / HT")
            with trio.fail_after(10):
                assert b" 408 " in await stream.receive_some()
        head = ("POST /count HTTP/1.1", "Host: localhost", "Content-Length: 11")
        assert await tunnel.status(*head, body=b"x") == 408
        await tunnel.app.until(lambda: bool(tunnel.app.ends))


async def test_connections_have_a_limit() -> None:
    async with open_tunnel(limits=TunnelLimits(connections=1)) as tunnel:
        first = await trio.open_tcp_stream("127.0.0.1", tunnel.port)
        await first.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await first.receive_some()
        async with trio.open_nursery() as nursery:
            second = partial(tunnel.talk, "GET / HTTP/1.1", "Host: localhost", "Connection: close")
            nursery.start_soon(second)
            await trio.testing.wait_all_tasks_blocked(0.1)
            assert len(tunnel.app.scopes) == 1
            await first.aclose()
        assert len(tunnel.app.scopes) == 2


# --- the peer --------------------------------------------------------------------------------


async def test_a_peer_that_is_gone_is_a_502_until_it_is_back(
    client: httpx.AsyncClient, tunnel: Tunnel
) -> None:
    device = tunnel.sides.device
    await device.disconnect()
    (connection,) = device.connections
    await connection.aclose()
    with trio.fail_after(10):
        while tunnel.sides.alice.connections:
            await trio.lowlevel.checkpoint()
    response = await client.get("/")
    assert response.status_code == 502
    assert "device" in response.text
    assert (await client.head("/")).status_code == 502
    await device.reconnect()
    assert (await client.get("/")).text == "hello"


async def test_a_peer_that_says_nothing_is_a_504() -> None:
    limits = TunnelLimits(peer_timeout=0.3)
    async with open_tunnel(limits=limits) as tunnel, httpx.AsyncClient() as client:
        response = await client.get(f"{tunnel.url}/never")
        assert (response.status_code, response.text) == (504, "there was no response in time\n")
        await tunnel.app.until(lambda: tunnel.app.ends == ["broke off never"])


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_response_that_breaks_off_does_not_look_whole(
    tunnel: Tunnel, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", tunnel.port) as stream:
        head = f"GET /breaks HTTP/{version}\r\nHost: localhost\r\n\r\n"
        await stream.send_all(head.encode())
        answer = b""
        with suppress(trio.BrokenResourceError), trio.fail_after(10):
            while data := await stream.receive_some():
                answer += data
            pytest.fail("the connection ended in good order")
    assert not answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("path", ["never", "stream?100000"])
async def test_who_leaves_is_not_answered(tunnel: Tunnel, path: str) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", tunnel.port) as stream:
        await stream.send_all(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await tunnel.app.until(lambda: bool(tunnel.app.scopes))
    await tunnel.app.until(lambda: bool(tunnel.app.ends))
    assert tunnel.app.ends == [f"broke off {path.partition('?')[0]}"]


# --- curl ------------------------------------------------------------------------------------


async def test_curl_there_and_back(tunnel: Tunnel, tmp_path: Any) -> None:
    curl = find_program("curl", install="apt-get install curl")
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(1_000_000))
    command = [curl, "-sS", "--fail", "-T", sent, "-o", back, f"{tunnel.url}/echo"]
    with trio.fail_after(60):
        await trio.run_process(command)
    assert hashlib.sha256(back.read_bytes()).digest() == hashlib.sha256(sent.read_bytes()).digest()


async def test_curl_is_told_of_an_early_answer(tunnel: Tunnel, tmp_path: Any) -> None:
    curl = find_program("curl", install="apt-get install curl")
    sent = tmp_path / "sent"
    with sent.open("wb") as file:
        file.truncate(20_000_000)
    command = [curl, "-sS", "-w", "%{http_code}", "--data-binary", f"@{sent}"]
    with trio.fail_after(60):
        done = await trio.run_process([*command, f"{tunnel.url}/early"], capture_stdout=True)
    assert done.stdout == b"too much413"
