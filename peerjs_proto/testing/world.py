"""A little world for cores: a server, WebRTC and a clock, all simulated and all stepped by hand.

Nothing happens until :meth:`World.step` carries one waiting thing across, so a test decides
what is delivered when; :meth:`World.settle` carries everything.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

from peerjs_proto import commands, events
from peerjs_proto.endpoint import Endpoint
from peerjs_proto.events import DataConnectionClosed
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.serializer import Frame

__all__ = ["Node", "World"]

ENDPOINT = Endpoint.parse("http://server.example:9000/")
EXPIRE_AFTER = 5.0
ROOM = 8
"Frames a simulated channel takes before it is full."


@attrs.define
class Rtc:
    """One end of a simulated RTCPeerConnection."""

    node: Node
    number: int
    ordered: bool = True
    other: Rtc | None = None
    up: bool = False
    closing: bool = False
    in_flight: deque[Frame] = attrs.field(factory=deque)
    "Sent by this end, not yet arrived at the other."


@attrs.define(eq=False)
class Node:
    """One peer and everything it was told."""

    world: World
    core: PeerProtocol
    events: list[events.Event] = attrs.field(factory=list)
    rtcs: dict[int, Rtc] = attrs.field(factory=dict)
    online: bool = False

    def drain(self) -> None:
        """Carry out all commands; those that take time become steps of the world."""
        while True:
            if command := self.core.next_command():
                self._perform(command)
            elif event := self.core.next_event():
                self.events.append(event)
                if self.world.auto_accept and isinstance(event, events.DataConnectionOffered):
                    self.core.accept(event.connection, self.world.now)
            else:
                return

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def values(self, connection: int) -> list[Any]:
        return [e.value for e in self.told(events.MessageReceived) if e.connection == connection]

    def closed(self, connection: int) -> list[DataConnectionClosed]:
        return [e for e in self.told(DataConnectionClosed) if e.connection == connection]

    def pump(self, rtc: Rtc) -> None:
        while rtc.up and len(rtc.in_flight) < ROOM:
            frame = self.core.next_frame(rtc.number)
            if frame is None:
                break
            rtc.in_flight.append(frame)

    def _perform(self, command: commands.Command) -> None:
        world, core = self.world, self.core
        match command:
            case commands.FetchId():
                given = f"given{len(world.nodes)}".encode()
                world.later(self, lambda: core.receive_http(200, given, world.now))
            case commands.OpenSocket():
                world.later(self, self._register)
            case commands.SendText(text):
                if self.online:
                    world.later(None, lambda: world.relay(self, json.loads(text)))
            case commands.CloseSocket():
                self.online = False
            case commands.MakeOffer(number, _, ordered):
                self.rtcs[number] = rtc = Rtc(self, number, ordered)
                sdp = f"offer {world.name(rtc)}"
                world.later(self, lambda: core.offer_made(number, sdp))
            case commands.MakeAnswer(number, offer):
                self.rtcs[number] = rtc = Rtc(self, number)
                rtc.other = world.rtcs.get(offer.removeprefix("offer "))
                if rtc.other is None:
                    world.later(self, lambda: core.rtc_failed(number, "malformed SDP"))
                else:
                    rtc.ordered = rtc.other.ordered
                    sdp = f"answer {world.name(rtc)}"
                    world.later(self, lambda: core.answer_made(number, sdp))
            case commands.ApplyAnswer(number, answer):
                other = world.rtcs.get(answer.removeprefix("answer "))
                if other is None or number not in self.rtcs:
                    world.later(self, lambda: core.rtc_failed(number, "malformed SDP"))
                else:
                    rtc = self.rtcs[number]
                    rtc.other = other
                    world.later(None, lambda: world.link(rtc, other))
            case commands.AddCandidate():
                pass
            case commands.FramesReady(number):
                if number in self.rtcs:
                    self.pump(self.rtcs[number])
            case commands.CloseChannel(number):
                self.rtcs[number].closing = True
            case commands.CloseRtc(number):
                if (gone := self.rtcs.pop(number, None)) and (far := gone.other):
                    world.later(None, lambda: world.hang_up(far))

    def _register(self) -> None:
        self.online = True
        self.core.socket_opened(self.world.now)
        self.core.receive_text('{"type":"OPEN"}', self.world.now)


@attrs.define
class World:
    """All nodes, the server between them, and the time."""

    now: float = 1000.0
    auto_accept: bool = True
    nodes: list[Node] = attrs.field(factory=list)
    rtcs: dict[str, Rtc] = attrs.field(factory=dict)
    steps: deque[tuple[Node | None, Callable[[], object]]] = attrs.field(factory=deque)
    waiting: list[tuple[float, dict[str, Any]]] = attrs.field(factory=list)

    def node(self, id: str | None = None, limits: Limits | None = None) -> Node:
        core = PeerProtocol(ENDPOINT, id=id, token="t", limits=limits or Limits())
        node = Node(self, core)
        self.nodes.append(node)
        core.start(self.now)
        node.drain()
        return node

    def later(self, node: Node | None, action: Callable[[], object]) -> None:
        self.steps.append((node, action))

    def step(self) -> bool:
        """Carry one thing across; False if nothing waits."""
        if self.steps:
            node, action = self.steps.popleft()
            action()
            if node is not None:
                node.drain()
            return True
        return any(self._carry_frame(rtc) for node in self.nodes for rtc in [*node.rtcs.values()])

    def settle(self) -> None:
        for _ in range(100_000):
            if not self.step():
                return
        raise AssertionError("the world does not come to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything due on the way done in its order."""
        end = self.now + seconds
        while True:
            self.settle()
            due = [t for n in self.nodes if (t := n.core.next_timeout()) is not None]
            due += [t for t, _ in self.waiting]
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
            self._expire()
            for node in self.nodes:
                node.core.handle_timeout(self.now)
                node.drain()
        self.now = end

    def relay(self, sender: Node, frame: dict[str, Any]) -> None:
        frame["src"] = sender.core.id
        if (dst := frame.get("dst")) is None:
            return
        to = next((n for n in self.nodes if n.core.id == dst and n.online), None)
        if to is None:
            if frame["type"] not in ("LEAVE", "EXPIRE"):
                self.waiting.append((self.now + EXPIRE_AFTER, frame))
            return
        to.core.receive_text(json.dumps(frame), self.now)
        to.drain()

    def link(self, a: Rtc, b: Rtc) -> None:
        for rtc in (a, b):
            if rtc.number in rtc.node.rtcs and not rtc.up:
                rtc.up = True
                rtc.node.core.channel_opened(rtc.number, 262_144)
                rtc.node.drain()

    def hang_up(self, rtc: Rtc) -> None:
        rtc.node.core.channel_closed(rtc.number)
        rtc.node.drain()

    def name(self, rtc: Rtc) -> str:
        name = str(len(self.rtcs))
        self.rtcs[name] = rtc
        return name

    def _carry_frame(self, rtc: Rtc) -> bool:
        other = rtc.other
        if rtc.in_flight:
            frame = rtc.in_flight.popleft()
            if other is not None:
                other.node.core.receive_frame(other.number, frame, self.now)
                other.node.drain()
            rtc.node.pump(rtc)
            rtc.node.drain()
            return True
        if rtc.closing:
            rtc.closing = False
            for end in (rtc, other):
                if end is not None:
                    self.hang_up(end)
            return True
        return False

    def _expire(self) -> None:
        for due, frame in [*self.waiting]:
            if due <= self.now:
                self.waiting.remove((due, frame))
                text = json.dumps({"type": "EXPIRE", "src": frame["dst"], "dst": frame["src"]})
                for node in self.nodes:
                    if node.core.id == frame["src"]:
                        node.core.receive_text(text, self.now)
                        node.drain()
