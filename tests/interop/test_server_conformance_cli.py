"""``peerjs serve`` takes what npm's ``peerjs`` takes: its options, letters, units and variables.

As in test_server_conformance.py, every test runs against both.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import attrs
import pytest
import trio

from tests.interop.background import open_background
from tests.interop.programs import find_program
from tests.interop.servers import WhichServer, open_client, request
from tests.trio.ice import write_certificate

pytestmark = pytest.mark.trio

_START_TIMEOUT: Final = 30.0


@attrs.frozen
class Running:
    url: str
    process: trio.Process


class Run(Protocol):
    def __call__(
        self, *arguments: str, path: str = "/", variables: Mapping[str, str] = {}
    ) -> AbstractAsyncContextManager[Running]:
        """The command with these arguments, in which PORT becomes a free one, until it listens.

        ``path`` is only for the URL.
        """
        ...


@pytest.fixture
def run(which: WhichServer, request: pytest.FixtureRequest) -> Run:
    if which == "ours":
        return partial(_run, [sys.executable, "-m", "peerjs_trio", "serve"])
    node = find_program("node", install="install Node.js 20 or newer")
    node_modules: Path = request.getfixturevalue("node_modules")
    return partial(_run, [node, str(node_modules / "peer" / "dist" / "bin" / "peerjs.js")])


@asynccontextmanager
async def _run(
    command: list[str], *arguments: str, path: str = "/", variables: Mapping[str, str] = {}
) -> AsyncIterator[Running]:
    port = _free_port()
    environment = {n: v for n, v in os.environ.items() if n not in ("PORT", "PEERSERVER_PATH")}
    start = partial(
        trio.run_process,
        [*command, *(argument.replace("PORT", port) for argument in arguments)],
        env=environment | {n: value.replace("PORT", port) for n, value in variables.items()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    async with open_background() as nursery:
        process: trio.Process = await nursery.start(start)
        with trio.fail_after(_START_TIMEOUT):
            while not await _listens(int(port)):
                assert process.poll() is None, "it has ended"
                await trio.sleep(0.05)
        yield Running(f"http://127.0.0.1:{port}{path}", process)


def _free_port() -> str:
    # npm's takes no 0. Nobody else gets this one soon: the kernel goes round.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


async def _listens(port: int) -> bool:
    try:
        await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


async def test_options_by_their_names(run: Run) -> None:
    async with run(
        *("--port", "PORT", "--path", "/app", "--key", "secret", "--allow_discovery"),
        *("--proxied", "true", "--host", "127.0.0.1", "--concurrent_limit", "1"),
        path="/app/",
    ) as server:
        assert (await request(server, "")).status == 200
        async with open_client(server, "alice", key="secret") as alice:
            assert await alice.receive() == {"type": "OPEN"}
            assert (await request(server, "secret/peers")).body == b'["alice"]'
            async with open_client(server, "bob", key="secret") as bob:
                refused = (await bob.receive())["payload"]["msg"]
                assert refused == "Server has reached its concurrent user limit"


async def test_options_by_their_letters(run: Run) -> None:
    async with (
        run("-p", "PORT", "-k", "secret", "-t", "1000", "-c", "1", "-H", "127.0.0.1") as server,
        open_client(server, "alice", key="secret") as alice,
    ):
        assert await alice.receive() == {"type": "OPEN"}
        assert (await request(server, "secret/peers")).status == 401
        began = time.monotonic()
        await alice.send({"type": "OFFER", "dst": "nobody"})
        assert (await alice.receive())["type"] == "EXPIRE"
        assert time.monotonic() - began < 4.0  # by default five


async def test_timeouts_are_in_milliseconds(run: Run) -> None:
    async with (
        run("--port=PORT", "--alive_timeout=1000", "--expire_timeout=60000") as server,
        open_client(server, "alice") as alice,
    ):
        assert await alice.receive() == {"type": "OPEN"}
        assert await alice.close_code() == 1005


async def test_variables(run: Run) -> None:
    variables = {"PORT": "PORT", "PEERSERVER_PATH": "/from/outside"}
    async with run(path="/from/outside/", variables=variables) as server:
        assert (await request(server, "")).status == 200
        assert (await request(server, "../")).status == 404


@pytest.mark.parametrize(
    "origins",
    [
        ("--cors", "http://one.example", "--cors", "http://two.example"),
        ("--cors", "http://one.example", "http://two.example"),
    ],
)
async def test_origins(run: Run, origins: tuple[str, ...]) -> None:
    async with run("--port", "PORT", *origins) as server:
        for origin, allowed in (("one", True), ("two", True), ("three", False)):
            page = f"http://{origin}.example"
            reply = await request(server, "peerjs/id", headers={"Origin": page})
            assert reply.headers.get("access-control-allow-origin") == (page if allowed else None)


async def test_tls(run: Run, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_certificate(certificate, key)
    context = ssl.create_default_context(cafile=str(certificate))
    async with run(
        *("--port", "PORT", "--sslkey", str(key), "--sslcert", str(certificate))
    ) as server:
        url = server.url.replace("http", "https", 1)

        def ask() -> int:
            with urllib.request.urlopen(url, context=context, timeout=10) as reply:
                status: int = reply.status
                return status

        assert await trio.to_thread.run_sync(ask) == 200


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_it_ends_in_peace(run: Run, stop: signal.Signals) -> None:
    async with run("--port", "PORT") as server:
        assert (await request(server, "")).status == 200
        server.process.send_signal(stop)
        with trio.fail_after(10):
            assert await server.process.wait() == 0
