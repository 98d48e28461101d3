"""What every kind of PeerServer shares, whatever its sockets are: one core, its clock, its hooks.

:mod:`peerjs_trio.server` has sockets of its own, :mod:`peerjs_trio.asgi` those of an ASGI server.
Either runs a :class:`Hub`, on trio or on asyncio::

    async with hub.running():
        client = await hub.register(target, headers, address, outlet)
        pause = hub.receive(client, messages)
        hub.gone(client)
        reply = await hub.respond(request, address)
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from math import inf
from typing import Any, Final, Protocol

import anyio

from peerjs_proto.addresses import Proxies, network_of
from peerjs_proto.cluster_io import Claim
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_http import split_target
from peerjs_proto.server_io import (
    ClientGone,
    Credentials,
    Forward,
    HttpReply,
    HttpRequest,
    Refusal,
    SendText,
    ServerEvent,
    ServerStatistics,
)

from .background import open_background

__all__ = ["Authorize", "Bus", "Claim", "Hub", "Outlet", "known_network_of"]

Authorize = Callable[[str, str, str, Mapping[str, str]], Awaitable[bool]]
"""``await authorize(id, token, key, headers)``: whether a client may register. Names of headers
are in lower case. Whoever is refused is told ``Unauthorized``, as is one it raises for."""

_NO_PROXIES: Final = Proxies()
_log: Final = logging.getLogger("peerjs.server")


class Outlet(Protocol):
    """A client's socket, as far as the hub needs one. Neither method waits."""

    def send_text(self, text: str, /) -> None:
        """Send it now or soon; close the socket where too much waits already."""
        ...

    def close_websocket(self, code: int | None, reason: str, /) -> None:
        """Close it behind what was sent; None is a close frame without a status."""
        ...

    def ping(self) -> None:
        """Send a WebSocket ping, if that is ours to do."""
        ...


class Bus(Protocol):
    """What connects a server with others that share its ids."""

    @property
    def healthy(self) -> bool:
        """Whether the others can be reached."""
        ...

    async def run(self, hub: Hub, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Work for this hub, until cancelled; started once it is known whether there are others."""
        ...

    async def claim(self, credentials: Credentials) -> Claim | None:
        """Take an id for a client; None if somebody with another token has it."""
        ...

    async def registered(self, claim: Claim, client: int) -> None:
        """The client has been told that it is on: deliver what waits for it."""
        ...

    def release(self, claim: Claim) -> None:
        """The client is gone. Does not wait."""
        ...

    def forward(self, message: Forward) -> None:
        """Deliver a message to wherever its destination is. Does not wait."""
        ...

    async def respond(self, hub: Hub, request: HttpRequest, network: str) -> HttpReply | None:
        """The answer to what no server knows alone: ids and rooms; None for anything else."""
        ...


class Hub:
    """One server's core, and all that has to do with it but sockets."""

    def __init__(
        self,
        core: ServerProtocol,
        *,
        authorize: Authorize | None = None,
        generate_client_id: Callable[[], str] | None = None,
        proxied: Proxies = _NO_PROXIES,
        bus: Bus | None = None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        """
        Args:
            authorize: Asked about each client before it is registered.
            generate_client_id: Makes the ids that ``GET {key}/id`` gives out; by default UUIDs,
                which cannot be guessed. Such an id is kept for the address it was given to, for
                ``limits.id_lease`` seconds.
            proxied: Which proxies to believe about whom they speak for.
            bus: Others to share the ids with.
            clock: The time of the event loop in seconds, where there is a shorter way to it.
        """
        self.core = core
        self.pages: dict[str, Callable[[HttpRequest], HttpReply]] = {"/healthz": self._health}
        "What else there is to GET, by path."
        self.observers: list[Callable[[ServerEvent], None]] = []
        "Called with all that happens, in turn. They must not raise."
        self._authorize = authorize
        self._generate_client_id = generate_client_id
        self._proxied = proxied
        self._bus = bus
        self._clock = clock
        self._outlets: dict[int, Outlet] = {}  # of all that are not closed
        self._claims: dict[int, Claim] = {}  # of those who are registered
        self._performing = False
        self._stopping = False
        # Made where it is used: a hub can be made where no event loop runs.
        self._alarm: anyio.CancelScope | None = None
        self._alarm_at = inf

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep time, and the bus, as long as the block runs. Another may follow."""
        self._stopping = False
        async with open_background() as tasks:
            if self._bus is not None:
                await tasks.start(self._bus.run, self)
            tasks.start_soon(self._keep_time)
            yield

    @property
    def statistics(self) -> ServerStatistics:
        return self.core.statistics()

    @property
    def is_proxied(self) -> bool:
        """Whether there are proxies that speak for others."""
        return bool(self._proxied.networks)

    @property
    def healthy(self) -> bool:
        """Whether new clients get all that a client gets."""
        return not self._stopping and (self._bus is None or self._bus.healthy)

    def shut_down(self) -> None:
        """Close every client (1001), and take no more."""
        self._stopping = True
        self.core.shut_down()
        self.perform()

    # --- clients ------------------------------------------------------------------------------

    @property
    def decides_at_once(self) -> bool:
        """Whether :meth:`register` has nobody to ask, so that :meth:`register_now` will do."""
        return self._authorize is None and self._bus is None

    async def register(
        self, target: str, headers: Mapping[str, str], address: str, outlet: Outlet
    ) -> int:
        """A WebSocket was accepted: have it registered, or told why not, and closed.

        Args:
            headers: Of its request, names in lower case.
            address: Where its socket comes from: an IP address, or empty.
            outlet: Hears from now on what the client is to be sent.

        Returns:
            How to speak of it to :meth:`receive` and :meth:`gone`.
        """
        claim: Claim | None = None
        refusal: Refusal | None = None
        asked = self.core.credentials(target)
        if isinstance(asked, Refusal):
            refusal = asked
        elif not await self._is_authorized(asked, headers):
            refusal = Refusal.UNAUTHORIZED
        elif self._bus is not None:
            claim = await self._bus.claim(asked)
            if claim is None:
                refusal = Refusal.ID_TAKEN
        client = self.register_now(target, headers, address, outlet, refusal=refusal, claim=claim)
        if self._bus is not None and claim is not None:
            if client in self._claims:
                try:
                    await self._bus.registered(claim, client)
                except BaseException:  # cancelled: nobody will know how to speak of it
                    self.gone(client)
                    raise
            else:
                self._bus.release(claim)
        return client

    def register_now(
        self,
        target: str,
        headers: Mapping[str, str],
        address: str,
        outlet: Outlet,
        *,
        refusal: Refusal | None = None,
        claim: Claim | None = None,
    ) -> int:
        """The same, where :attr:`decides_at_once`, or it has been decided."""
        client = self.core.client_connected(
            target,
            self._clock(),
            network=self._network(address, headers),
            refusal=refusal or (Refusal.STOPPING if self._stopping else None),
        )
        self._outlets[client] = outlet
        if claim is not None and self.core.is_registered(client):
            self._claims[client] = claim
        self.perform()
        return client

    def receive(self, client: int, messages: Iterable[str | bytes]) -> float:
        """Messages of a client, in order; seconds to leave it unread after them."""
        now = self._clock()
        pause = 0.0
        for message in messages:
            pause = self.core.receive_message(client, message, now)
        self.perform()
        return pause

    def heard(self, client: int) -> None:
        """A sign of life that is no message, such as a pong."""
        self.core.client_heard(client, self._clock())

    def ping_silent(self, interval: float) -> None:
        """Ping every client of which nothing was heard for so many seconds."""
        for client in self.core.silent_since(self._clock() - interval):
            self._outlets[client].ping()

    def gone(self, client: int) -> None:
        """Its socket is gone, for whatever reason."""
        self._outlets.pop(client, None)
        self.core.client_closed(client)
        self.perform()

    # --- HTTP ---------------------------------------------------------------------------------

    @property
    def answers_at_once(self) -> bool:
        """Whether :meth:`respond` has nobody to ask, so that :meth:`respond_now` will do."""
        return self._bus is None

    async def respond(self, request: HttpRequest, address: str) -> HttpReply:
        """The answer to any request but those for a WebSocket."""
        if self._bus is not None:
            network = self._network(address, request.headers)
            reply = await self._bus.respond(self, request, network)
            if reply is not None:
                return reply
        return self.respond_now(request, address)

    def respond_now(self, request: HttpRequest, address: str) -> HttpReply:
        """The same, where :attr:`answers_at_once`; from this server alone."""
        try:
            return self._answer(request, address)
        except Exception:  # of a page, or of whoever makes ids
            _log.exception("a request is answered with an error")
            return HttpReply(500, b"Internal Server Error")

    def _answer(self, request: HttpRequest, address: str) -> HttpReply:
        page = self.pages.get(split_target(request.target)[0])
        if page is not None and request.method in ("GET", "HEAD"):
            return page(request)
        return self.core.respond(
            request,
            fresh_id=self._fresh_id,
            now=self._clock(),
            network=self._network(address, request.headers),
            # UUIDs are not: to know one is to have been given it.
            guessable=self._generate_client_id is not None,
        )

    def _health(self, request: HttpRequest) -> HttpReply:
        statistics = self.core.statistics()
        health: dict[str, Any] = {
            "status": "stopping" if self._stopping else "ok" if self.healthy else "degraded",
            "clients": statistics.clients,
        }
        if self._bus is not None:
            health["bus"] = "ok" if self._bus.healthy else "out of reach"
        body = json.dumps(health).encode()
        status = 503 if self._stopping else 200
        return HttpReply(status, body, "application/json", {"Cache-Control": "no-store"})

    def _fresh_id(self) -> str:
        if self._generate_client_id is None:
            return str(uuid.uuid4())
        return self._generate_client_id()

    def _network(self, address: str, headers: Mapping[str, str]) -> str:
        if self.is_proxied:
            address = self._proxied.client_address(address, headers)
        return known_network_of(address)

    # --- driving the core ---------------------------------------------------------------------

    def perform(self) -> None:
        """Carry out what the core asks. After everything that was said to it; never waits."""
        if self._performing:
            return  # an outlet's end, from inside of the loop below, which goes on with it
        self._performing = True
        core = self.core
        try:
            while (command := core.next_command()) is not None:
                outlet = self._outlets.get(command.client)
                if outlet is None:
                    continue
                if isinstance(command, SendText):
                    outlet.send_text(command.text)
                else:
                    del self._outlets[command.client]
                    outlet.close_websocket(command.code, command.reason)
        finally:
            self._performing = False
        while (event := core.next_event()) is not None:
            self._happened(event)
        if self._bus is not None:
            while (forward := core.next_forward()) is not None:
                self._bus.forward(forward)
        if self._alarm is not None and (timeout_at := self._timeout_at()) != self._alarm_at:
            # Moving an alarm costs more than asking.
            self._alarm.deadline = self._alarm_at = timeout_at

    def _happened(self, event: ServerEvent) -> None:
        if isinstance(event, ClientGone) and event.client in self._claims:
            claim = self._claims.pop(event.client)
            if self._bus is not None:
                self._bus.release(claim)
        for observer in self.observers:
            observer(event)

    async def _is_authorized(self, asked: Credentials, headers: Mapping[str, str]) -> bool:
        if self._authorize is None:
            return True
        try:
            return await self._authorize(asked.id, asked.token, asked.key, headers)
        except Exception:
            _log.exception("authorize raised for %r, who is refused", asked.id)
            return False

    async def _keep_time(self) -> None:
        while True:
            self._alarm_at = self._timeout_at()
            with anyio.CancelScope(deadline=self._alarm_at) as self._alarm:
                await anyio.sleep_forever()
            self.core.handle_timeout(self._clock())
            self.perform()

    def _timeout_at(self) -> float:
        timeout_at = self.core.next_timeout()
        return inf if timeout_at is None else timeout_at


@lru_cache(maxsize=4096)
def known_network_of(address: str) -> str:
    """:func:`~peerjs_proto.addresses.network_of`, which takes its time."""
    return network_of(address)
