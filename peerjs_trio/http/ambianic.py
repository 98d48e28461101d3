"""An ASGI application for ambianic's pages, over a data connection of theirs.

They speak a protocol of their own, under the label ``http-proxy``: one request at a time, and one
message with the whole response. The rules are at the end of docs/http-over-webrtc.md.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Mapping
from typing import Any, Final

import anyio
import attrs
from anyio.abc import TaskGroup

from peerjs_proto.errors import ConnectionClosed
from peerjs_proto.http_io import RequestHead
from peerjs_proto.http_proxy import DEFAULT_PROXY_LIMITS, HttpProxyProtocol, ProxyLimits
from peerjs_proto.http_proxy_request import ProxyRequest
from peerjs_trio.connection import DataConnection
from peerjs_trio.http.bridge import AsgiApp, http_scope
from peerjs_trio.http.serve import Authorize
from peerjs_trio.http.whole_response import WholeResponse

__all__ = ["REQUEST_TIMEOUT", "serve_ambianic"]

REQUEST_TIMEOUT: Final = 15.0
"Seconds for a request. A page gives up after 20, and has no use for any answer from then on."

_log = logging.getLogger("peerjs_trio.http")


async def serve_ambianic(
    connection: DataConnection,
    app: AsgiApp,
    *,
    authorize: Authorize | None = None,
    state: Mapping[str, Any] | None = None,
    base_url: str | None = None,
    request_timeout: float = REQUEST_TIMEOUT,
    limits: ProxyLimits = DEFAULT_PROXY_LIMITS,
) -> None:
    """Answer what comes over ``connection`` until its end, and close it.

    :param app: an ASGI 3 application. In ``scope["extensions"]["peerjs"]`` stands who asks.
    :param authorize: asked before each request; False is a 403. These pages cannot prove who they
        are, so without it they get a 401 for whatever they ask.
    :param state: what the application's lifespan has put there; each request has a copy.
    :param base_url: what ``app`` stands for, where pages ask for whole URLs: those must be inside.
        None: they must name this machine, and mean their path.
    :param request_timeout: seconds until a request that is not answered gets a 504 and the
        application is cancelled; what it does after its response is within them too.
    :param limits: of sizes and numbers. What one message carries to that page is another one.

    Raises LocalProtocolError for a ``base_url`` that is none.
    """
    largest = min(limits.response_bytes, connection.max_message_size)
    limits = attrs.evolve(limits, response_bytes=largest)
    core = HttpProxyProtocol(limits, base_url=base_url)
    async with connection:
        if connection.serialization != "raw" or not connection.reliable:
            _log.warning("%s speaks http-proxy, but not raw and reliable: closed", connection.peer)
            return
        async with anyio.create_task_group() as tasks:
            page = _Page(
                connection, core, app, authorize, state or {}, request_timeout, largest, tasks
            )
            tasks.start_soon(page.receive)
            tasks.start_soon(page.send)
            tasks.start_soon(page.work)


@attrs.define(eq=False)
class _Page:
    """One connection: a task that reads, one that sends, and one for the request under way."""

    _connection: DataConnection
    _core: HttpProxyProtocol
    _app: AsgiApp
    _authorize: Authorize | None
    _state: Mapping[str, Any]
    _timeout: float
    _largest: int
    _tasks: TaskGroup
    _news: anyio.Event = attrs.field(init=False, factory=anyio.Event)

    async def receive(self) -> None:
        try:
            async for frame in self._connection:
                self._core.receive_frame(frame)
                self._tell()
        except ConnectionClosed:
            pass
        self._tasks.cancel_scope.cancel()

    async def send(self) -> None:
        core = self._core
        try:
            while True:
                while (frame := core.next_frame()) is not None:
                    await self._connection.send(frame)
                self._tell()  # all is sent: the next request may begin
                due = core.next_timeout()
                with anyio.move_on_after(None if due is None else due - anyio.current_time()):
                    await self._news.wait()
                core.handle_timeout(anyio.current_time())
        except ConnectionClosed:
            self._tasks.cancel_scope.cancel()

    async def work(self) -> None:
        while True:
            request = self._core.next_request(anyio.current_time())
            if request is None:
                await self._news.wait()
            else:
                self._tell()  # time runs
                await self._carry_out(request)

    def _tell(self) -> None:
        """Something has changed that another of the tasks may wait for."""
        self._news.set()
        self._news = anyio.Event()

    # --- one request ----------------------------------------------------------------------

    async def _carry_out(self, request: ProxyRequest) -> None:
        response = WholeResponse(request.body, self._largest, self._respond)
        failure: Exception | None = None
        response.scope.deadline = anyio.current_time() + self._timeout
        with response.scope:
            try:
                if refusal := await self._refusal(request.head):
                    self._refuse(*refusal)
                    return
                scope = http_scope(request.head, {"peer": self._connection.peer, "pair": None})
                scope |= {"type": "http", "state": dict(self._state)}
                await self._app(scope, response.receive, response.send)
            except Exception as error:
                failure = error
        if failure is not None:
            self._log_failure(request.head, failure)
        if response.is_complete:
            return
        response.is_complete = True  # whatever the application may have left behind
        if failure is None and response.scope.cancelled_caught:
            self._refuse(504, f"there was no whole response within {self._timeout:g} seconds")
        elif response.has_begun:
            self._refuse(502, "the response broke off")
        else:
            self._refuse(500, "the application failed")

    async def _refusal(self, head: RequestHead) -> tuple[int, str] | None:
        if self._authorize is None:
            return 401, _NOBODY_SAYS_SO
        answer = self._authorize(self._connection.peer, self._connection.metadata, head)
        if inspect.isawaitable(answer):
            answer = await answer
        return None if answer else (403, "the operator of this device does not allow that")

    def _respond(self, status: int, content_type: str, body: bytes) -> None:
        self._core.respond(status, content_type, body)
        self._tell()

    def _refuse(self, status: int, text: str) -> None:
        self._core.refuse(status, text)
        self._tell()

    def _log_failure(self, head: RequestHead, error: Exception) -> None:
        # No values, and no path: ambianic's has keys in it.
        where = "".join(traceback.format_tb(error.__traceback__))
        who, name = self._connection.peer, type(error).__name__
        _log.error("a %s request of %s raised %s\n%s", head.method, who, name, where)


_NOBODY_SAYS_SO: Final = (
    "pages of this kind cannot prove who they are, and the operator of this device has not said "
    "who may ask (authorize): use the protocol peerjs-http with a secret or pairing"
)
