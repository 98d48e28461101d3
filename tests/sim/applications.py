"""What the program at each peer does: it dials, answers, sends numbered messages, and closes."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import attrs

from peerjs_proto import events
from peerjs_proto.backoff import Redial
from peerjs_proto.errors import (
    ConnectionClosed,
    Disconnected,
    IdTaken,
    LocalProtocolError,
    RemoteProtocolError,
)
from peerjs_proto.events import Event
from peerjs_proto.states import Session

from .ledger import End, message
from .peers import SimPeer
from .simulation import Simulation
from .violation import Violation

__all__ = ["Application", "Habits"]


@attrs.frozen(kw_only=True)
class Habits:
    """What a program is like."""

    accepts: float = 0.97
    "How likely it takes what it is offered; else it refuses, or does nothing."
    messages: int = 20
    "Sent on each connection, at most."
    pause: float = 5.0
    "Seconds between two of them, at most."
    closes: float = 0.6
    "How likely it closes a connection when it has sent all, rather than leave it."
    again: bool = True
    "Whether it begins anew when it has no server, and will have none by itself."


class Application:
    """The program of one peer. It begins anew with every process."""

    def __init__(self, sim: Simulation, peer: SimPeer, habits: Habits) -> None:
        self.peer, self.habits = peer, habits
        self.quiet = False
        "Whether it begins nothing any more."
        self.sessions = 0
        "How often the server has registered it."
        self._sim = sim
        self._ends: dict[int, End] = {}
        "Those not ended, by the core's number."
        self._due: dict[int, float] = {}
        "When dials must have had an outcome."
        peer.app = self

    # --- the process ----------------------------------------------------------------------

    def started(self) -> None:
        """A new process: nothing is known of what the last one did."""
        self.sessions = 0

    def stopping(self) -> None:
        """It closes everything."""
        for end in self._ends.values():
            end.closed = True

    def died(self) -> None:
        """Killed in the middle of it all."""
        for number, end in list(self._ends.items()):
            end.closed = True
            if number in self._due:
                self._sim.tally.dials["died with its process"] += 1
        self._ends.clear()
        self._due.clear()

    def check(self) -> None:
        """After a turn: no dial is overdue."""
        for number, due in self._due.items():
            if due < self.peer.now:
                raise Violation(
                    f"every dial has an outcome within its deadline: {self._ends[number].key} "
                    f"has none at {self.peer.now:.6f}, {self.peer.now - due:.6f} s late"
                )

    # --- what it does by itself -----------------------------------------------------------

    def dial(
        self, far_id: str, *, reliable: bool, serialization: str, redial: Redial | None = None
    ) -> End | None:
        """Open a connection; None if there is no server, or no room for it."""
        peer, core = self.peer, self.peer.core
        if far_id == core.id:
            return None
        connection_id = self._sim.connection_id()
        try:
            number = core.connect(
                far_id,
                connection_id=connection_id,
                now=peer.now,
                reliable=reliable,
                serialization=serialization,
                redial=redial,
            )
        except Disconnected:
            self._sim.tally.dials["refused without a server"] += 1
            return None
        except LocalProtocolError:
            self._sim.tally.dials["refused for their number"] += 1
            return None
        end = self._note(number, far_id, connection_id, True, serialization)
        end.redials = redial is not None
        due = self._due[number] = peer.now + peer.setup.limits.connect_timeout
        self._sim.write(peer.host, f"dials {far_id} as {connection_id}, {number}")
        self._sim.tally.counts["dials"] += 1
        self._sim.clock.after(due - peer.now + 1e-3, self._look)
        peer.turn()
        return end

    def leave(self) -> None:
        """Go off the server, and come back in a while."""
        peer = self.peer
        if peer.core.session is Session.OPEN:
            self._sim.write(peer.host, "disconnects")
            self._sim.tally.counts["disconnected for a while"] += 1
            peer.core.disconnect()

    def settle_down(self) -> None:
        """Send nothing any more."""
        self.quiet = True

    def close_all(self) -> None:
        """End every connection, whatever is on its way."""
        if self.peer.runs:
            for number in list(self._ends):
                self._close(number, flush=False)
            self.peer.turn()

    def _look(self) -> None:
        """A dial's deadline has passed: has the core woken up for it?"""
        if self.peer.runs and not self.peer.asleep:
            self.check()

    # --- what it is told ------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """One event of the core."""
        sim, peer = self._sim, self.peer
        if not isinstance(event, events.MessageReceived):
            sim.write(peer.host, f"= {event!r}")
        match event:
            case events.PeerOpened():
                self.sessions += 1
                if self.sessions > 1:
                    sim.tally.counts["registered again"] += 1
            case events.PeerFailed(error):
                self._fail(isinstance(error, IdTaken))
            case events.PeerDisconnected(_, None):
                sim.tally.counts["gave up its server"] += 1
                self._come_back()
            case events.PeerDisconnected(_, float(wait)):
                due = peer.core.next_timeout()
                if due is None or due > peer.now + wait:
                    raise Violation(
                        f"who waits is woken: {peer.host} waits {wait:g} s, until {due}"
                    )
                sim.tally.counts["lost its server, or failed to come back"] += 1
            case events.DataConnectionOffered():
                self._answer(event)
            case events.DataConnectionOpened(number):
                self._open(number)
            case events.DataConnectionClosed():
                self._ended(event)
            case events.DataConnectionInterrupted(number, _):
                self._interrupt(number)
            case events.DataConnectionResumed(number):
                self._resume(number)
            case events.MessageReceived(number, value, _):
                sim.tally.counts["messages received"] += 1
                end = self._ends.get(number)
                if end is None:
                    raise Violation(f"what is closed stays so: {number} of {peer.host}")
                sim.ledger.receive(end, value)
            case events.SignalingRefused():
                sim.tally.counts["signaling refused"] += 1
            case events.MessagesDropped():
                raise Violation(f"no message is dropped on the way: {event} of {peer.host}")
            case _:
                raise Violation(f"no media where there is none: {event} of {peer.host}")

    # --- its registration -----------------------------------------------------------------

    def _fail(self, taken: bool) -> None:
        """No server took it. A program that means it starts again."""
        self._sim.tally.counts["not let in: its id is taken" if taken else "found no server"] += 1
        if self.habits.again:
            self._restart_in(1 + 4 * self._sim.random.random())

    def _come_back(self) -> None:
        if not self.habits.again:
            return
        peer = self.peer
        wait = 1 + 4 * self._sim.random.random()
        if self._sim.random.random() < 0.5:
            self._restart_in(wait)
        else:
            self._sim.clock.after(wait, partial(peer.tell, peer.life, self._reconnect))

    def _reconnect(self) -> None:
        if self.peer.core.session is Session.LOST:
            self._sim.write(self.peer.host, "reconnects")
            self.peer.core.reconnect(self.peer.now)

    def _restart_in(self, seconds: float) -> None:
        self._sim.clock.after(seconds, partial(self._restart, self.peer.life))

    def _restart(self, life: int) -> None:
        peer = self.peer
        if life == peer.life and peer.runs and peer.core.session is Session.LOST:
            peer.stop()
            peer.start()

    # --- its connections ------------------------------------------------------------------

    def _note(
        self, number: int, far_id: str, connection_id: str, dialled: bool, serialization: str
    ) -> End:
        peer = self.peer
        end = self._ends[number] = self._sim.ledger.add(
            End(
                f"{peer.host}/{peer.life}/{number}",
                peer.host,
                peer.core.id,
                far_id,
                connection_id,
                dialled,
                reliable=peer.core.is_reliable(number),
                serialization=serialization,
                redials=False,
            )
        )
        return end

    def _answer(self, offer: events.DataConnectionOffered) -> None:
        sim, peer = self._sim, self.peer
        number = offer.connection
        for end in self._ends.values():
            if (end.far_id, end.connection_id) == (offer.peer, offer.connection_id):
                raise Violation(f"what is here is not offered again: {end.key} of {peer.host}")
        self._note(number, offer.peer, offer.connection_id, False, offer.serialization)
        decides = sim.random.random()
        if decides < self.habits.accepts:
            if sim.random.random() < 0.7:
                self._accept(number)
            else:
                late = partial(peer.tell, peer.life, partial(self._accept, number))
                sim.clock.after(3 * sim.random.random(), late)
        elif decides < (1 + self.habits.accepts) / 2:
            self._close(number, flush=False)

    def _accept(self, number: int) -> None:
        if number in self._ends:
            with suppress(ConnectionClosed):  # its end has not been told yet
                self.peer.core.accept(number, self.peer.now)

    def _open(self, number: int) -> None:
        end = self._ends[number]
        if end.opened:
            raise Violation(f"a connection opens once: {end.key}")
        end.opened = True
        if end.dialled:
            self._outcome(number, "opened")
        self._sim.tally.counts["ends opened"] += 1
        self._later(number, self._sim.random.randrange(self.habits.messages + 1))

    def _interrupt(self, number: int) -> None:
        end = self._ends[number]
        if not end.opened or end.interrupted:
            raise Violation(f"an open connection is interrupted, and once: {end.key}")
        end.interrupted = True
        self._sim.tally.counts["ends interrupted"] += 1

    def _resume(self, number: int) -> None:
        end = self._ends[number]
        if not end.interrupted:
            raise Violation(f"what was interrupted is resumed: {end.key}")
        end.interrupted = False
        self._sim.tally.counts["ends resumed"] += 1

    def _later(self, number: int, left: int) -> None:
        """Go on in a while."""
        sim, peer = self._sim, self.peer
        pause = self.habits.pause * sim.random.random() ** 3
        act = partial(self._send, number, left)
        sim.clock.after(pause, partial(peer.tell, peer.life, act))

    def _send(self, number: int, left: int) -> None:
        """A few messages at once, then again later, then perhaps the end."""
        sim, end = self._sim, self._ends.get(number)
        if end is None or end.flushed or self.quiet:
            return
        for _ in range(min(left, sim.random.choice((1, 1, 1, 5)))):
            left -= 1
            try:
                self.peer.core.send(number, message(end, end.sent))
            except ConnectionClosed:
                return
            end.sent += 1
            sim.tally.counts["messages sent"] += 1
        if left:
            self._later(number, left)
        elif sim.random.random() < self.habits.closes:
            self._close(number, flush=sim.random.random() < 0.7)

    def _close(self, number: int, *, flush: bool) -> None:
        end = self._ends[number]
        end.flushed |= flush
        end.closed |= not flush
        self.peer.core.close(number, self.peer.now, flush=flush)

    def _ended(self, event: events.DataConnectionClosed) -> None:
        end = self._ends.pop(event.connection, None)
        if end is None:
            raise Violation(f"a connection ends once: {event} of {self.peer.host}")
        end.ended, end.error = True, event.error
        if isinstance(event.error, RemoteProtocolError):
            raise Violation(f"who is honest is not blamed: {end.key}: {event.error!r}")
        if not end.opened and end.dialled:
            if event.error is None:
                raise Violation(f"a dial that fails has an error: {end.key}")
            self._outcome(event.connection, type(event.error).__name__)
        elif end.opened:
            how = "in order" if event.error is None else type(event.error).__name__
            self._sim.tally.counts[f"ends closed: {how}"] += 1

    def _outcome(self, number: int, outcome: str) -> None:
        del self._due[number]
        self._sim.tally.dials[outcome] += 1

    # --- how things stand -----------------------------------------------------------------

    @property
    def is_interrupted(self) -> bool:
        """Whether any of its connections has no path, and is to have another."""
        return any(end.interrupted for end in self._ends.values())

    @property
    def open_ends(self) -> dict[int, End]:
        """Those on which messages pass, by the core's number."""
        return {
            number: end
            for number, end in self._ends.items()
            if end.opened and not (end.flushed or end.closed)
        }
