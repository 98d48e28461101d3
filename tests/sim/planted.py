"""Cores with a fault of their own: what the simulation has to find."""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs

from peerjs_proto.events import Event, MessageReceived
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.server import ServerProtocol
from peerjs_proto.states import Session

__all__ = [
    "CountsWithoutBound",
    "DeliversTwice",
    "Disorders",
    "ForgetsDeadlines",
    "GivesIdsToTwo",
    "KeepsClients",
    "LeavesSomething",
    "Loses",
    "NeverComesBack",
    "Raises",
]


class DeliversTwice(PeerProtocol):
    """Every 50th message is told twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.told = 0
        self.again: Event | None = None

    def next_event(self) -> Event | None:
        if (again := self.again) is not None:
            self.again = None
            return again
        event = super().next_event()
        if isinstance(event, MessageReceived):
            self.told += 1
            if self.told % 50 == 0:
                self.again = event
        return event


class Loses(DeliversTwice):
    """Every 50th message is not told at all."""

    def next_event(self) -> Event | None:
        event = super().next_event()
        if self.again is not None:
            self.again = None
            return self.next_event()
        return event


class Disorders(PeerProtocol):
    """Of two messages that come together, the second is told first."""

    def next_event(self) -> Event | None:
        events: deque[Event] = self._outbox.events
        if len(events) > 1 and all(isinstance(event, MessageReceived) for event in events):
            events.rotate(-1)
        return super().next_event()


class ForgetsDeadlines(PeerProtocol):
    """It is never woken for a connection."""

    def next_timeout(self) -> float | None:
        return self._session.deadline


class NeverComesBack(PeerProtocol):
    """It waits to try again, and never does."""

    def next_timeout(self) -> float | None:
        if self.session is Session.WAITING:
            return self._connections.deadline
        return super().next_timeout()


class LeavesSomething(PeerProtocol):
    """A connection is not closed at the end."""

    def shut_down(self) -> None:
        self._session.close()


class CountsWithoutBound(PeerProtocol):
    """It does not look at the limits of what others can make it hold."""

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        wide = attrs.evolve(limits, pending_connections=1000, connections=1000, dials=1000)
        super().__init__(*args, limits=wide, **kwargs)


class Raises(PeerProtocol):
    """What a server says can make it raise."""

    def receive_text(self, text: str | bytes, now: float) -> None:
        if "EXPIRE" in str(text) and self.session is Session.OPEN:
            raise KeyError(self.id)
        super().receive_text(text, now)


class GivesIdsToTwo(ServerProtocol):
    """Whoever asks for an id gets it."""

    def client_connected(self, target: str, now: float, **more: Any) -> int:
        clients = self._clients
        held, clients._by_id = clients._by_id, {}
        handle = super().client_connected(target, now, **more)
        clients._by_id = {**held, **clients._by_id}
        return handle

    def _forget(self, client: Any, reason: Any) -> None:
        self._clients._by_id.setdefault(client.id, client)
        super()._forget(client, reason)


class KeepsClients(ServerProtocol):
    """It does not look whether its clients are still there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "alive_timeout": 1e6})
