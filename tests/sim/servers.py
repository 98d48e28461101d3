"""A PeerServer in the simulation: the real core, in a process and on a machine that can fail."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from functools import partial
from typing import Final

from peerjs_proto import server_io
from peerjs_proto.endpoint import Endpoint
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import ServerLimits

from . import inside, registry
from .clock import Act, Timer
from .simulation import Simulation
from .sockets import Socket
from .violation import Violation

__all__ = ["ALIVE_TIMEOUT", "Mode", "SimServer"]

ALIVE_TIMEOUT: Final = 60.0
"Seconds after which a server forgets a client it does not hear."

_RELAYED = re.compile(r'\{"type":"(OFFER|ANSWER|CANDIDATE|LEAVE|EXPIRE)"')


class Mode(enum.Enum):
    """How a server meets what comes to it."""

    UP = "up"
    REFUSES = "refuses"
    "Nobody listens: the machine refuses at once."
    GONE = "gone"
    "The machine is off: nothing is answered."
    SILENT = "silent"
    "TCP connections are accepted, by the system, and nobody serves them."
    MUTE = "mute"
    "WebSockets are accepted, and never a word is said."
    FROZEN = "frozen"
    "The process is stopped; what comes is served when it goes on."


class SimServer:
    """One server. Its relay can lose, repeat and disorder what it passes on."""

    def __init__(self, sim: Simulation, host: str, limits: ServerLimits) -> None:
        self.host = host
        self.endpoint = Endpoint.parse(f"http://{host}.example:9000/")
        self.mode = Mode.UP
        self.life = 1
        "Counts the processes, one after the other."
        self.slowness = 0.0
        "Seconds it takes for each thing that comes, at most."
        self.loses = self.repeats = self.disorders = 0.0
        "How likely its relay does that to a message."
        self.skew = 0.0
        self._sim, self._limits = sim, limits
        self._frozen: list[Act] = []
        self._busy_until = 0.0
        self._alarm: Timer | None = None
        self._given = 0
        self._boot()
        sim.network.add(host)

    def _boot(self) -> None:
        self.core: ServerProtocol = self._sim.server_core(
            alive_timeout=ALIVE_TIMEOUT, limits=self._limits, concurrent_limit=1000
        )
        self.registry = registry.Registry(self.host)
        self.sockets: dict[int, Socket] = {}

    @property
    def now(self) -> float:
        """By its own clock."""
        return self._sim.clock.now + self.skew

    # --- what befalls it ------------------------------------------------------------------

    def crash(self, mode: Mode) -> None:
        """The process dies. Its machine says so (REFUSES), or is off as well (GONE)."""
        self.life += 1
        self.mode = mode
        self._frozen.clear()
        if self._alarm is not None:
            self._alarm.cancel()
        sockets, self.sockets = self.sockets, {}
        if mode is Mode.REFUSES:
            for socket in sockets.values():
                socket.reset("the server's process died")

    def restart(self) -> None:
        """A new process serves, and knows nothing of what was."""
        if self.mode in (Mode.REFUSES, Mode.GONE):
            self._boot()
        self.mode = Mode.UP
        frozen, self._frozen = self._frozen, []
        for act in frozen:
            act()
        self.turn()

    def jump(self, seconds: float) -> None:
        """Its clock goes forward."""
        self.skew += seconds
        if self.mode is Mode.UP:
            self.turn()

    # --- what comes -----------------------------------------------------------------------

    def accept(self, socket: Socket) -> None:
        """A client asks for a WebSocket."""
        if self.mode is Mode.REFUSES:
            socket.reset("connection refused")
        elif self.mode is Mode.MUTE:
            socket.server_life = self.life
            socket.accepted()
        elif self.mode is not Mode.SILENT:
            self._serve(partial(self._register, socket))

    def receive(self, socket: Socket, text: str) -> None:
        """A text frame came."""
        self._serve(partial(self._receive, socket, text))

    def hang_up(self, socket: Socket) -> None:
        """The client's end of a socket is gone."""
        self._serve(partial(self._hang_up, socket))

    def ping(self, socket: Socket) -> None:
        """A WebSocket ping came: its library answers, if the process runs."""
        self._serve(partial(self._pong, socket), mute_too=True)

    def fetch_id(self, answer: Callable[[int, bytes], None], fail: Callable[[str], None]) -> None:
        """Somebody asks for an id over HTTP."""
        if self.mode is Mode.REFUSES:
            fail("connection refused")
        elif self.mode is Mode.MUTE:
            answer(503, b"busy")
        elif self.mode is not Mode.SILENT:
            self._serve(partial(self._give_id, answer))

    def _serve(self, act: Act, *, mute_too: bool = False) -> None:
        """Have the process do that, when it gets to it."""
        if self.mode is Mode.GONE:
            return
        do = partial(self._do, act, self.life, mute_too)
        if self.slowness or self._busy_until > self._sim.clock.now:
            busy = max(self._busy_until, self._sim.clock.now)
            self._busy_until = busy + self.slowness * self._sim.random.random()
            self._sim.clock.at(self._busy_until, do)
        else:
            do()

    def _do(self, act: Act, life: int, mute_too: bool = False) -> None:
        if self.mode is Mode.FROZEN:
            self._frozen.append(partial(self._do, act, life, mute_too))
        elif life == self.life and (mute_too or self.mode is not Mode.MUTE):
            act()
            if self.mode in (Mode.UP, Mode.SILENT):
                self.turn()

    # --- what the process does with it ----------------------------------------------------

    def _register(self, socket: Socket) -> None:
        handle = self.core.client_connected(socket.target, self.now)
        socket.handle, socket.server_life = handle, self.life
        self.sockets[handle] = socket
        self.registry.asks(handle, socket.target)
        socket.accepted()

    def _receive(self, socket: Socket, text: str) -> None:
        if socket.server_life != self.life or self.mode is Mode.REFUSES:
            socket.reset("connection reset")
        elif socket.handle is not None:
            self.core.receive_message(socket.handle, text, self.now)

    def _hang_up(self, socket: Socket) -> None:
        if socket.server_life == self.life and socket.handle is not None:
            self.sockets.pop(socket.handle, None)
            self.core.client_closed(socket.handle)

    def _pong(self, socket: Socket) -> None:
        if socket.server_life != self.life or self.mode is Mode.REFUSES:
            socket.reset("connection reset")
        else:
            socket.pong()

    def _give_id(self, answer: Callable[[int, bytes], None]) -> None:
        self._given += 1
        request = server_io.HttpRequest("GET", self.endpoint.id_url().split(".example:9000")[1])
        fresh = f"given-{self.host}-{self._given}"
        reply = self.core.respond(request, fresh_id=lambda: fresh, now=self.now)
        answer(reply.status, reply.body)

    def turn(self) -> None:
        """Carry out all the core asks for, and see when it wants to be woken."""
        core = self.core
        due = core.next_timeout()
        if due is not None and due <= self.now:
            core.handle_timeout(self.now)
        while event := core.next_event():
            self._sim.write(self.host, f"{type(event).__name__} {_of(event)}")
            self.registry.note(event)
        while command := core.next_command():
            socket = self.sockets.get(command.client)
            if socket is None:
                raise Violation(f"what is closed stays so: {command} of {self.host}")
            if isinstance(command, server_io.CloseClient):
                del self.sockets[command.client]
                socket.dismiss(f"the server closed it: {command.reason or command.code}")
            else:
                self._pass_on(socket, command.text)
        inside.check_server(self.host, core, self._limits)
        self._arm()

    def _arm(self) -> None:
        due = self.core.next_timeout()
        if self._alarm is not None:
            self._alarm.cancel()
        if due is not None:
            life = self.life
            # A hair late: never early by a rounding.
            self._alarm = self._sim.clock.at(
                due - self.skew + 1e-6, lambda: self._do(lambda: None, life)
            )

    # --- the relay ------------------------------------------------------------------------

    def _pass_on(self, socket: Socket, text: str) -> None:
        if not (self.loses or self.repeats or self.disorders) or not _RELAYED.match(text):
            socket.deliver(text)
            return
        random = self._sim.random
        if random.random() < self.loses:
            self._sim.befall(self.host, "message lost")
            return
        for copy in range(2):
            if random.random() < self.disorders:
                self._sim.befall(self.host, "message out of order")
                self._sim.clock.after(20 * random.random() ** 3, partial(socket.deliver, text))
            else:
                socket.deliver(text)
            if copy or random.random() >= self.repeats:
                return
            self._sim.befall(self.host, "message repeated")


def _of(event: server_io.ServerEvent) -> str:
    """Who an event is about, and why."""
    match event:
        case server_io.ClientRegistered():
            return f"{event.client} {event.id} replaces {event.replaces}"
        case server_io.ClientRefused():
            return f"{event.client} {event.reason.name}"
        case server_io.ClientGone():
            return f"{event.client} {event.id} {event.reason.name}"
        case server_io.MessageRefused():
            return f"{event.client} {event.id} {event.fault.name}"
        case server_io.QueueExpired():
            return f"{event.id} {event.messages} {event.senders}"
