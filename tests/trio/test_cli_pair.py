"""``peerjs pair`` as two people use it: two processes, a screen and a keyboard."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from peerjs_trio import open_server
from peerjs_trio.__main__ import main
from peerjs_trio.pairing import Pairings

pytest.importorskip("spake2", reason="pairing needs the extra pairing")

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def running(*args: str) -> AsyncIterator[Terminal]:
    command = [sys.executable, "-u", "-m", "peerjs_trio", "pair", *args]
    process = await trio.lowlevel.open_process(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield Terminal(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


class Terminal:
    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.text = ""

    async def shows(self, pattern: str) -> re.Match[str]:
        """Wait for it; what stands before it is done with."""
        assert self.process.stdout is not None
        with trio.fail_after(60):
            while (found := re.search(pattern, self.text)) is None:
                data = await self.process.stdout.receive_some()
                assert data, f"no {pattern!r} in {self.text!r}"
                self.text += data.decode()
        self.text = self.text[found.end() :]
        return found

    async def types(self, line: str) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send_all(f"{line}\n".encode())

    async def ends(self) -> int:
        with trio.fail_after(60):
            return await self.process.wait()


@pytest.mark.trio
async def test_two_machines_are_paired_by_a_code(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "client.json", tmp_path / "device.json"
    async with open_server(rooms="network", room_secret=b"s" * 16) as server:
        url = server.url
        async with running(
            *("--show", "--server", url, "--pairings", str(theirs), "--name", "kitchen")
        ) as device:
            tag = (await device.shows(r'This is "kitchen", (\w{4})'))[1]
            id = (await device.shows(r"peerjs pair (\S+)"))[1]
            code = "".join((await device.shows(r"Code: (\d{3}) (\d{3})")).groups())
            async with running(
                "--server", url, "--pairings", str(ours), "--name", "phone"
            ) as phone:
                await phone.shows(rf'1  "kitchen", {tag} +{id}')
                await phone.shows("Which one")
                await phone.types("1")
                await phone.shows(rf'The code that "kitchen", {tag}, shows: ')
                await phone.types("hello")
                await phone.shows("6 digits")
                await phone.types(f"{(int(code) + 1) % 1_000_000:06}")
                await phone.shows("code is wrong")
                await phone.types(f" {code[:3]} {code[3:]} ")
                await phone.shows(rf'Paired with "kitchen", {tag}')
                assert await phone.ends() == 0
            await device.shows('Paired with "phone"')
            assert await device.ends() == 0
    (pair,), (known,) = Pairings.open(ours).pairs, Pairings.open(theirs).pairs
    assert (pair.id, pair.keys.key) == (known.id, known.keys.key)
    assert Pairings.open(theirs).own_id(0.0) == pair.remote_ids(0.0)[0]


def test_whom_we_know_is_listed_and_forgotten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from peerjs_proto.pairing import NewPair

    file = tmp_path / "pairings.json"
    pairings = Pairings.open(file, name="kitchen")
    pairings.add(NewPair("00" * 16, b"k" * 32, "phone"))
    pairings.add(NewPair("01" * 16, b"k" * 32, "hall", b"i" * 32))
    options = ["pair", "--pairings", str(file)]
    assert main([*options, "--list"]) == 0
    printed = capsys.readouterr().out
    assert f'This is "kitchen", {pairings.tag}.' in printed
    assert '"phone", may use this device' in printed
    assert f'"hall", a device, {pairings.find("hall").tag}' in printed
    assert main([*options, "--forget", "phone"]) == 0
    assert main([*options, "--forget", "phone"]) == 2
    assert "there is no pair 'phone'" in capsys.readouterr().err
    file.chmod(0o644)
    assert main([*options, "--list"]) == 2
    assert "too open" in capsys.readouterr().err


def test_a_server_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "pairings.json")
    url = "http://127.0.0.1:9/"
    assert main(["pair", "somebody", "--server", url, "--pairings", file]) == 1
    assert capsys.readouterr().err.startswith("peerjs pair: ")
