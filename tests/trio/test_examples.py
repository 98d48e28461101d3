"""The programs in examples/, each as a process of its own, with our peers on a real server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import anyio
import pytest
import trio

from peerjs_trio import DataConnection, open_peer, open_server
from tests.interop.values import Made
from tests.readme import ROOT

pytestmark = pytest.mark.trio

EXAMPLES: Final = sorted(path.name for path in (ROOT / "examples").glob("embed_*.py"))

VALUES: Final[list[Any]] = [
    {"nested": [1, 2.5, None, True, {"bytes": b"\x00\xff" * 10}], "text": "é😀"},
    b"",
    *(Made("bytes", size).value() for size in (16_290, 16_300, 16_301)),
    {"chunked": [Made("bytes", 100_000).value(), Made("text", 50_000).value()]},
    Made("bytes", 2 << 20).value(),  # more than a channel's buffer takes
]

PATIENCE: Final = 60
"Seconds after which something will never happen."


class Program:
    """An example that runs."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.said = ""

    async def says(self, pattern: str) -> str:
        """Wait for it to print this; the group in it."""
        assert self.process.stdout is not None
        with trio.fail_after(PATIENCE):
            while not (found := re.search(pattern, self.said)):
                more = await self.process.stdout.receive_some()
                assert more, f"it ended, having said: {self.said}"
                self.said += more.decode()
        return found[1] if found.lastindex else found[0]

    async def ends(self) -> tuple[int, str]:
        """Its exit status, and what it has to say about errors."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        complaints = b""
        with trio.fail_after(PATIENCE):
            async for more in self.process.stdout:
                self.said += more.decode()
            async for more in self.process.stderr:
                complaints += more
            return await self.process.wait(), complaints.decode()


@asynccontextmanager
async def run(example: str, server: str, *arguments: str) -> AsyncIterator[Program]:
    # Autobahn and Twisted have deprecations of their own; the others' warnings would be ours.
    strict = () if "twisted" in example else ("-W", "error")
    command = [sys.executable, *strict, f"examples/{example}", "--server", server, *arguments]
    start = partial(
        trio.run_process,
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(start)
        assert process.stdout is not None
        assert process.stderr is not None
        async with process.stdout, process.stderr:
            yield Program(process)
        nursery.cancel_scope.cancel()


async def exchange(conn: DataConnection, value: Any) -> Any:
    """What comes back. Both at once: a large value does not fit into the buffers."""
    with trio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(conn.send, value)
            return await conn.receive()


@pytest.mark.parametrize("example", EXAMPLES)
async def test_it_sends_back_what_it_is_sent(example: str) -> None:
    async with (
        open_server() as server,
        run(example, server.url, "--id", "example") as program,
        open_peer("alice", server=server.url) as alice,
    ):
        await program.says("PeerOpened.*'example'")
        for reliable in (False, True):
            conn = await alice.connect("example", reliable=reliable)
            for value in VALUES:
                assert await exchange(conn, value) == value
            await conn.aclose(flush=True)
            await program.says(rf"DataConnectionClosed\(connection={1 + reliable}, error=None\)")
        conn = await alice.connect("example")
        await conn.send(1)
        assert await conn.receive() == 1
        program.process.send_signal(signal.SIGINT)
        with trio.fail_after(PATIENCE), pytest.raises(anyio.EndOfStream):
            await conn.receive()
        assert await program.ends() == (0, "")


@pytest.mark.parametrize("example", EXAMPLES)
async def test_it_dials(example: str) -> None:
    async with (
        open_server() as server,
        open_peer("alice", server=server.url) as alice,
        run(example, server.url, "--connect", "alice") as program,
    ):
        id = await program.says("PeerOpened.*'([0-9a-f-]{36})'")  # the server chose it
        with trio.fail_after(PATIENCE):
            conn = await anext(alice.incoming_connections())
            assert conn.peer == id
            value = await conn.receive()
            assert value["nested"] == [1, 2.5, None, {"bytes": b"\x00\xff"}]
            assert len(value["large"]) == 100_000
            await conn.send(value)
            with pytest.raises(anyio.EndOfStream):
                await conn.receive()
        assert await program.ends() == (0, "")
        assert "the same came back: True" in program.said


@pytest.mark.parametrize("example", EXAMPLES)
async def test_it_says_what_went_wrong(example: str) -> None:
    async with open_server(expire_timeout=0.1) as server:
        gone = f"http://127.0.0.1:{server.port}/not/here/"
        async with (
            open_peer("alice", server=server.url),
            run(example, server.url, "--connect", "nobody") as absent,
            run(example, server.url, "--id", "alice") as taken,
            run(example, gone) as nameless,
            run(example, gone, "--id", "bob") as named,
        ):
            for program, complaint in (
                (absent, "peer-unavailable: could not connect to peer 'nobody'"),
                (taken, "unavailable-id: the id 'alice' is taken"),
                (nameless, "server-error: asked for an id, the server answered with status 404"),
                (named, "network: could not register with the server: "),
            ):
                status, complaints = await program.ends()
                assert status == 1
                assert complaints.startswith(complaint)
                assert complaints.count("\n") == 1
        dead = server.url
    for arguments in ((), ("--id", "bob")):
        async with run(example, dead, *arguments) as program:
            status, complaints = await program.ends()
            assert (status, complaints.count("\n")) == (1, 1)
            assert complaints.startswith("network: could not ")


@pytest.mark.parametrize("example", EXAMPLES)
async def test_it_ends_when_the_server_does(example: str) -> None:
    stop = trio.Event()

    async def serve(task_status: trio.TaskStatus[str]) -> None:
        async with open_server() as server:
            task_status.started(server.url)
            await stop.wait()

    async with trio.open_nursery() as nursery, run(example, await nursery.start(serve)) as program:
        await program.says("PeerOpened")
        stop.set()
        status, complaints = await program.ends()
        assert (status, complaints.count("\n")) == (1, 1)
        assert complaints.startswith("network: lost the connection to the server: ")
