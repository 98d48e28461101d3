"""``peerjs serve``, as a process of its own; and what is said where its libraries are missing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from peerjs_trio.server import open_server

COMMAND = (
    "import argparse, sys; from peerjs_trio.cli import serve; p = argparse.ArgumentParser(); "
    "serve.add_parser(p.add_subparsers()); a = p.parse_args(); sys.exit(a.run(a))"
)


@asynccontextmanager
async def run_serve(*arguments: str) -> AsyncIterator[trio.Process]:
    start = partial(
        trio.run_process,
        [sys.executable, "-W", "error", "-c", COMMAND, "serve", *arguments],
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
            yield process
        nursery.cancel_scope.cancel()


async def read(stream: trio.abc.ReceiveStream | None, until: str = "\0") -> str:
    assert stream is not None
    text = ""
    with trio.fail_after(30):
        while until not in text and (data := await stream.receive_some()):
            text += data.decode()
    return text


@pytest.mark.trio
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_where_it_is_and_ends_in_peace(stop: signal.Signals) -> None:
    arguments = ("--host", "127.0.0.1", "--port", "0", "--path", "app", "--key", "my key")
    async with run_serve(*arguments) as process:
        said = await read(process.stdout, until="open_peer")
        url = said.split()[2]
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/app/")
        port = int(url.split(":")[2].split("/")[0])
        assert f'"port": {port}, "path": "/app/", "key": "my key"' in said
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /app/my%20key/id HTTP/1.0\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 OK")
        process.send_signal(stop)
        assert await process.wait() == 0
        log = (await read(process.stderr)).splitlines()
        assert [line.split(" ", 1)[1] for line in log] == [
            "info stopping clients=0",
            "info stopped",
        ]


@pytest.mark.trio
async def test_a_port_in_use_is_one_line() -> None:
    async with (
        open_server() as server,
        run_serve("--host", "127.0.0.1", "--port", str(server.port)) as process,
    ):
        said = await read(process.stderr)
        assert await process.wait() == 1
    assert said.count("\n") == 1
    assert said.startswith("peerjs serve: ")
    assert "in use" in said


@pytest.mark.trio
async def test_a_port_that_is_none_is_a_usage_error() -> None:
    async with run_serve("--port", "65536") as process:
        said = await read(process.stderr)
        assert said == "peerjs serve: --port: a whole number, 0 to 65535, not '65536'\n"
        assert await process.wait() == 2


def test_without_its_library_the_server_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("server", "server_connection", "frames"):
        monkeypatch.delitem(sys.modules, f"peerjs_trio.{module}")
    for module in ("websockets", "websockets.speedups", "websockets.utils"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r'pip install "peerjs-sansio\[server\]"'):
        __import__("peerjs_trio.server")


@pytest.mark.trio
@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (("--lan", "--lan-name", "a.b"), "lan: 'a.b' is no name for a server", 2),
        (("--lan", "--path", "a b"), "lan: '/a b' cannot be announced", 2),
        (("--lan", "--host", "127.0.0.1", "--port", "0"), "this machine alone can reach it", 1),
    ],
)
async def test_what_cannot_be_announced(
    arguments: tuple[str, ...], words: str, status: int
) -> None:
    pytest.importorskip("zeroconf", reason="the local network needs the extra lan")
    async with run_serve(*arguments) as process:
        assert words in await read(process.stderr)
        assert await process.wait() == status


def test_without_zeroconf_the_server_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['zeroconf'] = None; from peerjs_trio.__main__ import main; "
        "sys.exit(main(['serve', '--lan', '--check']))"
    )
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert 'needs zeroconf: pip install "peerjs-sansio[lan]"' in ended.stderr


def test_it_needs_nothing_of_what_does_webrtc() -> None:
    loaded = "import sys, peerjs_trio.cli.serve; print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", loaded]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "trio" in modules
    unneeded = {"aiortc", "aioice", "av", "trio_websocket", "wsproto", "h11", "zeroconf"}
    assert not unneeded & set(modules)
