"""A reverse proxy to one base URL, as an ASGI application.

::

    async with Upstream("http://127.0.0.1:8778/api/") as app:
        await serve(peer, app, secret=…)

``/readings`` is then ``http://127.0.0.1:8778/api/readings``, and nothing outside of ``/api/`` can
be asked for: :mod:`peerjs_proto.fence` says which paths pass, and :mod:`peerjs_proto.http_headers`
which headers. Bodies are passed on as they come, both ways, each at the speed of its reader.

It is a proxy and no client: nothing is decompressed, cookies belong to whoever sends them, and a
redirect is the response. A ``location`` that is under the base becomes what the remote side calls
it, as with nginx's ``proxy_redirect`` and Apache's ``ProxyPassReverse``; all else is left as it is,
and so is the path of a cookie. What the environment says of proxies does not matter.

Errors are short texts: 400, 414, 431 and 501 for what is not passed on, 408 and 413 for bodies,
502 where the server cannot be reached or speaks no HTTP, 503 where too many ask at once, 504 where
it takes too long. What breaks later ends with :exc:`BrokenResponse`, by which an ASGI host knows
that a response is not whole.

httpx reads the response once it has sent the request: a server that answers before a body has ended
is heard when it closes, and two bodies at a time are for a WebSocket.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from math import inf
from types import TracebackType
from typing import Any, Final, Self

import httpx
import trio

from peerjs_proto.fence import Fence, RequestRefused
from peerjs_proto.http_headers import content_length

from .upstream_body import BrokenResponse, ClientGone, RequestBody, ResponseBody
from .upstream_request import (
    DEFAULT_UPSTREAM_LIMITS,
    Outgoing,
    Receive,
    Scope,
    Send,
    UpstreamLimits,
    in_time,
    refuse,
)
from .upstream_websocket import pass_websocket

__all__ = ["BrokenResponse", "Upstream", "UpstreamLimits"]

_log: Final = logging.getLogger("peerjs_trio.http")

_KEEP_ALIVE: Final = 2.0
"Seconds an unused connection is kept: servers close theirs after 5, and a race is a 502."


class Upstream:
    """An ASGI 3 application in its ``async with`` block: scopes ``http`` and ``websocket``."""

    def __init__(
        self,
        base_url: str,
        *,
        limits: UpstreamLimits = DEFAULT_UPSTREAM_LIMITS,
        ca_file: str | None = None,
    ) -> None:
        """
        Args:
            base_url: ``http`` or ``https``; its path is a folder.
            ca_file: PEM of who is trusted for ``https``, instead of the system's authorities.

        Raises:
            LocalProtocolError: the base URL is none.
            OSError: ``ca_file`` cannot be read.
        """
        self.fence = Fence.parse(base_url)
        self._limits = limits
        self._ssl_context = (
            ssl.create_default_context(cafile=ca_file)
            if self.fence.scheme == "https"
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # httpx would read a megabyte for nothing
        )
        self._transport = httpx.AsyncHTTPTransport(
            verify=self._ssl_context,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=limits.requests,
                max_keepalive_connections=limits.requests,
                keepalive_expiry=_KEEP_ALIVE,
            ),
        )
        self._requests = trio.Semaphore(limits.requests)
        self._websockets = trio.Semaphore(limits.websockets)
        # For heads and bodies there are deadlines of our own. These are for what httpx does alone:
        # it reads on where a server has closed before it had the whole request.
        self._timeouts = {
            "connect": limits.connect_timeout,
            "write": limits.part_timeout,
            "read": max(limits.head_timeout, limits.part_timeout),
            "pool": limits.connect_timeout,
        }

    @property
    def base_url(self) -> str:
        """What it was made with, with a slash at its end."""
        return self.fence.url

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transport.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What an ASGI host calls.

        Raises:
            BrokenResponse: see above; what ``send`` and ``receive`` raise comes out as well.
        """
        match scope["type"]:
            case "http":
                serve = self._serve_http
            case "websocket":
                serve = self._serve_websocket
            case other:
                raise ValueError(f"a proxy has no use for an ASGI connection of type {other}")
        try:
            await serve(Outgoing.of(scope, self.fence), scope, receive, send)
        except RequestRefused as error:
            await refuse(scope, send, error)

    # --- requests -----------------------------------------------------------------------------

    async def _serve_http(
        self, outgoing: Outgoing, scope: Scope, receive: Receive, send: Send
    ) -> None:
        body = RequestBody(receive, self._limits, content_length(outgoing.headers))
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(body.watch, nursery.cancel_scope)
            try:
                await body.begin()
                async with self._place(self._requests):
                    response = await self._ask(outgoing, body)
                    async with aclosing(ResponseBody(response, self._limits)) as parts:
                        await self._pass_back(response, parts, outgoing, send)
            except ClientGone:
                pass
            except BrokenResponse as error:
                _log.warning("%s: %s", self.fence.url, error)
                failure = error
            except Exception as error:  # a nursery would make a group of it
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    @asynccontextmanager
    async def _place(self, places: trio.Semaphore) -> AsyncIterator[None]:
        full = RequestRefused("too many requests at once: try again", 503)
        with in_time(self._limits.connect_timeout, full):
            await places.acquire()
        try:
            yield
        finally:
            places.release()

    async def _ask(self, outgoing: Outgoing, body: RequestBody) -> httpx.Response:
        """Send the request; the response's head is there, its body is to be read, and closed."""
        request = httpx.Request(
            outgoing.method,
            f"{self.fence.scheme}://{self.fence.authority}/",
            headers=outgoing.headers + body.framing,
            stream=body,
            # As it is: httpx.URL has ideas about paths, and Request about methods.
            extensions={"target": outgoing.target, "timeout": self._timeouts},
        )
        request.method = outgoing.method
        with in_time(inf, RequestRefused("the server takes too long", 504)) as patience:

            def begin_to_wait() -> None:
                patience.deadline = trio.current_time() + self._limits.head_timeout

            body.when_over = begin_to_wait
            try:
                response = await self._transport.handle_async_request(request)
            except httpx.ConnectTimeout as error:
                raise self._failed(error, "the server cannot be reached in time", 504) from None
            except httpx.TimeoutException as error:
                raise self._failed(error, "the server does not take the request", 504) from None
            except httpx.ConnectError as error:
                raise self._failed(error, "the server cannot be reached", 502) from None
            except httpx.TransportError as error:
                raise self._failed(error, "the server gives no HTTP response", 502) from None
        body.abandon()
        return response

    async def _pass_back(
        self, response: httpx.Response, parts: ResponseBody, outgoing: Outgoing, send: Send
    ) -> None:
        status, most = response.status_code, self._limits.response_bytes
        if not 200 <= status <= 599:
            raise RequestRefused(f"the server gives status {status}, which is none", 502)
        headers = outgoing.passed_back(response.headers.raw, self.fence)
        length = _length(headers)
        if most is not None and length is not None and length > most and outgoing.method != "HEAD":
            raise RequestRefused(f"the response has more than {most} bytes", 502)
        head = {"type": "http.response.start", "status": status, "headers": headers}
        await self._give(send, head)
        size = 0
        while (part := await parts.next_part()) is not None:
            size += len(part)
            if most is not None and size > most:
                raise BrokenResponse(f"the response has more than {most} bytes")
            # The last part says that it is, where that is known: one event less for most.
            event = {"type": "http.response.body", "body": part, "more_body": size != length}
            await self._give(send, event)
        if size == 0 or size != length:
            await self._give(send, {"type": "http.response.body", "body": b""})

    async def _give(self, send: Send, event: dict[str, Any]) -> None:
        slow = BrokenResponse("the client does not take the response")
        with in_time(self._limits.part_timeout, slow):
            await send(event)

    def _failed(self, error: Exception, words: str, status: int) -> RequestRefused:
        # Why exactly is for whoever runs this, not for who asks from outside.
        _log.warning("%s: %s: %s", self.fence.url, words, error or type(error).__name__)
        return RequestRefused(words, status)

    # --- WebSockets ---------------------------------------------------------------------------

    async def _serve_websocket(
        self, outgoing: Outgoing, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if (await receive())["type"] != "websocket.connect":
            return  # it has left already
        context = self._ssl_context if self.fence.scheme == "https" else None
        async with self._place(self._websockets):
            await pass_websocket(self.fence, context, self._limits, outgoing, scope, receive, send)


def _length(headers: list[tuple[bytes, bytes]]) -> int | None:
    """The length that a response says it has; h11 has looked at it."""
    return next((int(value) for name, value in headers if name == b"content-length"), None)
