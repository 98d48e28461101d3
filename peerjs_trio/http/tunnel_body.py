"""RequestBody: what a local program sends behind its request's head, as it is asked for."""

from __future__ import annotations

import math
from typing import Final

import h11
import trio

from peerjs_trio.http.tunnel_guard import RefusedHere
from peerjs_trio.http.tunnel_limits import TunnelLimits

__all__ = ["READ_BYTES", "RequestBody"]

READ_BYTES: Final = 65_536

_PATIENCE: Final = 2.0
"Seconds to say 100 (Continue), which is not to be cut short."


class RequestBody:
    """An async iterator of parts; nothing is read before the first is asked for.

    Raises RefusedHere for one that is too large or too slow, h11.RemoteProtocolError for one that
    is none, and BrokenResourceError where the program has gone.
    """

    def __init__(
        self,
        stream: trio.SocketStream,
        http: h11.Connection,
        sending: trio.Lock,
        limits: TunnelLimits,
    ) -> None:
        self.ended = trio.Event()
        "All of it was read."
        self._stream = stream
        self._http = http
        self._sending = sending
        self._patience = limits.part_timeout
        self._most = math.inf if limits.request_bytes is None else limits.request_bytes
        self._size = 0

    def begin(self, request: h11.Request) -> bool:
        """Whether there is any; where there is none, it has ended."""
        headers = dict(request.headers)
        length = headers.get(b"content-length", b"0")
        if b"transfer-encoding" not in headers and int(length) == 0:
            self._http.next_event()
            self.ended.set()
            return False
        if int(length) > self._most:
            raise RefusedHere(413, f"the request's body is larger than {self._most} bytes")
        return True

    def __aiter__(self) -> RequestBody:
        return self

    async def __anext__(self) -> bytes:
        if self._http.they_are_waiting_for_100_continue:
            await self._go_on()
        match await self._next_event():
            case h11.Data(data=data):
                self._size += len(data)
                if self._size > self._most:
                    raise RefusedHere(413, f"the request's body is larger than {self._most} bytes")
                return bytes(data)
            case h11.EndOfMessage():
                self.ended.set()
                raise StopAsyncIteration
        raise trio.BrokenResourceError("the program has gone")

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        with trio.move_on_after(self._patience):
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._stream.receive_some(READ_BYTES))
            return event
        raise RefusedHere(408, "the request's body takes too long")

    async def _go_on(self) -> None:
        async with self._sending:
            # A response may have begun meanwhile.
            if self._http.they_are_waiting_for_100_continue:
                go_on = self._http.send(h11.InformationalResponse(status_code=100, headers=[]))
                with trio.move_on_after(_PATIENCE, shield=True):
                    await self._stream.send_all(go_on or b"")
