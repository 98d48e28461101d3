"""All connections of one peer: by number, by remote peer, and by when each wants to be woken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from .data import DataProtocol
from .deadlines import Deadlines
from .errors import ConnectionClosed, LocalProtocolError
from .limits import Limits
from .media import MediaProtocol
from .redial import RedialProtocol
from .states import Connection

__all__ = ["AnyConnection", "Connections"]

AnyConnection: TypeAlias = DataProtocol | MediaProtocol

_DIALLING: Final = frozenset((Connection.OFFERING, Connection.OFFERED, Connection.CONNECTING))


class Connections:
    """Used by :class:`~peerjs_proto.peer.PeerProtocol`, which calls :meth:`settle` after each
    call to a connection."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_number: dict[int, AnyConnection] = {}
        self._by_id: dict[tuple[str, str], AnyConnection] = {}
        self._ids: dict[int, tuple[str, str]] = {}
        "Under what each stands in there: a connection that is redialled changes its id."
        self._deadlines = Deadlines()
        self._dialling: set[int] = set()
        self._waiting: dict[int, AnyConnection] = {}
        "Dials that wait for their turn, the first one first."
        self._early: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[AnyConnection]:
        """A copy: connections may end while one goes through them."""
        return iter(list(self._by_number.values()))

    # --- finding --------------------------------------------------------------------------

    def get(self, number: int) -> AnyConnection | None:
        """By our own number; None if it has ended."""
        return self._by_number.get(number)

    def data(self, number: int) -> DataProtocol | None:
        """The same, where it is a data connection."""
        found = self._by_number.get(number)
        return found if isinstance(found, DataProtocol) else None

    def demand(self, number: int) -> AnyConnection:
        """Raises ConnectionClosed."""
        found = self._by_number.get(number)
        if found is None:
            raise ConnectionClosed("the connection is closed")
        return found

    def demand_data(self, number: int) -> DataProtocol:
        """Raises ConnectionClosed, and LocalProtocolError for a media connection."""
        found = self.demand(number)
        if not isinstance(found, DataProtocol):
            raise LocalProtocolError("a media connection carries no messages")
        return found

    def find(self, peer: str, connection_id: str) -> AnyConnection | None:
        """By what the wire says."""
        return self._by_id.get((peer, connection_id))

    def find_redialled(self, peer: str, lineage: str) -> RedialProtocol | None:
        """By the id that its first OFFER bore."""
        for connection in self.of(peer):
            if isinstance(connection, RedialProtocol) and connection.lineage == lineage:
                return connection
        return None

    def of(self, peer: str) -> list[AnyConnection]:
        """All with one remote peer."""
        return [c for c in self._by_number.values() if c.terms.peer == peer]

    # --- coming and going -----------------------------------------------------------------

    def next_number(self) -> int:
        """Never given twice."""
        self._last_number += 1
        return self._last_number

    def add(self, connection: AnyConnection) -> None:
        key = connection.terms.peer, connection.terms.connection_id
        self._by_number[connection.number] = self._by_id[key] = connection
        self._ids[connection.number] = key

    def dial(self, connection: AnyConnection, now: float) -> None:
        """A new one of ours: it begins at once, or when others have ended."""
        self.add(connection)
        connection.wait(now)
        self._waiting[connection.number] = connection
        self.settle(connection)
        self._begin_dials()

    def settle(self, connection: AnyConnection) -> None:
        """Note what a call has made of the connection: its deadline, its end."""
        number = connection.number
        self._deadlines.set(number, connection.deadline)
        if connection.state is Connection.CLOSED:
            del self._by_number[number]
            del self._by_id[self._ids.pop(number)]
            self._waiting.pop(number, None)
        elif connection.terms.connection_id != self._ids[number][1]:
            del self._by_id[self._ids[number]]
            self.add(connection)
        if number in self._dialling and connection.state not in _DIALLING:
            self._dialling.remove(number)
            self._begin_dials()

    def _begin_dials(self) -> None:
        while self._waiting and len(self._dialling) < self._limits.dials:
            connection = self._waiting.pop(next(iter(self._waiting)))
            self._dialling.add(connection.number)
            connection.dial()

    @property
    def deadline(self) -> float | None:
        """When the next is due."""
        return self._deadlines.next

    def take_due(self, now: float) -> list[AnyConnection]:
        """Those whose deadline has come; to be settled, each."""
        return [self._by_number[number] for number in self._deadlines.take(now)]

    # --- CANDIDATEs that came before their OFFER ------------------------------------------

    def keep_early(self, peer: str, connection_id: str, candidate: Mapping[str, Any]) -> bool:
        """They may overtake it: a server's queues keep no order between nodes.

        False if there are too many of them to keep.
        """
        kept = self._early.get((peer, connection_id), [])
        if len(kept) >= self._limits.early_candidates:
            return False
        kept.append(candidate)
        self._early[peer, connection_id] = kept
        if len(self._early) > self._limits.early_connections:
            del self._early[next(iter(self._early))]
        return True

    def take_early(self, peer: str, connection_id: str) -> list[Mapping[str, Any]]:
        """Those kept for this connection; they are kept no longer."""
        return self._early.pop((peer, connection_id), [])

    def forget_early(self) -> None:
        self._early.clear()
