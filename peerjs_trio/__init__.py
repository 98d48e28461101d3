"""PeerJS for trio: peers, data connections and a PeerServer.

The protocol itself, free of I/O, is in :mod:`peerjs_proto`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from peerjs_proto.backoff import Reconnect, Redial
from peerjs_proto.errors import (
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
    PeerError,
    PeerUnavailable,
    RemoteProtocolError,
    ServerError,
    ServerUnavailable,
    Unauthorized,
    UnsupportedValue,
)
from peerjs_proto.limits import Limits
from peerjs_proto.room_client import Joined, Left
from peerjs_proto.server_io import HttpReply, ServerLimits
from peerjs_proto.states import Session

if TYPE_CHECKING:
    from .connection import BrokenConnection, ClosedConnection, DataConnection
    from .lan.announce import announce
    from .lan.find import LanServer, find_servers
    from .peer import DEFAULT_ICE_SERVERS, Peer, open_peer
    from .rooms import PeerRoom, open_room
    from .rtc.engine import IceServer
    from .server import PeerServer, open_server
    from .signals import Stop, stop_on_signal

__all__ = [
    "DEFAULT_ICE_SERVERS",
    "BrokenConnection",
    "ClosedConnection",
    "ConnectTimeout",
    "ConnectionClosed",
    "DataConnection",
    "DecodeError",
    "Disconnected",
    "HttpReply",
    "IceServer",
    "IdTaken",
    "InvalidId",
    "InvalidKey",
    "Joined",
    "LanServer",
    "Left",
    "LimitExceeded",
    "Limits",
    "LocalProtocolError",
    "MessageTooBig",
    "NegotiationFailed",
    "Peer",
    "PeerError",
    "PeerRoom",
    "PeerServer",
    "PeerUnavailable",
    "Reconnect",
    "Redial",
    "RemoteProtocolError",
    "ServerError",
    "ServerLimits",
    "ServerUnavailable",
    "Session",
    "Stop",
    "Unauthorized",
    "UnsupportedValue",
    "announce",
    "find_servers",
    "open_peer",
    "open_room",
    "open_server",
    "stop_on_signal",
]

# Loaded when first asked for: each needs an extra that the others do not, and a program that
# only serves should not pay for WebRTC.
_LAZY = {
    "BrokenConnection": "connection",
    "ClosedConnection": "connection",
    "DataConnection": "connection",
    "DEFAULT_ICE_SERVERS": "peer",
    "Peer": "peer",
    "open_peer": "peer",
    "announce": "lan.announce",
    "LanServer": "lan.find",
    "find_servers": "lan.find",
    "PeerRoom": "rooms",
    "open_room": "rooms",
    "IceServer": "rtc.engine",
    "PeerServer": "server",
    "open_server": "server",
    "Stop": "signals",
    "stop_on_signal": "signals",
}


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f".{module}", __name__), name)
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("peerjs"):
            raise
        raise ModuleNotFoundError(
            f"peerjs_trio.{name} needs {missing.name!r}: "
            'python -m pip install "peerjs-sansio[trio]"',  # server.py names its own extra
            name=missing.name,
        ) from missing
