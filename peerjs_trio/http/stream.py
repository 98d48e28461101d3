"""Stream: one request and its response, on either side, as something to wait for."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import anyio

from peerjs_proto.errors import ConnectionClosed
from peerjs_proto.http_io import (
    BodyNotNeeded,
    CloseReceived,
    DataReceived,
    Drained,
    Ended,
    MessageReceived,
    RequestHead,
    ResetCode,
    ResponseHead,
    ResponseReceived,
    StreamReset,
    WebSocketClosed,
)
from peerjs_trio.connection import BrokenConnection, ClosedConnection
from peerjs_trio.fairness import Event, checkpoint_if_cancelled

if TYPE_CHECKING:
    from peerjs_trio.http.session import HttpSession

__all__ = ["Stream", "StreamEvent"]

StreamEvent = (
    ResponseReceived
    | DataReceived
    | MessageReceived
    | CloseReceived
    | BodyNotNeeded
    | Drained
    | Ended
)

_CLOSE_TIMEOUT: Final = 5.0
"Seconds for the far side to answer a WebSocket's close."


class Stream:
    """Made by :meth:`HttpSession.request` and :meth:`HttpSession.incoming`.

    One task at a time receives, and one sends. What waits raises StreamReset when the far side
    gives up, BrokenConnection when the connection is lost, LimitExceeded or another
    RemoteProtocolError when the far side breaks a rule, and ClosedConnection after :meth:`reset`.
    """

    def __init__(
        self, session: HttpSession, number: int, head: RequestHead, *, body_ended: bool = False
    ) -> None:
        self.number = number
        self.head = head
        "What the request began with."
        self.body_needed = True
        "False when a server has answered and drops the rest: :meth:`send` does nothing then."
        self._session = session
        self._parts: deque[DataReceived | MessageReceived] = deque()
        self._response: ResponseHead | None = None
        self._body_ended = body_ended
        self._closing = False
        self._error: Exception | None = None
        self._closed: WebSocketClosed | None = None
        self._news: Event | None = None
        "There where somebody waits to receive."
        self._drained: Event | None = None
        "There where somebody waits to send."
        self._over = Event()

    def __repr__(self) -> str:
        state = "over" if self._error or self._closed else "open"
        return f"<Stream {self.number}, {self.head.method}, {state}>"

    # --- heads ----------------------------------------------------------------------------

    async def respond(self, head: ResponseHead, *, end: bool = False) -> None:
        """A server's answer. ``end``: it has no body. 101 accepts a WebSocket."""
        await checkpoint_if_cancelled()
        self._check()
        with self._session.turn() as core:
            core.respond(self.number, head, end=end)

    async def response(self) -> ResponseHead:
        """A client's answer; waits for it."""
        await checkpoint_if_cancelled()
        while self._response is None:
            self._check()
            await self._wait()
        return self._response

    # --- bodies ---------------------------------------------------------------------------

    async def send(self, data: bytes, *, end: bool = False) -> None:
        """Send a part of a body; waits until the far side had room for all of it.

        Cancelled, the part may go out all the same: reset the stream if it must not.
        """
        await checkpoint_if_cancelled()
        if not self.body_needed:
            return
        self._check()
        with self._session.turn() as core:
            core.send(self.number, data, end=end)
        if data or end:
            await self._wait_drained()

    async def receive(self) -> bytes:
        """The next part of the body, of any size; ``b""`` at its end."""
        await checkpoint_if_cancelled()
        while not self._parts:
            if self._body_ended:
                return b""
            self._check()
            await self._wait()
        part = self._take()
        assert isinstance(part, DataReceived), "a WebSocket's messages come by receive_message"
        return part.data or b""

    # --- WebSockets -----------------------------------------------------------------------

    async def send_message(self, value: str | bytes) -> None:
        """Send a message; waits as :meth:`send` does. Raises WebSocketClosed, MessageTooBig."""
        await checkpoint_if_cancelled()
        self._check()
        with self._session.turn() as core:
            core.send_message(self.number, value)
        await self._wait_drained()

    async def receive_message(self) -> str | bytes:
        """The next message. Raises WebSocketClosed when there is none, and will be none."""
        await checkpoint_if_cancelled()
        while not self._parts:
            self._check()
            await self._wait()
        part = self._take()
        assert isinstance(part, MessageReceived), "a body comes by receive"
        return part.value

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the WebSocket, behind what was sent; waits for the far side's answer."""
        await checkpoint_if_cancelled()
        if self._over.is_set():
            return
        if not self._closing:
            with self._session.turn() as core:
                core.close(self.number, code, reason)
            self._closing = True
        try:
            with anyio.move_on_after(_CLOSE_TIMEOUT):
                await self._over.wait()
        finally:
            if not self._over.is_set():
                self.reset()

    @property
    def closed(self) -> WebSocketClosed | None:
        """The end of a WebSocket that was closed in order; there may be messages to read yet."""
        return self._closed

    # --- ends -----------------------------------------------------------------------------

    def reset(self, code: ResetCode = ResetCode.CANCELLED, reason: str = "") -> None:
        """End both directions at once. Does nothing to a stream that is over."""
        with self._session.turn() as core:
            if core.is_over(self.number):
                return
            core.reset(self.number, code, reason)
        self._session.forget(self.number)
        if not self._over.is_set():
            self._end(ClosedConnection("this side has reset the request"))

    async def wait_reset(self) -> None:
        """Returns when nothing more can come of it: the far side, or the connection, is gone.

        Not after an end in good order, of both bodies.
        """
        await self._over.wait()

    # --- what the session tells it --------------------------------------------------------

    def tell(self, event: StreamEvent) -> None:
        """An event of the core for this stream."""
        match event:
            case ResponseReceived():
                self._response = event.head
                self._body_ended = event.ended
            case DataReceived():
                if event.data:
                    self._parts.append(event)
                self._body_ended = event.ended
            case MessageReceived():
                self._parts.append(event)
            case CloseReceived():
                self._closed = WebSocketClosed(event.code, event.reason)
                self._over.set()
            case BodyNotNeeded():
                self.body_needed = False
            case Drained():
                self._wake_sender()
            case Ended():
                self._end(event.error)
        self._wake()

    # --- inside ---------------------------------------------------------------------------

    def _end(self, error: Exception) -> None:
        if isinstance(error, ConnectionClosed) and not isinstance(error, ClosedConnection):
            broken = BrokenConnection(str(error))
            broken.__cause__ = error
            error = broken
        self._error = self._error or error
        self._over.set()
        self._wake_sender()
        self._wake()

    async def _wait(self) -> None:
        """Returns when something has happened."""
        if self._news is None:
            self._news = Event()
        await self._news.wait()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    def _wake_sender(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    def _take(self) -> DataReceived | MessageReceived:
        part = self._parts.popleft()
        with self._session.turn() as core:
            core.consumed(self.number, part.cost)
        return part

    def _check(self) -> None:
        """Raise what has ended it, if it did not end by itself."""
        if self._closed is not None:
            raise WebSocketClosed(self._closed.code, self._closed.reason)
        match self._error:
            case None:
                return
            case StreamReset(code=code, reason=reason):
                raise StreamReset(code, reason)
            case error:
                raise type(error)(*error.args) from error.__cause__

    async def _wait_drained(self) -> None:
        while not self._session.is_drained(self.number):
            self._drained = Event()
            await self._drained.wait()
        if self.body_needed:
            self._check()
