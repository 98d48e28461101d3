"""TunnelConnection: one local connection of HTTP/1.1, whose requests go to the peer."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import h11
import httpx
import trio

from peerjs_trio.background import open_background
from peerjs_trio.http.client_websocket import WebSocketRefused
from peerjs_trio.http.headers import RawHeaders, end_to_end
from peerjs_trio.http.transport import PeerTransport
from peerjs_trio.http.tunnel_body import READ_BYTES, RequestBody
from peerjs_trio.http.tunnel_guard import Guard, RefusedHere
from peerjs_trio.http.tunnel_limits import TunnelLimits
from peerjs_trio.http.tunnel_websocket import TunnelWebSocket, wants_websocket

__all__ = ["TunnelConnection"]

_LINGER: Final = 2.0
"Seconds for a local program to read our last words before its own make TCP drop them."


class _GoneError(Exception):
    """The local program is not there any more, or too slow."""


class TunnelConnection:
    """Requests of one connection, one after the other."""

    def __init__(
        self,
        stream: trio.SocketStream,
        transport: PeerTransport,
        guard: Guard,
        limits: TunnelLimits,
    ) -> None:
        self._stream = stream
        self._transport = transport
        self._guard = guard
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes)
        self._sending = trio.Lock()
        "A response, or the 100 that asks for a request's body."

    async def run(self) -> None:
        """Until either side has enough."""
        with suppress(_GoneError, trio.BrokenResourceError, trio.ClosedResourceError):
            while await self._serve_one():
                self._http.start_next_cycle()
            await self._linger()

    # --- one request ----------------------------------------------------------------------

    async def _serve_one(self) -> bool:
        """Whether another one can follow."""
        try:
            request = await self._next_request()
            if request is None:
                return False
            target = self._guard.target(request)
            if wants_websocket(request):
                await TunnelWebSocket(self._stream, self._http, self._transport, self._limits).run(
                    request, target
                )
                return False
            await self._pass_on(request, target)
        except RefusedHere as refused:
            await self._answer(refused.status, str(refused))
        except WebSocketRefused as refused:
            await self._send_whole(refused.status, refused.headers.raw, refused.content)
        except h11.RemoteProtocolError as error:
            await self._answer(error.error_status_hint, str(error))
        except httpx.LocalProtocolError as error:
            await self._answer(400, str(error))
        except httpx.TimeoutException as error:
            await self._answer(504, str(error))
        except httpx.TransportError as error:
            await self._answer(502, str(error))
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _next_request(self) -> h11.Request | None:
        """None where the local program wants no more."""
        waiting = True
        with trio.move_on_after(self._limits.idle_timeout) as patience:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                if waiting and self._http.trailing_data[0]:
                    waiting = False
                    patience.deadline = trio.current_time() + self._limits.head_timeout
                self._http.receive_data(await self._stream.receive_some(READ_BYTES))
            if not isinstance(event, h11.Request):
                return None
            # h11 has a limit for heads that come in part alone.
            if sum(len(n) + len(v) for n, v in event.headers) > self._limits.head_bytes:
                raise RefusedHere(431, "the request's head is too large")
            return event
        if waiting:
            return None
        raise RefusedHere(408, "the request's head takes too long")

    async def _pass_on(self, request: h11.Request, target: bytes) -> None:
        limits = self._limits
        body = RequestBody(self._stream, self._http, self._sending, limits)
        outgoing = httpx.Request(
            request.method.decode(),
            "http://peer/",
            headers=[pair for pair in end_to_end(request.headers) if pair[0] != b"expect"],
            content=body if body.begin(request) else None,
            extensions={
                "target": target,
                "timeout": {
                    "connect": limits.connect_timeout,
                    "pool": limits.connect_timeout,
                    "read": limits.peer_timeout,
                    "write": limits.peer_timeout,
                },
            },
        )
        gone = False
        async with open_background() as tasks:

            async def watch() -> None:
                nonlocal gone
                await self._wait_gone(body)
                gone = True
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            response = await self._transport.handle_async_request(outgoing)
            try:
                await self._respond(response, body)
            finally:
                await response.aclose()
        if gone:
            raise _GoneError

    async def _wait_gone(self, body: RequestBody) -> None:
        """Returns when the local program closes while it waits for a response."""
        await body.ended.wait()
        try:
            data = await self._stream.receive_some(READ_BYTES)
        except trio.BrokenResourceError:
            return
        self._http.receive_data(data)
        if data:
            await trio.sleep_forever()  # its next request, which has to wait

    # --- the response ---------------------------------------------------------------------

    async def _respond(self, response: httpx.Response, body: RequestBody) -> None:
        headers = _passed_on(response.headers.raw)
        if response.is_error and not body.ended.is_set():
            headers.append((b"connection", b"close"))  # nobody wants the rest
        try:
            await self._send(_head(response.status_code, headers))
            assert isinstance(response.stream, httpx.AsyncByteStream), "our transport's"
            async for part in response.stream:
                await self._send(h11.Data(data=part))
            await self._send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            raise httpx.RemoteProtocolError(f"the response breaks a rule: {error}") from error

    async def _answer(self, status: int, text: str) -> None:
        """Answer by ourselves; a response that has begun is broken off."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            # As a reset, for those who read a body up to the end of the connection.
            self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise _GoneError
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"cache-control", b"no-store"),
        ]
        await self._send_whole(status, headers, f"{text}\n".encode())

    async def _send_whole(self, status: int, headers: RawHeaders, body: bytes) -> None:
        kept = [pair for pair in _passed_on(headers) if pair[0] != b"content-length"]
        length = str(len(body)).encode()
        await self._send(_head(status, [*kept, (b"content-length", length)]))
        with suppress(h11.LocalProtocolError):  # HEAD has none
            await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        with trio.move_on_after(self._limits.part_timeout) as patience:
            async with self._sending:
                await self._stream.send_all(data or b"")
        if patience.cancelled_caught:
            raise _GoneError

    async def _linger(self) -> None:
        with trio.move_on_after(_LINGER):
            await self._stream.send_eof()
            while await self._stream.receive_some(READ_BYTES):
                pass


def _passed_on(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    # h11 takes no values with white space around them.
    return [(name, value.strip(b" \t")) for name, value in end_to_end(headers)]


def _head(status: int, headers: list[tuple[bytes, bytes]]) -> h11.Response:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    return h11.Response(status_code=status, headers=headers, reason=reason)
