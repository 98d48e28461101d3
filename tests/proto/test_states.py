"""The tables are complete: a row for every state, and a way out of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.states import (
    DATA_TRANSITIONS,
    MEDIA_TRANSITIONS,
    REDIAL_TRANSITIONS,
    SESSION_TRANSITIONS,
    Connection,
    ConnectionCue,
    Session,
    SessionCue,
    advance,
)

TABLES = [DATA_TRANSITIONS, REDIAL_TRANSITIONS, MEDIA_TRANSITIONS, SESSION_TRANSITIONS]
_DATA_ONLY = {Connection.DRAINING, Connection.LINGERING, Connection.INTERRUPTED}


def test_every_state_has_a_row() -> None:
    assert set(SESSION_TRANSITIONS) == set(Session)
    assert set(REDIAL_TRANSITIONS) == set(Connection)
    assert set(MEDIA_TRANSITIONS) == set(Connection) - _DATA_ONLY


def test_every_cue_is_used() -> None:
    assert {cue for row in SESSION_TRANSITIONS.values() for cue in row} == set(SessionCue)
    assert {cue for row in REDIAL_TRANSITIONS.values() for cue in row} == set(ConnectionCue)


@pytest.mark.parametrize("table", TABLES, ids=["data", "redial", "media", "session"])
def test_a_table_leads_nowhere_else_and_everywhere_from_new(
    table: Mapping[Any, Mapping[Any, Any]],
) -> None:
    reached = {next(iter(table))}
    while more := {to for state in reached for to in table[state].values()} - reached:
        reached |= more
    assert reached == set(table)


def test_closing_is_possible_everywhere_and_final() -> None:
    for session in Session:
        assert advance(SESSION_TRANSITIONS, session, SessionCue.CLOSE) is Session.CLOSED
    for table in (DATA_TRANSITIONS, MEDIA_TRANSITIONS):
        for state in set(table) - {Connection.NEW}:
            assert advance(table, state, ConnectionCue.HANGUP) is Connection.CLOSED
        assert set(table[Connection.CLOSED].values()) == {Connection.CLOSED}
    assert set(SESSION_TRANSITIONS[Session.CLOSED].values()) == {Session.CLOSED}


def test_what_the_table_lacks_is_misuse() -> None:
    with pytest.raises(LocalProtocolError, match="'accept' does not go with state 'open'"):
        advance(DATA_TRANSITIONS, Connection.OPEN, ConnectionCue.ACCEPT)
