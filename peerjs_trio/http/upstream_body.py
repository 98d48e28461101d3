"""Bodies between an ASGI host and httpx: read as they are asked for, and never held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

import httpx
import trio

from peerjs_proto.errors import RemoteProtocolError
from peerjs_proto.fence import RequestRefused

from .upstream_request import Receive, UpstreamLimits, in_time

__all__ = ["BrokenResponse", "ClientGone", "RequestBody", "ResponseBody"]

_CLOSE_TIMEOUT: Final = 2.0
"Seconds for a connection to close, with TLS's goodbye."


class BrokenResponse(RemoteProtocolError):
    """A response that has begun and will not be whole. The text says why."""


class ClientGone(Exception):
    """Whoever has asked has given up, or is no more."""


class RequestBody(httpx.AsyncByteStream):
    """Reads ``http.request`` events, one when it is asked for one.

    ``length`` is what the request says of it. :meth:`begin` comes first.
    """

    def __init__(self, receive: Receive, limits: UpstreamLimits, length: int | None) -> None:
        self._receive = receive
        self._limits = limits
        self._length = length
        self._begun = b""
        self._size = 0
        self.over = trio.Event()
        "Set when nobody reads it any more: at its end, or where the server has answered before."
        self.when_over: Callable[[], None] = lambda: None
        "Called at its end, before httpx waits for the response."

    async def begin(self) -> None:
        """Read what comes first: with most requests, that is all.

        Raises:
            RequestRefused: 400, 408 or 413.
            ClientGone: it has left.
        """
        if self._length is not None and self._length > self._limits.request_bytes:
            raise self._too_large()
        self._begun = await self._next_part()

    @property
    def framing(self) -> list[tuple[bytes, bytes]]:
        """The headers by which the server knows its end, where the request has none."""
        if self._length is not None:
            return []
        if not self.over.is_set():
            return [(b"transfer-encoding", b"chunked")]
        return [(b"content-length", str(self._size).encode())] if self._size else []

    def abandon(self) -> None:
        """Nobody reads it any more."""
        self.over.set()

    async def watch(self, scope: trio.CancelScope) -> None:
        """Once it is over, wait until the client is gone, and cancel what works for it."""
        await self.over.wait()
        # What still comes of a body whose request was answered before its end is for nobody.
        while (await self._receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next part, and never an empty one: that would be the end of a chunked body."""
        if self._begun:
            part, self._begun = self._begun, b""
            return part
        while not self.over.is_set():
            if part := await self._next_part():
                return part
        self.when_over()
        raise StopAsyncIteration

    async def _next_part(self) -> bytes:
        late = RequestRefused("the body of the request does not come", 408)
        with in_time(self._limits.part_timeout, late):
            event = await self._receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = event.get("body", b"")
        self._size += len(part)
        if self._size > self._limits.request_bytes:
            raise self._too_large()
        is_over = not event.get("more_body", False)
        if self._length is not None and (
            self._size > self._length or (is_over and self._size < self._length)
        ):
            raise RequestRefused("the body of the request is not as long as it says")
        if is_over:
            self.over.set()
        return part

    def _too_large(self) -> RequestRefused:
        return RequestRefused(f"the body has more than {self._limits.request_bytes} bytes", 413)


class ResponseBody:
    """The body of a response, in the parts that come. :meth:`aclose` is for the end, any end."""

    def __init__(self, response: httpx.Response, limits: UpstreamLimits) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._response = response
        self._parts = aiter(response.stream)
        self._patience = limits.part_timeout

    async def next_part(self) -> bytes | None:
        """As it came; None at the end.

        Raises:
            BrokenResponse: the connection, or ``part_timeout``.
        """
        late = BrokenResponse("the rest of the response does not come")
        try:
            with in_time(self._patience, late):
                return await anext(self._parts, None)
        except httpx.TransportError as error:
            raise BrokenResponse(f"the response breaks off: {error}") from None

    async def aclose(self) -> None:
        """Where there is more of it, its connection is closed; else that is free for others."""
        # httpx has generators in generators. Trio warns of those that are left as they are, and a
        # cancellation ends all of them.
        with trio.CancelScope() as scope, suppress(httpx.TransportError):
            scope.cancel()
            while await anext(self._parts, None) is not None:
                pass
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_TIMEOUT):
            await self._response.aclose()
