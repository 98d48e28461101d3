"""A little world for cores: a server, WebRTC and a clock, all simulated and all stepped by hand.

What a core asks for is under way until ``World.step`` carries it across, so a test decides
what happens when; ``World.settle`` carries everything::

    world = World()
    alice, bob = world.node("alice"), world.node("bob")
    world.settle()
    number = alice.core.connect("bob", connection_id="dc_1", now=world.now)
    alice.drain()
    world.settle()
    assert alice.told(DataConnectionOpened)

The server is the core's own :class:`~peerjs_proto.server.ServerProtocol`; WebRTC is two ends
that know each other by the number in their descriptions.

Trouble is chosen by the caller, never by chance. A ``choice`` is any number from 0 on, taken
modulo how much there is to choose from: Hypothesis draws it, a fuzzer reads it from its bytes.
Signaling messages are lost, repeated and put off; a server is lost; an RTCPeerConnection fails.
A data channel keeps its promise, and none beyond it: what an unordered one carries, ``step``
takes in any order, and nothing on it is lost while both ends stand.

Nothing in here needs Hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, assert_never
from urllib.parse import urlsplit

import attrs

from peerjs_proto import commands, events, server_io
from peerjs_proto.backoff import Reconnect
from peerjs_proto.endpoint import Endpoint
from peerjs_proto.errors import ConnectionClosed
from peerjs_proto.events import Event
from peerjs_proto.limits import DEFAULT_LIMITS, Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.serializer import Frame
from peerjs_proto.server import ServerProtocol

from .under_way import Lane, UnderWay

__all__ = ["ENDPOINT", "Node", "Rtc", "World"]

ENDPOINT = Endpoint.parse("http://server.example:9000/")
"The server of every world."

ROOM = 8
"Frames a simulated channel takes before it is full."

MAX_MESSAGE_SIZE = 262_144
"Bytes in one frame, as browsers allow."

Closed = events.DataConnectionClosed | events.MediaConnectionClosed


@attrs.define(eq=False)
class Rtc:
    """One end of a simulated RTCPeerConnection."""

    node: Node
    number: int
    media: bool
    ordered: bool
    frames: Lane
    "Sent by this end, not yet arrived at the other."
    work: Lane
    "What the engine has to tell the core of this end."
    other: Rtc | None = None
    "The end whose description this one was given."
    up: bool = False
    closing: bool = False
    "Its channel sends no more; what it sent is still to arrive."
    drained: bool = False
    "And that has arrived."
    severed: bool = False
    "Nothing arrives any more, and neither end knows."

    @property
    def far(self) -> Rtc | None:
        """The other end, if each has the other's description."""
        return self.other if self.other is not None and self.other.other is self else None


@attrs.define(eq=False)
class Node:
    """One peer, its runtime, and everything it was told."""

    world: World
    core: PeerProtocol
    to_server: Lane
    from_server: Lane
    events: list[Event] = attrs.field(factory=list)
    "All there were, the oldest first."
    rtcs: dict[int, Rtc] = attrs.field(factory=dict)
    "Those not closed, by the core's number."
    socket: int | None = None
    "The server's handle while the WebSocket is open."

    def drain(self) -> None:
        """Carry out all commands and take all events; call it after each input of your own."""
        while True:
            if command := self.core.next_command():
                self.world.carry_out(self, command)
            elif event := self.core.next_event():
                self.events.append(event)
                offered = (events.DataConnectionOffered, events.MediaConnectionOffered)
                if self.world.auto_accept and isinstance(event, offered):
                    with suppress(ConnectionClosed):  # by an input before this drain
                        self.core.accept(event.connection, self.world.now)
            else:
                return

    def told(self, kind: Any) -> list[Any]:
        """All events of one class, or of several joined by ``|``."""
        return [event for event in self.events if isinstance(event, kind)]

    def values(self, connection: int) -> list[Any]:
        """What was received on a data connection."""
        return [e.value for e in self.told(events.MessageReceived) if e.connection == connection]

    def closed(self, connection: int) -> list[Closed]:
        """The events that say that this connection has ended: one at most."""
        return [e for e in self.events if isinstance(e, Closed) and e.connection == connection]


@attrs.define(eq=False)
class World(UnderWay):
    """All nodes, the server between them, and the time."""

    now: float = 1000.0
    "Seconds."
    auto_accept: bool = True
    "Whether every node accepts what it is offered, at once."
    server: ServerProtocol = attrs.field(factory=ServerProtocol)
    nodes: list[Node] = attrs.field(factory=list)
    rtcs: dict[str, Rtc] = attrs.field(factory=dict)
    "All there ever were, by the number in their descriptions."

    def node(
        self,
        id: str | None = None,
        limits: Limits = DEFAULT_LIMITS,
        *,
        media: bool = False,
        reconnect: Reconnect | None = None,
    ) -> Node:
        """A new peer, about to register; it has after ``settle``. Its waits are the longest."""
        core = PeerProtocol(
            ENDPOINT,
            id=id,
            token=f"token{len(self.nodes)}",
            limits=limits,
            media=media,
            reconnect=reconnect,
            random=lambda: 0.0,
        )
        node = Node(self, core, self.lane(), self.lane())
        self.nodes.append(node)
        core.start(self.now)
        node.drain()
        return node

    # --- time -----------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let time pass, with everything due on the way done in its order."""
        self._pass(seconds, self.settle)

    def wait(self, seconds: float) -> None:
        """Let time pass and deadlines come, while nothing that is under way arrives."""
        self._pass(seconds, lambda: None)

    # --- trouble --------------------------------------------------------------------------

    def lose_server(self, node: Node) -> bool:
        """The WebSocket of a node breaks, with everything on it."""
        if node.socket is None:
            return False
        node.to_server.steps.clear()
        node.from_server.steps.clear()
        self._hang_up_socket(node)
        node.core.socket_closed("the connection broke", self.now)
        node.drain()
        return True

    def break_rtc(self, choice: int = 0) -> bool:
        """An RTCPeerConnection fails, at whatever point it is, and with it its far end."""
        live = [rtc for node in self.nodes for rtc in node.rtcs.values()]
        if not live:
            return False
        rtc = live[choice % len(live)]
        for end in [end for end in (rtc, rtc.far) if end is not None]:
            end.up = False
            end.frames.steps.clear()
            self._fail(end, "the path broke")
        return True

    def sever_rtc(self, choice: int = 0) -> bool:
        """The path of an RTCPeerConnection breaks, and nobody is told."""
        live = [rtc for node in self.nodes for rtc in node.rtcs.values()]
        if not live:
            return False
        rtc = live[choice % len(live)]
        for end in [end for end in (rtc, rtc.far) if end is not None]:
            end.severed = True
            end.frames.steps.clear()
        return True

    # --- the runtime of each node ---------------------------------------------------------

    def carry_out(self, node: Node, command: commands.Command) -> None:
        """Do what a core asks for, or begin to."""
        match command:
            case commands.FetchId(url):
                self.later(node.to_server, lambda: self._fetch_id(node, url))
            case commands.OpenSocket(url):
                self.later(node.to_server, lambda: self._open_socket(node, url))
            case commands.SendText(text):
                self.later(node.to_server, lambda: self._serve_text(node, text), signal=True)
            case commands.CloseSocket():
                node.from_server.steps.clear()  # nothing more of this socket is told
                self.later(node.to_server, lambda: self._hang_up_socket(node))
            case commands.MakeOffer(number, _, ordered):
                self._offer(node, number, ordered=ordered)
            case commands.MakeMediaOffer(number):
                self._offer(node, number, media=True)
            case commands.MakeAnswer(number, offer) | commands.MakeMediaAnswer(number, offer):
                self._answer(node, number, offer)
            case commands.ApplyAnswer(number, answer):
                self._apply(node.rtcs[number], answer)
            case commands.AddCandidate():
                pass  # the ends find each other without
            case commands.FramesReady(number):
                self._pump(node.rtcs[number])
            case commands.CloseChannel(number):
                self._close_channel(node.rtcs[number])
            case commands.CloseRtc(number):
                self._close_rtc(node, number)
            case _:
                assert_never(command)

    # --- the server -----------------------------------------------------------------------

    def _fetch_id(self, node: Node, url: str) -> None:
        request = server_io.HttpRequest("GET", _target(url))
        fresh = f"given{self.nodes.index(node)}"
        reply = self.server.respond(request, fresh_id=lambda: fresh, now=self.now)
        node.core.receive_http(reply.status, reply.body, self.now)
        node.drain()

    def _open_socket(self, node: Node, url: str) -> None:
        node.socket = self.server.client_connected(_target(url), self.now)
        node.core.socket_opened(self.now)
        node.drain()
        self._serve()

    def _serve_text(self, node: Node, text: str) -> None:
        if node.socket is not None:
            self.server.receive_message(node.socket, text, self.now)
            self._serve()

    def _hang_up_socket(self, node: Node) -> None:
        if node.socket is not None:
            self.server.client_closed(node.socket)
            node.socket = None
            self._serve()

    def _serve(self) -> None:
        """Carry out what the server asks for."""
        while self.server.next_event():
            pass
        while command := self.server.next_command():
            for node in self.nodes:
                if node.socket == command.client:
                    self._from_server(node, command)

    def _from_server(self, node: Node, command: server_io.ServerCommand) -> None:
        if isinstance(command, server_io.SendText):
            text = command.text
            self.later(node.from_server, lambda: self._hear(node, text), signal=True)
        else:
            node.socket = None
            self.later(node.from_server, lambda: self._hear_no_more(node))

    def _hear(self, node: Node, text: str) -> None:
        node.core.receive_text(text, self.now)
        node.drain()

    def _hear_no_more(self, node: Node) -> None:
        node.core.socket_closed("the server closed the socket", self.now)
        node.drain()

    # --- WebRTC ---------------------------------------------------------------------------

    def _rtc(self, node: Node, number: int, *, media: bool, ordered: bool) -> tuple[Rtc, str]:
        rtc = Rtc(node, number, media, ordered, self.lane(ordered=ordered), self.lane())
        name = str(len(self.rtcs))
        node.rtcs[number] = self.rtcs[name] = rtc
        return rtc, name

    def _offer(self, node: Node, number: int, *, media: bool = False, ordered: bool = True) -> None:
        rtc, name = self._rtc(node, number, media=media, ordered=ordered)
        self._tell(rtc, lambda: node.core.offer_made(number, f"offer {name}"))

    def _answer(self, node: Node, number: int, offer: str) -> None:
        other = self.rtcs.get(offer.removeprefix("offer "))
        media, ordered = (other.media, other.ordered) if other else (False, True)
        rtc, name = self._rtc(node, number, media=media, ordered=ordered)
        rtc.other = other
        if other is None:
            self._fail(rtc, "malformed SDP")
        else:
            self._tell(rtc, lambda: node.core.answer_made(number, f"answer {name}"))

    def _apply(self, rtc: Rtc, answer: str) -> None:
        rtc.other = self.rtcs.get(answer.removeprefix("answer "))
        if rtc.other is None:
            self._fail(rtc, "malformed SDP")
        elif far := rtc.far:
            for end in (rtc, far):
                self.later(end.work, partial(self._connect, end))

    def _connect(self, rtc: Rtc) -> None:
        """Both descriptions are known; whether a path is found depends on who is still there."""
        if rtc.far is None or not (self._lives(rtc) and self._lives(rtc.far)):
            return
        rtc.up = True
        if rtc.media:
            rtc.node.core.media_connected(rtc.number)
        else:
            rtc.node.core.channel_opened(rtc.number, MAX_MESSAGE_SIZE)
        rtc.node.drain()
        self._pump(rtc)

    def _pump(self, rtc: Rtc) -> None:
        """Take frames for as long as there is room."""
        if rtc.far is None or rtc.closing or not rtc.up:
            return
        while len(rtc.frames.steps) < ROOM:
            frame = rtc.node.core.next_frame(rtc.number)
            if frame is None:
                break
            self.later(rtc.frames, partial(self._arrive, rtc, rtc.far, frame))
        rtc.node.drain()

    def _arrive(self, rtc: Rtc, far: Rtc, frame: Frame) -> None:
        if self._lives(far) and not rtc.severed:
            far.node.core.receive_frame(far.number, frame, self.now)
            far.node.drain()
        self._pump(rtc)

    def _close_channel(self, rtc: Rtc) -> None:
        if not rtc.closing:
            rtc.closing = True
            self.later(rtc.frames, partial(self._drained, rtc), last=True)

    def _drained(self, rtc: Rtc) -> None:
        # RFC 8831, section 6.7: the far side closes its own direction in turn, behind what it
        # has sent; the channel is closed when both are.
        rtc.drained = True
        if rtc.far is None or not self._lives(rtc.far) or rtc.severed:
            return
        self._close_channel(rtc.far)
        for end in (rtc, rtc.far) if rtc.far.drained else ():
            self._closed(end)

    def _close_rtc(self, node: Node, number: int) -> None:
        gone = node.rtcs.pop(number)
        gone.up = False
        gone.frames.steps.clear()
        if (far := gone.far) and self._lives(far) and not gone.severed:
            self._tell(far, lambda: far.node.core.channel_closed(far.number))

    def _closed(self, rtc: Rtc) -> None:
        rtc.node.core.channel_closed(rtc.number)
        rtc.node.drain()

    def _fail(self, rtc: Rtc, reason: str) -> None:
        self._tell(rtc, lambda: rtc.node.core.rtc_failed(rtc.number, reason))

    def _tell(self, rtc: Rtc, act: Callable[[], object]) -> None:
        def told() -> None:
            if self._lives(rtc):
                act()
                rtc.node.drain()

        self.later(rtc.work, told)

    def _lives(self, rtc: Rtc) -> bool:
        return rtc.node.rtcs.get(rtc.number) is rtc

    # --- deadlines ------------------------------------------------------------------------

    def _pass(self, seconds: float, meanwhile: Callable[[], None]) -> None:
        end = self.now + seconds
        while True:
            meanwhile()
            due = min(self._deadlines(), default=end)
            if due >= end:
                break
            self.now = max(self.now, due)
            self._wake()
        self.now = end
        self._wake()
        meanwhile()

    def _wake(self) -> None:
        for node in self.nodes:
            node.core.handle_timeout(self.now)
            node.drain()
        self.server.handle_timeout(self.now)
        self._serve()
        assert all(due > self.now for due in self._deadlines()), "it would wake for ever"

    def _deadlines(self) -> list[float]:
        dues = [node.core.next_timeout() for node in self.nodes] + [self.server.next_timeout()]
        return [due for due in dues if due is not None]


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
