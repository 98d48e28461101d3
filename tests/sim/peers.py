"""The runtime of one peer: it carries out what the core asks for, and tells it what came of it.

A process can be killed and started again, stopped for a while, and its clock can jump forward. It
keeps the core's contract all the same.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, assert_never

import attrs

from peerjs_proto import commands
from peerjs_proto.backoff import Reconnect
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol

from . import inside
from .clock import Act, Timer
from .network import Stream
from .rtc import Rtc
from .servers import SimServer
from .simulation import Simulation
from .sockets import Socket
from .violation import Violation

if TYPE_CHECKING:
    from .applications import Application

__all__ = ["Setup", "SimPeer"]


@attrs.frozen(kw_only=True)
class Setup:
    """What a peer is started with, each time."""

    id: str | None
    servers: tuple[SimServer, ...]
    limits: Limits
    reconnect: Reconnect | None
    keeps_token: bool
    "Whether a new process comes back with the old one's token."


class SimPeer:
    """One machine with one program on it. ``core`` is that of its present process."""

    core: PeerProtocol
    app: Application

    def __init__(self, sim: Simulation, host: str, setup: Setup) -> None:
        self.host, self.setup = host, setup
        self.life = 0
        "Counts the processes, one after the other."
        self.runs = False
        self.asleep = False
        self.rtcs: dict[int, Rtc] = {}
        "By the core's number."
        self._sim = sim
        self._skew = 0.0
        self._floor = 0.0
        self._socket: Socket | None = None
        self._waiting: list[Act] = []
        self._alarm: Timer | None = None
        self._alarm_due = 0.0
        self._in_turn = False
        self.disturbed = 0.0
        "When it was last stopped, went on, or had its clock jump."
        sim.network.add(host)

    @property
    def now(self) -> float:
        """By its own clock, which never goes back."""
        return max(self._sim.clock.now + self._skew, self._floor)

    # --- the process ----------------------------------------------------------------------

    def start(self) -> None:
        """A new process, with a new core."""
        setup = self.setup
        self.life += 1
        self.runs, self.asleep = True, False
        again = setup.keeps_token and self.life > 1
        self.core = self._sim.peer_core(
            [server.endpoint for server in setup.servers],
            id=setup.id,
            token=f"token-{self.host}-{0 if setup.keeps_token else self.life}",
            token_reused=again,
            limits=setup.limits,
            reconnect=setup.reconnect,
            random=self._sim.random.random,
        )
        self._sim.write(self.host, f"starts {self.life}")
        self.core.start(self.now)
        self.app.started()
        self.turn()

    def stop(self) -> None:
        """The program ends in good order."""
        self._sim.write(self.host, "shuts down")
        self.app.stopping()
        self.core.shut_down()
        self.turn()
        inside.check_nothing_left(self.host, self.core)
        if self.rtcs or self._socket is not None:
            raise Violation(f"nothing is left after the end: {self.host} has not closed it all")
        self._end()

    def die(self, *, machine_too: bool) -> None:
        """The process is killed. Its machine tells the server, or is gone as well."""
        if self._socket is not None:
            if machine_too:
                self._socket.vanish()
            else:
                self._socket.close()
            self._socket = None
        rtcs, self.rtcs = self.rtcs, {}
        for rtc in rtcs.values():
            self._sim.engine.vanish(rtc)
        self.app.died()
        self._end()

    def _end(self) -> None:
        self.runs = self.asleep = False
        self.life += 1  # what is under way to this process does not concern the next
        self._waiting.clear()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    # --- its time -------------------------------------------------------------------------

    def sleep(self) -> None:
        """The process is stopped."""
        self.asleep = self.runs
        self.disturbed = self._sim.clock.now

    def wake(self) -> None:
        """It goes on: all that has come is there at once, and so are the deadlines."""
        if not self.asleep:
            return
        self.asleep = False
        self.disturbed = self._sim.clock.now
        waiting, self._waiting = self._waiting, []
        if self._sim.random.random() < 0.5:
            self.turn()  # of the two, its loop may take either first
        life = self.life
        for act in waiting:
            if life == self.life:
                act()
        if life == self.life and self.runs:
            self.turn()

    def jump(self, seconds: float) -> None:
        """Its clock goes forward."""
        self._skew += seconds
        self.disturbed = self._sim.clock.now
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self.runs and not self.asleep:
            self.turn()

    # --- inputs ---------------------------------------------------------------------------

    def tell(self, life: int, act: Act) -> None:
        """An input for one of its processes, unless that is gone."""
        if life != self.life or not self.runs:
            return
        if self.asleep:
            self._waiting.append(act)
            return
        act()
        self.turn()

    def do(self, act: Act) -> None:
        """The application calls the core, if its process runs."""
        self.tell(self.life, act)

    def turn(self) -> None:
        """Carry out all commands, tell all events, see to deadlines; then look inside."""
        if self._in_turn:
            return
        self._in_turn = True
        core, life = self.core, self.life
        spins = 0
        while life == self.life and self.runs:
            if (command := core.next_command()) is not None:
                self._sim.write(self.host, f"> {command!r}")
                self._carry_out(command)
            elif (event := core.next_event()) is not None:
                self.app.handle(event)
            elif (due := core.next_timeout()) is not None and due <= self.now:
                core.handle_timeout(self.now)
                spins += 1
                if spins > 1000:
                    raise Violation(f"no deadline is in the past: {self.host} at {due}")
            else:
                break
        self._in_turn = False
        if self.runs:
            inside.check_peer(self.host, self.core, self.setup.limits)
            self.app.check()
            self._arm()

    def _arm(self) -> None:
        due = self.core.next_timeout()
        if self._alarm is not None:
            if due is not None and due >= self._alarm_due:
                return  # it will look again then
            self._alarm.cancel()
            self._alarm = None
        if due is not None:
            self._alarm_due = due
            self._alarm = self._sim.clock.at(
                due - self._skew, partial(self._wake_up, self.life, due)
            )

    def _wake_up(self, life: int, due: float) -> None:
        self._alarm = None
        if life != self.life:
            return
        if self._sim.clock.now + self._skew > due - 1e-6:
            self._floor = max(self._floor, due)  # not a rounding too early
        self.tell(life, lambda: None)

    # --- commands -------------------------------------------------------------------------

    def forget_socket(self, socket: Socket) -> None:
        """It has closed by itself."""
        if self._socket is socket:
            self._socket = None

    @property
    def socket(self) -> Socket | None:
        """The one it has, open or on its way."""
        return self._socket

    def _carry_out(self, command: commands.Command) -> None:
        engine = self._sim.engine
        match command:
            case commands.FetchId(url):
                self._fetch_id(self._server(url))
            case commands.OpenSocket(url):
                if self._socket is not None:
                    raise Violation(f"one socket at a time: {self.host} asks for a second")
                target = url.split(".example:9000", 1)[1]
                self._socket = Socket(self._sim, self, self._server(url), target)
            case commands.SendText(text):
                if self._socket is not None:
                    self._socket.send(text)
            case commands.CloseSocket():
                if self._socket is not None:
                    self._socket.close()
                self._socket = None
            case commands.MakeOffer(number, _, ordered):
                self.rtcs[number] = engine.offer(self, number, ordered)
            case commands.MakeAnswer(number, offer):
                self.rtcs[number] = engine.answer(self, number, offer)
            case commands.ApplyAnswer(number, answer):
                engine.apply(self.rtcs[number], answer)
            case commands.AddCandidate(number, candidate):
                engine.add_candidate(self.rtcs[number], candidate)
            case commands.FramesReady(number):
                engine.pump(self.rtcs[number])
            case commands.CloseChannel(number):
                engine.close_channel(self.rtcs[number])
            case commands.CloseRtc(number):
                engine.close(self.rtcs.pop(number))
            case commands.MakeMediaOffer() | commands.MakeMediaAnswer():
                raise Violation(f"no media where there is none: {self.host}")
            case _:
                assert_never(command)

    def _server(self, url: str) -> SimServer:
        host = url.split("://", 1)[1].split(".example", 1)[0]
        return self._sim.servers[host]

    def _fetch_id(self, server: SimServer) -> None:
        life, network = self.life, self._sim.network
        up, down = Stream(network, self.host, server.host), Stream(network, server.host, self.host)

        def answer(status: int, body: bytes) -> None:
            got = partial(self._got_id, status, body)
            down.send(partial(self.tell, life, got))

        def fail(reason: str) -> None:
            failed = partial(self._no_id, reason)
            down.send(partial(self.tell, life, failed))

        up.send(partial(server.fetch_id, answer, fail))

    def _got_id(self, status: int, body: bytes) -> None:
        self.core.receive_http(status, body, self.now)

    def _no_id(self, reason: str) -> None:
        self.core.http_failed(reason, self.now)
