"""HttpSession: one data connection that carries HTTP, driven."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from peerjs_proto.errors import ConnectionClosed, LocalProtocolError, PeerError
from peerjs_proto.http import HttpProtocol
from peerjs_proto.http_io import (
    DEFAULT_HTTP_LIMITS,
    Failed,
    GoingAway,
    HttpEvent,
    HttpLimits,
    Ready,
    RequestHead,
    RequestReceived,
)
from peerjs_trio.background import open_background
from peerjs_trio.connection import BrokenConnection, DataConnection
from peerjs_trio.fairness import Event
from peerjs_trio.feed import Feed
from peerjs_trio.http.stream import Stream

__all__ = ["HttpSession", "open_session"]

_GOODBYE: Final = 1.0
"Seconds at most for the far side to hear that we leave."

_log = logging.getLogger("peerjs_trio.http")


@asynccontextmanager
async def open_session(
    connection: DataConnection,
    *,
    client: bool,
    limits: HttpLimits = DEFAULT_HTTP_LIMITS,
    first: str | bytes | None = None,
) -> AsyncGenerator[HttpSession]:
    """Carry HTTP over a connection for the length of the block, which closes it.

    :param first: a message of the far side's that was read already.

    Raises LocalProtocolError for a connection that is not ``raw`` and reliable.
    """
    if connection.serialization != "raw" or not connection.reliable:
        raise LocalProtocolError("HTTP needs a connection that is raw and reliable")
    session = HttpSession(connection, client=client, limits=limits)
    async with open_background() as tasks:
        tasks.start_soon(session._read, first)
        tasks.start_soon(session._write)
        try:
            yield session
        finally:
            with anyio.move_on_after(_GOODBYE, shield=True):
                await session._leave()
            await connection.aclose()


class HttpSession:
    """Made by :func:`open_session`. Streams of one connection, by the rules of the core."""

    def __init__(self, connection: DataConnection, *, client: bool, limits: HttpLimits) -> None:
        self.connection = connection
        self._core = HttpProtocol(
            client=client,
            limits=limits,
            agent="peerjs-sansio",
            max_message_size=max(1024, connection.max_message_size),
        )
        self._streams: dict[int, Stream] = {}
        self._incoming: Feed[Stream] = Feed()
        self._queue = anyio.Lock()
        "Whoever wants to send a request, in order."
        self._news: Event | None = None
        "There where a request waits for its turn."
        self._frames = Event()
        "There may be frames to send."
        self._failed = False
        self._ready = Event()
        self._gone = Event()

    @property
    def is_open(self) -> bool:
        """Whether new requests can go out, now or when others have ended."""
        return not (self._core.is_leaving or self._gone.is_set())

    async def request(self, head: RequestHead, *, end: bool) -> Stream:
        """Send a request's head, as soon as the far side takes one more.

        :param end: whether it has no body.

        Raises BrokenConnection where no more requests can go out, MessageTooBig.
        """
        async with self._queue:
            while not self._core.can_request:
                if not self.is_open:
                    raise BrokenConnection("the connection takes no more requests")
                if self._news is None:
                    self._news = Event()
                await self._news.wait()
            with self.turn() as core:
                number = core.request(head, end=end)
                stream = self._streams[number] = Stream(self, number, head)
        return stream

    def incoming(self) -> AsyncIterator[Stream]:
        """Requests of the far side, as they come. Say :meth:`release` for each.

        Ends with the connection.
        """
        return self._incoming

    def release(self, stream: Stream) -> None:
        """A server is done with a request, whatever became of it."""
        with self.turn() as core:
            core.release(stream.number)

    async def wait_ready(self) -> None:
        """Returns when the far side has said its first word, or the connection is over."""
        await self._ready.wait()

    async def wait_closed(self) -> None:
        """Returns when the connection is over."""
        await self._gone.wait()

    # --- for streams ----------------------------------------------------------------------

    def turn(self) -> HttpSession:
        """Call inputs of the core in this block; what they cause is told when it ends."""
        return self

    # Not a generator, as with the peer's driver: this is on the way of every frame.
    def __enter__(self) -> HttpProtocol:
        return self._core

    def __exit__(self, *_: object) -> None:
        self._settle()

    def is_drained(self, number: int) -> bool:
        """Whether all that was given to this stream is out."""
        return self._core.is_drained(number)

    def forget(self, number: int) -> None:
        """It is over, and tells nothing any more."""
        self._streams.pop(number, None)

    # --- inside ---------------------------------------------------------------------------

    async def _read(self, first: str | bytes | None) -> None:
        error: PeerError | None = None
        try:
            if first is not None:
                self._receive(first)
            async for message in self.connection:
                self._receive(message)
        except ConnectionClosed as closed:
            error = closed
        finally:
            with self.turn() as core:
                core.connection_lost(error)
            self._ready.set()
            self._gone.set()
            self._incoming.end()
            self._wake_requests()

    def _receive(self, message: str | bytes) -> None:
        with self.turn() as core:
            core.receive_frame(message)

    async def _write(self) -> None:
        try:
            while True:
                self._frames = Event()
                while (frame := self._core.next_frame()) is not None:
                    self._settle(wake_writer=False)
                    await self.connection.send(frame)
                if self._failed:
                    await self.connection.aclose(flush=True)
                    return
                await self._frames.wait()
        except PeerError:
            pass  # the reader has heard of it too, or will

    async def _leave(self) -> None:
        """Say goodbye, and wait until all that was said has arrived."""
        if self._gone.is_set() or self._failed:
            return
        with self.turn() as core:
            core.go_away()
        while (frame := self._core.next_frame()) is not None:
            await self.connection.send(frame)
        await self.connection.aclose(flush=True)

    def _settle(self, *, wake_writer: bool = True) -> None:
        touched: set[int] = set()
        while (event := self._core.next_event()) is not None:
            self._deliver(event, touched)
        for number in touched:
            if self._core.is_over(number):
                self.forget(number)
        if wake_writer:
            self._frames.set()
        self._wake_requests()

    def _wake_requests(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    def _deliver(self, event: HttpEvent, touched: set[int]) -> None:
        match event:
            case Ready(agent):
                self._ready.set()
                _log.debug("%s speaks HTTP: %s", self.connection.peer, agent)
            case GoingAway(code, reason):
                _log.debug("%s takes no more requests: %d %s", self.connection.peer, code, reason)
            case Failed(error):
                _log.warning("ended HTTP with %s: %s", self.connection.peer, error)
                self._failed = True
            case RequestReceived(number, head, ended):
                stream = Stream(self, number, head, body_ended=ended)
                self._streams[number] = stream
                self._incoming.put(stream)
            case _:
                touched.add(event.stream)
                if event.stream in self._streams:
                    self._streams[event.stream].tell(event)
