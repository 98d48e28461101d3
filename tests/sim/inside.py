"""A look inside the cores, read-only: everything held there stays under its bound."""

from __future__ import annotations

from typing import Final

from peerjs_proto.data import DataProtocol
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.redial import RedialProtocol
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import ServerLimits

from .violation import Violation

__all__ = ["check_nothing_left", "check_peer", "check_server", "check_server_empty"]

LARGEST_FRAME: Final = 262_144 + 64
"Bytes, and what keeping it costs: one always fits."


def check_peer(who: str, core: PeerProtocol, limits: Limits) -> None:
    """After a turn: nothing waits to be taken, and nothing is over its limit."""
    connections = core._connections
    pending = early_frames = 0
    for connection in connections._by_number.values():
        pending += connection.incoming and not connection.is_open
        _at_most(who, "early candidates", len(connection._early), limits.early_candidates)
        if isinstance(connection, DataProtocol):
            early_frames = max(early_frames, len(connection._early_frames))
        if isinstance(connection, RedialProtocol):
            kept = connection._journal._kept_bytes
            _at_most(who, "bytes not confirmed", kept, limits.redial_bytes + LARGEST_FRAME)
    for early_ones in connections._early.values():
        _at_most(who, "candidates before their offer", len(early_ones), limits.early_candidates)
    early = len(connections._early)
    _at_most(who, "connections not known yet", early, limits.early_connections)
    _at_most(who, "dials at once", len(connections._dialling), limits.dials)
    _at_most(who, "connections", len(connections), limits.connections)
    _at_most(who, "connections offered and not open", pending, limits.pending_connections)
    _at_most(who, "frames before the channel", early_frames, limits.early_frames)
    _at_most(who, "commands not taken", len(core._outbox.commands), 0)
    _at_most(who, "events not taken", len(core._outbox.events), 0)


def check_nothing_left(who: str, core: PeerProtocol) -> None:
    """After a peer has shut down and all its commands are carried out."""
    left = {
        "connections": len(core._connections),
        "deadlines": core.next_timeout(),
        "candidates": len(core._connections._early),
        "commands": len(core._outbox.commands),
        "events": len(core._outbox.events),
    }
    if any(count is not None and count != 0 for count in left.values()):
        raise Violation(f"nothing is left after the end: {who} still has {left}")


def check_server(who: str, core: ServerProtocol, limits: ServerLimits) -> None:
    """After a turn."""
    held = core.statistics()
    _at_most(who, "absent ids", held.waiting_destinations, limits.waiting_destinations)
    _at_most(who, "waiting messages", held.waiting_messages, limits.waiting_messages_in_all)
    _at_most(who, "waiting bytes", held.waiting_bytes, limits.waiting_bytes_in_all)
    for queue in core._waiting._queues.values():
        _at_most(who, "messages for one", len(queue.messages), limits.waiting_messages)
        _at_most(who, "bytes for one", queue.size, limits.waiting_bytes)


def check_server_empty(who: str, core: ServerProtocol) -> None:
    """After all clients are gone, and what waited has expired."""
    held = core.statistics()
    left = (held.clients, held.waiting_messages, held.waiting_bytes, held.waiting_destinations)
    if any(left) or core.next_timeout() is not None or core._clients.by_id:
        raise Violation(f"nothing is left after the end: {who} still has {held}")


def _at_most(who: str, what: str, count: int, limit: int) -> None:
    if count > limit:
        raise Violation(f"every buffer is under its limit: {who} holds {count} {what}, not {limit}")
