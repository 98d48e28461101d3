"""The signaling transport: HTTP requests, and the WebSocket to the PeerServer."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Literal, Protocol
from urllib.parse import urlsplit

import h11
import trio
import trio_websocket
import wsproto.utilities

__all__ = ["Socket", "Stream", "Transport", "TransportError", "WebSocketTransport", "open_stream"]

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

_READ_BYTES = 4096
"At a time, of an HTTP answer."

_CLOSE_TIMEOUT = 2.0
"Seconds for the server to answer a WebSocket close."


class TransportError(Exception):
    """The server cannot be reached, or is gone. The text is for people and has no secrets."""


class Socket(Protocol):
    """An open WebSocket."""

    async def send(self, text: str) -> None:
        """Send a text frame. Raises TransportError."""

    async def receive(self) -> str | bytes:
        """The next frame. Raises TransportError at the end, orderly or not."""
        ...

    async def aclose(self) -> None:
        """Close it, with the WebSocket's handshake."""


class Transport(Protocol):
    """How a peer reaches its server. Another one can be given to ``open_peer``."""

    async def request(
        self, method: Literal["GET", "POST"], url: str, *, max_bytes: int
    ) -> tuple[int, bytes]:
        """Status, and of the body the first ``max_bytes``; none is sent. Raises TransportError."""
        ...

    def open(self, url: str, *, max_bytes: int) -> AbstractAsyncContextManager[Socket]:
        """A WebSocket that takes frames of ``max_bytes``. Raises TransportError."""
        ...


async def open_stream(url: str, ssl_context: ssl.SSLContext | None = None) -> Stream:
    """Connect to the host of an ``http``, ``https``, ``ws`` or ``wss`` URL, by TLS or without.

    ``ssl_context`` replaces the system's trust. Raises TransportError.
    """
    parts = urlsplit(url)
    secure = parts.scheme in ("https", "wss")
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    try:
        tcp = await trio.open_tcp_stream(host, port)
    except OSError as error:
        raise TransportError(f"{_origin(url)}: {error}") from error
    if not secure:
        return tcp
    context = ssl_context or ssl.create_default_context()
    tls: trio.SSLStream[trio.SocketStream] = trio.SSLStream(
        tcp, context, server_hostname=host, https_compatible=True
    )
    try:
        await tls.do_handshake()
    except BaseException as error:
        await trio.aclose_forcefully(tcp)
        if isinstance(error, trio.BrokenResourceError):
            raise TransportError(f"{_origin(url)}: {error.__cause__ or error}") from error
        raise
    return tls


class WebSocketTransport:
    """The real network.

    ``ssl_context`` replaces the system's trust for https and wss. Every ``ping_interval``
    seconds the server is sent a WebSocket ping. If it has not answered that in ``ping_timeout``
    seconds, the connection is half-open (the server is gone and nobody said so), and ends.
    """

    def __init__(
        self,
        ssl_context: ssl.SSLContext | None = None,
        *,
        ping_interval: float = 10.0,
        ping_timeout: float = 5.0,
    ) -> None:
        self._ssl_context = ssl_context
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout

    async def request(
        self, method: Literal["GET", "POST"], url: str, *, max_bytes: int
    ) -> tuple[int, bytes]:
        stream = await open_stream(url, self._ssl_context)
        try:
            return await _request(stream, method, url, max_bytes)
        except trio.BrokenResourceError as error:
            raise TransportError(f"{_origin(url)}: the connection broke") from error
        except h11.RemoteProtocolError as error:
            raise TransportError(f"{_origin(url)} does not speak HTTP: {error}") from error
        finally:
            await trio.aclose_forcefully(stream)

    @asynccontextmanager
    async def open(self, url: str, *, max_bytes: int) -> AsyncIterator[Socket]:
        parts = urlsplit(url)
        # trio-websocket would make the TCP connection as well, but leaves it open where the
        # handshake fails, and lets its own confusion out where a server talks nonsense.
        stream = await open_stream(url, self._ssl_context)
        try:
            async with trio.open_nursery() as nursery:
                connection = await trio_websocket.wrap_client_stream(
                    nursery,
                    stream,
                    parts.netloc,
                    f"{parts.path}?{parts.query}",
                    max_message_size=max_bytes,
                )
                nursery.start_soon(self._ping, connection)
                yield _TrioSocket(connection)
                with trio.move_on_after(_CLOSE_TIMEOUT):
                    await connection.aclose()
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            expected, others = group.split(_FAILURES)
            if expected is None or others is not None:
                raise
            raise TransportError(f"{_origin(url)}: {_words(_first(expected))}") from group
        finally:
            await trio.aclose_forcefully(stream)

    async def _ping(self, connection: trio_websocket.WebSocketConnection) -> None:
        with suppress(trio_websocket.ConnectionClosed):  # the reader hears of it too
            while True:
                await trio.sleep(self._ping_interval)
                with trio.move_on_after(self._ping_timeout) as patience:
                    await connection.ping()
                if patience.cancelled_caught:
                    raise _HalfOpenError(f"it did not answer a ping in {self._ping_timeout:g} s")


class _HalfOpenError(Exception):
    """The TCP connection stands, and nobody is at its other end."""


_FAILURES = (
    _HalfOpenError,
    trio_websocket.HandshakeError,
    trio_websocket.ConnectionClosed,
    trio.BrokenResourceError,
    wsproto.utilities.ProtocolError,
    h11.ProtocolError,
)
"All that comes up when a server goes away or talks nonsense, most of it out of trio-websocket."


class _TrioSocket:
    def __init__(self, connection: trio_websocket.WebSocketConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        try:
            await self._connection.send_message(text)
        except trio_websocket.ConnectionClosed as closed:
            raise TransportError(_close_words(closed)) from None

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.get_message()
        except trio_websocket.ConnectionClosed as closed:
            raise TransportError(_close_words(closed)) from None

    async def aclose(self) -> None:
        await self._connection.aclose()


async def _request(stream: Stream, method: str, url: str, max_bytes: int) -> tuple[int, bytes]:
    parts = urlsplit(url)
    http = h11.Connection(h11.CLIENT)
    headers = [("Host", parts.netloc), ("Connection", "close"), ("Cache-Control", "no-store")]
    if method == "POST":
        headers.append(("Content-Length", "0"))
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    request = h11.Request(method=method, target=target, headers=headers)
    await stream.send_all((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
    status, body = 0, bytearray()
    while len(body) < max_bytes:
        match http.next_event():
            case h11.NEED_DATA:
                http.receive_data(bytes(await stream.receive_some(_READ_BYTES)))
            case h11.Response() as response:
                status = response.status_code
            case h11.Data() as data:
                body += data.data
            case h11.InformationalResponse():
                pass
            case _:
                break
    return status, bytes(body[:max_bytes])


def _origin(url: str) -> str:
    """Scheme and host of a URL: the rest may bear the token."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One of the exceptions inside, groups in groups or not."""
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _words(error: BaseException) -> str:
    """What went wrong, for people."""
    match error:
        case trio_websocket.ConnectionRejected():
            return f"answered the WebSocket with HTTP status {error.status_code}"
        case trio_websocket.ConnectionClosed():
            return _close_words(error)
        case wsproto.utilities.ProtocolError() | h11.ProtocolError():
            return f"does not speak WebSocket: {error}"
    return str(error) or "the connection broke"


def _close_words(closed: trio_websocket.ConnectionClosed) -> str:
    reason = closed.reason
    if reason is None:
        return "the connection broke"
    words = f" ({reason.reason[:100]})" if reason.reason else ""
    return f"the server closed the WebSocket with code {reason.code}{words}"
