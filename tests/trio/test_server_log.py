"""The log of a server: a line an event, bounded, that cannot be forged and has no secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from peerjs_proto.server_io import (
    ClientGone,
    ClientRefused,
    ClientRegistered,
    Departure,
    Fault,
    MessageRefused,
    QueueExpired,
    Refusal,
)
from peerjs_trio.observe import LOGGER, EventLog, log, log_to_stderr


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("peerjs", "peerjs_trio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was logged, without the time in front."""
    return [line.partition(" ")[2] for line in capsys.readouterr().err.splitlines()]


def test_each_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("text", "debug")
    observe = EventLog()
    observe(ClientRegistered(1, "alice", None))
    observe(ClientRegistered(2, "alice smith", 1))
    observe(ClientRefused(3, Refusal.BAD_KEY))
    observe(MessageRefused(2, "alice", Fault.MALFORMED))
    observe(QueueExpired("bob", 3, 1))
    observe(ClientGone(2, "alice", Departure.SILENT))
    assert lines(capsys) == [
        "info registered id=alice client=1",
        'info registered id="alice smith" client=2 replaces=1',
        "warning refused reason=bad_key client=3",
        "warning message_refused reason=malformed id=alice client=2",
        "debug expired id=bob messages=3 senders=1",
        "info gone id=alice client=2 reason=silent",
    ]


def test_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("json", "info")
    EventLog()(ClientGone(2, "alice", Departure.LEFT))
    logging.getLogger("another").warning("it said %r", "a word")
    try:
        int("bad")
    except ValueError:
        LOGGER.exception("it went wrong")
    event, word, fault = map(json.loads, capsys.readouterr().err.splitlines())
    assert event.pop("time").endswith("Z")
    said = {"level": "info", "event": "gone", "id": "alice", "client": 2, "reason": "left"}
    assert event == said
    assert (word["logger"], word["message"]) == ("another", "it said 'a word'")
    assert "ValueError: invalid literal" in fault["exception"]


def test_a_level_leaves_out_what_is_below(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("text", "warning")
    EventLog()(ClientRegistered(1, "alice", None))
    EventLog()(ClientRefused(3, Refusal.FULL))
    assert lines(capsys) == ["warning refused reason=full client=3"]


def test_libraries_say_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("text", "debug")
    logging.getLogger("a_library").debug("AUTH secret")
    logging.getLogger("a_library").warning("gone")
    assert lines(capsys) == ["warning a_library: gone"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_clients_choose_cannot_forge_a_line(
    capsys: pytest.CaptureFixture[str], form: str
) -> None:
    log_to_stderr("json" if form == "json" else "text", "debug")
    forged = 'bob"\n2026-01-01 info registered id=admin\x1b[2K\u2028'
    EventLog()(QueueExpired(forged, 1, 1))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.isascii()
    assert "\x1b" not in said


def test_a_flood_is_ten_lines_a_second_and_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("text", "info")
    now = 100.0
    observe = EventLog(lambda: now)
    for client in range(1000):
        observe(MessageRefused(client, "mallory", Fault.MALFORMED))
    # Neither another reason nor what is no refusal is hidden by it.
    observe(MessageRefused(1, "bob", Fault.NO_ROOM))
    observe(ClientRegistered(2, "alice", None))
    said = lines(capsys)
    assert len(said) == 12
    assert said[-2:] == [
        "warning message_refused reason=no_room id=bob client=1",
        "info registered id=alice client=2",
    ]
    now = 101.0
    observe(MessageRefused(1, "mallory", Fault.MALFORMED))
    assert lines(capsys) == [
        "warning left_out lines=990 of=message_refused reason=malformed",
        "warning message_refused reason=malformed id=mallory client=1",
    ]


def test_what_is_plain_stays_readable(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("text", "info")
    log(logging.INFO, "serving", url="http://[::1]:9000/", note="two words", empty="")
    assert lines(capsys) == ['info serving url=http://[::1]:9000/ note="two words" empty=""']
