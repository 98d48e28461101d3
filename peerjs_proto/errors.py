"""Every error a user of the protocol can meet: one family, sorted by whose fault it was.

Each class carries, as ``type``, the word PeerJS uses for the same thing (peerjs 1.5.5,
``PeerErrorType``, ``BaseConnectionErrorType`` and ``DataConnectionErrorType``), so that a
program which handles errors by PeerJS's words can go on doing so.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "ConnectTimeout",
    "ConnectionClosed",
    "DecodeError",
    "Disconnected",
    "IdTaken",
    "InvalidId",
    "InvalidKey",
    "LimitExceeded",
    "LocalProtocolError",
    "MessageTooBig",
    "NegotiationFailed",
    "NotOpenYet",
    "PeerError",
    "PeerUnavailable",
    "RemoteProtocolError",
    "ServerError",
    "ServerUnavailable",
    "Unauthorized",
    "UnsupportedValue",
]


class PeerError(Exception):
    """The base of everything these packages raise on purpose."""

    type: ClassVar[str] = "webrtc"
    "PeerJS's word for this kind of error."


# --- the caller's fault: raised at once, with no side effect ---------------------------------


class LocalProtocolError(PeerError):
    """The caller asked for what the protocol does not allow; nothing was changed or sent."""


class InvalidId(LocalProtocolError, ValueError):
    """An id, key or server address breaks PeerJS's rules for it."""

    type = "invalid-id"


class UnsupportedValue(LocalProtocolError, TypeError):
    """A value has no form in the chosen serialization; the text says where it sits."""


class MessageTooBig(LocalProtocolError, ValueError):
    """A message is larger than its serialization, or the far side, can take."""

    type = "message-too-big"


class NotOpenYet(LocalProtocolError):
    """Something was asked of a data connection that has not opened."""

    type = "not-open-yet"


# --- the remote side's fault: becomes an event, never raised out of ``receive_*`` ------------


class RemoteProtocolError(PeerError):
    """A peer or a server broke the protocol."""


class DecodeError(RemoteProtocolError, ValueError):
    """Bytes or text from outside are not what they should be.

    The only exception the pure decoders raise, for any input at all.
    """


class LimitExceeded(RemoteProtocolError):
    """A remote side went over one of the bounds in :class:`peerjs_proto.limits.Limits`."""


# --- nobody's fault in particular: how a dial, a connection or a session can end -------------


class PeerUnavailable(PeerError):
    """The server waited for that peer in vain (EXPIRE), or it left while we were dialling."""

    type = "peer-unavailable"


class ConnectTimeout(PeerError, TimeoutError):
    """A dial, or an offer we accepted, did not lead to an open connection in time.

    PeerJS itself waits for ever; ``negotiation-failed`` is its nearest word.
    """

    type = "negotiation-failed"


class NegotiationFailed(PeerError):
    """The two sides found no way to talk: ICE, DTLS or SDP failed, or the far side refused."""

    type = "negotiation-failed"


class ConnectionClosed(PeerError):
    """The connection this was asked of has ended."""

    type = "connection-closed"


class Unauthorized(PeerError):
    """A proof of who somebody is was refused, was wrong, or did not come; the connection is closed.

    PeerJS has no proofs, and no word for it.
    """


class IdTaken(PeerError):
    """Another client holds this id at the server, under another token."""

    type = "unavailable-id"


class InvalidKey(PeerError):
    """The server does not accept the key."""

    type = "invalid-key"


class ServerError(PeerError):
    """The server answered, and refused: the text is its own."""

    type = "server-error"


class ServerUnavailable(PeerError):
    """The server could not be reached, said nothing, or went away."""

    type = "network"


class Disconnected(PeerError):
    """Dialling needs the server, and there is no connection to it."""

    type = "disconnected"
