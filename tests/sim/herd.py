"""A great many peers on one server: the real cores, in the leanest runtime there can be.

The server's door is what real ones have: it registers so many clients a second and no more, keeps
so many waiting, and lets the packets of all others drop, which are sent again after 1, 2, 4 … s. It
does the work for clients that have given up meanwhile as well: it cannot know.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from random import Random
from time import perf_counter
from typing import Final

import attrs

from peerjs_proto import commands, events, server_io
from peerjs_proto.backoff import Reconnect
from peerjs_proto.endpoint import Endpoint
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.server import ServerProtocol

from .clock import Clock

__all__ = ["Door", "Herd", "Member"]

ENDPOINT: Final = Endpoint.parse("http://server.example:9000/")

LATENCY: Final = 0.03
"Seconds from a peer to the server, and back."

_TICK: Final = 0.01


@attrs.frozen
class Door:
    """How fast a server lets clients in."""

    rate: float
    "Registrations a second."
    backlog: int
    "Connections that wait for theirs."


class Member:
    """One peer. Its socket is the attempt it belongs to and, once it is open, a handle."""

    __slots__ = ("alarm", "attempt", "core", "handle", "knocks")

    def __init__(self, core: PeerProtocol) -> None:
        self.core = core
        self.attempt = 0
        self.handle: int | None = None
        self.knocks = False
        "Whether a socket is on its way to be open."
        self.alarm: float | None = None


class Herd:
    """All of them, and the server."""

    def __init__(
        self, count: int, *, seed: int, reconnect: Reconnect, limits: Limits, door: Door | None
    ) -> None:
        self.clock = Clock()
        self.random = Random(seed)
        self.door = door
        "None: it lets everybody in at once."
        self.down = False
        self.opened_at: deque[float] = deque()
        "When registrations were told, in order."
        self.attempts = self.refused = self.dropped = self.given_up = self.wasted = 0
        self.by_second: dict[int, int] = {}
        "Attempts, by the second they began in."
        self.to_server = self.to_peers = 0
        "Messages."
        self.peer_seconds = self.server_seconds = 0.0
        "Of processor time, inside the cores."
        self._queue: deque[tuple[Member, int, str]] = deque()
        self._ticking = False
        self._credit = 0.0
        self._clients: dict[int, Member] = {}
        self._boot()
        self.members = [
            Member(
                PeerProtocol(
                    ENDPOINT,
                    id=f"p{n}",
                    token=f"token{n}",
                    limits=limits,
                    reconnect=reconnect,
                    random=self.random.random,
                )
            )
            for n in range(count)
        ]

    def _boot(self) -> None:
        self.server = ServerProtocol(concurrent_limit=1_000_000)

    # --- what happens to all --------------------------------------------------------------

    def start(self, within: float) -> None:
        """They come, one after the other, in so many seconds."""
        for n, member in enumerate(self.members):
            when = within * n / len(self.members)
            self.clock.at(when, partial(self.tell, member, member.core.start))

    def crash(self) -> None:
        """The server's process dies, and the machine says so to everybody."""
        self.down = True
        self._boot()
        self._queue.clear()
        self._clients.clear()
        for member in self.members:
            wait = LATENCY * (1 + self.random.random())
            self.clock.after(wait, partial(self._lost, member, member.attempt, "it died"))

    def come_up(self) -> None:
        """It serves again, and knows nobody."""
        self.down = False

    def dial(self, member: Member, far_id: str, connection_id: str) -> None:
        """One dials another."""
        began = perf_counter()
        member.core.connect(far_id, connection_id=connection_id, now=self.clock.now)
        self.peer_seconds += perf_counter() - began
        self._turn(member)

    def sweep(self) -> None:
        """The server looks for silent clients, and does so again."""
        began = perf_counter()
        self.server.handle_timeout(self.clock.now)
        self.server_seconds += perf_counter() - began
        self._serve()
        self.clock.after(1.0, self.sweep)

    # --- the runtime of a peer ------------------------------------------------------------

    def tell(self, member: Member, act: object, *args: object) -> None:
        """An input that takes the time."""
        began = perf_counter()
        act(*args, self.clock.now)  # type: ignore[operator]
        self.peer_seconds += perf_counter() - began
        self._turn(member)

    def _turn(self, member: Member) -> None:
        core = member.core
        while True:
            began = perf_counter()
            command = core.next_command()
            event = core.next_event() if command is None else None
            self.peer_seconds += perf_counter() - began
            if command is not None:
                self._carry_out(member, command)
            elif event is None:
                break
            else:
                self._note(member, event)
        due = core.next_timeout()
        if due is not None and (member.alarm is None or due < member.alarm):
            member.alarm = due
            self.clock.at(due, partial(self._wake, member, due))

    def _wake(self, member: Member, due: float) -> None:
        if member.alarm == due:
            member.alarm = None
            self.tell(member, member.core.handle_timeout)

    def _note(self, member: Member, event: events.Event) -> None:
        match event:
            case events.PeerOpened():
                self.opened_at.append(self.clock.now)
            case events.DataConnectionOffered(connection):
                member.core.accept(connection, self.clock.now)
            case _:
                pass

    def _carry_out(self, member: Member, command: commands.Command) -> None:
        match command:
            case commands.OpenSocket(url):
                self._open(member, url.split(":9000", 1)[1])
            case commands.SendText(text):
                if member.handle is not None:
                    self.to_server += 1
                    self.clock.after(LATENCY, partial(self._receive, member.handle, text))
            case commands.CloseSocket():
                if member.handle is not None:
                    self.clock.after(LATENCY, partial(self._hang_up, member.handle))
                self.given_up += member.knocks
                self._forget(member)
            case commands.MakeOffer(number):
                self._describe(member, number, member.core.offer_made)
            case commands.MakeAnswer(number):
                self._describe(member, number, member.core.answer_made)
                self.clock.after(0.2, partial(self._up, member, number))
            case commands.ApplyAnswer(number):
                self.clock.after(0.1, partial(self._up, member, number))
            case _:
                pass

    def _describe(self, member: Member, number: int, made: object) -> None:
        """A description and three candidates, of about the size that browsers make."""

        def done() -> None:
            began = perf_counter()
            made(number, "v=0" + " " * 1500)  # type: ignore[operator]
            for n in range(3):
                member.core.candidate_found(number, {"candidate": f"{n}" + " " * 120})
            self.peer_seconds += perf_counter() - began
            self._turn(member)

        self.clock.after(0.05, done)

    def _up(self, member: Member, number: int) -> None:
        began = perf_counter()
        member.core.channel_opened(number, 262_144)
        self.peer_seconds += perf_counter() - began
        self._turn(member)

    # --- the way in -----------------------------------------------------------------------

    def _open(self, member: Member, target: str) -> None:
        member.attempt += 1
        member.knocks = True
        self.attempts += 1
        second = int(self.clock.now)
        self.by_second[second] = self.by_second.get(second, 0) + 1
        self.clock.after(LATENCY, partial(self._knock, member, member.attempt, target, 1.0))

    def _knock(self, member: Member, attempt: int, target: str, again: float) -> None:
        """A packet to make a connection has come."""
        if member.attempt != attempt:
            return  # given up: it is not sent any more
        if self.down:
            self.refused += 1
            self.clock.after(LATENCY, partial(self._lost, member, attempt, "refused"))
        elif self.door is None:
            self._let_in(member, attempt, target)
        elif len(self._queue) >= self.door.backlog:
            self.dropped += 1
            wait = again * (1 + 0.01 * self.random.random())
            self.clock.after(wait, partial(self._knock, member, attempt, target, 2 * again))
        else:
            self._queue.append((member, attempt, target))
            if not self._ticking:
                self._ticking = True
                self.clock.after(_TICK, self._tick)

    def _tick(self) -> None:
        """What the door does in a hundredth of a second."""
        assert self.door is not None
        self._credit += self.door.rate * _TICK
        while self._queue and self._credit >= 1:
            self._credit -= 1
            self._let_in(*self._queue.popleft())
        self._ticking = bool(self._queue)
        if self._ticking:
            self.clock.after(_TICK, self._tick)
        else:
            self._credit = 0.0

    def _let_in(self, member: Member, attempt: int, target: str) -> None:
        if member.attempt != attempt:
            self.wasted += 1
            return
        began = perf_counter()
        handle = self.server.client_connected(target, self.clock.now)
        self.server_seconds += perf_counter() - began
        self._clients[handle] = member
        self.clock.after(LATENCY, partial(self._opened, member, attempt, handle))
        self._serve()

    def _opened(self, member: Member, attempt: int, handle: int) -> None:
        if member.attempt == attempt:
            member.handle, member.knocks = handle, False
            self.tell(member, member.core.socket_opened)
        else:
            self._hang_up(handle)

    def _lost(self, member: Member, attempt: int, reason: str) -> None:
        if member.attempt == attempt:
            self._forget(member)
            self.tell(member, member.core.socket_closed, reason)

    def _forget(self, member: Member) -> None:
        member.attempt += 1
        member.handle, member.knocks = None, False

    # --- the server -----------------------------------------------------------------------

    def _receive(self, handle: int, text: str) -> None:
        if handle in self._clients:
            began = perf_counter()
            self.server.receive_message(handle, text, self.clock.now)
            self.server_seconds += perf_counter() - began
            self._serve()

    def _hang_up(self, handle: int) -> None:
        if self._clients.pop(handle, None) is not None:
            self.server.client_closed(handle)
            self._serve()

    def _serve(self) -> None:
        server = self.server
        while True:
            began = perf_counter()
            while server.next_event() is not None:
                pass
            command = server.next_command()
            self.server_seconds += perf_counter() - began
            if command is None:
                return
            member = self._clients.get(command.client)
            if member is not None and isinstance(command, server_io.SendText):
                self.to_peers += 1
                heard = partial(self._hear, member, command.client, command.text)
                self.clock.after(LATENCY, heard)

    def _hear(self, member: Member, handle: int, text: str) -> None:
        if member.handle == handle:
            self.tell(member, member.core.receive_text, text)
