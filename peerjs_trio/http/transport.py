"""open_transport: httpx over WebRTC."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import anyio.abc
import httpx

from peerjs_proto.errors import ConnectionClosed, LocalProtocolError, PeerError
from peerjs_proto.http_io import DEFAULT_HTTP_LIMITS, HttpLimits, RequestHead
from peerjs_trio.background import open_background
from peerjs_trio.http.client_websocket import ClientWebSocket, accept_websocket, websocket_head
from peerjs_trio.http.dialler import Dialler, Line, Proof
from peerjs_trio.http.exchange import Body, Exchange
from peerjs_trio.http.faults import RequestRefused, Timeouts, dial_error, request_error
from peerjs_trio.http.headers import end_to_end, to_headers, to_raw
from peerjs_trio.http.stream import Stream
from peerjs_trio.pairing import Pair, Pairings
from peerjs_trio.peer import Peer

__all__ = ["PeerTransport", "open_transport", "request_head"]

_ATTEMPTS: Final = 3
"To send a request that nobody has looked at yet."


@asynccontextmanager
async def open_transport(
    peer: Peer,
    remote: str | Pair,
    *,
    secret: str | None = None,
    pairings: Pairings | None = None,
    metadata: Any = None,
    limits: HttpLimits = DEFAULT_HTTP_LIMITS,
) -> AsyncGenerator[PeerTransport]:
    """Use HTTP at another peer, for the length of the block::

        async with (
            open_transport(peer, "device") as transport,
            httpx.AsyncClient(transport=transport, base_url="http://device/") as client,
        ):
            response = await client.get("/readings")

    What a URL has before its path is the client's own affair: paths are relative to the base URL
    of whoever serves, and the host is not sent.

    :param remote: its id, or a device that this one is paired with, under whatever id it has today.
    :param secret: what both sides share, if the far side asks for it.
    :param pairings: those whom this side knows, if the far side asks for one of them.
    :param metadata: any JSON value, for the far side to see.
    :param limits: bounds on what the far side can make this one hold.

    Entering dials, and raises what :meth:`peerjs_trio.Peer.connect` does, Unauthorized where the
    far side wants another proof, and ConnectTimeout where it does not speak HTTP. A connection that
    is lost later is made again for the next request. Leaving ends all requests.
    """
    async with open_background() as tasks:
        dialler = Dialler(
            peer,
            remote,
            proof=Proof(secret, pairings),
            metadata=metadata,
            limits=limits,
            tasks=tasks,
        )
        await dialler.line()
        transport = PeerTransport(dialler, tasks)
        try:
            yield transport
        finally:
            transport._closed = True


class PeerTransport(httpx.AsyncBaseTransport):
    """A transport of httpx, made by :func:`open_transport`, for any number of clients.

    Timeouts are the request's own. Connect: a new connection, where one is needed. Pool: a place
    among the requests that the far side takes at once. Write: one part of the body, from credit to
    credit. Read: the response's head, once the request is sent, and each part of the body. What
    went wrong comes as httpx's exceptions; docs/http-client.md lists them.

    A request is sent again by itself only where it is known that nobody has looked at it.
    Closing a client leaves the transport as it is: the block of :func:`open_transport` ends it.
    """

    def __init__(self, dialler: Dialler, tasks: anyio.abc.TaskGroup) -> None:
        self._dialler = dialler
        self._tasks = tasks
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Returns with the response's head; its body comes as it is read."""
        timeouts = Timeouts.of(request.extensions)
        body = _body(request)
        head = request_head(request)
        for attempt in range(_ATTEMPTS):
            line, stream = await self._open(head, end=body == b"", timeouts=timeouts)
            exchange = Exchange(stream, timeouts, line.end_if_idle)
            try:
                response = await exchange.ask(body, self._tasks)
            except RequestRefused:
                if exchange.began_body or attempt + 1 == _ATTEMPTS:
                    raise
            else:
                headers = to_raw(response.headers)
                return httpx.Response(response.status, headers=headers, stream=exchange)
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def websocket(
        self,
        path: str,
        *,
        subprotocols: Iterable[str] = (),
        headers: Mapping[str, str] | Sequence[tuple[str | bytes, str | bytes]] = (),
        open_timeout: float | None = 10.0,
    ) -> AsyncGenerator[ClientWebSocket]:
        """A WebSocket at this path and query, for the length of the block.

        :param subprotocols: those that this side speaks, the best first.
        :param headers: further ones of the request.
        :param open_timeout: seconds until it is open; None is no limit.

        Raises WebSocketRefused where the far side answers otherwise, and what a request does.
        Leaving closes it with 1000, unless it is closed; an exception breaks it off.
        """
        try:
            raw = httpx.Headers(headers).raw  # type: ignore[arg-type]
            head = websocket_head(path, subprotocols, raw)
        except LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        websocket: ClientWebSocket | None = None
        with anyio.move_on_after(open_timeout):
            websocket = await self._open_websocket(head)
        if websocket is None:
            raise httpx.ConnectTimeout("the WebSocket was not open in time")
        try:
            yield websocket
            await websocket.close()
        finally:
            websocket.end()

    async def aclose(self) -> None:
        """Does nothing: the connection is its block's."""

    # --- inside ---------------------------------------------------------------------------

    async def _open(
        self, head: RequestHead, *, end: bool, timeouts: Timeouts
    ) -> tuple[Line, Stream]:
        """Send a request's head, by a new connection where there is none."""
        for _ in range(_ATTEMPTS):
            line = await self._line(timeouts.connect)
            assert line.session is not None, "it is settled"
            with anyio.move_on_after(timeouts.pool) as patience:
                try:
                    return line, await line.session.request(head, end=end)
                except ConnectionClosed:
                    continue  # before anything was sent
                except PeerError as error:
                    raise request_error(error, sending=True) from error
            if patience.cancelled_caught:
                raise httpx.PoolTimeout("the far side had no place for one more request in time")
        raise httpx.ConnectError("connections to the peer are lost as soon as they are made")

    async def _line(self, patience: float) -> Line:
        if self._closed:
            raise httpx.ConnectError("the transport is closed")
        with anyio.move_on_after(patience):
            try:
                return await self._dialler.line()
            except PeerError as error:
                raise dial_error(error) from error
        raise httpx.ConnectTimeout(f"there was no connection within {patience:g} s")

    async def _open_websocket(self, head: RequestHead) -> ClientWebSocket:
        for attempt in range(_ATTEMPTS):
            _, stream = await self._open(head, end=False, timeouts=Timeouts())
            try:
                return await accept_websocket(stream)
            except RequestRefused:
                if attempt + 1 == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")


def request_head(request: httpx.Request) -> RequestHead:
    """What is sent of a request first. Raises httpx.LocalProtocolError for what is no HTTP."""
    target: bytes = request.extensions.get("target", request.url.raw_path)
    headers = [pair for pair in end_to_end(request.headers.raw) if pair[0] != b"host"]
    try:
        return RequestHead(request.method, target.decode("latin-1"), to_headers(headers))
    except LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error


def _body(request: httpx.Request) -> Body:
    """All of it where it is there, so that it can be sent again."""
    if isinstance(request.stream, httpx.ByteStream):
        return b"".join(request.stream)
    assert isinstance(request.stream, httpx.AsyncByteStream), "AsyncClient has made sure of it"
    return request.stream
