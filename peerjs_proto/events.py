"""What the core tells the application."""

from __future__ import annotations

from typing import Any

import attrs

from .errors import PeerError

__all__ = [
    "DataConnectionClosed",
    "DataConnectionInterrupted",
    "DataConnectionOffered",
    "DataConnectionOpened",
    "DataConnectionResumed",
    "Event",
    "MediaConnectionClosed",
    "MediaConnectionOffered",
    "MediaConnectionOpened",
    "MessageReceived",
    "MessagesDropped",
    "PeerDisconnected",
    "PeerFailed",
    "PeerOpened",
    "SignalingRefused",
]


@attrs.frozen
class PeerOpened:
    """The server has registered us: dialling and being dialled work from here on.

    Comes again each time the registration is back after a loss.
    """

    id: str
    "The id we have, asked for or given."


@attrs.frozen
class PeerFailed:
    """There never was a registration, and none will come by itself: no server took us."""

    error: PeerError
    "What the last server that was tried said, or did not."


@attrs.frozen
class PeerDisconnected:
    """The server is lost, or an attempt to come back to it has failed.

    Data connections live on.
    """

    error: PeerError
    retry_in: float | None
    """Seconds until the next attempt; dials made meanwhile wait for it. None: there is none, and
    no new connections can be made until ``reconnect`` is called."""


@attrs.frozen
class DataConnectionOffered:
    """A remote peer asks for a data connection: ``accept`` it or ``close`` it."""

    connection: int
    "The core's own number for it."
    peer: str
    "The remote id, as stamped by the server."
    connection_id: str
    "Chosen by the offerer; unique only together with ``peer``."
    label: str
    metadata: Any = attrs.field(repr=False)
    serialization: str
    reliable: bool


@attrs.frozen
class DataConnectionOpened:
    """Messages can be sent, and will be received."""

    connection: int


@attrs.frozen
class DataConnectionClosed:
    """The connection has ended, or never came to be. Its number is not used again."""

    connection: int
    error: PeerError | None
    "None: closed in order, by either side. A dial that fails always has an error."


@attrs.frozen
class DataConnectionInterrupted:
    """The path of a connection with redial is gone; another is being looked for.

    What is sent meanwhile waits. DataConnectionResumed follows, or DataConnectionClosed.
    """

    connection: int
    error: PeerError
    "What the path, or an attempt to find another, came to."


@attrs.frozen
class DataConnectionResumed:
    """It has a path again; nothing was lost, and nothing comes twice."""

    connection: int


@attrs.frozen
class MessageReceived:
    """The far side sent a value."""

    connection: int
    value: Any = attrs.field(repr=False)
    size: int
    "What it is worth in memory, in bytes: on the wire, and 64 for every value inside."


@attrs.frozen
class MessagesDropped:
    """Messages came in part and were never finished: what there was of them is gone.

    The connection goes on. Pieces of theirs that come later are ignored without another event.
    """

    connection: int
    count: int
    "How many messages, 1 or more."


@attrs.frozen
class MediaConnectionOffered:
    """A remote peer calls: ``accept`` it or ``close`` it, any time later."""

    connection: int
    "The core's own number for it; data and media connections are counted together."
    peer: str
    "The remote id, as stamped by the server."
    connection_id: str
    "Chosen by the caller; unique only together with ``peer``."
    metadata: Any = attrs.field(repr=False)


@attrs.frozen
class MediaConnectionOpened:
    """Media flows."""

    connection: int


@attrs.frozen
class MediaConnectionClosed:
    """The call has ended, or never came to be. Its number is not used again."""

    connection: int
    error: PeerError | None
    "None: hung up in order, by either side. A call of ours that fails always has an error."


@attrs.frozen
class SignalingRefused:
    """A signaling message was dropped. Nothing else has changed."""

    peer: str | None
    "Who sent it, as stamped by the server; None for the server itself, or where it is unknown."
    reason: str
    "What was wrong with it, for people; never what it said."


Event = (
    PeerOpened
    | PeerFailed
    | PeerDisconnected
    | DataConnectionOffered
    | DataConnectionOpened
    | DataConnectionClosed
    | DataConnectionInterrupted
    | DataConnectionResumed
    | MessageReceived
    | MessagesDropped
    | MediaConnectionOffered
    | MediaConnectionOpened
    | MediaConnectionClosed
    | SignalingRefused
)
