"""The command ``peerjs`` from outside: help, versions, what is missing, and the demo's check."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from peerjs_proto.errors import NegotiationFailed
from peerjs_trio.__main__ import main
from peerjs_trio.cli.demo.exchange import SERIALIZATIONS, Exchange, exchange, same
from peerjs_trio.cli.demo.page import addresses, peerjs_source
from peerjs_trio.cli.demo.report import Report, size
from tests.readme import ROOT

# --- the command ---------------------------------------------------------------------------------


def test_no_command_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: peerjs")
    assert re.search(r"^ +doctor +find out why", printed, re.M)
    assert re.search(r"^ +demo +see it work", printed, re.M)
    assert re.search(r"^ +serve +run a PeerServer", printed, re.M)
    assert re.search(r"^ +proxy +let peers use an HTTP API", printed, re.M)
    assert re.search(r"^ +fetch +ask another peer's HTTP", printed, re.M)
    assert re.search(r"^ +tunnel +open a local port", printed, re.M)


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["demo", "--help"],
        ["serve", "--help"],
        ["doctor", "--help"],
        ["proxy", "--help"],
    ],
)
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: peerjs", *command[:-1]]))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("peerjs-sansio ")


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["dmeo"], "invalid choice: 'dmeo'"),
        (["demo", "--chekc"], "unrecognized arguments: --chekc"),
        (["demo", "--port", "99999"], "99999 is no port"),
        (["demo", "--port", "http"], "invalid port value: 'http'"),
    ],
)
def test_what_it_does_not_know(
    command: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


WITHOUT = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
from peerjs_trio.__main__ import main
sys.exit(main({command!r}))
"""


def _without(names: set[str], command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the command where some libraries are not installed."""
    return _run("-c", WITHOUT.format(names=names, command=command))


SERVER = ["trio", "anyio", "websockets"]
ALL = [*SERVER, "h11", "trio_websocket"]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *(("serve", name) for name in SERVER),
        *(("demo", name) for name in ALL),
        *(("doctor", name) for name in ("trio", "trio_websocket", "aiortc")),
    ],
)
def test_without_an_extra_it_says_which(command: str, name: str) -> None:
    ended = _without({name}, [command, "--help"])
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert f"No module named '{name}'" in ended.stderr
    assert 'python -m pip install "peerjs-sansio[cli]"' in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("engine", "name", "extra"), [("aiortc", "aiortc", "trio"), ("wrtc", "webrtc", "fast")]
)
def test_without_its_engine_the_demo_says_so(engine: str, name: str, extra: str) -> None:
    ended = _without({name}, ["demo", "--check", "--engine", engine])
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert f"peerjs demo: No module named '{name}'" in ended.stderr
    assert f'python -m pip install "peerjs-sansio[{extra}]"' in ended.stderr


def test_help_needs_no_extra() -> None:
    for command in ([], ["--help"], ["--version"]):
        ended = _without(set(ALL), command)
        assert (ended.returncode, ended.stderr) == (0, "")


# --- the demo ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--engine", "wrtc"]])
def test_the_check_passes(options: list[str]) -> None:
    ended = _run("-W", "error", "-m", "peerjs_trio", "demo", "--check", *options)
    assert (ended.returncode, ended.stderr) == (0, "")
    for name in ("server", "peers", "page", *SERIALIZATIONS):
        assert re.search(rf"^    ok  {name} ", ended.stdout, re.M)
    assert "\x1b" not in ended.stdout
    count = sum(map(len, SERIALIZATIONS.values()))
    assert f"\nAll {count} values came back equal." in ended.stdout


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        ended = _run("-m", "peerjs_trio", "demo", "--check", "--port", port)
    assert ended.returncode == 1
    assert ended.stderr.startswith("peerjs demo: ")
    assert port in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_peerjs_that_is_not_there() -> None:
    ended = _run("-m", "peerjs_trio", "demo", "--check", PEERJS_JS="nowhere.js")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "peerjs demo: PEERJS_JS names no file: nowhere.js\n"


@pytest.mark.trio
async def test_an_exchange_that_hangs_or_fails(autojump_clock: MockClock) -> None:
    for connect, fault in ((_hang, "not done after 60 s"), (_fail, "NegotiationFailed: no way")):
        peer: Any = SimpleNamespace(id="alice", connect=connect)
        outcome = await exchange(peer, peer, "json")
        assert (outcome.values, outcome.faults) == (0, [fault])


async def _hang(*args: Any, **options: Any) -> None:
    await trio.sleep_forever()


async def _fail(*args: Any, **options: Any) -> None:
    raise NegotiationFailed("no way")


@pytest.mark.parametrize(
    ("received", "sent", "equal"),
    [
        ([1, {"a": b"x"}], [1, {"a": b"x"}], True),
        (True, 1, False),
        (1, 1.0, False),
        ([1, 2], [1], False),
        ([[True]], [[1]], False),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"b": 1}, False),
        (bytearray(b"x"), b"x", False),
    ],
)
def test_equal_is_of_the_same_type(received: Any, sent: Any, equal: bool) -> None:
    assert same(received, sent) is equal


def test_a_fault_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(sys.stdout)
    report.exchange(Exchange("json", values=3, faults=["1 came as 2"]))
    report.exchange(Exchange("raw", values=3))
    assert not report.sum_up()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("FAILED  json ")
    assert printed[1].strip() == "1 came as 2"
    assert printed[2].startswith("    ok  raw ")
    assert printed[-1].startswith("Not everything went well")


class Terminal:
    """A file that says it is one."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "colour"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colour(environment: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    terminal: Any = Terminal()
    Report(terminal).step("server", "is up", 0.001)
    assert ("\x1b[" in terminal.text) is colour


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (4 * 2**20, "4.0 MiB")],
)
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words


def test_where_the_page_is() -> None:
    here = "http://127.0.0.1:9000/"
    assert addresses(here, "127.0.0.1") == [(here, "")]
    assert addresses(here, "localhost") == [(here, "")]
    first, *others = addresses(here, "0.0.0.0")
    assert first == (here, " on this machine")
    for url, _ in others:  # none on a machine without a network
        assert re.fullmatch(r"http://[\d.]+:9000/", url)


def test_where_peerjs_is_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    monkeypatch.delenv("PEERJS_JS", raising=False)
    assert peerjs_source().startswith("https://")

    installed = tmp_path / "node_modules" / "peerjs" / "dist" / "peerjs.min.js"
    installed.parent.mkdir(parents=True)
    installed.write_text("installed")
    assert peerjs_source() == str(installed)

    named = tmp_path / "named.js"
    named.write_text("named")
    monkeypatch.setenv("PEERJS_JS", str(named))
    assert peerjs_source() == str(named)


# --- helpers -------------------------------------------------------------------------------------


def _run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, in the repository."""
    return subprocess.run(
        [sys.executable, *args],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
