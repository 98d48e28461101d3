"""What a ServerProtocol may say, whatever its clients do."""

from __future__ import annotations

import json

from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import (
    ClientGone,
    ClientRefused,
    ClientRegistered,
    CloseClient,
    Departure,
    MessageRefused,
    SendText,
    ServerCommand,
    ServerEvent,
    ServerLimits,
)

__all__ = ["ServerWatch"]


class ServerWatch:
    """Drains one server, and raises AssertionError where it breaks its word.

    Nothing is sent to a client that is gone, an id has one client, and no more is held than
    the limits allow.
    """

    def __init__(self, server: ServerProtocol, limits: ServerLimits, concurrent_limit: int) -> None:
        self.clients: dict[int, str] = {}
        "Ids of those registered, by handle."
        self.closed: set[int] = set()
        self._server = server
        self._limits = limits
        self._concurrent_limit = concurrent_limit

    def drain(self, now: float) -> tuple[list[ServerCommand], list[ServerEvent]]:
        """All there is to say, examined; ``now`` is in seconds."""
        told = list[ServerEvent](iter(self._server.next_event, None))
        asked = list[ServerCommand](iter(self._server.next_command, None))
        for event in told:
            self._examine_event(event)
        for command in asked:
            self._examine_command(command)
        for event in told:
            if isinstance(event, ClientGone) and event.reason is not Departure.DISCONNECTED:
                assert event.client in self.closed, "whom the server drops, it closes"
        self._examine_holdings(now)
        return asked, told

    def _examine_event(self, event: ServerEvent) -> None:
        match event:
            case ClientRegistered(client, id, replaces):
                assert client not in self.clients
                assert id not in self.clients.values(), "an id has one client"
                assert replaces is None or replaces not in self.clients
                self.clients[client] = id
            case ClientRefused(client, _):
                assert client not in self.clients
            case ClientGone(client, id, _):
                assert self.clients.pop(client) == id
            case MessageRefused(client, id, _):
                assert self.clients[client] == id

    def _examine_command(self, command: ServerCommand) -> None:
        assert command.client not in self.closed, "nothing after the close"
        match command:
            case SendText(_, text):
                text.encode()
                assert isinstance(json.loads(text)["type"], str)
            case CloseClient(client, _, _):
                self.closed.add(client)

    def _examine_holdings(self, now: float) -> None:
        counted, limits = self._server.statistics(), self._limits
        assert counted.clients == len(self.clients) <= self._concurrent_limit
        assert counted.waiting_destinations <= limits.waiting_destinations
        assert counted.waiting_destinations <= counted.waiting_messages
        assert counted.waiting_messages <= limits.waiting_messages_in_all
        assert counted.waiting_bytes <= limits.waiting_bytes_in_all
        due = self._server.next_timeout()
        if counted.clients or counted.waiting_messages:
            assert due is not None
            assert due <= now + 1.0
