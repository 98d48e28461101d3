"""``peerjs serve --workers``: processes on one port, that are as one server."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio_websocket

from tests.trio.server_clients import open_client, until
from tests.trio.test_cli_serve import read, run_serve

from .crowd import Node
from .hubs import new_name
from .redis_server import RedisServer

pytestmark = pytest.mark.trio

HERE = ("--host", "127.0.0.1", "--port", "0")


def children(pid: int) -> list[int]:
    """Processes that a process has forked."""
    return [int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        # One that has ended, and that nobody has waited for, is a zombie.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@asynccontextmanager
async def serve(redis: RedisServer, *arguments: str) -> AsyncIterator[Node]:
    bus = ("--redis", redis.url, "--redis-name", new_name(), "--workers", "2")
    async with run_serve(*HERE, *bus, *arguments) as process:
        said = await read(process.stdout, until="open_peer")
        port = int(said.split()[2].split(":")[2].strip("/"))
        await until(lambda: len(children(process.pid)) == 2)
        yield Node(process, port)


async def test_they_are_as_one(redis: RedisServer) -> None:
    async with serve(redis) as node, AsyncExitStack() as stack:
        ids = [f"peer{number}" for number in range(24)]
        clients = {id: await stack.enter_async_context(open_client(node, id)) for id in ids}
        for client in clients.values():
            assert (await client.receive())["type"] == "OPEN"
        for id in ids:
            for other in ids:
                await clients[id].send("OFFER", other)
        for client in clients.values():
            assert {(await client.receive())["src"] for _ in ids} == set(ids)
        node.process.send_signal(signal.SIGTERM)
        for client in clients.values():
            assert (await client.closed())[0] == 1001
        with trio.fail_after(20):
            assert await node.process.wait() == 0


async def test_one_that_dies_is_followed_by_another(redis: RedisServer) -> None:
    async with serve(redis) as node, AsyncExitStack() as stack:
        ids = [f"peer{number}" for number in range(12)]
        clients = {id: await stack.enter_async_context(open_client(node, id)) for id in ids}
        for client in clients.values():
            assert (await client.receive())["type"] == "OPEN"
        before = children(node.process.pid)
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: len({*children(node.process.pid)} - {*before}) == 1)
        gone = []
        for id, client in clients.items():
            try:
                await client.send("OFFER", id)
                await client.receive()
            except trio_websocket.ConnectionClosed:
                gone.append(id)
        assert 0 < len(gone) < len(ids)
        for id in gone:
            clients[id] = await stack.enter_async_context(open_client(node, id))
            assert (await clients[id].receive())["type"] == "OPEN"
            await clients[id].send("OFFER", ids[0])


async def test_they_do_not_outlive_who_watches_them(redis: RedisServer) -> None:
    async with serve(redis) as node:
        workers = children(node.process.pid)
        node.process.kill()
        await until(lambda: not any(is_running(pid) for pid in workers))


async def test_one_that_is_told_to_stop_before_it_serves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # in place of a Redis that hangs
        bus = ("--redis", f"redis://127.0.0.1:{silent.getsockname()[1]}")
        async with run_serve(*HERE, *bus) as process:
            connection, _ = await trio.to_thread.run_sync(silent.accept)
            with connection, trio.fail_after(20):
                process.terminate()
                assert await process.wait() == 0


async def test_a_signal_is_passed_on(redis: RedisServer) -> None:
    async with serve(redis) as node:
        node.process.send_signal(signal.SIGHUP)
        assert "nothing_to_reload" in await read(node.process.stderr, until="nothing_to_reload")


async def test_one_that_cannot_begin(redis: RedisServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        bus = ("--redis", redis.url, "--workers", "2")
        for arguments in (
            ("--host", "127.0.0.1", "--port", port),
            (*HERE, "--metrics-port", port),
        ):
            async with run_serve(*arguments, *bus) as process:
                assert "already in use" in await read(process.stderr)
                with trio.fail_after(20):
                    assert await process.wait() == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--workers", "2"), "more than one needs redis"),
        (("--workers", "0"), "there is one at least"),
        (("--redis", "redis://:secret@", "--workers", "2"), "names a host"),
    ],
)
async def test_what_they_need(arguments: tuple[str, ...], text: str) -> None:
    async with run_serve(*HERE, *arguments) as process:
        said = await read(process.stderr)
        assert text in said
        assert "secret" not in said
        with trio.fail_after(20):
            assert await process.wait() == 2
