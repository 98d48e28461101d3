"""A network in memory: a PeerServer without sockets, and WebRTC without packets.

For tests of the runtime under trio's autojump clock; the interfaces are the real ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import attrs
import trio
from trio.testing import MockClock

from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import CloseClient, HttpRequest, SendText
from peerjs_trio.background import open_background
from peerjs_trio.rtc.engine import Frame, IceServer, RtcSink
from peerjs_trio.websocket import Socket, TransportError

__all__ = [
    "FakeEngine",
    "FakeNetwork",
    "FakeRtc",
    "FakeSocket",
    "open_fake_network",
    "virtual_time",
]

ROOM = 64 * 1024
"Bytes a fake channel takes before it is full."


def virtual_time(*args: Any, **options: Any) -> Any:
    """``trio.run`` where no time passes but the test's: for ``pytest.mark.trio(run=...)``.

    pytest-trio's ``autojump_clock`` would have to be an argument of each test.
    """
    options["clock"] = MockClock(autojump_threshold=0)
    return trio.run(*args, **options)


@asynccontextmanager
async def open_fake_network(**server: Any) -> AsyncIterator[FakeNetwork]:
    """``server``: arguments of its ServerProtocol."""
    async with open_background() as tasks:
        network = FakeNetwork(**server)
        tasks.start_soon(network.keep_time)
        yield network


@attrs.define(eq=False)
class FakeSocket:
    """The client's end of a WebSocket; ``from_server`` is None at its end."""

    network: FakeNetwork
    client: int = 0
    from_server: deque[str | bytes | None] = attrs.field(factory=deque)
    sent: list[str] = attrs.field(factory=list)
    news: anyio.Event = attrs.field(factory=anyio.Event)
    stuck: bool = False
    "Set by a test: sending never ends."

    async def send(self, text: str) -> None:
        await anyio.lowlevel.checkpoint()
        if self.stuck:
            await anyio.sleep_forever()
        self.sent.append(text)
        self.network.receive(self.client, text)

    async def receive(self) -> str | bytes:
        await anyio.lowlevel.checkpoint()
        while not self.from_server:
            await self.news.wait()
        frame = self.from_server[0]
        if frame is None:
            raise TransportError("the server closed the WebSocket with code 1005")
        self.from_server.popleft()
        return frame

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.put(None)

    def put(self, frame: str | bytes | None) -> None:
        """As if the server had sent it."""
        self.from_server.append(frame)
        self.news.set()
        self.news = anyio.Event()


class FakeNetwork:
    """Implements Transport, and makes engines whose connections find each other."""

    def __init__(self, **server: Any) -> None:
        self.server = ServerProtocol(**server)
        self.sockets: dict[int, FakeSocket] = {}
        self.rtcs: dict[str, FakeRtc] = {}
        self.reachable = True
        self.answer_http = True
        self.came_from = "192.0.2.1"
        "The network of whoever asks."
        self.ids = 0
        self.requests: list[str] = []
        "Methods and paths, in order."
        self.replies: deque[tuple[int, bytes]] = deque()
        "Set by a test: what the next requests are answered instead."
        self.engine_delay = 0.01
        self._changed = anyio.Event()

    # --- Transport ------------------------------------------------------------------------

    async def request(
        self, method: Literal["GET", "POST"], url: str, *, max_bytes: int
    ) -> tuple[int, bytes]:
        await anyio.lowlevel.checkpoint()
        if not self.reachable:
            raise TransportError("http://fake: connection refused")
        if not self.answer_http:
            await anyio.sleep_forever()
        parts = urlsplit(url)
        self.requests.append(f"{method} {parts.path}")
        if self.replies:
            status, body = self.replies.popleft()
            return status, body[:max_bytes]
        request = HttpRequest(method, f"{parts.path}?{parts.query}")
        reply = self.server.respond(
            request, fresh_id=self._fresh_id, now=anyio.current_time(), network=self.came_from
        )
        return reply.status, reply.body[:max_bytes]

    @asynccontextmanager
    async def open(self, url: str, *, max_bytes: int) -> AsyncIterator[Socket]:
        await anyio.lowlevel.checkpoint()
        if not self.reachable:
            raise TransportError("ws://fake: connection refused")
        parts = urlsplit(url)
        socket = FakeSocket(self)
        socket.client = self.server.client_connected(
            f"{parts.path}?{parts.query}", anyio.current_time()
        )
        self.sockets[socket.client] = socket
        self.drain()
        try:
            yield socket
        finally:
            self.sockets.pop(socket.client, None)
            self.server.client_closed(socket.client)
            self.drain()

    def _fresh_id(self) -> str:
        self.ids += 1
        return f"fresh{self.ids}"

    # --- the server -----------------------------------------------------------------------

    def receive(self, client: int, text: str) -> None:
        self.server.receive_message(client, text, anyio.current_time())
        self.drain()

    def drain(self) -> None:
        while command := self.server.next_command():
            match command:
                case SendText(client, text) if client in self.sockets:
                    self.sockets[client].put(text)
                case CloseClient(client) if client in self.sockets:
                    self.sockets[client].put(None)
        while self.server.next_event():
            pass
        self._changed.set()

    async def keep_time(self) -> None:
        while True:
            deadline = self.server.next_timeout()
            with anyio.CancelScope(deadline=float("inf") if deadline is None else deadline):
                await self._changed.wait()
            self.server.handle_timeout(anyio.current_time())
            self.drain()
            self._changed = anyio.Event()

    # --- engines --------------------------------------------------------------------------

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[FakeEngine]:
        engine = FakeEngine(self)
        async with open_background() as tasks:
            tasks.start_soon(engine.run)
            yield engine
        assert not engine.open_connections, "the peer left connections open"


class FakeEngine:
    def __init__(self, network: FakeNetwork) -> None:
        self.network = network
        self.open_connections: list[FakeRtc] = []
        self.prepared: list[IceServer] = []
        self.given: list[list[IceServer]] = []
        "The servers of each connection."
        self._jobs: deque[Callable[[], object]] = deque()
        self._news = anyio.Event()

    def prepare(self, ice_servers: Sequence[IceServer]) -> None:
        self.prepared += ice_servers

    def open(self, sink: RtcSink, ice_servers: Sequence[IceServer]) -> FakeRtc:
        rtc = FakeRtc(self, sink)
        self.given.append(list(ice_servers))
        self.open_connections.append(rtc)
        return rtc

    def later(self, job: Callable[[], object]) -> None:
        self._jobs.append(job)
        self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            while self._jobs:
                await anyio.sleep(self.network.engine_delay)
                self._jobs.popleft()()


class FakeRtc:
    """Implements RtcConnection."""

    def __init__(self, engine: FakeEngine, sink: RtcSink) -> None:
        self.engine = engine
        self.sink = sink
        self.other: FakeRtc | None = None
        self.buffered = 0
        self.stalled = False
        "Set by a test: nothing drains."
        self.closed = False
        self.candidates: list[Mapping[str, Any]] = []
        self.severed = False
        "Set by a test: nothing arrives here or at the other end, and nobody is told."
        self._name = str(len(engine.network.rtcs))
        engine.network.rtcs[self._name] = self

    def make_offer(self, label: str, *, ordered: bool) -> None:
        self._later(lambda: self.sink.offer_made(f"offer {self._name}"))

    def make_answer(self, offer: str) -> None:
        other = self.engine.network.rtcs.get(offer.removeprefix("offer "))
        if other is None:
            self._later(lambda: self.sink.failed("malformed SDP"))
        else:
            self.other = other
            self._later(lambda: self.sink.answer_made(f"answer {self._name}"))

    def apply_answer(self, sdp: str) -> None:
        other = self.engine.network.rtcs.get(sdp.removeprefix("answer "))
        if other is None:
            self._later(lambda: self.sink.failed("malformed SDP"))
            return
        self.other = other
        self._later(lambda: self.sink.channel_opened(262_144))
        other._later(lambda: other.sink.channel_opened(262_144))

    def add_candidate(self, candidate: Mapping[str, Any]) -> None:
        self.candidates.append(candidate)

    @property
    def room(self) -> int:
        return ROOM - self.buffered

    def send(self, frame: str | bytes | bytearray | memoryview) -> None:
        assert not self.closed
        size = len(frame)
        self.buffered += size
        self._later(lambda: self._carry(frame, size))

    def inject(self, *frames: Frame) -> None:
        """As if the far side had sent these, whatever its own rules."""
        self._later(lambda: self.sink.frames_received(frames))

    def close_channel(self) -> None:
        self._later(self._end)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.engine.open_connections.remove(self)
            if self.other is not None and not self._is_cut:
                self.other._later(self.other.sink.channel_closed)

    @property
    def _is_cut(self) -> bool:
        return self.severed or (self.other is not None and self.other.severed)

    def _carry(self, frame: Any, size: int) -> None:
        if self.stalled:
            self._later(lambda: self._carry(frame, size))
            return
        self.buffered -= size
        if self.other is not None and not self.other.closed and not self._is_cut:
            self.other.sink.frames_received([frame if isinstance(frame, str) else bytes(frame)])
        if not self.closed:
            self.sink.room_made()

    def _end(self) -> None:
        if self.stalled:
            self._later(self._end)
            return
        self.sink.channel_closed()
        if self.other is not None and not self.other.closed:
            self.other.sink.channel_closed()

    def _later(self, job: Callable[[], object]) -> None:
        self.engine.later(lambda: None if self.closed else job())
