"""serve: a REST API, or any web application, for peers that dial us."""

from __future__ import annotations

import inspect
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from peerjs_proto.errors import LocalProtocolError, PeerError
from peerjs_proto.http_io import DEFAULT_HTTP_LIMITS, HTTP_LABEL, HttpLimits, RequestHead
from peerjs_trio.connection import DataConnection
from peerjs_trio.http.bridge import AsgiApp, Remote, answer, refuse
from peerjs_trio.http.lifespan import open_lifespan
from peerjs_trio.http.session import HttpSession, open_session
from peerjs_trio.http.stream import Stream
from peerjs_trio.peer import Peer

if TYPE_CHECKING:
    from peerjs_trio.pairing import Pairings

__all__ = ["AMBIANIC_LABEL", "DEFAULT_SERVE_LIMITS", "Authorize", "ServeLimits", "serve"]

AMBIANIC_LABEL: Final = "http-proxy"
"Of connections that ambianic's pages make."

Authorize = Callable[[str, Any, RequestHead], "bool | Awaitable[bool]"]
"""Of the remote peer's id, the metadata it has dialled with, and a request: whether to answer it.
The id is what the server says it is; the metadata anybody can write."""

_log = logging.getLogger("peerjs_trio.http")


@attrs.frozen(kw_only=True)
class ServeLimits:
    """What all remote peers together can make one :func:`serve` do. Times in seconds."""

    http: HttpLimits = DEFAULT_HTTP_LIMITS
    "Of each connection."
    requests: int = 512
    "Under way at once, of all peers; more are answered with 503."
    requests_per_peer: int = 200
    """The same of one peer id, over all its connections: twice what one connection may have at
    once, as an application can have something to do after its response, or its cancellation."""
    connections: int = 256
    "At once. For one more the one is closed that has been idle for longest, if one is."
    connections_per_peer: int = 16
    "The same of one peer id: a page dials one."
    hello_timeout: float = 20.0
    "For a peer to say the first word of the protocol."
    proof_timeout: float = 20.0
    "For a peer to prove who it is."
    stall_timeout: float = 60.0
    "For a peer to send, or to make room for, the next part of a body."


DEFAULT_SERVE_LIMITS: Final = ServeLimits()
"""What applies where nothing else is said."""


async def serve(
    peer: Peer,
    target: str | AsgiApp,
    *,
    authorize: Authorize | None = None,
    secret: str | None = None,
    pairings: Pairings | None = None,
    limits: ServeLimits = DEFAULT_SERVE_LIMITS,
) -> None:
    """Answer the HTTP requests of remote peers, until cancelled.

    :param target: what answers. A base URL, such as ``"http://127.0.0.1:8778/api/"``: requests go
        there, and nowhere else. Or an ASGI application, called directly; one is
        :class:`~peerjs_trio.http.upstream.Upstream`, for a base URL with limits of your own.
    :param authorize: asked for each request, sync or async; what it refuses is answered with 403.
    :param secret: only peers that prove to know it are answered: 16 letters or more.
    :param pairings: only peers that are paired are answered. With a secret too: either will do.

    One of the three is needed. Takes connections with the labels ``peerjs-http`` and, with
    ``authorize`` alone, as such pages can prove nothing, ambianic's ``http-proxy``; all others stay
    with ``peer.incoming_connections()``.

    Raises LocalProtocolError for arguments that do not fit together, and what
    :meth:`Peer.incoming_connections` raises when no more connections can come.
    """
    if authorize is None and secret is None and pairings is None:
        raise LocalProtocolError("say who may use it: authorize=, secret= or pairings=")
    async with _open_target(target) as (app, state), anyio.create_task_group() as tasks:
        # An Upstream has one as well; httpx is not needed to see that.
        base_url = target if isinstance(target, str) else getattr(target, "base_url", None)
        service = _Service(app, state, base_url, authorize, secret, pairings, limits)
        async for connection in peer.incoming_connections(HTTP_LABEL, AMBIANIC_LABEL):
            tasks.start_soon(service.take, connection)


@asynccontextmanager
async def _open_target(target: str | AsgiApp) -> AsyncGenerator[tuple[AsgiApp, dict[str, Any]]]:
    if isinstance(target, str):
        from peerjs_trio.http.upstream import Upstream  # needs httpx

        async with Upstream(target) as app:
            yield app, {}
    else:
        async with open_lifespan(target) as state:
            yield target, state


class _Service:
    """All connections to one target."""

    def __init__(
        self,
        app: AsgiApp,
        state: dict[str, Any],
        base_url: str | None,
        authorize: Authorize | None,
        secret: str | None,
        pairings: Pairings | None,
        limits: ServeLimits,
    ) -> None:
        self._app = app
        self._state = state
        self._base_url = base_url
        self._authorize = authorize
        self._secret = secret
        self._pairings = pairings
        self._limits = limits
        self._visits: Counter[str] = Counter()
        "Connections by peer."
        self._idle: dict[_Visit, None] = {}
        "Those with no request under way, the longest first."
        self._requests: Counter[str] = Counter()

    async def take(self, connection: DataConnection) -> None:
        """Answer what comes over one connection, until it is over. Never raises."""
        visit, peer = _Visit(connection), connection.peer
        with _counted(self._visits, peer):
            try:
                if self._has_place(peer):
                    self._idle[visit] = None
                    with visit.scope:
                        if connection.label == AMBIANIC_LABEL:
                            await self._take_ambianic(connection)
                        else:
                            await self._take_ours(visit)
                else:
                    _log.warning("closed a connection of %s: there are too many", peer)
            except TimeoutError:
                _log.info("no HTTP for %s: it did not say in time who it is", peer)
            except PeerError as error:
                _log.info("no HTTP for %s: %s", peer, error)
            finally:
                self._idle.pop(visit, None)
                await connection.aclose()

    def _has_place(self, peer: str) -> bool:
        """Whether one more connection can stay; one that is idle may have to go for it."""
        if self._visits[peer] > self._limits.connections_per_peer:
            leaving = (v for v in self._idle if v.connection.peer == peer)
        elif self._visits.total() > self._limits.connections:
            leaving = (v for v in self._idle)
        else:
            return True
        longest = next(leaving, None)
        if longest is None:
            return False
        _log.info("closed an idle connection of %s for another's", longest.connection.peer)
        del self._idle[longest]
        longest.scope.cancel()
        return True

    async def _take_ours(self, visit: _Visit) -> None:
        connection = visit.connection
        remote: Remote = {"peer": connection.peer, "pair": None}
        if self._secret is not None or self._pairings is not None:
            from peerjs_trio.pairing import verify

            with anyio.fail_after(self._limits.proof_timeout):
                who = await verify(connection, secret=self._secret, pairings=self._pairings)
            remote["pair"] = who.name
        async with open_session(connection, client=False, limits=self._limits.http) as session:
            with anyio.fail_after(self._limits.hello_timeout):
                await session.wait_ready()
            async with anyio.create_task_group() as tasks:
                async for stream in session.incoming():
                    self._idle.pop(visit, None)
                    visit.requests += 1
                    tasks.start_soon(self._answer, visit, session, stream, remote)

    async def _take_ambianic(self, connection: DataConnection) -> None:
        from peerjs_trio.http.ambianic import serve_ambianic

        # Who is to prove something is not let in by a page's label.
        by_word_alone = self._secret is None and self._pairings is None
        await serve_ambianic(
            connection,
            self._app,
            authorize=self._authorize if by_word_alone else None,
            state=self._state,
            base_url=self._base_url,
        )

    async def _answer(
        self, visit: _Visit, session: HttpSession, stream: Stream, remote: Remote
    ) -> None:
        peer, limits = visit.connection.peer, self._limits
        with _counted(self._requests, peer):
            try:
                if (
                    self._requests.total() > limits.requests
                    or self._requests[peer] > limits.requests_per_peer
                ):
                    await refuse(stream, 503, "too many requests at once")
                elif await self._is_allowed(visit.connection, stream.head):
                    await answer(
                        stream, self._app, remote, self._state, stall_timeout=limits.stall_timeout
                    )
                else:
                    await refuse(stream, 403, "you may not ask for this")
            except PeerError as error:
                _log.debug("a request of %s has ended: %s", peer, error)
            except Exception:
                _log.exception("authorize has failed")
                with anyio.move_on_after(limits.stall_timeout), suppress(PeerError):
                    await refuse(stream, 500, "the server cannot say whether you may ask for this")
            finally:
                session.release(stream)
                visit.requests -= 1
                if not visit.requests:
                    self._idle[visit] = None

    async def _is_allowed(self, connection: DataConnection, head: RequestHead) -> bool:
        if self._authorize is None:
            return True
        allowed = self._authorize(connection.peer, connection.metadata, head)
        return bool(await allowed if inspect.isawaitable(allowed) else allowed)


@attrs.define(eq=False)
class _Visit:
    """One connection that is answered."""

    connection: DataConnection
    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)
    requests: int = 0


@contextmanager
def _counted(counter: Counter[str], peer: str) -> Generator[None]:
    """One more of this peer's, for the length of the block."""
    counter[peer] += 1
    try:
        yield
    finally:
        counter[peer] -= 1
        if not counter[peer]:
            del counter[peer]
