"""Two cores, and a relay between them that loses, repeats, delays and reorders."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import attrs

from peerjs_proto import events
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
    nesting=12,
)
NAMES: Final = [name for name in ("binary", "json", "raw", "MsgPack") if name in SERIALIZATIONS]


def check(data: bytes) -> None:
    play = _Play(Choices(data))
    while play.choices:
        play.act()
        play.examine()
    play.end()


@attrs.define
class _Relayed(World):
    """A world whose server does to messages what the choices say."""

    choices: Choices = attrs.field(kw_only=True)
    held: list[tuple[Node, dict[str, Any]]] = attrs.field(factory=list)
    faulty: bool = False

    def relay(self, sender: Node, frame: dict[str, Any]) -> None:
        fate = self.choices.below(16)
        self.faulty |= fate in (12, 13, 14, 15)
        if fate == 15:
            return
        if fate in (13, 14):
            self.held.append((sender, frame))
        if fate == 14:
            return
        super().relay(sender, dict(frame))
        if fate == 12:
            super().relay(sender, dict(frame))

    def release(self) -> None:
        """One of those held back, by now perhaps about a connection long gone."""
        if self.held:
            super().relay(*self.held.pop(self.choices.below(len(self.held))))


@attrs.define(eq=False)
class _Link:
    """One dial, and what each side said over it, by serial number."""

    serialization: str
    ordered: bool
    sent: dict[Node, dict[int, Any]]
    flushed: set[Node] = attrs.field(factory=set)
    disturbed: bool = False
    "Somebody closed it, or broke it, with things still under way."
    forged: bool = False
    "Frames went over it that no serializer made."


class _Play:
    """The world, its two peers, and everything they have said to each other."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.world = _Relayed(choices=choices)
        self.nodes = [self.world.node("alice", LIMITS), self.world.node("bob", LIMITS)]
        self.world.settle()
        self.watches = [PeerWatch(node.core, LIMITS) for node in self.nodes]
        self.seen = [0, 0]
        self.links: dict[str, _Link] = {}
        self.ids: dict[tuple[Node, int], str] = {}
        "Connection ids, by whose number it is."
        self.flushed: set[tuple[Node, int]] = set()
        self.last = 0

    def examine(self) -> None:
        for n, (node, watch) in enumerate(zip(self.nodes, self.watches, strict=True)):
            told = node.events[self.seen[n] :]
            self.seen[n] = len(node.events)
            watch.examine((), told)
            for event in told:
                if isinstance(event, events.DataConnectionOffered):
                    self.ids[node, event.connection] = event.connection_id
            due = node.core.next_timeout()
            assert due is None or due <= self.world.now + LIMITS.partial_timeout

    def act(self) -> None:
        side = self.choices.below(2)
        node = self.nodes[side]
        op = self.choices.below(16)
        with suppress(LocalProtocolError, ConnectionClosed, Disconnected):
            self._act(op, node, self.watches[side])
        node.drain()

    def _act(self, op: int, node: Node, watch: PeerWatch) -> None:
        choices, world, core = self.choices, self.world, node.core
        number = choices.one_of([*watch.known[::-1], 0])
        link = self.links.get(self.ids.get((node, number), ""))
        match op:
            case 0 | 1:
                self._dial(node, watch)
            case 2 | 3 | 4:
                if link:
                    self._say(node, number, link)
            case 5 | 6 | 7:
                for _ in range(1 + choices.below(24)):
                    world.step()
            case 8:
                world.advance(choices.one_of((0.1, 1.0, 6.0, 21.0, 61.0)))
            case 9:
                if link:
                    link.flushed.add(node)
                    self.flushed.add((node, number))
                core.close(number, world.now, flush=True)
            case 10:
                if link:
                    link.disturbed = True
                core.close(number, world.now)
            case 11:
                world.release()
            case 12:
                rtc = node.rtcs.get(number)
                if rtc and not rtc.ordered:
                    rtc.in_flight.rotate(choices.below(8))
            case 13:
                rtc = node.rtcs.get(number)
                if rtc and link:
                    link.forged = True
                    rtc.in_flight.append(choices.take(1 + choices.below(30)))
            case 14:
                if link:
                    link.disturbed = True
                core.rtc_failed(number, "reason")
            case _:
                self._part(node)

    def _dial(self, node: Node, watch: PeerWatch) -> None:
        choices = self.choices
        name, reliable = choices.one_of(NAMES), choices.flip()
        peer = choices.one_of(("alice", "bob", "alice", "bob", "carol"))
        connection_id = f"dc_{len(self.ids)}_{node.core.id}"
        number = node.core.connect(
            peer,
            connection_id=connection_id,
            now=self.world.now,
            serialization=name,
            reliable=reliable,
        )
        watch.dialled(number)
        ordered = reliable or name == "MsgPack"
        self.ids[node, number] = connection_id
        self.links[connection_id] = _Link(name, ordered, {each: {} for each in self.nodes})

    def _say(self, node: Node, number: int, link: _Link) -> None:
        self.last += 1
        value: Any = str(self.last) if link.serialization == "raw" else self.choices.value()
        node.core.send(number, value if link.serialization == "raw" else [self.last, value])
        link.sent[node][self.last] = value

    def _part(self, node: Node) -> None:
        """Lose the server, or go for good."""
        if self.choices.flip():
            node.online = False
            node.core.socket_closed("reason")
        elif self.choices.flip():
            for link in self.links.values():
                link.disturbed = True
            node.core.shut_down()

    def end(self) -> None:
        world = self.world
        world.advance(200.0)
        self.examine()
        for node, watch in zip(self.nodes, self.watches, strict=True):
            opened = {e.connection for e in node.told(events.DataConnectionOpened)}
            assert watch.living <= opened, "every dial and every offer came to something"
        for (node, number), connection_id in self.ids.items():
            self._what_arrived(node, number, self.links[connection_id])
        for node in self.nodes:
            node.core.shut_down()
            node.drain()
            assert node.core.next_timeout() is None
        world.settle()
        self.examine()
        for node, watch in zip(self.nodes, self.watches, strict=True):
            assert not node.rtcs
            assert not watch.living

    def _what_arrived(self, node: Node, number: int, link: _Link) -> None:
        (far,) = (each for each in self.nodes if each is not node)
        ended = bool(node.closed(number))
        if (node, number) in self.flushed or (far in link.flushed and not self.world.faulty):
            assert ended, "drains end"
        if link.forged:
            return
        sent, serials = link.sent[far], []
        for value in node.values(number):
            if link.serialization == "raw":
                value = [int(value), value]
            serials.append(value[0])
            assert same(value[1], sent[value[0]])
        assert len(set(serials)) == len(serials), "nothing twice"
        if link.ordered:
            assert serials == sorted(serials)
            assert serials == list(sent)[: len(serials)] or self.world.faulty
        cut = link.disturbed or self.world.faulty or node in link.flushed
        if not cut and all(not e.error for e in (*node.closed(number),)):
            assert len(serials) == len(sent), "all of it"
