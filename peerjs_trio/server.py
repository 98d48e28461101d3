"""A PeerServer in the trio run you have: HTTP and WebSocket on one port.

::

    async with open_server(port=9000) as server:
        async with open_peer("alice", server=server.url) as alice:
            ...

The rules are :class:`peerjs_proto.server.ServerProtocol`'s; here are the sockets. h11 reads HTTP,
``websockets`` the frames, both without I/O of their own, over :class:`~peerjs_trio.wire.Wire`.
Each connection has one task, which reads; whoever has something for it writes at once.
"""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from http import HTTPStatus
from math import inf
from typing import Final

try:
    import anyio.abc
    import h11
    import trio
    import websockets.server
    from websockets.datastructures import Headers
    from websockets.frames import CloseCode, Frame, Opcode
    from websockets.http11 import Request
    from websockets.protocol import State
except ImportError as error:
    raise ImportError(
        'a PeerServer needs h11 and websockets: pip install "peerjs-sansio[server]"'
    ) from error

from peerjs_proto.endpoint import DEFAULT_KEY, Endpoint
from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import (
    DEFAULT_SERVER_LIMITS,
    CloseClient,
    HttpReply,
    HttpRequest,
    SendText,
    ServerLimits,
    ServerStatistics,
)

from .background import open_background
from .wire import Wire, listen, reachable

__all__ = ["PeerServer", "open_server"]


@asynccontextmanager
async def open_server(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    path: str = "/",
    key: str = DEFAULT_KEY,
    allow_discovery: bool = False,
    alive_timeout: float = 60.0,
    expire_timeout: float = 5.0,
    concurrent_limit: int = 5000,
    routes: Mapping[str, HttpReply] | None = None,
    limits: ServerLimits = DEFAULT_SERVER_LIMITS,
) -> AsyncIterator[PeerServer]:
    """Serve for the length of the block. Leaving it closes every client (1001) and socket.

    Args:
        host: An address or name of this machine; ``"0.0.0.0"`` and ``"::"`` are all of them,
            the latter with IPv6 *and* IPv4.
        port: 0 takes a free one.
        path: Under which everything is.
        key: What clients must present.
        allow_discovery: Whether ``GET {path}{key}/peers`` lists the ids.
        alive_timeout: Seconds without a message until a client is dropped.
        expire_timeout: Seconds messages wait for an absent id.
        concurrent_limit: Clients at once.
        routes: Other things to GET, by path, such as the page that uses the server:
            ``{"/": HttpReply(200, page, "text/html; charset=utf-8")}``. They win over the API.
        limits: Every bound on what clients can make the server hold.

    Raises:
        OSError: the port is in use, or the address is not ours; the text names it.
        LocalProtocolError: for arguments the protocol does not allow.
    """
    if not 0 <= port <= 65535:  # the system would take it modulo 65536
        raise LocalProtocolError(f"{port} is no port: 0 to 65535")
    core = ServerProtocol(
        path=path,
        key=key,
        allow_discovery=allow_discovery,
        alive_timeout=alive_timeout,
        expire_timeout=expire_timeout,
        concurrent_limit=concurrent_limit,
        routes=routes or {},
        limits=limits,
    )
    async with await listen(host, port) as listener, open_background() as tasks:
        url = f"http://{reachable(listener)}/{path.strip('/')}"
        server = PeerServer(core, Endpoint.parse(url, key), limits, tasks)
        tasks.start_soon(trio.serve_listeners, server._serve, [listener])
        tasks.start_soon(server._keep_time)
        try:
            yield server
        finally:
            with trio.CancelScope(shield=True):
                await server._shut_down()


class PeerServer:
    """A running server, as :func:`open_server` yields it."""

    def __init__(
        self,
        core: ServerProtocol,
        endpoint: Endpoint,
        limits: ServerLimits,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self._core = core
        self._endpoint = endpoint
        self._limits = limits
        self._tasks = tasks
        self._clients: dict[int, _WebSocket] = {}  # those the core knows
        self._connections: set[Wire] = set()
        self._websockets: set[Wire] = set()
        self._deserted: trio.Event | None = None  # set, while shutting down, by the last to go
        self._alarm = trio.CancelScope()

    @property
    def url(self) -> str:
        """What peers on this machine pass as ``server``: ``"http://127.0.0.1:9000/"``."""
        return self._endpoint.url

    @property
    def host(self) -> str:
        """The address in :attr:`url`: one that can be connected to, even if all are served."""
        return self._endpoint.host

    @property
    def port(self) -> int:
        return self._endpoint.port

    @property
    def path(self) -> str:
        """Under which everything is; begins and ends with a slash."""
        return self._endpoint.path

    @property
    def clients(self) -> int:
        """How many are registered now."""
        return self._core.statistics().clients

    def statistics(self) -> ServerStatistics:
        """How things stand, in numbers."""
        return self._core.statistics()

    # --- driving the core ---------------------------------------------------------------------

    def _perform(self) -> None:
        """Carry out what the core asks; never waits."""
        while (command := self._core.next_command()) is not None:
            match command:
                case SendText(client, text):
                    self._clients[client].send_text(text)
                case CloseClient(client, code, reason):
                    timeout = self._limits.close_timeout
                    self._clients.pop(client).close(code, reason, timeout)
        while self._core.next_event() is not None:
            pass
        timeout_at = self._core.next_timeout()
        self._alarm.deadline = inf if timeout_at is None else timeout_at

    async def _keep_time(self) -> None:
        while True:
            with self._alarm:
                await trio.sleep_forever()
            self._alarm = trio.CancelScope()
            self._core.handle_timeout(trio.current_time())
            self._perform()

    async def _shut_down(self) -> None:
        self._deserted = trio.Event()
        self._core.shut_down()
        self._perform()
        if self._websockets:
            with trio.move_on_after(self._limits.close_timeout):
                await self._deserted.wait()
        for wire in list(self._connections):
            wire.close()  # which ends its task

    # --- one connection -----------------------------------------------------------------------

    async def _serve(self, stream: trio.SocketStream) -> None:
        sock = socket.socket(fileno=stream.socket.detach())
        if self._deserted is not None or len(self._connections) >= self._limits.sockets:
            sock.close()
            return
        wire = Wire(
            sock,
            self._tasks,
            backlog_bytes=self._limits.backlog_bytes,
            send_timeout=self._limits.send_timeout,
        )
        self._connections.add(wire)
        # Whatever cancels the server, its clients are told: _shut_down is what ends this.
        with trio.CancelScope(shield=True):
            try:
                answered = False
                upgraded = await self._serve_http(wire)
                if upgraded is not None:
                    self._websockets.add(wire)
                    answered = await self._serve_websocket(*upgraded)
                await wire.finish(self._limits.close_timeout, answered=answered)
            finally:
                wire.close()
                self._connections.discard(wire)
                self._websockets.discard(wire)
                if self._deserted is not None and not self._websockets:
                    self._deserted.set()

    async def _serve_http(self, wire: Wire) -> tuple[_WebSocket, str] | None:
        """Answer requests until one opens a WebSocket (that, and its target) or the last."""
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head_bytes)
        while True:
            request = None
            try:
                with trio.move_on_after(self._limits.head_timeout):
                    request = await _next_request(http, wire)
                if request is None:
                    return None  # it left, or took too long
                # No request needs a body here. One that has one gets its answer, and the end.
                complete = isinstance(http.next_event(), h11.EndOfMessage)
            except h11.RemoteProtocolError as fault:
                _send_reply(http, wire, HttpReply(fault.error_status_hint, b"Bad Request"))
                return None
            target = request.target.decode("latin-1")
            headers = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers
            }
            wants_websocket = headers.get("upgrade", "").lower() == "websocket"
            if wants_websocket and request.method == b"GET" and request.http_version == b"1.1":
                if self._core.is_websocket(target):
                    return self._open_websocket(http, wire, request, target)
                reply = HttpReply(400, b"There is no WebSocket here")
            else:
                asked = HttpRequest(request.method.decode("latin-1"), target, headers)
                reply = self._core.respond(
                    asked, fresh_id=lambda: str(uuid.uuid4()), now=trio.current_time()
                )
            _send_reply(http, wire, reply, request, last=not complete)
            await wire.drain()
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return None
            http.start_next_cycle()
            await trio.lowlevel.checkpoint()  # many requests can come in one packet

    def _open_websocket(
        self, http: h11.Connection, wire: Wire, request: h11.Request, target: str
    ) -> tuple[_WebSocket, str] | None:
        # Extensions are off: permessage-deflate would triple the memory of a client.
        protocol = websockets.server.ServerProtocol(
            state=State.OPEN, max_size=self._limits.message_bytes, logger=_SILENCE
        )
        headers = Headers(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers
        )
        answer = protocol.accept(Request(target, headers))
        wire.send(answer.serialize())
        if answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return None
        return _WebSocket(wire, protocol, http.trailing_data[0]), target

    async def _serve_websocket(self, websocket: _WebSocket, target: str) -> bool:
        """Until its end; whether that was an orderly one."""
        client = self._core.client_connected(target, trio.current_time())
        self._clients[client] = websocket
        self._perform()
        try:
            with websocket.scope:
                while (messages := await websocket.receive()) is not None:
                    now = trio.current_time()
                    for message in messages:
                        self._core.receive_message(client, message, now)
                    self._perform()
        finally:
            self._clients.pop(client, None)
            self._core.client_closed(client)
            self._perform()
        return websocket.both_closed


class _WebSocket:
    """Messages over a wire, by the rules of RFC 6455."""

    def __init__(
        self, wire: Wire, protocol: websockets.server.ServerProtocol, received: bytes
    ) -> None:
        """``received`` came behind the handshake."""
        self.scope = trio.CancelScope()
        "Around its reader; has a deadline once we have closed."
        self._wire = wire
        self._protocol = protocol
        self._received = received
        self._partial = bytearray()  # a fragmented message so far
        self._partial_is_text = False
        self._ended = False

    async def receive(self) -> list[str | bytes] | None:
        """The messages that came next, maybe none; None at the end."""
        if self._ended:
            return None
        data, self._received = self._received or await self._wire.receive(), b""
        if not data:
            return None
        self._protocol.receive_data(data)
        messages: list[str | bytes] = []
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode in _DATA_OPCODES:
                if frame.opcode is not Opcode.CONT:
                    self._partial_is_text = frame.opcode is Opcode.TEXT
                self._partial += frame.data
                if frame.fin:
                    message, self._partial = bytes(self._partial), bytearray()
                    try:
                        messages.append(str(message, "utf-8") if self._partial_is_text else message)
                    except UnicodeDecodeError:
                        self._protocol.fail(CloseCode.INVALID_DATA, "text is not UTF-8")
                        break
        self._transmit()
        return messages

    @property
    def both_closed(self) -> bool:
        """Whether each side has had the other's close frame: then we close TCP (7.1.1)."""
        return self._protocol.close_sent is not None and self._protocol.close_rcvd is not None

    def send_text(self, text: str) -> None:
        """Send a message, unless the far side is leaving."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(text.encode())
            self._transmit()

    def close(self, code: int | None, reason: str, timeout: float) -> None:
        """Ask the far side to close, and give it ``timeout`` seconds for that."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._transmit()
        self.scope.deadline = trio.current_time() + timeout

    def _transmit(self) -> None:
        pieces = self._protocol.data_to_send()
        self._ended = self._ended or b"" in pieces  # websockets' sign that nothing follows
        self._wire.send(b"".join(pieces))


async def _next_request(http: h11.Connection, wire: Wire) -> h11.Request | None:
    while True:
        event = http.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        http.receive_data(await wire.receive())


def _send_reply(
    http: h11.Connection,
    wire: Wire,
    reply: HttpReply,
    request: h11.Request | None = None,
    *,
    last: bool = True,
) -> None:
    headers = {"Date": formatdate(usegmt=True), **reply.headers}
    if reply.status != HTTPStatus.NO_CONTENT:
        headers["Content-Type"] = reply.content_type
        headers["Content-Length"] = str(len(reply.body))
    if last:
        headers["Connection"] = "close"
    response = h11.Response(
        status_code=reply.status,
        headers=[(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        reason=_REASONS.get(reply.status, ""),
    )
    data = http.send(response) or b""
    if request is None or request.method != b"HEAD":
        data += http.send(h11.Data(data=reply.body)) or b""
    wire.send(data + (http.send(h11.EndOfMessage()) or b""))


_DATA_OPCODES: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}

# websockets logs request targets, which bear tokens, and frames, at level DEBUG.
_SILENCE: Final = logging.Logger("silence", level=logging.CRITICAL + 1)
