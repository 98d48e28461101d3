"""``peerjs fetch``: what it sends, what it writes, and what it ends with."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from peerjs_proto.pairing import NewPair
from peerjs_trio import open_peer
from peerjs_trio.__main__ import _parser, main
from peerjs_trio.cli import fetch
from peerjs_trio.cli.fetch.progress import Progress
from peerjs_trio.cli.peer_options import SECRET_VARIABLE
from peerjs_trio.http import serve
from peerjs_trio.pairing import Pairings
from tests.http.sides import App, Sides, open_sides
from tests.readme import ROOT

SECRET = "sixteen letters, and some more"


@pytest.fixture(autouse=True)
def _nobody_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)


@attrs.frozen
class Shell:
    """Runs the command in this process."""

    sides: Sides
    app: App
    capture: pytest.CaptureFixture[bytes]

    async def fetch(self, *arguments: str, peer: str = "device") -> int:
        parser = _parser("fetch")
        options = () if "--server" in arguments else ("--server", self.sides.url)
        args = parser.parse_args(["fetch", *options, peer, *arguments])
        try:
            with trio.fail_after(30):
                return await fetch.prepare(args)()
        except fetch.EXPECTED as error:
            return fetch.tell(args, error)

    async def output(self, *arguments: str) -> bytes:
        assert await self.fetch(*arguments) == 0
        captured = self.capture.readouterr()
        assert captured.err == b""
        return captured.out

    @property
    def sent(self) -> dict[bytes, bytes]:
        return dict(self.app.scopes[-1]["headers"])


@pytest.fixture
async def shell(
    capfdbinary: pytest.CaptureFixture[bytes], nursery: trio.Nursery
) -> AsyncIterator[Shell]:
    async with open_sides() as sides:
        app = App()
        nursery.start_soon(sides.serve, app)
        yield Shell(sides, app, capfdbinary)


# --- the request -------------------------------------------------------------------------------


@pytest.mark.trio
async def test_it_writes_what_it_gets(shell: Shell) -> None:
    assert await shell.output("/hello/a b?q=é#part") == b"hello"
    scope = shell.app.scopes[0]
    assert (scope["method"], scope["raw_path"]) == ("GET", b"/hello/a%20b")
    assert scope["query_string"] == b"q=%C3%A9"
    assert set(shell.sent) == {b"host", b"accept", b"user-agent"}


@pytest.mark.trio
async def test_headers(shell: Shell) -> None:
    headers = ("-H", "X-A: 1", "-H", "X-Empty;", "-H", "accept:", "-H", "user-agent: me")
    await shell.output("/", *headers)
    assert shell.sent == {
        b"host": b"peer.invalid",
        b"x-a": b"1",
        b"x-empty": b"",
        b"user-agent": b"me",
    }


@pytest.mark.trio
async def test_forms(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"two\r\nlines\n")
    form = ("-d", "a=1", "--data", f"@{file}", "--data-binary", f"@{file}", "--data-raw", "@b")
    assert await shell.output("/echo", *form) == b"a=1&twolines&two\r\nlines\n&@b"
    assert shell.app.scopes[-1]["method"] == "POST"
    assert shell.sent[b"content-type"] == b"application/x-www-form-urlencoded"
    json = ("-X", "PATCH", "-H", "Content-Type: application/json", "-d", "{}")
    assert await shell.output("/echo", *json) == b"{}"
    assert shell.app.scopes[-1]["method"] == "PATCH"
    assert shell.sent[b"content-type"] == b"application/json"


@pytest.mark.trio
async def test_a_file_is_sent_as_it_is_read(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "a file.bin"
    file.write_bytes(os.urandom(200_000))
    assert await shell.output("/echo/", "-T", str(file)) == file.read_bytes()
    scope = shell.app.scopes[-1]
    assert (scope["method"], scope["raw_path"]) == ("PUT", b"/echo/a%20file.bin")
    assert shell.sent[b"content-length"] == b"200000"


# --- the response ------------------------------------------------------------------------------


@pytest.mark.trio
async def test_heads(shell: Shell) -> None:
    head = b'HTTP/1.1 200 OK\r\netag: "1"\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\r\n'
    assert await shell.output("/status?200", "-i") == head + b"hello"
    assert await shell.output("/status?200", "-I") == head
    assert shell.app.scopes[-1]["method"] == "HEAD"


@pytest.mark.trio
async def test_files(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await shell.output("/", "-o", str(tmp_path / "out")) == b""
    assert (tmp_path / "out").read_bytes() == b"hello"
    monkeypatch.chdir(tmp_path)
    assert await shell.output("/hello/name?q", "-O") == b""
    assert (tmp_path / "name").read_bytes() == b"hello"


@pytest.mark.trio
async def test_a_status_of_an_error(shell: Shell, tmp_path: Path) -> None:
    assert await shell.output("/status?404") == b"hello"
    assert await shell.fetch("/status?404", "-f", "-o", str(tmp_path / "out")) == 22
    captured = shell.capture.readouterr()
    assert captured.out == b""
    assert captured.err == b"peerjs fetch: the status of the response is 404\n"
    assert not (tmp_path / "out").exists()


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.trio
async def test_each_failure_has_its_status_and_one_line(shell: Shell, tmp_path: Path) -> None:
    async def failed(status: int, words: str, *arguments: str, peer: str = "device") -> None:
        assert await shell.fetch(*arguments, peer=peer) == status
        captured = shell.capture.readouterr()
        assert captured.err.startswith(b"peerjs fetch: ")
        assert captured.err.count(b"\n") == 1
        assert words in captured.err.decode()

    await failed(2, "not followed", "/", "-L")
    await failed(2, "three different", "/", "-d", "x", "-I")
    await failed(2, '"Name: value"', "/", "-H", "x")
    await failed(2, "-O needs", "/", "-O")
    await failed(2, "valid PeerJS id", "/", peer="a..b")
    await failed(2, "header", "/", "-H", "x y: z")
    await failed(2, "--secret-file", "/", "--secret-file", str(tmp_path / "none"))
    await failed(6, "nobody", "/", peer="nobody")
    await failed(7, "127.0.0.1:9", "/", "--server", "http://127.0.0.1:9/")
    await failed(23, "No such file", "/", "-o", str(tmp_path / "no" / "out"))
    await failed(26, "No such file", "/", "-T", str(tmp_path / "none"))
    await failed(26, "No such file", "/", "-d", f"@{tmp_path / 'none'}")
    await failed(28, "more than 0.5 s", "/never", "--max-time", "0.5")
    await failed(56, "broke off", "/breaks")
    assert await shell.fetch("/", "-s", peer="nobody") == 6
    assert shell.capture.readouterr().err == b""


@pytest.mark.trio
async def test_secrets_and_pairs(
    shell: Shell, tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, app = shell.sides.url, App()
    ours = Pairings.open(tmp_path / "ours", name="shell")
    theirs = Pairings.open(tmp_path / "theirs", name="lamp")
    theirs.add(NewPair("0a" * 16, bytes(32), "shell"))
    ours.add(NewPair("0a" * 16, bytes(32), "lamp", theirs.id_secret))
    async with open_peer(theirs.own_id(), server=url) as device:
        nursery.start_soon(partial(serve, device, app, secret=SECRET, pairings=theirs))
        assert await shell.fetch("/", peer=device.id) == 67
        assert SECRET not in shell.capture.readouterr().err.decode()
        assert await shell.fetch("/", "--pairings", str(tmp_path / "ours"), peer="lamp") == 0
        monkeypatch.setenv(SECRET_VARIABLE, SECRET)
        assert await shell.fetch("/", peer=device.id) == 0
        nursery.cancel_scope.cancel()
    assert [scope["extensions"]["peerjs"]["pair"] for scope in app.scopes] == ["shell", None]


# --- as a process --------------------------------------------------------------------------------


@asynccontextmanager
async def process(shell: Shell, *arguments: str) -> AsyncGenerator[trio.Process]:
    command = [sys.executable, "-W", "error", "-m", "peerjs_trio", "fetch"]
    options = ("--server", shell.sides.url, "device", *arguments)
    start = partial(
        trio.run_process,
        [*command, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        cwd=ROOT,
    )
    async with trio.open_nursery() as nursery:
        started: trio.Process = await nursery.start(start)
        assert started.stdin is not None
        assert started.stdout is not None
        assert started.stderr is not None
        with trio.fail_after(30):
            async with started.stdin, started.stdout, started.stderr:
                yield started
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_it_streams_both_ways_through_pipes(shell: Shell) -> None:
    async with process(shell, "/echo", "-T", "-") as fetching:
        assert fetching.stdin is not None
        assert fetching.stdout is not None
        for n in range(3):
            await fetching.stdin.send_all(b"line %d\n" % n)
            assert await fetching.stdout.receive_some() == b"line %d\n" % n
        await fetching.stdin.aclose()
        assert await fetching.wait() == 0


@pytest.mark.trio
async def test_interrupted_it_ends_in_peace_and_the_peer_hears_of_it(shell: Shell) -> None:
    # Nobody writes into its standard input, nor reads what comes.
    async with process(shell, "/stream?100000", "-T", "-") as fetching:
        await shell.app.until(lambda: shell.app.parts > 4)
        fetching.send_signal(signal.SIGINT)
        assert await fetching.wait() == 130
        assert fetching.stderr is not None
        assert await fetching.stderr.receive_some() == b""
    await shell.app.until(lambda: shell.app.ends == ["broke off stream"])


@pytest.mark.trio
async def test_a_reader_that_leaves_is_told_of(shell: Shell) -> None:
    async with process(shell, "/stream?100000") as fetching:
        assert fetching.stdout is not None
        assert await fetching.stdout.receive_some(1)
        await fetching.stdout.aclose()
        assert await fetching.wait() == 23
        assert fetching.stderr is not None
        assert b"standard output: Broken pipe" in await fetching.stderr.receive_some()


def test_its_help_has_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fetch", "--help"])
    assert " 22  with -f" in capsys.readouterr().out


# --- progress ------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_large_transfer_is_shown() -> None:
    out, now = Terminal(), 0.0
    progress = Progress(out, wanted=True, clock=lambda: now)
    with progress:
        progress.expect(10_000_000)
        now = 1.0
        progress.add(5_000_000)
        line = "[############            ]  50% of 10.0 MB, 5.0 MB/s, 1 s left"
        assert out.getvalue() == f"\r\x1b[K{line}"
        progress.add(1)  # too soon for another line
        assert out.getvalue() == f"\r\x1b[K{line}"
    assert out.getvalue().endswith("\r\x1b[K")


def test_without_a_length_there_is_no_end_to_be_seen() -> None:
    out, now = Terminal(), 0.0
    progress = Progress(out, wanted=True, clock=lambda: now)
    now = 2.0
    progress.add(500_000)
    assert out.getvalue() == ""
    progress.add(1_500_000)
    assert out.getvalue().endswith("2.0 MB, 1.0 MB/s")
    progress.hide()
    progress.add(5_000_000)
    assert out.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()])
def test_nobody_looks(out: io.StringIO) -> None:
    progress = Progress(out, wanted=not out.isatty(), clock=lambda: 0.0)
    progress.expect(10)
    progress.add(10_000_000)
    assert out.getvalue() == ""
