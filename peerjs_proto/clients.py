"""The clients of a PeerServer: by handle, by id, and how many there are in each network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from .errors import LocalProtocolError
from .rates import Rate, Spending
from .server_io import UNCOUNTED_NETWORKS, Credentials, ServerLimits

__all__ = ["Client", "Clients"]


@attrs.define(eq=False)
class Client:
    """One that is registered."""

    handle: int
    id: str
    token: str = attrs.field(repr=False)
    network: str
    seen: float
    "When it last sent anything, or may do so again."
    _spending: Spending
    _neighbours: Spending | None
    "What its network has spent, where that counts."

    def spend(self, now: float) -> float:
        """It has sent a message; seconds until the next one is welcome."""
        pause = self._spending.spend(now)
        if self._neighbours is not None:
            pause = max(pause, self._neighbours.spend(now))
        # Whoever is left unread cannot be heard: that is no silence of its own.
        self.seen = now + pause
        return pause


class Clients:
    """All of them. Used by :class:`~peerjs_proto.server.ServerProtocol`."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._rate = Rate(limits.messages_per_second, limits.message_burst)
        self._network_rate = Rate(
            limits.messages_per_second_from_network, limits.message_burst_from_network
        )
        self._by_handle: dict[int, Client] = {}
        self._by_id: dict[str, Client] = {}
        self._networks: dict[str, _Network] = {}
        self._last_handle = 0

    @property
    def by_id(self) -> Mapping[str, Client]:
        """In the order they came."""
        return self._by_id

    def __len__(self) -> int:
        return len(self._by_handle)

    def __iter__(self) -> Iterator[Client]:
        """Those there are now, whatever becomes of them meanwhile."""
        return iter(list(self._by_handle.values()))

    def new_handle(self) -> int:
        self._last_handle += 1
        return self._last_handle

    def find(self, handle: int) -> Client | None:
        """The client, or None if it was closed meanwhile or never got in.

        Raises:
            LocalProtocolError: no client ever had this handle.
        """
        if not 0 < handle <= self._last_handle:
            raise LocalProtocolError(f"there never was a client {handle}")
        return self._by_handle.get(handle)

    def is_crowded(self, network: str) -> bool:
        """Whether there are as many in it as there may be."""
        found = self._networks.get(network)
        return found is not None and found.clients >= self._limits.connections_per_network

    def add(self, handle: int, who: Credentials, network: str, now: float) -> Client:
        neighbours = None
        if network not in UNCOUNTED_NETWORKS:
            found = self._networks.setdefault(network, _Network(Spending(self._network_rate)))
            found.clients += 1
            neighbours = found.spending
        spending = Spending(self._rate)
        client = Client(handle, who.id, who.token, network, now, spending, neighbours)
        self._by_handle[handle] = self._by_id[who.id] = client
        return client

    def remove(self, client: Client) -> None:
        del self._by_handle[client.handle], self._by_id[client.id]
        network = self._networks.get(client.network)
        if network is not None:
            network.clients -= 1
            if not network.clients:
                del self._networks[client.network]


@attrs.define(eq=False)
class _Network:
    spending: Spending
    clients: int = 0
