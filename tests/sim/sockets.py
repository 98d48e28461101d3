"""One WebSocket: in order and whole, until it breaks; and it may break without a word."""

from __future__ import annotations

import enum
from functools import partial
from typing import TYPE_CHECKING, Final

from .clock import Act, Timer
from .network import Stream

if TYPE_CHECKING:
    from .peers import SimPeer
    from .servers import SimServer
    from .simulation import Simulation

__all__ = ["PING_INTERVAL", "PING_TIMEOUT", "Socket"]

PING_INTERVAL: Final = 20.0
"Seconds between a client's WebSocket pings."

PING_TIMEOUT: Final = 20.0
"Seconds it waits for the answer to one."


class Near(enum.Enum):
    """How the client's end stands."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSED = "closed"


class Socket:
    """Between one life of a peer's process and one of a server's.

    Each end has its own idea of whether it is open.
    """

    def __init__(self, sim: Simulation, peer: SimPeer, server: SimServer, target: str) -> None:
        self.peer, self.server, self.target = peer, server, target
        self.handle: int | None = None
        "The server core's, once it has one."
        self.server_life: int | None = None
        "Of the server's process that accepted it."
        self.broken = False
        "Whether it is half-open: nothing passes, and neither end was told."
        self._sim, self._life = sim, peer.life
        self._up = Stream(sim.network, peer.host, server.host)
        self._down = Stream(sim.network, server.host, peer.host)
        self._near = Near.CONNECTING
        self._ping: Timer | None = None
        self._up.send(lambda: server.accept(self))

    # --- what the client's runtime does ---------------------------------------------------

    def send(self, text: str) -> None:
        """A text to the server; dropped if the socket is not open."""
        if self._near is Near.OPEN:
            self._up.send(lambda: self.server.receive(self, text))

    def close(self) -> None:
        """The client wants no more of it, and hears no more of it."""
        if self._near is Near.CONNECTING:
            self._up.cut()  # no more packets go out to make it
            self._sever_soon()
        elif self._near is Near.OPEN:
            self._up.send(lambda: self.server.hang_up(self))
        self._end()

    def vanish(self) -> None:
        """The client's machine is gone without a word."""
        self._up.cut()
        self._end()

    def break_silently(self) -> None:
        """Something between them has forgotten the connection: nothing passes, nobody is told."""
        self._up.cut()
        self._down.cut()
        self.broken = True

    @property
    def is_open(self) -> bool:
        """As the client sees it."""
        return self._near is Near.OPEN

    # --- what the server's runtime does ---------------------------------------------------

    def accepted(self) -> None:
        """The handshake is done."""
        self._down.send(self._opened)

    def deliver(self, text: str) -> None:
        """A text to the client."""
        self._down.send(lambda: self._hear(text))

    def dismiss(self, reason: str) -> None:
        """Close it behind what was sent."""
        self._down.send(lambda: self._lost(reason))

    def reset(self, reason: str) -> None:
        """The server's machine says that there is no such connection."""
        self._down.lose()
        self._down.send(lambda: self._lost(reason))

    def pong(self) -> None:
        """The answer to a ping."""
        self._down.send(self._ponged)

    # --- what the client's runtime is told ------------------------------------------------

    def _opened(self) -> None:
        if self._near is Near.CONNECTING:
            self._near = Near.OPEN
            self._tell_peer("socket opened", lambda: self.peer.core.socket_opened(self.peer.now))
            self._ping = self._sim.clock.after(PING_INTERVAL, self._send_ping)

    def _hear(self, text: str) -> None:
        if self._near is Near.OPEN:
            self._tell_peer(None, lambda: self.peer.core.receive_text(text, self.peer.now))
        elif self._near is Near.CLOSED:
            self._sever_soon()

    def _lost(self, reason: str) -> None:
        if self._near is not Near.CLOSED:
            self._tell_peer(f"socket closed: {reason}", lambda: self._lose(reason))

    def _lose(self, reason: str) -> None:
        self._end()
        self._up.cut()
        self.peer.forget_socket(self)
        self.peer.core.socket_closed(reason, self.peer.now)

    def _tell_peer(self, what: str | None, act: Act) -> None:
        """Unless the client has closed it by the time its process gets to know."""

        def told() -> None:
            if self._near is not Near.CLOSED:
                if what is not None:
                    self._sim.write(self.peer.host, f"< {what}")
                act()

        self.peer.tell(self._life, told)

    # --- whether it is alive --------------------------------------------------------------

    def _send_ping(self) -> None:
        self._up.send(lambda: self.server.ping(self))
        reason = f"no answer to a ping within {PING_TIMEOUT:g} s"
        self._ping = self._sim.clock.after(PING_TIMEOUT, partial(self._lost, reason))

    def _ponged(self) -> None:
        if self._near is Near.OPEN and self._ping is not None:
            self._ping.cancel()
            self._ping = self._sim.clock.after(PING_INTERVAL, self._send_ping)

    def _sever_soon(self) -> None:
        """The client's machine tells the server that there is no such connection."""
        away = Stream(self._sim.network, self.peer.host, self.server.host)
        away.send(lambda: self.server.hang_up(self))

    def _end(self) -> None:
        self._near = Near.CLOSED
        if self._ping is not None:
            self._ping.cancel()
