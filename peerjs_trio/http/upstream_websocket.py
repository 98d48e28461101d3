"""A WebSocket through the reverse proxy: an ASGI host's on one side, the server's on the other."""

from __future__ import annotations

import logging
import re
import ssl
from contextlib import suppress
from typing import Final, cast

import h11
import trio
import trio_websocket
import wsproto.frame_protocol
import wsproto.utilities

from peerjs_proto.fence import Fence, RequestRefused
from peerjs_proto.http_headers import response_headers
from peerjs_trio.websocket import Stream, TransportError, open_stream

from .upstream_request import Outgoing, Receive, Scope, Send, UpstreamLimits, in_time, refuse

__all__ = ["pass_websocket"]

_log: Final = logging.getLogger("peerjs_trio.http")

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}\Z")

_REFUSAL_BYTES: Final = 65_536
"Of a server's response to a handshake, head and body."

_CLOSE_TIMEOUT: Final = 2.0
"Seconds for the server to answer a close."

_WRONG: Final = 1002
_NO_STATUS: Final = 1005
_BROKEN: Final = 1006
_TOO_BIG: Final = 1009


async def pass_websocket(
    fence: Fence,
    ssl_context: ssl.SSLContext | None,
    limits: UpstreamLimits,
    outgoing: Outgoing,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Ask the server for it and, if that accepts, pass on messages and closes, both ways.

    A server that refuses is answered for by its own status and body, where the host has the
    extension ``websocket.http.response``. ``websocket.connect`` has been received already.

    A connection that breaks closes the other with 1006; over ``message_bytes``, both with 1009.

    Raises:
        RequestRefused: there is no WebSocket, and why.
    """
    subprotocols = scope.get("subprotocols") or []
    if not all(_TOKEN.match(name) for name in subprotocols):
        raise RequestRefused("a subprotocol is no token of HTTP")
    passage = _Passage(limits, receive, send)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(passage.from_client, nursery.cancel_scope)
        try:
            await _open(passage, fence, ssl_context, limits, outgoing, subprotocols)
        except trio_websocket.ConnectionRejected as refusal:
            await _pass_refusal(fence, outgoing, refusal, scope, send)
        except Exception as error:  # a nursery would make a group of it
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _open(
    passage: _Passage,
    fence: Fence,
    ssl_context: ssl.SSLContext | None,
    limits: UpstreamLimits,
    outgoing: Outgoing,
    subprotocols: list[str],
) -> None:
    """Connect, accept, and stay until the server's end of it is over."""
    late = RequestRefused("the server cannot be reached in time", 504)
    try:
        with in_time(limits.connect_timeout, late):
            stream = await open_stream(fence.url, ssl_context)
    except TransportError as error:
        _log.warning("%s", error)
        raise RequestRefused("the server cannot be reached", 502) from None
    late = RequestRefused("the server takes too long", 504)
    handshake = _Handshake(stream)
    try:
        async with trio.open_nursery() as nursery:
            with in_time(limits.head_timeout, late):
                connection = await trio_websocket.wrap_client_stream(
                    nursery,
                    cast(Stream, handshake),  # any stream will do, whatever its types say
                    fence.authority,
                    outgoing.target.decode(),
                    subprotocols=subprotocols,
                    extra_headers=_headers(outgoing),
                    max_message_size=limits.message_bytes,
                )
            handshake.is_over = True
            await passage.accept(connection)
            await passage.from_server(connection)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        reason = _reason(fence, group)
        if not (isinstance(reason, RequestRefused) and passage.is_open):
            raise reason from None
        await passage.close(_BROKEN)
    finally:
        await trio.aclose_forcefully(stream)


class _Passage:
    """What there is of a WebSocket: the client's end, and the server's once it is open."""

    def __init__(self, limits: UpstreamLimits, receive: Receive, send: Send) -> None:
        self._limits = limits
        self._receive = receive
        self._send = send
        self._server: trio_websocket.WebSocketConnection | None = None
        self._closed = False  # for the client

    @property
    def is_open(self) -> bool:
        """Whether the server has accepted."""
        return self._server is not None

    async def accept(self, connection: trio_websocket.WebSocketConnection) -> None:
        """Say to the client what the server has said."""
        self._server = connection
        headers = [
            (name, value)
            for name, value in response_headers(connection.handshake_headers)
            if not name.startswith(b"sec-websocket-")
        ]
        subprotocol = connection.subprotocol
        await self._send(
            {"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}
        )

    async def from_server(self, connection: trio_websocket.WebSocketConnection) -> None:
        """Until the server closes, or the connection breaks."""
        while True:
            try:
                message = await connection.get_message()
            except trio_websocket.ConnectionClosed as closed:
                if self._closed:  # by the client: its close is still on the way
                    await trio.sleep_forever()
                if closed.reason is None:
                    await self.close(_BROKEN)
                else:
                    await self.close(closed.reason.code, closed.reason.reason or "")
                return
            key = "text" if isinstance(message, str) else "bytes"
            if not self._closed:
                await self._send({"type": "websocket.send", key: message})

    async def from_client(self, scope: trio.CancelScope) -> None:
        """Until the client closes, or is gone; that ends all."""
        code, reason = await self._messages_from_client()
        if self._server is not None and code != _BROKEN:
            await _close_server(self._server, code, reason)
        scope.cancel()

    async def _messages_from_client(self) -> tuple[int, str]:
        """Pass them on; the code and the reason for the server to hear at their end."""
        while (event := await self._receive())["type"] == "websocket.receive":
            text = event.get("text")
            message = event.get("bytes") or b"" if text is None else text
            if len(message if text is None else text.encode()) > self._limits.message_bytes:
                await self.close(_TOO_BIG, "the message is too big")
                return _TOO_BIG, ""
            assert self._server is not None, "an ASGI host has no messages before"
            with trio.move_on_after(self._limits.part_timeout) as patience:
                # Where it is closed, whoever reads from it knows why.
                with suppress(trio_websocket.ConnectionClosed):
                    await self._server.send_message(message)
            if patience.cancelled_caught:
                await self.close(_BROKEN)
                return _BROKEN, ""
        self._closed = True
        return event.get("code", _NO_STATUS), event.get("reason") or ""

    async def close(self, code: int, reason: str = "") -> None:
        """Close it for the client, once."""
        if not self._closed:
            self._closed = True
            close = {"type": "websocket.close", "code": _valid(code), "reason": reason}
            await self._send(close)


def _valid(code: int) -> int:
    return code if 1000 <= code <= 4999 else _WRONG


async def _close_server(
    connection: trio_websocket.WebSocketConnection, code: int, reason: str
) -> None:
    # To wsproto the object counts, not its value.
    no_status = wsproto.frame_protocol.CloseReason.NO_STATUS_RCVD
    code = no_status if code == _NO_STATUS else _valid(code)
    with trio.move_on_after(_CLOSE_TIMEOUT):
        await connection.aclose(code, reason or None)


class _NoHandshakeError(Exception):
    """The server has ended a connection whose handshake had not, or said too much in it."""


class _Handshake(trio.abc.Stream):
    """A stream that trio-websocket cannot wait for in vain, nor read without end, at first."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._left = _REFUSAL_BYTES
        self.is_over = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            if self.is_over:
                raise
            raise _NoHandshakeError from None
        self._left -= len(data)
        if not self.is_over and (not data or self._left < 0):
            raise _NoHandshakeError
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _headers(outgoing: Outgoing) -> list[tuple[bytes, bytes]]:
    """Those that trio-websocket does not make by itself."""
    return [
        (name, value)
        for name, value in outgoing.headers
        if name not in (b"host", b"content-length") and not name.startswith(b"sec-websocket-")
    ]


async def _pass_refusal(
    fence: Fence,
    outgoing: Outgoing,
    refusal: trio_websocket.ConnectionRejected,
    scope: Scope,
    send: Send,
) -> None:
    """What the server answers instead: a page to log in, perhaps."""
    kind = "websocket.http.response"
    status = refusal.status_code
    if kind not in (scope.get("extensions") or {}) or not 200 <= status <= 599:
        await refuse(scope, send, RequestRefused("the server refuses the WebSocket", 502))
        return
    body = bytes(refusal.body or b"")
    headers = outgoing.passed_back(refusal.headers, fence)
    headers = [(name, value) for name, value in headers if name != b"content-length"]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def _reason(fence: Fence, group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What is to be raised of all that came up, most of it out of trio-websocket."""
    failure: BaseException = group
    while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
        failure = failure.exceptions[0]
    if not isinstance(failure, _FAILURES):
        return failure
    _log.warning("%s: no WebSocket: %s", fence.url, failure or type(failure).__name__)
    return RequestRefused("the server does not speak WebSocket", 502)


_FAILURES: Final = (
    _NoHandshakeError,
    trio_websocket.ConnectionClosed,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    wsproto.utilities.ProtocolError,
    h11.ProtocolError,
)
