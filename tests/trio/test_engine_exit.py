"""A program's end: at once, by its own status, and without a word from an engine's threads."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import Final

import pytest
import trio

from peerjs_trio import Peer, open_peer, open_server
from tests.readme import ROOT
from tests.trio.sides import LIMIT

pytestmark = pytest.mark.trio

REPEATS: Final = 4
"Threads of C++ that end with the interpreter are a matter of chance."

PROGRAM: Final = """
import sys, trio
from peerjs_trio import open_peer

async def main(server, engine, end):
    async with open_peer(server=server, engine=engine) as peer:
        conn = await peer.connect("host", reliable=True)
        for _ in range(20):
            await conn.send(b"x" * 100_000)
        print(await conn.receive(), flush=True)
        if end == "raise":
            raise SystemExit(3)
        if end == "wait":
            await trio.sleep_forever()

trio.run(main, *sys.argv[1:])
"""

ENDS: Final = {"leave": 0, "raise": 3, "wait": -signal.SIGINT}
"How the program ends, and its exit status."


async def answer(host: Peer) -> None:
    async for conn in host.incoming_connections():
        await conn.send("hello")


@pytest.mark.parametrize("engine", ["aiortc", "wrtc"])
@pytest.mark.parametrize("end", ENDS)
async def test_a_program_ends(engine: str, end: str) -> None:
    async with (
        open_server() as server,
        open_peer("host", server=server.url) as host,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(answer, host)
        for _ in range(REPEATS):
            assert await run(server.url, engine, end) == (ENDS[end], "")
        nursery.cancel_scope.cancel()


async def run(server: str, engine: str, end: str) -> tuple[int, str]:
    """Its exit status, and its complaints but for the KeyboardInterrupt's traceback."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-W", "error", "-X", "faulthandler", "-c", PROGRAM, server, engine, end],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    complaints = b""
    try:
        with trio.fail_after(LIMIT):
            said = await process.stdout.receive_some()
            if end == "wait" and said:
                process.send_signal(signal.SIGINT)
            async for more in process.stderr:
                complaints += more
            status = await process.wait()
    finally:
        process.kill()
    text = complaints.decode()
    if end == "wait":
        text = re.sub(r"\ATraceback .*\nKeyboardInterrupt\n\Z", "", text, flags=re.DOTALL)
    return status, text
