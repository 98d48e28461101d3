"""Clients of a ServerProtocol, for its tests."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import SendText, ServerCommand, ServerEvent

__all__ = ["OPEN", "assert_quiet", "commands", "events", "join", "message", "target", "told"]

OPEN = {"type": "OPEN"}


def target(id: str = "alice", token: str = "secret", key: str = "peerjs") -> str:
    return "/peerjs?" + urlencode({"key": key, "id": id, "token": token})


def commands(server: ServerProtocol) -> list[ServerCommand]:
    return list(iter(server.next_command, None))


def events(server: ServerProtocol) -> list[ServerEvent]:
    return list(iter(server.next_event, None))


def assert_quiet(server: ServerProtocol) -> None:
    """It asks for nothing, and nothing happened."""
    assert not commands(server)
    assert not events(server)


def told(server: ServerProtocol, client: int) -> list[Any]:
    """What a client is sent, parsed, and its close commands."""
    return [
        json.loads(command.text) if isinstance(command, SendText) else command
        for command in commands(server)
        if command.client == client
    ]


def join(server: ServerProtocol, id: str, token: str = "secret", now: float = 0.0) -> int:
    """Register a client, and forget that it happened."""
    client = server.client_connected(target(id, token), now)
    assert told(server, client)[0] == OPEN
    events(server)
    return client


def message(type: str, dst: Any = None, payload: Any = None, **more: Any) -> str:
    return json.dumps({"type": type, "dst": dst, "payload": payload, **more})
