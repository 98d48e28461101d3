"""Two cores, and a relay between them that loses, repeats, delays and reorders."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import attrs

from peerjs_proto import events
from peerjs_proto.commands import Command
from peerjs_proto.errors import ConnectionClosed, Disconnected, LocalProtocolError
from peerjs_proto.limits import Limits
from peerjs_proto.serialization import SERIALIZATIONS
from peerjs_proto.testing.world import Node, World

from .choices import Choices
from .values import same
from .watch_peer import PeerWatch

INVARIANT: Final = (
    "Whatever two peers do to each other over a relay that loses, repeats and reorders, nothing "
    "is raised, every dial and every drain ends, an end is final, what arrives was sent, once."
)

LIMITS: Final = Limits(
    connections=4,
    pending_connections=2,
    early_candidates=2,
    early_connections=2,
    message_bytes=60_000,
    partial_messages=2,
    partial_bytes=64_000,
    partial_timeout=20.0,
    ring_timeout=20.0,
    flush_timeout=10.0,
    heartbeat_interval=30.0,
    nesting=12,
)
NAMES: Final = [name for name in ("binary", "json", "raw", "MsgPack") if name in SERIALIZATIONS]
PEERS: Final = ("alice", "bob", "alice", "bob", "carol")
"Whom to dial; Carol never comes."
TIMES: Final = (0.1, 1.0, 6.0, 21.0)


def check(data: bytes) -> None:
    play = _Play(Choices(data))
    while play.choices:
        play.act()
    play.end()


@attrs.define(eq=False)
class _Watched(World):
    """A world in which no word of the watched cores goes unexamined."""

    watches: dict[Node, PeerWatch] = attrs.field(factory=dict)
    seen: dict[Node, int] = attrs.field(factory=dict)

    def carry_out(self, node: Node, command: Command) -> None:
        self.examine(node, command)
        super().carry_out(node, command)

    def examine(self, node: Node, *asked: Command) -> None:
        if (watch := self.watches.get(node)) is not None:
            told = node.events[self.seen.get(node, 0) :]
            self.seen[node] = len(node.events)
            watch.examine(asked, told)


@attrs.define(eq=False)
class _Link:
    """One dial, and what each side said over it, by serial number."""

    serialization: str
    ordered: bool
    sent: dict[Node, dict[int, Any]]
    ends: dict[tuple[Node, int], None] = attrs.field(factory=dict)
    "Who knows it by which number: more than two where an OFFER came twice."
    flushed: set[Node] = attrs.field(factory=set)
    disturbed: bool = False
    "Somebody closed it, or broke it, with things still under way."
    forged: bool = False
    "Frames came over it that no serializer made."


class _Play:
    """The world, its two peers, and everything they have said to each other."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.world = _Watched()
        self.nodes = [self.world.node(id, LIMITS, media=True) for id in ("alice", "bob")]
        self.world.settle()
        self.world.watches = {node: PeerWatch(node.core, LIMITS) for node in self.nodes}
        self.links: dict[str, _Link] = {}
        self.flushed: set[tuple[Node, int]] = set()
        self.last = 0
        self.faulty = False
        "Whether signaling or the clock has done anything by which a connection may fail."

    # --- what happens -------------------------------------------------------------------------

    def act(self) -> None:
        node = self.choices.one_of(self.nodes)
        with suppress(LocalProtocolError, ConnectionClosed, Disconnected):
            self._act(self.choices.below(16), node)
        node.drain()
        self._examine()

    def _act(self, op: int, node: Node) -> None:
        choices, world, core = self.choices, self.world, node.core
        number = choices.one_of([*world.watches[node].known[::-1], 0])
        match op:
            case 0:
                self._dial(node)
            case 1 | 2 | 3:
                self._say(node, number)
            case 4 | 5 | 6:
                for _ in range(1 + choices.below(24)):
                    world.step()
            case 7:
                world.step(choices.below(256))
            case 8:
                world.advance(choices.one_of(TIMES))
            case 9:
                self.faulty = True
                world.wait(choices.one_of(TIMES))
            case 10:
                self._close(node, number, flush=choices.flip())
            case 11:
                fate = choices.one_of((world.lose, world.repeat, world.put_off))
                self.faulty |= fate(choices.below(256))
            case 12:
                if link := self._link(node, number):
                    link.forged = link.disturbed = True
                core.receive_frame(number, choices.take(1 + choices.below(30)), world.now)
            case 13:
                called = core.call("bob", connection_id=self._name(node), now=world.now)
                world.watches[node].dialled(called)
            case 14:
                self.faulty |= world.break_rtc(choices.below(256))
            case _:
                self._part(node)

    def _name(self, node: Node) -> str:
        return f"{node.core.id}-{len(self.world.watches[node].known)}"

    def _dial(self, node: Node) -> None:
        choices, connection_id = self.choices, self._name(node)
        name, reliable = choices.one_of(NAMES), choices.flip()
        number = node.core.connect(
            choices.one_of(PEERS),
            connection_id=connection_id,
            now=self.world.now,
            serialization=name,
            reliable=reliable,
        )
        self.world.watches[node].dialled(number)
        link = _Link(name, reliable or name == "MsgPack", {each: {} for each in self.nodes})
        link.ends[node, number] = None
        self.links[connection_id] = link

    def _say(self, node: Node, number: int) -> None:
        link = self._link(node, number)
        if link is None:
            return
        self.last += 1
        raw = link.serialization == "raw"
        value = str(self.last) if raw else [self.last, self.choices.value()]
        node.core.send(number, value)
        link.sent[node][self.last] = value

    def _close(self, node: Node, number: int, *, flush: bool) -> None:
        link = self._link(node, number)
        if link is not None and flush:
            link.flushed.add(node)
            self.flushed.add((node, number))
        elif link is not None:
            link.disturbed = True
        node.core.close(number, self.world.now, flush=flush)

    def _part(self, node: Node) -> None:
        """Lose the server, or go for good."""
        if self.choices.flip():
            self.faulty |= self.world.lose_server(node)
        elif self.choices.flip():
            self.faulty = True
            node.core.shut_down()

    def _link(self, node: Node, number: int) -> _Link | None:
        return next((each for each in self.links.values() if (node, number) in each.ends), None)

    # --- what must hold -----------------------------------------------------------------------

    def _examine(self) -> None:
        for node in self.nodes:
            self.world.examine(node)
            for offered in node.told(events.DataConnectionOffered):
                self.links[offered.connection_id].ends[node, offered.connection] = None

    def end(self) -> None:
        self.world.advance(90.0)  # ring or dial, connect, flush
        self._examine()
        for node in self.nodes:
            opened = {
                event.connection
                for event in node.events
                if isinstance(event, events.DataConnectionOpened | events.MediaConnectionOpened)
            }
            watch = self.world.watches[node]
            assert watch.living <= opened, "every dial and every offer came to something"
            assert not watch.living & {n for who, n in self.flushed if who is node}, "drains end"
        for link in self.links.values():
            for node, number in link.ends:
                if not link.forged:
                    self._what_arrived(node, number, link)
        for node in self.nodes:
            node.core.shut_down()
            node.drain()
            assert node.core.next_timeout() is None
        self.world.settle()
        self._examine()
        for node in self.nodes:
            assert not node.rtcs
            assert not self.world.watches[node].living

    def _what_arrived(self, node: Node, number: int, link: _Link) -> None:
        (far,) = (each for each in self.nodes if each is not node)
        sent, serials = link.sent[far], []
        for value in node.values(number):
            serials.append(int(value if link.serialization == "raw" else value[0]))
            assert same(value, sent[serials[-1]])
        assert len(set(serials)) == len(serials), "once"
        if link.ordered:
            assert serials == sorted(serials), "in order"
        ends = [closed for who, n in link.ends for closed in who.closed(n)]
        cut = self.faulty or link.disturbed or node in link.flushed
        if not cut and not any(closed.error for closed in ends):
            assert len(serials) == len(sent), "all of it"
            assert far not in link.flushed or len(ends) == len(link.ends), "and both have ended"
