"""Every state and every transition of the core, in one place.

The tables are all there is: a cue that has no entry in the row of the current state is
misuse by the caller. Code that acts on states lives elsewhere and never assigns one except
through :func:`advance`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, TypeAlias, TypeVar

from .errors import LocalProtocolError

__all__ = [
    "DATA_TRANSITIONS",
    "MEDIA_TRANSITIONS",
    "REDIAL_TRANSITIONS",
    "SESSION_TRANSITIONS",
    "Connection",
    "ConnectionCue",
    "Session",
    "SessionCue",
    "Transitions",
    "advance",
]


class Session(enum.Enum):
    """A peer's standing with its server."""

    NEW = "new"
    "Not started."
    FETCHING_ID = "fetching id"
    "Asking the server over HTTP for an id."
    CONNECTING = "connecting"
    "Opening the WebSocket."
    OPENING = "opening"
    "The WebSocket is up; the server has not said OPEN."
    OPEN = "open"
    "Registered: dialling and being dialled work."
    WAITING = "waiting"
    "No server for the moment; connections live on. Tries again by itself, after a while."
    LOST = "lost"
    "No server any more; connections live on. Only ``reconnect`` leads back."
    CLOSED = "closed"
    "By our own wish, for good."


class SessionCue(enum.Enum):
    """What moves a session."""

    START_NAMELESS = "start without an id"
    START = "start"
    ID_GIVEN = "id given"
    SOCKET_UP = "socket up"
    REGISTERED = "registered"
    SETBACK = "setback"
    LOSS = "loss"
    DISCONNECT = "disconnect"
    CLOSE = "close"


_WAYS_OUT: Final[Mapping[SessionCue, Session]] = {
    SessionCue.SETBACK: Session.WAITING,
    SessionCue.LOSS: Session.LOST,
    SessionCue.DISCONNECT: Session.LOST,
    SessionCue.CLOSE: Session.CLOSED,
}
_WAYS_BACK: Final[Mapping[SessionCue, Session]] = {
    SessionCue.START_NAMELESS: Session.FETCHING_ID,
    SessionCue.START: Session.CONNECTING,
}

SESSION_TRANSITIONS: Final[Mapping[Session, Mapping[SessionCue, Session]]] = {
    Session.NEW: {
        **_WAYS_BACK,
        SessionCue.DISCONNECT: Session.NEW,
        SessionCue.CLOSE: Session.CLOSED,
    },
    Session.FETCHING_ID: {SessionCue.ID_GIVEN: Session.CONNECTING, **_WAYS_OUT},
    Session.CONNECTING: {SessionCue.SOCKET_UP: Session.OPENING, **_WAYS_OUT},
    Session.OPENING: {SessionCue.REGISTERED: Session.OPEN, **_WAYS_OUT},
    Session.OPEN: _WAYS_OUT,
    Session.WAITING: {
        **_WAYS_BACK,
        SessionCue.DISCONNECT: Session.LOST,
        SessionCue.CLOSE: Session.CLOSED,
    },
    Session.LOST: {
        **_WAYS_BACK,
        SessionCue.DISCONNECT: Session.LOST,
        SessionCue.CLOSE: Session.CLOSED,
    },
    # Whoever closes twice, or disconnects what is not connected, has what they want.
    Session.CLOSED: {SessionCue.DISCONNECT: Session.CLOSED, SessionCue.CLOSE: Session.CLOSED},
}


class Connection(enum.Enum):
    """One data or media connection, from either side."""

    NEW = "new"
    "Left at once: by a dial of ours, or an OFFER that came."
    WAITING = "waiting"
    "Ours: as many dials as may be are under way; it begins when one of them has ended."
    OFFERING = "offering"
    "Ours: the WebRTC engine is making the offer."
    OFFERED = "offered"
    "Ours: sent, and no ANSWER yet. Only here does an EXPIRE concern it."
    INVITED = "invited"
    "Theirs: the application has not decided."
    ANSWERING = "answering"
    "Theirs: the engine is making the answer."
    CONNECTING = "connecting"
    "Both descriptions are known; ICE, DTLS and, for data, SCTP are at work."
    OPEN = "open"
    "Frames, or media, pass both ways."
    DRAINING = "draining"
    "Data: we close once the far side has everything."
    LINGERING = "lingering"
    "Data: the far side has sent its last; on an unordered channel some may be under way."
    INTERRUPTED = "interrupted"
    "Data with redial: it has been open, its path is gone, and another is to be found."
    CLOSED = "closed"
    "For good; its number is not used again."


class ConnectionCue(enum.Enum):
    """What moves a connection."""

    WAIT = "wait"
    DIAL = "dial"
    OFFER_MADE = "offer made"
    ANSWERED = "answered"
    INVITE = "invite"
    ACCEPT = "accept"
    ANSWER_MADE = "answer made"
    CONNECTED = "connected"
    FLUSH = "flush"
    FAREWELL = "farewell"
    BREAK = "break"
    REOFFER = "reoffer"
    HANGUP = "hangup"


Transitions: TypeAlias = Mapping[Connection, Mapping[ConnectionCue, Connection]]

MEDIA_TRANSITIONS: Final[Transitions] = {
    Connection.NEW: {
        ConnectionCue.WAIT: Connection.WAITING,
        ConnectionCue.INVITE: Connection.INVITED,
    },
    Connection.WAITING: {
        ConnectionCue.DIAL: Connection.OFFERING,
        ConnectionCue.HANGUP: Connection.CLOSED,
    },
    Connection.OFFERING: {
        ConnectionCue.OFFER_MADE: Connection.OFFERED,
        ConnectionCue.HANGUP: Connection.CLOSED,
    },
    Connection.OFFERED: {
        ConnectionCue.ANSWERED: Connection.CONNECTING,
        ConnectionCue.HANGUP: Connection.CLOSED,
    },
    Connection.INVITED: {
        ConnectionCue.ACCEPT: Connection.ANSWERING,
        ConnectionCue.HANGUP: Connection.CLOSED,
    },
    Connection.ANSWERING: {
        ConnectionCue.ANSWER_MADE: Connection.CONNECTING,
        ConnectionCue.HANGUP: Connection.CLOSED,
    },
    Connection.CONNECTING: {
        ConnectionCue.CONNECTED: Connection.OPEN,
        ConnectionCue.HANGUP: Connection.CLOSED,
    },
    Connection.OPEN: {ConnectionCue.HANGUP: Connection.CLOSED},
    # ICE, the channel and the application each report an end; a second report is no error.
    Connection.CLOSED: {ConnectionCue.HANGUP: Connection.CLOSED},
}

DATA_TRANSITIONS: Final[Transitions] = {
    # Negotiated as media is; what is sent before the end may still have to arrive.
    **MEDIA_TRANSITIONS,
    Connection.OPEN: {
        ConnectionCue.FLUSH: Connection.DRAINING,
        ConnectionCue.FAREWELL: Connection.LINGERING,
        ConnectionCue.HANGUP: Connection.CLOSED,
    },
    Connection.DRAINING: {
        # Both sides flush at once: each still waits for the other's channel to close.
        ConnectionCue.FAREWELL: Connection.DRAINING,
        ConnectionCue.HANGUP: Connection.CLOSED,
    },
    Connection.LINGERING: {
        ConnectionCue.FAREWELL: Connection.LINGERING,
        ConnectionCue.HANGUP: Connection.CLOSED,
    },
}

_BREAK: Final = {ConnectionCue.BREAK: Connection.INTERRUPTED}

REDIAL_TRANSITIONS: Final[Transitions] = {
    # A data connection that, once open, may go through its negotiation again.
    **DATA_TRANSITIONS,
    **{
        state: {**DATA_TRANSITIONS[state], **_BREAK}
        for state in (
            *(Connection.OFFERING, Connection.OFFERED, Connection.ANSWERING),
            *(Connection.CONNECTING, Connection.OPEN, Connection.DRAINING),
        )
    },
    Connection.INTERRUPTED: {
        ConnectionCue.DIAL: Connection.OFFERING,
        ConnectionCue.REOFFER: Connection.ANSWERING,
        ConnectionCue.HANGUP: Connection.CLOSED,
    },
}

_State = TypeVar("_State", Session, Connection)
_Cue = TypeVar("_Cue", SessionCue, ConnectionCue)


def advance(table: Mapping[_State, Mapping[_Cue, _State]], state: _State, cue: _Cue) -> _State:
    """The state after ``cue``. Raises LocalProtocolError where the table has no entry."""
    try:
        return table[state][cue]
    except KeyError:
        raise LocalProtocolError(f"{cue.value!r} does not go with state {state.value!r}") from None
