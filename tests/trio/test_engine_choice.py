"""open_peer(engine=…): by name, by hand, and what is said where a library is missing."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

from peerjs_trio import LocalProtocolError, open_peer, open_server
from peerjs_trio.rtc import wrtc
from peerjs_trio.rtc.aiortc import open_aiortc_engine
from peerjs_trio.rtc.choice import DEFAULT_ENGINE, EngineName, engine_named
from peerjs_trio.rtc.wrtc import open_wrtc_engine
from tests.trio.test_peer import dialled

NAMES: list[EngineName] = ["aiortc", "wrtc", "auto"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.trio
async def test_an_engine_by_its_name(name: EngineName) -> None:
    async with (
        open_server() as server,
        open_peer("alice", server=server.url, engine=name) as alice,
        open_peer("bob", server=server.url, engine=name) as bob,
    ):
        ours, theirs = await dialled(alice, bob)
        await ours.send("by name")
        assert await theirs.receive() == "by name"


def test_auto_is_the_fast_one_where_it_is_there() -> None:
    assert engine_named("auto") is open_wrtc_engine
    assert engine_named("wrtc") is open_wrtc_engine
    assert engine_named("aiortc") is open_aiortc_engine
    assert engine_named(DEFAULT_ENGINE) in (open_wrtc_engine, open_aiortc_engine)


WITHOUT = """
import sys

class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name.split(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Finder)
from peerjs_trio.rtc.choice import engine_named

for name in ("auto", "wrtc", "aiortc"):
    try:
        print(engine_named(name).__name__)
    except ModuleNotFoundError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("missing", "left", "extra"),
    [
        ("webrtc", ["open_aiortc_engine", "open_aiortc_engine"], "fast"),
        ("wrtc", ["open_aiortc_engine", "open_aiortc_engine"], "fast"),
        ("aiortc", ["open_wrtc_engine", "open_wrtc_engine"], "trio"),
        ("aioice", ["open_wrtc_engine", "open_wrtc_engine"], "trio"),
    ],
)
def test_without_its_library_an_engine_says_what_to_install(
    missing: str, left: list[str], extra: str
) -> None:
    command = [sys.executable, "-c", WITHOUT, missing]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    install = [
        f"No module named '{missing}': install what does WebRTC with",
        f'  python -m pip install "peerjs-sansio[{extra}]"',
    ]
    lines = told.stdout.splitlines()
    assert sorted(lines) == sorted([*left, *install])
    assert lines[0] == left[0], "auto takes the one that is there"


@pytest.mark.trio
async def test_a_name_that_is_none() -> None:
    with pytest.raises(LocalProtocolError, match="'gecko'; known: aiortc, wrtc, auto"):
        async with open_peer(engine="gecko"):  # type: ignore[arg-type]
            pass


@pytest.mark.trio
async def test_a_version_that_was_not_tested_is_a_warning_and_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", {"wrtc": "7.0.0"}.__getitem__)
    monkeypatch.setattr(wrtc, "_warned", set())
    for _ in range(2):
        async with open_wrtc_engine():
            pass
    (warning,) = caplog.messages
    assert warning == "wrtc 7.0.0 is not a version that was tested with this: 0.1.0"


@pytest.mark.trio
async def test_the_version_here_was_tested(caplog: pytest.LogCaptureFixture) -> None:
    async with open_wrtc_engine():
        pass
    assert caplog.messages == []
