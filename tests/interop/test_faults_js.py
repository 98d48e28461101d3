"""What docs/wire.md says of peerjs's faults and streams, asked of peerjs itself, in Node.

A rule that no longer holds after an update of npm's packages is one to change there.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.interop.programs import find_program

_SCRIPT: Final = Path(__file__).parent / "js" / "faults.mjs"


@pytest.fixture(scope="module")
def peerjs(node_modules: Path) -> dict[str, Any]:
    """The answers of js/faults.mjs."""
    node = find_program("node", install="install Node.js 20 or newer (Debian: apt install nodejs)")
    done = subprocess.run(
        [node, _SCRIPT, node_modules],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def test_leave_closes_every_second_connection(peerjs: dict[str, Any]) -> None:
    assert peerjs["leave"] == [0, 2]  # of four


def test_null_is_lost(peerjs: dict[str, Any]) -> None:
    assert peerjs["null"] == [{"error": "TypeError"}, 1]


def test_an_empty_frame_is_a_zero(peerjs: dict[str, Any]) -> None:
    assert peerjs["nothing"] == [0]


def test_a_chunk_that_comes_twice_counts_twice(peerjs: dict[str, Any]) -> None:
    # Joined after the second of three frames, with half of the message.
    assert peerjs["twice"] == [{"error": "Error"}]


def test_a_call_has_a_channel_whose_end_is_its_own(peerjs: dict[str, Any]) -> None:
    assert peerjs["call"] == {"label": "undefined", "ordered": False, "heard": ["close"]}


# --- MsgPack ---------------------------------------------------------------------------------


def test_a_stream_is_always_ordered(peerjs: dict[str, Any]) -> None:
    assert peerjs["sent"]["ordered"] is True  # and reliable: false was asked for


def test_each_value_begins_a_frame_and_no_frame_is_longer_than_32_kib(
    peerjs: dict[str, Any],
) -> None:
    frames = [bytes.fromhex(frame) for frame in peerjs["sent"]["sent"]]
    text = b"\xda" + (40_000).to_bytes(2) + b"x" * 40_000
    assert frames == [b"\x01", text[:32_768], text[32_768:], b"\x02"]


def test_a_frame_can_end_anywhere(peerjs: dict[str, Any]) -> None:
    assert peerjs["cut"]["heard"] == ["abc", [1, 2], 3, 4]


def test_a_null_ends_the_stream(peerjs: dict[str, Any]) -> None:
    assert peerjs["broken"]["heard"] == [1]


def test_the_close_message_closes(peerjs: dict[str, Any]) -> None:
    assert peerjs["closed"]["heard"] == [1, "close"]


def test_what_javascript_alone_has(peerjs: dict[str, Any]) -> None:
    assert peerjs["date"] == "d6ff00000000"
    assert peerjs["undefined"] == "c0"
    assert [number[:2] for number in peerjs["large"]] == ["cf", "cb"]
