"""Which STUN and TURN servers to give to aiortc: one of each kind, and only if it answers.

aiortc gathers candidates in one step. Nothing can be sent before its end, five seconds are
spent on a server that does not answer, and of a list it takes the first STUN and the first
TURN server alone. So every server is asked beforehand for a sign of life, in the way aiortc is
going to ask it: the same address family, transport and TLS, and a request that leaves nothing
behind in the server.

That begins when the peer is opened, and connections wait for ``GRACE`` seconds from then on at
most, the offer and the answer of one together. A server that takes longer serves later ones; one
that is known to be dead is not waited for at all.

One thing is left to aiortc's own five seconds: a server that answers us and then is silent
when aiortc asks, or that one of several network interfaces does not reach.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Final

import attrs
from aioice.stun import Class, Message, Method
from aiortc.rtcicetransport import parse_stun_turn_uri

from peerjs_trio.rtc.engine import IceServer

__all__ = ["IceServers"]

_log = logging.getLogger("peerjs_trio")

GRACE: Final = 0.4
"Seconds from the first question to a server until connections stop waiting for it."

PATIENCE: Final = 5.0
"Seconds until a silent server is dead: aiortc would not wait longer either."

AGAIN: Final = 10.0
"Seconds until a server is asked again, if it is still in use; nobody waits for that."

MEMORY: Final = 60.0
"Seconds from one question to the next after which the last answer counts for nothing."

RETRANSMIT: Final = 0.1
"Seconds until a datagram is sent once more, then twice that, and so on."

MAX_SERVERS: Final = 32
"URLs of one list that are asked; the rest is ignored."


class IceServers:
    """What one guest loop knows of STUN and TURN servers. All of it runs inside that loop."""

    def __init__(self) -> None:
        self._known: dict[str, _Server] = {}
        self._named: set[str] = set()
        "What the log has already been told."

    def prepare(self, servers: Sequence[IceServer]) -> None:
        """Ask them all now, so that no connection has to wait for the answers."""
        with suppress(ValueError):  # is for the connection to raise
            for offer in _offers(servers):
                if offer.kind:
                    self._ask(offer)

    async def usable(self, servers: Sequence[IceServer]) -> list[IceServer]:
        """The first STUN and the first TURN server that answer, with one URL each.

        Takes up to ``GRACE`` seconds, and none where all is known. Raises ValueError for a
        URL that is none, before anything is sent.
        """
        offers = _offers(servers)
        self._warn("aiortc cannot use these servers: %s", [o.url for o in offers if not o.kind])
        asked = [(offer, self._ask(offer)) for offer in offers if offer.kind]
        usable = []
        for kind in ("STUN", "TURN"):
            of_kind = [(offer, server) for offer, server in asked if offer.kind == kind]
            for offer, server in of_kind:
                if await server.answers():
                    usable.append(offer.server)
                    break
            else:
                self._warn(f"no {kind} server answers: %s", [offer.url for offer, _ in of_kind])
        return usable

    async def aclose(self) -> None:
        """Stop asking; every socket is closed."""
        probes = {server.probe for server in self._known.values()}
        for probe in probes:
            probe.cancel()
        if probes:
            await asyncio.wait(probes)

    def _ask(self, offer: _Offer) -> _Server:
        server = self._known.get(offer.url)
        if server is None:
            self._forget()
            server = self._known[offer.url] = _Server(offer)
        server.ask()
        return server

    def _forget(self) -> None:
        self._known = {url: server for url, server in self._known.items() if not server.is_stale()}

    def _warn(self, message: str, urls: Sequence[str]) -> None:
        """Once for each URL, which bears no credentials."""
        if new := [url for url in urls if url not in self._named]:
            _log.warning(message, ", ".join(new))
            self._named.update(new)


@attrs.frozen
class _Offer:
    """One URL of the caller's list."""

    url: str
    server: IceServer
    "The one with this URL alone."
    kind: str
    "STUN, TURN, or nothing where aiortc passes it over in silence."
    host: str
    port: int
    tcp: bool = False
    tls: bool = False


def _offers(servers: Sequence[IceServer]) -> list[_Offer]:
    """Every URL as aiortc reads it. Raises ValueError for one that it cannot read."""
    offers = []
    for server in servers:
        for url in server.all_urls:
            parsed = parse_stun_turn_uri(url)
            scheme, transport = parsed["scheme"], parsed.get("transport")
            kind = {
                ("stun", None): "STUN",
                ("turn", "udp"): "TURN",
                ("turn", "tcp"): "TURN",
                ("turns", "tcp"): "TURN",
            }.get((scheme, transport), "")
            one = attrs.evolve(server, urls=url)
            tcp, tls = transport == "tcp", scheme == "turns"
            offers.append(_Offer(url, one, kind, parsed["host"], parsed["port"], tcp, tls))
    return offers[:MAX_SERVERS]


class _Server:
    """What is known of one server."""

    def __init__(self, offer: _Offer) -> None:
        self._offer = offer
        self._asked_at: float | None = None
        self._alive: bool | None = None
        "None: not known yet, or no longer."
        self._slow = False
        "Its last answer came after the grace: asked anew, it would always be too late."
        self.probe: asyncio.Task[None]

    def ask(self) -> None:
        """Ask for a sign of life, unless that is under way or not long ago."""
        now = asyncio.get_running_loop().time()
        if self._asked_at is not None:
            if not self.probe.done() or now < self._asked_at + AGAIN:
                return
            if self.is_stale():
                self._alive = None
        self._asked_at = now
        self.probe = asyncio.create_task(self._learn())

    def is_stale(self) -> bool:
        assert self._asked_at is not None
        old = asyncio.get_running_loop().time() > self._asked_at + MEMORY
        return old and self.probe.done() and not self._slow

    async def answers(self) -> bool:
        """Whether it is known to be alive, or turns out to be until ``GRACE`` is over."""
        assert self._asked_at is not None
        if self._alive is None:
            left = self._asked_at + GRACE - asyncio.get_running_loop().time()
            await asyncio.wait({self.probe}, timeout=max(0, left))
        return self._alive is True

    async def _learn(self) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        # Whatever goes wrong here, be it a name, a route or a certificate, goes wrong in aiortc.
        try:
            async with asyncio.timeout(PATIENCE):
                self._alive = await _ask(self._offer)
        except Exception as error:
            self._alive = False
            _log.debug("%s does not answer: %s", self._offer.url, type(error).__name__)
        self._slow = self._alive and clock() > began + GRACE


# --- one question, one answer ---------------------------------------------------------------


def _ask(offer: _Offer) -> Awaitable[bool]:
    # To a TURN server, the first message of every client: one without the wish for a transport
    # allocates nothing, and is answered where Binding is not.
    method = Method.BINDING if offer.kind == "STUN" else Method.ALLOCATE
    request = bytes(Message(message_method=method, message_class=Class.REQUEST))
    return (_ask_by_tcp if offer.tcp else _ask_by_udp)(offer, request)


def _is_answer(data: bytes, request: bytes) -> bool:
    """Whether it is a response or an error with our own transaction id."""
    is_response = data[:1] == b"\x01"
    return is_response and data[4:20] == request[4:20]


async def _ask_by_udp(offer: _Offer, request: bytes) -> bool:
    transport, ear = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Ear(request),
        remote_addr=(offer.host, offer.port),
        # aiortc asks STUN servers by IPv4 alone.
        family=socket.AF_INET if offer.kind == "STUN" else socket.AF_UNSPEC,
    )
    try:
        pause = RETRANSMIT
        while not ear.heard.done():
            transport.sendto(request)
            await asyncio.wait({ear.heard}, timeout=pause)
            pause *= 2
        return ear.heard.result()
    finally:
        transport.close()


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, request: bytes) -> None:
        self.heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._request = request

    def datagram_received(self, data: bytes, addr: object) -> None:
        if _is_answer(data, self._request):
            self._hear(True)

    def error_received(self, exc: Exception) -> None:
        self._hear(False)  # nobody listens there, or no route leads there

    def connection_lost(self, exc: Exception | None) -> None:
        self._hear(False)

    def _hear(self, life: bool) -> None:
        if not self.heard.done():
            self.heard.set_result(life)


async def _ask_by_tcp(offer: _Offer, request: bytes) -> bool:
    reader, writer = await asyncio.open_connection(offer.host, offer.port, ssl=offer.tls or None)
    try:
        writer.write(request)
        return _is_answer(await reader.readexactly(len(request)), request)
    finally:
        writer.transport.abort()  # a goodbye could wait for the far side
