"""A PeerServer as an ASGI application: inside the web server, or the framework, you have.

::

    peers = PeerServer()
    app = Starlette(routes=[Mount("/chat", peers)])     # pages say path: "/chat"

It runs where ASGI does, on trio and on asyncio, alone (``uvicorn module:peers``) or under any path:
its own ``path`` starts where it is mounted. Sockets, TLS and the limits on HTTP heads are the web
server's.

Something has to keep time, and reach the bus: the lifespan that a web server runs, where this is
the whole application. Where it is mounted, few frameworks hand the lifespan on; theirs can do it::

    @asynccontextmanager
    async def lifespan(app):
        async with peers.running():
            yield

Without either, one of the connected clients' own tasks keeps time for all, and when it leaves, the
next one does: while nobody is connected, nothing is due. So no task outlives what it is for. What
such a server cannot have is a bus.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Unpack
from urllib.parse import quote

import anyio

from peerjs_proto.server_io import (
    DEFAULT_SERVER_LIMITS,
    HttpReply,
    HttpRequest,
    ServerStatistics,
)

from .asgi_socket import AsgiSocket, Receive, Send, hand_over
from .background import open_background
from .server_options import ServerOptions, open_hub

__all__ = ["PeerServer"]

Scope = Any  # as in asgi_socket.py: a mapping, of one type or another


class PeerServer:
    """An ASGI 3 application. One of it belongs to one event loop, as its clients do."""

    def __init__(self, **options: Unpack[ServerOptions]) -> None:
        """
        Args:
            options: :class:`~peerjs_trio.server_options.ServerOptions`. ``proxied`` is not needed
                where the web server itself says who a proxy speaks for. Of ``limits``, the heads
                of HTTP requests and pings are the web server's, and it reads a message whole
                before ``message_bytes`` is looked at.

        Raises:
            LocalProtocolError: for arguments the protocol does not allow.
        """
        self.hub = open_hub(**options)
        "What it shares with every kind of PeerServer: pages, observers."
        self._has_bus = options.get("bus") is not None
        self._limits = options.get("limits", DEFAULT_SERVER_LIMITS)
        self._is_running = False
        self._turn = anyio.Lock()  # whoever has it runs the hub
        self._sockets: set[AsgiSocket] = set()
        self._deserted: anyio.Event | None = None  # set, while shutting down, by the last to go

    @property
    def clients(self) -> int:
        """How many are registered now."""
        return self.hub.statistics.clients

    def statistics(self) -> ServerStatistics:
        """How things stand, in numbers."""
        return self.hub.statistics

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run for the length of the block, which a host's lifespan has around its ``yield``.

        Leaving it closes every client that is still there (1001). Not needed where the web server
        runs this application's own lifespan.

        Raises:
            RuntimeError: it runs already, or has clients.
        """
        if self._turn.locked():
            raise RuntimeError("a PeerServer runs once, and before its first client")
        async with self._turn, self.hub.running():
            self._is_running = True
            try:
                yield
            finally:
                with anyio.CancelScope(shield=True):
                    await self._shut_down()
                self._is_running = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What an ASGI server calls."""
        match scope["type"]:
            case "websocket":
                await self._serve_websocket(scope, receive, send)
            case "http":
                await self._serve_http(scope, send)
            case "lifespan":
                await self._serve_lifespan(receive, send)
            case other:
                raise ValueError(f"a PeerServer has no use for an ASGI connection of type {other}")

    # --- its life -----------------------------------------------------------------------------

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        stage = "startup"
        try:
            async with self.running():
                await send({"type": "lifespan.startup.complete"})
                stage = "shutdown"
                await receive()  # lifespan.shutdown
        except Exception as error:
            # A web server that is not told goes on without us.
            await send({"type": f"lifespan.{stage}.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    async def _shut_down(self) -> None:
        self._deserted = anyio.Event()
        self.hub.shut_down()
        if self._sockets:
            with anyio.move_on_after(self._limits.close_timeout):
                await self._deserted.wait()
        self._deserted = None

    @asynccontextmanager
    async def _time_kept(self) -> AsyncIterator[None]:
        """Somebody runs the hub as long as the block does: this task, if nobody else."""
        if self._is_running:
            yield
            return
        if self._has_bus:
            raise RuntimeError(
                "a PeerServer with a bus has to run before its first client: "
                "put `async with peers.running():` into the lifespan of what it is mounted in"
            )
        # What fell due while nobody was here.
        self.hub.core.handle_timeout(anyio.current_time())
        async with open_background() as tasks:
            tasks.start_soon(self._stand_in)
            yield

    async def _stand_in(self) -> None:
        async with self._turn, self.hub.running():
            await anyio.sleep_forever()

    # --- one connection -----------------------------------------------------------------------

    async def _serve_http(self, scope: Scope, send: Send) -> None:
        request = HttpRequest(scope["method"], _target(scope), _headers(scope))
        reply = await self.hub.respond(request, _address(scope))
        await _send_reply(send, reply, "http.response", with_body=scope["method"] != "HEAD")

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        target, headers = _target(scope), _headers(scope)
        # Web servers log it: the token is in it.
        scope["query_string"] = b""
        if (await receive())["type"] != "websocket.connect":
            return  # it has left already
        if not self.hub.core.is_websocket(target):
            await _refuse(scope, send, HttpReply(400, b"There is no WebSocket here"))
            return
        if len(self._sockets) >= self._limits.sockets:
            await _refuse(scope, send, HttpReply(503, b"Too many connections"))
            return
        socket = AsgiSocket(receive, send, self._limits)
        self._sockets.add(socket)
        try:
            async with self._time_kept():
                await socket.serve(self.hub, target, headers, _address(scope))
        finally:
            self._sockets.discard(socket)
            if self._deserted is not None and not self._sockets:
                self._deserted.set()


async def _refuse(scope: Scope, send: Send, reply: HttpReply) -> None:
    """Answer a WebSocket's request with HTTP, or with the 403 that every web server can."""
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _send_reply(send, reply, "websocket.http.response")
    else:
        await hand_over(send, {"type": "websocket.close"})


async def _send_reply(send: Send, reply: HttpReply, type: str, *, with_body: bool = True) -> None:
    headers = dict(reply.headers)
    if reply.status != 204:
        headers["Content-Type"] = reply.content_type
        headers["Content-Length"] = str(len(reply.body))
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    start = {"type": f"{type}.start", "status": reply.status, "headers": encoded}
    if await hand_over(send, start):
        await hand_over(send, {"type": f"{type}.body", "body": reply.body if with_body else b""})


def _target(scope: Scope) -> str:
    """Path and query as a PeerServer that is not mounted would have had them."""
    path: str = scope["path"]
    root = scope.get("root_path", "").rstrip("/")
    # The path has the mount's in it (ASGI 3.0), except where a framework has taken it out.
    if f"{path}/".startswith(f"{root}/"):
        path = path[len(root) :]
    # Litestar puts a slash behind all that it hands on, also where there was none.
    raw_path = (scope.get("raw_path") or b"/").partition(b"?")[0].lower()
    if not raw_path.endswith((b"/", b"%2f")):
        path = path.removesuffix("/")
    query = scope["query_string"].decode("latin-1")
    return (quote(path, safe=_PLAIN) or "/") + (f"?{query}" if query else "")


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _address(scope: Scope) -> str:
    client = scope.get("client")  # None on a Unix socket
    return client[0] if client else ""


_PLAIN: Final = "/:@!$&'()*+,;=~"
"What can stand in a path as it is (RFC 3986, 3.3)."
