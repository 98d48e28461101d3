"""``peerjs proxy``, as a process of its own: who gets in, and who does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from peerjs_proto.http_io import RequestHead
from peerjs_proto.pairing import NewPair
from peerjs_trio import DataConnection, Unauthorized, open_peer, open_server
from peerjs_trio.__main__ import main
from peerjs_trio.cli.peer_options import SECRET_VARIABLE
from peerjs_trio.http.session import open_session
from peerjs_trio.pairing import Pairings, connect_paired, prove
from tests.http.device import open_device
from tests.trio.test_cli_serve import read

SECRET = "a secret of more than sixteen letters"
OURS: dict[str, Any] = {"label": "peerjs-http", "serialization": "raw", "reliable": True}


@asynccontextmanager
async def run_proxy(
    *arguments: str, environment: Mapping[str, str] = {}
) -> AsyncIterator[trio.Process]:
    variables = {name: value for name, value in os.environ.items() if name != SECRET_VARIABLE}
    start = partial(
        trio.run_process,
        [sys.executable, "-W", "error", "-m", "peerjs_trio", "proxy", *arguments],
        env={**variables, **environment},
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


async def ask(connection: DataConnection, path: str) -> tuple[int, bytes]:
    async with open_session(connection, client=True) as session:
        stream = await session.request(RequestHead("GET", path), end=True)
        response, body = await stream.response(), b""
        while part := await stream.receive():
            body += part
        return response.status, body


@pytest.mark.trio
async def test_whoever_has_the_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    async with open_device() as device, open_server() as server:
        target = f"http://127.0.0.1:{device.port}/api"
        options = ("--target", target, "--server", server.url, "--id", "edge")
        async with (
            run_proxy(*options, "--secret-file", str(file)) as process,
            open_peer("page", server=server.url) as page,
        ):
            said = await read(process.stdout, until="try it")
            assert f'Peer "edge" serves {target}/' in said
            assert f"to whoever has the secret in {file}" in said
            with trio.fail_after(30):
                connection = await page.connect("edge", **OURS)
                assert await prove(connection, secret=SECRET) is None
                status, body = await ask(connection, "/x")
                assert status == 200
                assert b'["x-peer-id", "page"]' in body
                assert device.seen == [("GET", "/api/x")]
                stranger = await page.connect("edge", **OURS)
                with pytest.raises(Unauthorized):
                    await prove(stranger, secret="another secret of enough letters")
                old = await page.connect(
                    "edge", label="http-proxy", serialization="raw", reliable=True
                )
                await old.send('{"url": "/x", "method": "GET"}')
                assert '"status":401' in await old.receive()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            assert SECRET not in said + await read(process.stderr)


@pytest.mark.trio
async def test_whoever_is_paired(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    kept = Pairings.open(ours, name="edge")
    known = Pairings.open(theirs, name="phone")
    kept.add(NewPair("70" * 16, bytes(32), "phone"))
    pair = known.add(NewPair("70" * 16, bytes(32), "edge", kept.id_secret))
    async with open_device() as device, open_server() as server:
        options = ("--target", f"http://127.0.0.1:{device.port}/api", "--server", server.url)
        async with (
            run_proxy(*options, "--pairings", str(ours)) as process,
            open_peer("page", server=server.url) as page,
        ):
            said = await read(process.stdout, until="try it")
            assert f'Peer "{kept.own_id()}" serves' in said
            assert 'to whoever is paired with "edge": 1 now' in said
            with trio.fail_after(30):
                connection = await connect_paired(page, pair, **OURS)
                assert await prove(connection, pairings=known) is None
                status, body = await ask(connection, "/x")
            assert status == 200
            assert b'["x-peer-pair", "phone"]' in body


@pytest.mark.trio
async def test_ambianic_s_pages_need_a_word() -> None:
    async with open_device() as device, open_server() as server:
        options = ("--target", f"http://127.0.0.1:{device.port}/api", "--server", server.url)
        async with (
            run_proxy(*options, "--id", "edge", "--ambianic") as process,
            open_peer("page", server=server.url) as page,
        ):
            assert "to whoever knows this id" in await read(process.stdout, until="try it")
            with trio.fail_after(30):
                old = await page.connect(
                    "edge", label="http-proxy", serialization="raw", reliable=True
                )
                await old.send('{"url": "/status?200", "method": "GET"}')
                assert '"status":200' in await old.receive()
                assert await old.receive() == b"hello"


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        ((), {}, "say who may use it"),
        (("--secret-file", "nowhere"), {}, "--secret-file: "),
        (("--ambianic",), {SECRET_VARIABLE: SECRET}, "would keep nobody out"),
        (("--ambianic", "--pairings", "nowhere"), {}, "would keep nobody out"),
        ((), {SECRET_VARIABLE: "short"}, "the secret has fewer than 16 characters"),
        (("--target", "ftp://x/", "--ambianic"), {}, "'ftp://x/' is not a base URL"),
        (("--target", "https://x/", "--ca-file", "nowhere", "--ambianic"), {}, "No such file"),
    ],
)
def test_what_it_does_not_start_with(
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["proxy", "--target", "http://127.0.0.1:9/", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("peerjs proxy: ")
    assert words in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--requests", "-1"), "-1 is below 0"),
        (("--head-timeout", "0"), "0 is no number of seconds"),
    ],
)
def test_what_is_no_number(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["proxy", "--target", "http://127.0.0.1:9/", *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.trio
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--server", "http://127.0.0.1:9/"), 1),
        (("--server", "http://127.0.0.1:9/", "--id", "no id!"), 2),
    ],
)
async def test_what_goes_wrong_is_told(arguments: tuple[str, ...], status: int) -> None:
    async with run_proxy("--target", "http://127.0.0.1:9/", "--ambianic", *arguments) as process:
        said = await read(process.stderr)
        assert "nobody listens at http://127.0.0.1:9/ yet" in said
        assert "Traceback" not in said
        assert said.splitlines()[-1].startswith("peerjs proxy: ")
        assert await process.wait() == status
