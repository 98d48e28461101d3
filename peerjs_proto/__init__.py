"""The PeerJS protocol with no I/O, no clock and no randomness, for anyone to embed.

Begin with :class:`PeerProtocol`; ``docs/embedding.md`` shows how to drive it. What embedding a
peer takes is here: ``from peerjs_proto import PeerProtocol, Endpoint, commands, events``. A server
is :class:`peerjs_proto.server.ServerProtocol`, with its own commands and events in
:mod:`peerjs_proto.server_io`. Each other module stands for one idea.
"""

from . import commands, events
from .backoff import Backoff, Reconnect, Redial
from .endpoint import CLOUD, DEFAULT_KEY, Endpoint, validate_id
from .errors import (
    ConnectionClosed,
    ConnectTimeout,
    DecodeError,
    Disconnected,
    IdTaken,
    InvalidId,
    InvalidKey,
    LimitExceeded,
    LocalProtocolError,
    MessageTooBig,
    NegotiationFailed,
    NotOpenYet,
    PeerError,
    PeerUnavailable,
    RemoteProtocolError,
    ServerError,
    ServerUnavailable,
    Unauthorized,
    UnsupportedValue,
)
from .limits import DEFAULT_LIMITS, Limits
from .peer import PeerProtocol
from .serialization import SERIALIZATIONS
from .states import Session

__all__ = [
    "CLOUD",
    "DEFAULT_KEY",
    "DEFAULT_LIMITS",
    "SERIALIZATIONS",
    "Backoff",
    "ConnectTimeout",
    "ConnectionClosed",
    "DecodeError",
    "Disconnected",
    "Endpoint",
    "IdTaken",
    "InvalidId",
    "InvalidKey",
    "LimitExceeded",
    "Limits",
    "LocalProtocolError",
    "MessageTooBig",
    "NegotiationFailed",
    "NotOpenYet",
    "PeerError",
    "PeerProtocol",
    "PeerUnavailable",
    "Reconnect",
    "Redial",
    "RemoteProtocolError",
    "ServerError",
    "ServerUnavailable",
    "Session",
    "Unauthorized",
    "UnsupportedValue",
    "commands",
    "events",
    "validate_id",
]
