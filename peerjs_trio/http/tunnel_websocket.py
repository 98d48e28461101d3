"""TunnelWebSocket: a local WebSocket, and the peer's that it is joined to."""

from __future__ import annotations

import base64
import binascii
from typing import Final

import anyio
import h11
import trio
import wsproto.connection
import wsproto.events as ws
import wsproto.utilities
from wsproto.frame_protocol import CloseReason

from peerjs_proto.errors import MessageTooBig
from peerjs_proto.http_io import WebSocketClosed
from peerjs_trio.background import open_background
from peerjs_trio.http.client_websocket import ClientWebSocket
from peerjs_trio.http.headers import end_to_end
from peerjs_trio.http.transport import PeerTransport
from peerjs_trio.http.tunnel_body import READ_BYTES
from peerjs_trio.http.tunnel_guard import RefusedHere
from peerjs_trio.http.tunnel_limits import TunnelLimits

__all__ = ["TunnelWebSocket", "wants_websocket"]

_CLOSE_TIMEOUT: Final = 5.0
"Seconds for a local program to answer a close."

_BROKE_OFF: Final = 1006
_TOO_BIG: Final = 1009


def wants_websocket(request: h11.Request) -> bool:
    """By RFC 6455, section 4.2.1."""
    return (
        request.method == b"GET"
        and b"websocket" in _tokens(request, b"upgrade")
        and b"upgrade" in _tokens(request, b"connection")
    )


class TunnelWebSocket:
    """One WebSocket, from its handshake to its end."""

    def __init__(
        self,
        stream: trio.SocketStream,
        http: h11.Connection,
        transport: PeerTransport,
        limits: TunnelLimits,
    ) -> None:
        self._stream = stream
        self._http = http
        self._transport = transport
        self._limits = limits
        self._socket = wsproto.connection.Connection(wsproto.connection.ConnectionType.SERVER)
        self._sending = trio.Lock()

    async def run(self, request: h11.Request, target: bytes) -> None:
        """Join the two until either is closed; then so is the other.

        Raises RefusedHere and WebSocketRefused where there is none, and httpx.TransportError
        where the peer cannot be asked; nothing was sent to the local program then.
        """
        self._http.next_event()  # the end of a request without a body
        accept = _accept_token(request)
        headers = [pair for pair in end_to_end(request.headers) if pair[0] != b"content-length"]
        async with self._transport.websocket(
            target.decode(),
            subprotocols=_offered(request),
            headers=headers,
            open_timeout=self._limits.connect_timeout,
        ) as far:
            await self._accept(accept, far)
            async with open_background() as tasks:
                tasks.start_soon(self._to_local, far, tasks.cancel_scope)
                await self._from_local(far)

    async def _accept(self, token: bytes, far: ClientWebSocket) -> None:
        headers = [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-accept", token),
            *(
                (name, value.strip(b" \t"))
                for name, value in end_to_end(far.headers.raw)
                if name == b"sec-websocket-protocol" or not name.startswith(b"sec-websocket-")
            ),
        ]
        switch = h11.InformationalResponse(
            status_code=101, headers=headers, reason="Switching Protocols"
        )
        await self._write(self._http.send(switch) or b"")
        self._socket.receive_data(self._http.trailing_data[0])

    # --- from here to there ---------------------------------------------------------------

    async def _from_local(self, far: ClientWebSocket) -> None:
        """Until the local program closes. Raises BrokenResourceError where it is just gone."""
        parts: list[str | bytes] = []
        size = 0
        while True:
            for event in self._socket.events():
                match event:
                    case ws.TextMessage(data=part) | ws.BytesMessage(data=part):
                        parts.append(part if isinstance(part, str) else bytes(part))
                        size += len(part.encode() if isinstance(part, str) else part)
                        if size > self._limits.message_bytes:
                            await self._close_both(far, _TOO_BIG, "the message is too big")
                            return
                        if event.message_finished:
                            await self._pass_on(far, parts)
                            parts, size = [], 0
                    case ws.Ping():
                        await self._send(event.response())
                    case ws.CloseConnection(code=code, reason=reason):
                        await self._close_both(far, int(code), reason or "")
                        return
            data = await self._stream.receive_some(READ_BYTES)
            if not data:
                raise trio.BrokenResourceError("closed without a word")
            self._socket.receive_data(data)

    async def _pass_on(self, far: ClientWebSocket, parts: list[str | bytes]) -> None:
        message = parts[0]
        if isinstance(message, str):
            message = "".join(part for part in parts if isinstance(part, str))
        else:
            message = b"".join(part for part in parts if isinstance(part, bytes))
        try:
            await far.send(message)
        except WebSocketClosed:
            pass  # the local program is being told
        except MessageTooBig:
            await far.close(_TOO_BIG)

    async def _close_both(self, far: ClientWebSocket, code: int, reason: str) -> None:
        """The local program's close, or a fault of its own, which wsproto tells as one."""
        if self._socket.state is not wsproto.connection.ConnectionState.CLOSED:
            await self._send_close(code, reason)
        await far.close(code, reason)

    # --- from there to here ---------------------------------------------------------------

    async def _to_local(self, far: ClientWebSocket, scope: anyio.CancelScope) -> None:
        """Until the far side closes, and the local program has answered that."""
        try:
            while True:
                message = await far.receive()
                if isinstance(message, str):
                    await self._send(ws.TextMessage(data=message))
                else:
                    await self._send(ws.BytesMessage(data=message))
        except WebSocketClosed as closed:
            if closed.code != _BROKE_OFF:
                await self._send_close(closed.code, closed.reason)
                await trio.sleep(_CLOSE_TIMEOUT)
            scope.cancel()
        except trio.BrokenResourceError:
            scope.cancel()

    # --- the local program ----------------------------------------------------------------

    async def _send_close(self, code: int, reason: str) -> None:
        # That it is this object counts, not its value.
        none = code == CloseReason.NO_STATUS_RCVD
        await self._send(
            ws.CloseConnection(
                code=CloseReason.NO_STATUS_RCVD if none else code, reason=reason or None
            )
        )

    async def _send(self, event: ws.Event) -> None:
        try:
            data = self._socket.send(event)
        except wsproto.utilities.LocalProtocolError:
            return  # it has been closed meanwhile
        await self._write(data)

    async def _write(self, data: bytes) -> None:
        with trio.move_on_after(self._limits.part_timeout) as patience:
            async with self._sending:
                await self._stream.send_all(data)
        if patience.cancelled_caught:
            raise trio.BrokenResourceError("it takes nothing")


def _accept_token(request: h11.Request) -> bytes:
    """What proves that its handshake was understood."""
    if _values(request, b"sec-websocket-version") != [b"13"]:
        raise RefusedHere(426, "the version of WebSocket is 13")
    match _values(request, b"sec-websocket-key"):
        case [key]:
            try:
                if len(base64.b64decode(key, validate=True)) == 16:
                    return wsproto.utilities.generate_accept_token(key)
            except binascii.Error:
                pass
    raise RefusedHere(400, "sec-websocket-key is 16 bytes in base64")


def _offered(request: h11.Request) -> list[str]:
    values = _values(request, b"sec-websocket-protocol")
    names = [name.strip() for value in values for name in value.decode("latin-1").split(",")]
    return [name for name in names if name]


def _values(request: h11.Request, name: bytes) -> list[bytes]:
    return [value for header, value in request.headers if header == name]


def _tokens(request: h11.Request, name: bytes) -> set[bytes]:
    values = _values(request, name)
    return {token.strip().lower() for value in values for token in value.split(b",")}
