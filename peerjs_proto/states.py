"""Every state and every transition of the core, in one place.

The tables are all there is: a cue that has no entry in the row of the current state is
misuse by the caller. Code that acts on states lives elsewhere and never assigns one except
through :func:`advance`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, TypeVar

from .errors import LocalProtocolError

__all__ = [
    "DATA_TRANSITIONS",
    "SESSION_TRANSITIONS",
    "Data",
    "DataCue",
    "Session",
    "SessionCue",
    "advance",
]


class Session(enum.Enum):
    """A peer's standing with its server."""

    NEW = "new"
    FETCHING_ID = "fetching id"
    "Asking the server over HTTP for an id."
    CONNECTING = "connecting"
    "Opening the WebSocket."
    OPENING = "opening"
    "The WebSocket is up; the server has not said OPEN."
    OPEN = "open"
    LOST = "lost"
    "No server any more; data connections live on."
    CLOSED = "closed"
    "By our own wish, for good."


class SessionCue(enum.Enum):
    """What moves a session."""

    START_NAMELESS = "start without an id"
    START = "start"
    ID_GIVEN = "id given"
    SOCKET_UP = "socket up"
    REGISTERED = "registered"
    LOSS = "loss"
    CLOSE = "close"


SESSION_TRANSITIONS: Final[Mapping[Session, Mapping[SessionCue, Session]]] = {
    Session.NEW: {
        SessionCue.START_NAMELESS: Session.FETCHING_ID,
        SessionCue.START: Session.CONNECTING,
        SessionCue.CLOSE: Session.CLOSED,
    },
    Session.FETCHING_ID: {
        SessionCue.ID_GIVEN: Session.CONNECTING,
        SessionCue.LOSS: Session.LOST,
        SessionCue.CLOSE: Session.CLOSED,
    },
    Session.CONNECTING: {
        SessionCue.SOCKET_UP: Session.OPENING,
        SessionCue.LOSS: Session.LOST,
        SessionCue.CLOSE: Session.CLOSED,
    },
    Session.OPENING: {
        SessionCue.REGISTERED: Session.OPEN,
        SessionCue.LOSS: Session.LOST,
        SessionCue.CLOSE: Session.CLOSED,
    },
    Session.OPEN: {
        SessionCue.LOSS: Session.LOST,
        SessionCue.CLOSE: Session.CLOSED,
    },
    # The server says why it refuses, then closes the socket: two reports of one loss.
    Session.LOST: {SessionCue.LOSS: Session.LOST, SessionCue.CLOSE: Session.CLOSED},
    Session.CLOSED: {SessionCue.LOSS: Session.CLOSED, SessionCue.CLOSE: Session.CLOSED},
}


class Data(enum.Enum):
    """One data connection, from either side."""

    OFFERING = "offering"
    "Ours: the WebRTC engine is making the offer."
    OFFERED = "offered"
    "Ours: sent, and no ANSWER yet. Only here does an EXPIRE concern it."
    INVITED = "invited"
    "Theirs: the application has not decided."
    ANSWERING = "answering"
    "Theirs: the engine is making the answer."
    CONNECTING = "connecting"
    "Both descriptions are known; ICE, DTLS and SCTP are at work."
    OPEN = "open"
    DRAINING = "draining"
    "We close once the far side has everything."
    LINGERING = "lingering"
    "The far side has sent its last; on an unordered channel some may still be under way."
    CLOSED = "closed"


class DataCue(enum.Enum):
    """What moves a data connection."""

    OFFER_MADE = "offer made"
    ANSWERED = "answered"
    ACCEPT = "accept"
    ANSWER_MADE = "answer made"
    CHANNEL_UP = "channel up"
    FLUSH = "flush"
    FAREWELL = "farewell"
    HANGUP = "hangup"


DATA_TRANSITIONS: Final[Mapping[Data, Mapping[DataCue, Data]]] = {
    Data.OFFERING: {DataCue.OFFER_MADE: Data.OFFERED, DataCue.HANGUP: Data.CLOSED},
    Data.OFFERED: {DataCue.ANSWERED: Data.CONNECTING, DataCue.HANGUP: Data.CLOSED},
    Data.INVITED: {DataCue.ACCEPT: Data.ANSWERING, DataCue.HANGUP: Data.CLOSED},
    Data.ANSWERING: {DataCue.ANSWER_MADE: Data.CONNECTING, DataCue.HANGUP: Data.CLOSED},
    Data.CONNECTING: {DataCue.CHANNEL_UP: Data.OPEN, DataCue.HANGUP: Data.CLOSED},
    Data.OPEN: {
        DataCue.FLUSH: Data.DRAINING,
        DataCue.FAREWELL: Data.LINGERING,
        DataCue.HANGUP: Data.CLOSED,
    },
    Data.DRAINING: {
        # Both sides flush at once: each still waits for the other's channel to close.
        DataCue.FAREWELL: Data.DRAINING,
        DataCue.HANGUP: Data.CLOSED,
    },
    Data.LINGERING: {DataCue.FAREWELL: Data.LINGERING, DataCue.HANGUP: Data.CLOSED},
    # ICE, the channel and the application each report an end; a second report is no error.
    Data.CLOSED: {DataCue.HANGUP: Data.CLOSED},
}

_State = TypeVar("_State", Session, Data)
_Cue = TypeVar("_Cue", SessionCue, DataCue)


def advance(table: Mapping[_State, Mapping[_Cue, _State]], state: _State, cue: _Cue) -> _State:
    """The state after ``cue``. Raises LocalProtocolError where the table has no entry."""
    try:
        return table[state][cue]
    except KeyError:
        raise LocalProtocolError(f"{cue.value!r} does not go with state {state.value!r}") from None
