"""One connection of a PeerServer: requests, one of which may make it a client's WebSocket."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from peerjs_proto.server_io import HttpReply

from .frames import (
    Close,
    FrameReader,
    Ping,
    Pong,
    accept_key,
    close_frame,
    close_reply,
    ping_frame,
    pong_frame,
    text_frame,
)
from .http1 import BadRequest, Head, read_head, reply_bytes, upgrade_bytes
from .tls_layer import TlsLayer
from .wire import Shared, Wire

if TYPE_CHECKING:
    from .server import PeerServer

__all__ = ["Connection"]

_log: Final = logging.getLogger("peerjs.server")

_REQUESTS_AT_ONCE: Final = 32
"Answered before others have their turn: about a millisecond."


class Connection(Wire):
    """A wire, and what is said over it."""

    __slots__ = (
        "_address",
        "_client",
        "_frames",
        "_has_closed",
        "_is_asking",
        "_server",
        "_unread",
    )

    def __init__(
        self,
        server: PeerServer,
        sock: socket.socket,
        address: str,
        shared: Shared,
        tls: TlsLayer | None,
    ) -> None:
        super().__init__(sock, shared, tls)
        self._server = server
        self._address = address
        self._unread = b""  # of requests, or of a client that has yet to be registered
        self._frames: FrameReader | None = None
        self._client = 0
        self._has_closed = False
        self._is_asking = False
        self._await_head()

    # --- what the wire says -------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if self._client:
            self._receive_frames(data)
        else:
            self._unread += data
            if self._frames is None:
                self._serve_requests()

    def end_received(self) -> None:
        self._leave()
        if self._unread and self._frames is None:
            self._answer(HttpReply(400, b"Bad Request"), is_last=True)
        self._finish(answered=True)

    def drained(self) -> None:
        if self._frames is None:
            self._go_on()

    def ended(self) -> None:
        self._leave()
        self._server.connection_ended(self, self._address)

    # --- HTTP ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """The server is going away; whoever is a client hears that from the core."""
        if self._frames is None:
            self._finish(answered=True)

    def _await_head(self) -> None:
        self.set_timer(self._server.limits.head_timeout, self._finish)

    @property
    def _reads_requests(self) -> bool:
        # While an answer is unsent, or what comes is a WebSocket's, there is no next one.
        return not (self._is_asking or self.closed or self.is_sending or self._frames is not None)

    def _serve_requests(self) -> None:
        for _ in range(_REQUESTS_AT_ONCE):
            if not self._unread or not self._reads_requests:
                break
            try:
                found = read_head(self._unread, self._server.limits.head_bytes)
            except BadRequest as fault:
                reply = HttpReply(fault.status, str(fault).encode())
                self._answer(reply, is_last=True)
                return
            if found is None:
                return
            head, end = found
            self._unread = self._unread[end:]
            if head.wants_websocket:
                self._open_websocket(head)
            elif self._server.hub.answers_at_once:
                self._reply(head, self._server.hub.respond_now(head.request, self._address))
            else:
                self._is_asking = True
                self.cancel_timer()
                self.pause()
                self._server.start_soon(self._take_time, self._ask, head)
        if self._unread and self._frames is None and not self._is_asking:
            # What is unread here must not grow, and others have their turn.
            self.pause()
            if not self.is_sending:
                self.set_timer(0.0, self._go_on)

    def _go_on(self) -> None:
        self._await_head()
        self.resume()
        self._serve_requests()

    async def _ask(self, head: Head) -> None:
        reply = await self._server.hub.respond(head.request, self._address)
        self._is_asking = False
        self._reply(head, reply)
        if not self.is_sending:
            self._go_on()

    async def _take_time(self, job: Callable[[Head], Awaitable[None]], head: Head) -> None:
        try:
            await job(head)
        except Exception:
            # As in Wire.readable: it is this connection that ends by it, and no other.
            _log.exception("a connection is closed by an error of the server's own")
            self.close()

    def _reply(self, head: Head, reply: HttpReply) -> None:
        self._answer(reply, with_body=head.request.method != "HEAD", is_last=head.is_last)

    def _answer(self, reply: HttpReply, *, with_body: bool = True, is_last: bool = False) -> None:
        self.send(reply_bytes(reply, with_body=with_body, is_last=is_last))
        if is_last:
            self._unread = b""
            self._finish()
        else:
            self._await_head()

    def _open_websocket(self, head: Head) -> None:
        headers, target = head.request.headers, head.request.target
        if not self._server.hub.core.is_websocket(target):
            self._answer(HttpReply(400, b"There is no WebSocket here"), is_last=True)
            return
        if headers.get("sec-websocket-version") != "13":
            version = {"Sec-WebSocket-Version": "13"}
            self._answer(HttpReply(426, b"Upgrade Required", headers=version), is_last=True)
            return
        accept = accept_key(headers.get("sec-websocket-key", ""))
        if accept is None:
            self._answer(HttpReply(400, b"Bad Sec-WebSocket-Key"), is_last=True)
            return
        self.cancel_timer()
        self._frames = FrameReader(self._server.limits.message_bytes)
        hub = self._server.hub
        self.send(upgrade_bytes(accept))
        if hub.decides_at_once:
            self._registered(hub.register_now(target, headers, self._address, self))
        else:
            self.pause()
            self._server.start_soon(self._take_time, self._register, head)

    async def _register(self, head: Head) -> None:
        client = await self._server.hub.register(
            head.request.target, head.request.headers, self._address, self
        )
        if self.closed:
            self._server.hub.gone(client)
            return
        self.resume()
        self._registered(client)

    def _registered(self, client: int) -> None:
        self._client = client
        unread, self._unread = self._unread, b""
        if unread:
            self._receive_frames(unread)

    # --- WebSocket ----------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Send a message, unless the connection is closing."""
        if not self._has_closed:
            self.send(text_frame(text))

    def close_websocket(self, code: int | None, reason: str) -> None:
        """Ask the far side to close, and give it a moment for that."""
        if not self._has_closed:
            self._has_closed = True
            self.send(close_frame(code, reason))
            self.set_timer(self._server.limits.close_timeout, self._finish)

    def ping(self) -> None:
        """Ask the far side whether it is there; it need not know that it is asked."""
        if not self._has_closed:
            self.send(ping_frame())

    def _receive_frames(self, data: bytes) -> None:
        assert self._frames is not None
        received, error = self._frames.feed(data)
        messages: list[str | bytes] = []
        for frame in received:
            if isinstance(frame, str | bytes):
                messages.append(frame)
            elif isinstance(frame, Ping):
                if not self._has_closed:
                    self.send(pong_frame(frame))
            elif isinstance(frame, Pong):
                self._server.hub.heard(self._client)
            else:
                self._deliver(messages)
                self._close_came(frame)
                return
        self._deliver(messages)
        if error is not None:
            self._leave()
            self.close_websocket(error.code, error.reason)

    def _deliver(self, messages: list[str | bytes]) -> None:
        # Once we have closed nobody hears them.
        if messages and not self._has_closed:
            pause = self._server.hub.receive(self._client, messages)
            if pause and not self._has_closed:
                self.pause()
                self.set_timer(pause, self.resume)

    def _close_came(self, close: Close) -> None:
        if not self._has_closed:
            self._has_closed = True
            self.send(close_reply(close))
        self._leave()
        self._finish(answered=True)

    def _leave(self) -> None:
        """Whatever comes now is nobody's."""
        if self._client:
            self._server.hub.gone(self._client)

    def _finish(self, *, answered: bool = False) -> None:
        self.finish(self._server.limits.close_timeout, answered=answered)
