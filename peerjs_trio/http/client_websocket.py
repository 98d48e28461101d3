"""ClientWebSocket: a WebSocket at another peer, through the connection that its requests use."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

import httpx

from peerjs_proto.errors import ConnectionClosed, PeerError
from peerjs_proto.http_io import RequestHead, ResetCode, StreamReset, WebSocketClosed
from peerjs_trio.http.faults import request_error
from peerjs_trio.http.headers import RawHeaders, end_to_end, to_headers, to_raw
from peerjs_trio.http.stream import Stream

__all__ = ["ClientWebSocket", "WebSocketRefused", "accept_websocket", "websocket_head"]

_REFUSAL_BYTES: Final = 65_536
"Kept of one."

_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))
"A path may have all of these; the rest is percent-encoded."

_IN_GOOD_ORDER: Final = frozenset({1000, 1001, 1005})

_CODES: Final[Mapping[int, int]] = {ResetCode.INVALID: 1007, ResetCode.TOO_LARGE: 1009}
"Of RFC 6455, for what is a reset here. Anything else is 1006: it broke off."


class WebSocketRefused(httpx.HTTPError):
    """The far side has answered, and not with a WebSocket."""

    def __init__(self, status: int, headers: httpx.Headers, content: bytes) -> None:
        text = content.decode("utf-8", "replace")
        super().__init__(f"the WebSocket was refused with status {status}: {text[:200]}")
        self.status = status
        self.headers = headers
        "Of the response."
        self.content = content
        "Its body, or the first 64 KiB of that."
        self.text = text
        "The same, read as UTF-8."


class ClientWebSocket:
    """Made by :meth:`~peerjs_trio.http.transport.PeerTransport.websocket`.

    One task at a time sends, and one receives.

    When it is closed, by whomever, sending and receiving raise WebSocketClosed with the code, 1006
    where it broke off. ``async for message in websocket`` ends after 1000, 1001 and 1005, and
    raises it after others.
    """

    def __init__(self, stream: Stream, headers: httpx.Headers) -> None:
        self.headers = headers
        "Of the response that has accepted it."
        self.subprotocol: str | None = headers.get("sec-websocket-protocol")
        "The one that the far side has chosen; None for none."
        self._stream = stream
        self._closed: WebSocketClosed | None = None

    def __repr__(self) -> str:
        state = "open" if self.close_code is None else f"closed: {self.close_code}"
        return f"<ClientWebSocket {self._stream.head.path!r}, {state}>"

    @property
    def close_code(self) -> int | None:
        """Why it is closed; None while it is not, or nobody has noticed."""
        return self._closed.code if self._closed else None

    @property
    def close_reason(self) -> str:
        """What was said with the code."""
        return self._closed.reason if self._closed else ""

    async def send(self, message: str | bytes) -> None:
        """Send a text or a binary message; waits until there was room for it.

        Raises WebSocketClosed, and MessageTooBig for more than the far side takes.
        """
        with self._closing():
            await self._stream.send_message(message)

    async def receive(self) -> str | bytes:
        """The next message. Raises WebSocketClosed."""
        with self._closing():
            return await self._stream.receive_message()

    def __aiter__(self) -> ClientWebSocket:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()
        except WebSocketClosed as closed:
            if closed.code in _IN_GOOD_ORDER:
                raise StopAsyncIteration from None
            raise

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it behind what was sent, and wait for the far side to hear of it.

        Without effect where it is closed already.
        """
        if self._closed is None:
            await self._stream.close(code, reason)
            self._closed = self._stream.closed or WebSocketClosed(1006)

    def end(self) -> None:
        """Break it off, unless it is closed."""
        self._stream.reset()
        self._closed = self._closed or WebSocketClosed(1006)

    @contextmanager
    def _closing(self) -> Generator[None]:
        try:
            yield
        except WebSocketClosed as closed:
            self._closed = self._closed or closed
            raise
        except (StreamReset, ConnectionClosed) as error:
            code = _CODES.get(error.code, 1006) if isinstance(error, StreamReset) else 1006
            self._closed = self._closed or WebSocketClosed(code, str(error))
            raise self._closed from error


def websocket_head(path: str, subprotocols: Iterable[str], headers: RawHeaders) -> RequestHead:
    """What asks for one. Raises LocalProtocolError."""
    given = [
        (name, value)
        for name, value in end_to_end(headers)
        if name != b"host" and not name.startswith(b"sec-websocket-")
    ]
    if offered := ", ".join(subprotocols):
        given.append((b"sec-websocket-protocol", offered.encode()))
    return RequestHead("GET", quote(path, safe=_VISIBLE), to_headers(given), websocket=True)


async def accept_websocket(stream: Stream) -> ClientWebSocket:
    """Wait for the far side's answer. Raises WebSocketRefused and httpx.TransportError."""
    try:
        response = await stream.response()
        headers = httpx.Headers(to_raw(response.headers))
        if response.status == 101:
            return ClientWebSocket(stream, headers)
        content = await _beginning(stream)
    except PeerError as error:
        raise request_error(error, sending=False) from error
    except BaseException:
        stream.reset()
        raise
    stream.reset()
    raise WebSocketRefused(response.status, headers, content)


async def _beginning(stream: Stream) -> bytes:
    content = b""
    while len(content) < _REFUSAL_BYTES and (part := await stream.receive()):
        content += part
    return content[:_REFUSAL_BYTES]
