"""Servers behind the proxy that break off, speak nonsense, or are not there."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from peerjs_trio.http.upstream import BrokenResponse, Upstream
from peerjs_trio.http.upstream_request import UpstreamLimits
from tests.http.asking import ask, open_request
from tests.http.device import open_socket_server, read_head

pytestmark = pytest.mark.trio

LIMITS = UpstreamLimits(connect_timeout=5, head_timeout=5, part_timeout=5)


@asynccontextmanager
async def in_front_of(
    answer: Callable[[trio.SocketStream], Awaitable[None]],
) -> AsyncIterator[Upstream]:
    async with (
        open_socket_server(answer) as port,
        Upstream(f"http://127.0.0.1:{port}/api/", limits=LIMITS) as app,
    ):
        yield app


def says(*data: bytes) -> Callable[[trio.SocketStream], Awaitable[None]]:
    """A server that reads a request's head, and answers with these bytes."""

    async def answer(stream: trio.SocketStream) -> None:
        await read_head(stream)
        for part in data:
            await stream.send_all(part)

    return answer


HEAD = b"HTTP/1.1 200 OK\r\n"


async def test_nobody_is_there(caplog: pytest.LogCaptureFixture) -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with caplog.at_level(logging.WARNING, "peerjs_trio"):
            async with Upstream(f"http://127.0.0.1:{port}/api/") as app:
                asker = await ask(app, "/secret?token=1")
    assert asker.status == 502
    assert asker.body == b"the server cannot be reached\n"
    assert str(port) in caplog.text  # for whoever runs it
    assert "token" not in caplog.text


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 999 What\r\n\r\n",
        b"HTTP/1.1 99 What\r\n\r\n",
        HEAD + b"no header\r\n\r\n",
        HEAD + b"a b: c\r\n\r\n",
        HEAD + b"a: b\r c\r\n\r\n",
        HEAD + b"a: \0\r\n\r\n",
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\nx",
        HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n",
        HEAD + b"a: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_response(said: bytes) -> None:
    async with in_front_of(says(said)) as app:
        asker = await ask(app, "/")
        assert (asker.error, asker.status) == (None, 502)


@pytest.mark.parametrize(
    "said",
    [
        HEAD + b"content-length: 10\r\n\r\nhello",
        HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n",
    ],
)
async def test_what_breaks_off_never_ends(said: bytes) -> None:
    async with in_front_of(says(said)) as app:
        asker = await ask(app, "/")
        assert isinstance(asker.error, BrokenResponse)
        assert (asker.status, asker.body, asker.is_whole) == (200, b"hello", False)


async def test_a_body_that_ends_with_its_connection() -> None:
    async with in_front_of(says(HEAD + b"\r\nhel", b"lo")) as app:
        asker = await ask(app, "/")
        assert (asker.error, asker.body, asker.is_whole) == (None, b"hello", True)


async def test_a_length_counts_for_nothing_beside_chunks() -> None:
    said = b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    async with in_front_of(says(HEAD + said)) as app:
        asker = await ask(app, "/")
        assert (asker.body, asker.is_whole) == (b"hello", True)
        assert asker.header(b"content-length") is None


async def test_more_than_the_length_belongs_to_nobody() -> None:
    said = HEAD + b"content-length: 5\r\n\r\nhello" + HEAD + b"content-length: 4\r\n\r\nevil"
    async with in_front_of(says(said)) as app:
        for _ in range(2):
            asker = await ask(app, "/")
            assert (asker.body, asker.is_whole) == (b"hello", True)


async def test_interim_responses_stay_here() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with in_front_of(says(interim + HEAD + b"content-length: 2\r\n\r\nok")) as app:
        asker = await ask(app, "/", "POST", headers=[(b"expect", b"100-continue")], body=b"x")
        assert (asker.status, asker.body, asker.is_whole) == (200, b"ok", True)


async def test_an_answer_before_the_body_has_ended() -> None:
    heads = []

    async def answer(stream: trio.SocketStream) -> None:
        heads.append(await read_head(stream))
        await stream.send_all(b"HTTP/1.1 413 Too Much\r\ncontent-length: 2\r\n\r\nno")

    async def endless() -> AsyncGenerator[bytes]:
        while True:
            yield b"x" * 65_536

    async with in_front_of(answer) as app:
        asker = await ask(app, "/", "POST", body=endless())
        # Where its end of the connection is gone before it has been read, there is no answer.
        assert asker.status in (413, 502)
        assert len(heads) == 1


async def test_who_is_gone_meanwhile_is_asked_anew() -> None:
    """A connection that the server has closed is not used again."""
    answered = 0

    async def answer(stream: trio.SocketStream) -> None:
        nonlocal answered
        await read_head(stream)
        answered += 1
        await stream.send_all(HEAD + b"content-length: 2\r\n\r\nok")

    async with in_front_of(answer) as app:
        for _ in range(3):
            asker = await ask(app, "/", "POST", body=b"x")
            assert (asker.status, asker.is_whole) == (200, True)
    assert answered == 3


async def test_what_is_cut_off_is_no_request() -> None:
    """A client that leaves in the middle of a body has not sent that body, to the server."""
    seen = list[bytes]()

    async def answer(stream: trio.SocketStream) -> None:
        data = b""
        async for part in stream:
            data += part
            if b"hello" in data:
                begun.set()
        seen.append(data)
        ended.set()

    for headers in ([], [(b"content-length", b"10")]):
        begun, ended = trio.Event(), trio.Event()
        async with (
            in_front_of(answer) as app,
            open_request(app, "/", "POST", headers=headers) as asker,
        ):
            await asker.send(b"hello", more=True)
            with trio.fail_after(5):
                await begun.wait()
                await asker.leave()
                await ended.wait()
    assert seen[0].endswith(b"5\r\nhello\r\n")
    assert seen[1].endswith(b"\r\n\r\nhello")
