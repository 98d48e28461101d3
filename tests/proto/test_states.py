"""The tables are complete: a row for every state, and a way out of each."""

from __future__ import annotations

import pytest

from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.states import (
    DATA_TRANSITIONS,
    SESSION_TRANSITIONS,
    Data,
    DataCue,
    Session,
    SessionCue,
    advance,
)


def test_every_state_has_a_row() -> None:
    assert set(SESSION_TRANSITIONS) == set(Session)
    assert set(DATA_TRANSITIONS) == set(Data)


def test_every_cue_is_used() -> None:
    assert {cue for row in SESSION_TRANSITIONS.values() for cue in row} == set(SessionCue)
    assert {cue for row in DATA_TRANSITIONS.values() for cue in row} == set(DataCue)


def test_closing_is_possible_everywhere_and_final() -> None:
    for session in Session:
        assert advance(SESSION_TRANSITIONS, session, SessionCue.CLOSE) is Session.CLOSED
    for data in Data:
        assert advance(DATA_TRANSITIONS, data, DataCue.HANGUP) is Data.CLOSED
    assert set(SESSION_TRANSITIONS[Session.CLOSED].values()) == {Session.CLOSED}
    assert set(DATA_TRANSITIONS[Data.CLOSED].values()) == {Data.CLOSED}


def test_what_the_table_lacks_is_misuse() -> None:
    with pytest.raises(LocalProtocolError, match="'accept' does not go with state 'open'"):
        advance(DATA_TRANSITIONS, Data.OPEN, DataCue.ACCEPT)
