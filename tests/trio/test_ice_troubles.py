"""What is said of STUN and TURN servers that do not serve."""

from __future__ import annotations

import pytest

from peerjs_trio.rtc.engine import IceServer
from peerjs_trio.rtc.troubles import IceTroubles, failure, refusal
from peerjs_trio.rtc.wrtc import _in_full

STUN = IceServer("stun:one")
TURN = IceServer(["turn:one", "turn:two"], "user", "hunter2")


def test_a_trouble_is_told_once_and_another_is_news(caplog: pytest.LogCaptureFixture) -> None:
    troubles = IceTroubles()
    for what in ("is dead", "is dead", "is asleep"):
        troubles.add("turn:one", what)
    assert [record.getMessage() for record in caplog.records] == [
        "turn:one is dead: passed over",
        "turn:one is asleep: passed over",
    ]


def test_where_there_is_no_path_the_troubles_are_named() -> None:
    troubles = IceTroubles()
    assert troubles.after_no_path([TURN]) == ""
    troubles.add("turn:two", "refuses the credentials")
    troubles.add("turn:three", "is dead")
    assert troubles.after_no_path([STUN, TURN]) == "; turn:two refuses the credentials"
    troubles.forget("turn:two")
    assert troubles.after_no_path([STUN, TURN]) == ""


def test_that_there_is_no_turn_server_is_a_trouble_too() -> None:
    said = "; no TURN server was given, which could relay"
    assert IceTroubles().after_no_path([]) == said
    assert IceTroubles().after_no_path([STUN]) == said


@pytest.mark.parametrize(
    ("username", "words"),
    [
        (None, "wants credentials, and none were given"),
        ("user", "refuses the credentials"),
        ("1700000000", "refuses the credentials: they have expired"),
        ("1700000000:user", "refuses the credentials: they have expired"),
        ("1700000000user", "refuses the credentials"),
        ("9999999999:user", "refuses the credentials"),  # in the year 2286
    ],
)
def test_why_a_server_refuses(username: str | None, words: str) -> None:
    assert refusal(IceServer("turn:one", username, "hunter2")) == words


def test_an_error_has_its_name_where_it_has_one() -> None:
    assert failure(486) == "answers 486, allocation quota reached"
    assert failure(500) == "answers 500"


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("stun:one", "stun:one:3478"),
        ("stuns:one", "stuns:one:5349"),
        ("turn:one", "turn:one:3478?transport=udp"),
        ("turn:one:1?transport=tcp", "turn:one:1?transport=tcp"),
        ("turns:[::1]", "turns:[::1]:5349?transport=tcp"),
        ("turn:[::1]:1", "turn:[::1]:1?transport=udp"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_url_as_libwebrtc_writes_it(written: str, full: str) -> None:
    assert _in_full(written) == full
