"""The programs in examples/, each as a process of its own, with our peers on a real server."""

from __future__ import annotations

import signal
from typing import Any, Final

import anyio
import pytest
import trio

from peerjs_trio import DataConnection, open_peer, open_server
from tests.examples import EXAMPLES, PATIENCE, run
from tests.interop.values import Made

pytestmark = pytest.mark.trio

VALUES: Final[list[Any]] = [
    {"nested": [1, 2.5, None, True, {"bytes": b"\x00\xff" * 10}], "text": "é😀"},
    b"",
    *(Made("bytes", size).value() for size in (16_290, 16_300, 16_301)),
    {"chunked": [Made("bytes", 100_000).value(), Made("text", 50_000).value()]},
    Made("bytes", 2 << 20).value(),  # more than a channel's buffer takes
]


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
