"""``peerjs tunnel``, as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from peerjs_trio.__main__ import main
from peerjs_trio.cli.peer_options import SECRET_VARIABLE
from tests.http.sides import App, Sides, open_sides
from tests.readme import ROOT
from tests.trio.test_cli_serve import read


@pytest.fixture
async def sides(nursery: trio.Nursery) -> AsyncIterator[Sides]:
    async with open_sides() as sides:
        nursery.start_soon(sides.serve, App())
        yield sides


@asynccontextmanager
async def run_tunnel(state: Path, *arguments: str) -> AsyncGenerator[trio.Process]:
    variables = {name: value for name, value in os.environ.items() if name != SECRET_VARIABLE}
    start = partial(
        trio.run_process,
        [sys.executable, "-W", "error", "-m", "peerjs_trio", "tunnel", *arguments],
        env={**variables, "XDG_STATE_HOME": str(state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        cwd=ROOT,
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(start)
        assert process.stdout is not None
        assert process.stderr is not None
        async with process.stdout, process.stderr:
            yield process
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_it_says_where_it_is_and_ends_in_peace(sides: Sides, tmp_path: Path) -> None:
    options = ("--server", sides.url, "--listen", "127.0.0.1:0", "--allow-host", "device.test")
    async with run_tunnel(tmp_path, "device", *options) as process:
        said = await read(process.stdout, until="\n")
        url = said.split()[0]
        assert said == f"{url} leads to device  (Ctrl-C stops it)\n"
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            assert (await client.get("/")).text == "hello"
            for host, status in (("device.test", 200), ("evil.test", 421)):
                assert (await client.get("/", headers={"host": host})).status_code == status
        process.send_signal(signal.SIGINT)
        with trio.fail_after(20):
            assert await process.wait() == 0
        assert await read(process.stderr) == ""


@pytest.mark.trio
@pytest.mark.parametrize(
    ("peer", "listen", "status", "words"),
    [
        ("nobody", "127.0.0.1:0", 6, "could not connect to peer 'nobody'"),
        ("device", "192.0.2.1:0", 1, "192.0.2.1:0: "),
    ],
)
async def test_it_says_why_it_does_not_start(
    sides: Sides, tmp_path: Path, peer: str, listen: str, status: int, words: str
) -> None:
    options = ("--server", sides.url, "--listen", listen)
    async with run_tunnel(tmp_path, peer, *options) as process:
        said = await read(process.stderr)
        assert said.startswith(f"peerjs tunnel: {words}")
        assert said.count("\n") == 1
        assert await process.wait() == status


@pytest.mark.parametrize("listen", ["8080", ":8080", "localhost:", "localhost:x", "a:70000"])
def test_what_is_no_address(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tunnel", "device", "--listen", listen])
    assert ended.value.code == 2
    assert "no HOST:PORT" in capsys.readouterr().err
