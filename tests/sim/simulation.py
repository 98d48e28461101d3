"""What all parts of one run share: the time, the dice, the network, and who is there."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from peerjs_proto.peer import PeerProtocol
from peerjs_proto.server import ServerProtocol

from .clock import Clock
from .ledger import Ledger
from .network import Network
from .tally import Tally
from .trace import Trace

if TYPE_CHECKING:
    from .peers import SimPeer
    from .rtc import Engine
    from .servers import SimServer

__all__ = ["Simulation"]


class Simulation:
    """One run. There is one :class:`random.Random`, and nothing else is left to chance."""

    engine: Engine

    def __init__(
        self,
        seed: int,
        *,
        peer_core: type[PeerProtocol] = PeerProtocol,
        server_core: type[ServerProtocol] = ServerProtocol,
        show: Callable[[str], object] | None = None,
    ) -> None:
        self.peer_core, self.server_core = peer_core, server_core
        self.clock = Clock()
        self.random = Random(seed)
        self.trace = Trace(show)
        self.tally = Tally(runs=1)
        self.ledger = Ledger()
        self.network = Network(self.clock, self.random)
        self.servers: dict[str, SimServer] = {}
        "By host."
        self.peers: list[SimPeer] = []
        self._connections = 0

    def write(self, who: str, what: str) -> None:
        """A line of the trace."""
        self.trace.write(self.clock.now, who, what)

    def befall(self, who: str, kind: str, detail: str = "") -> None:
        """A fault really happens now."""
        self.tally.faults[kind] += 1
        self.write(who, f"! {kind} {detail}".rstrip())

    def connection_id(self) -> str:
        """Of the next dial."""
        self._connections += 1
        return f"dc_{self._connections}"
