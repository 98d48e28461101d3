"""Questions to a STUN or TURN server, from inside the guest loop: is it there, does it serve us?

They are asked in the way aiortc asks: the same address family, transport and TLS.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Protocol

import attrs
from aioice.ice import get_host_addresses
from aioice.stun import HEADER_LENGTH, Class, Message, Method, parse_message
from aioice.turn import UDP_TRANSPORT, make_integrity_key
from aiortc.rtcicetransport import parse_stun_turn_uri

from peerjs_trio.rtc.engine import IceServer
from peerjs_trio.rtc.troubles import BAD_CREDENTIALS

__all__ = [
    "Allocation",
    "Line",
    "Refused",
    "Target",
    "local_addresses",
    "open_line",
    "targets",
]

RETRANSMIT: Final = 0.1
"Seconds until a datagram is sent once more, then twice that, and so on."

STALE_NONCE: Final = 438

_LITERAL_IPV6: Final = re.compile(r"(stun|turn)s?:\[")
"aiortc takes such an address for no URL at all; by a name it reaches it."


class Refused(Exception):
    """The server answers, and says no."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code

    @property
    def is_of_credentials(self) -> bool:
        """Whether others might be let in."""
        return self.code in BAD_CREDENTIALS


@attrs.frozen
class Target:
    """One URL of an application's list."""

    url: str
    server: IceServer
    "The one with this URL alone."
    kind: str
    "STUN, TURN, or nothing where aiortc passes it over in silence."
    host: str
    port: int
    tcp: bool = False
    tls: bool = False


@attrs.frozen
class Allocation:
    """What a TURN server has lent us, for a moment."""

    relayed: tuple[str, int]
    mapped: tuple[str, int]
    "Our own address, as the server sees it."


def targets(servers: Sequence[IceServer]) -> list[Target]:
    """Every URL as aiortc reads it. Raises ValueError for one that it cannot read."""
    found = []
    for server in servers:
        for url in server.all_urls:
            one = attrs.evolve(server, urls=url)
            if _LITERAL_IPV6.match(url):
                found.append(Target(url, one, "", "", 0))
                continue
            parsed = parse_stun_turn_uri(url)
            scheme, transport = parsed["scheme"], parsed.get("transport")
            kind = {
                ("stun", None): "STUN",
                ("turn", "udp"): "TURN",
                ("turn", "tcp"): "TURN",
                ("turns", "tcp"): "TURN",
            }.get((scheme, transport), "")
            tcp, tls = transport == "tcp", scheme == "turns"
            found.append(Target(url, one, kind, parsed["host"], parsed["port"], tcp, tls))
    return found


def local_addresses() -> list[str]:
    """Those of this machine that aiortc offers: all but loopback and link-local ones of IPv6."""
    return get_host_addresses(use_ipv4=True, use_ipv6=True)


@asynccontextmanager
async def open_line(target: Target) -> AsyncIterator[Line]:
    """Raises OSError where it cannot be reached; a wrong name or certificate is that, too."""
    try:
        wire = await (_open_tcp if target.tcp else _open_udp)(target)
    except (UnicodeError, OverflowError) as error:  # a name or a port that cannot be
        raise OSError(str(error)) from None
    try:
        yield Line(target, wire)
    finally:
        wire.close()


class Line:
    """The way to one server. Every question waits for its answer without a limit of its own.

    All raise OSError where nobody listens or the server hangs up.
    """

    def __init__(self, target: Target, wire: _Wire) -> None:
        self._target = target
        self._wire = wire

    async def greet(self) -> Message:
        """Ask for a sign of life that leaves nothing behind in the server.

        To a TURN server that is the first message of every client: one without the wish for a
        transport allocates nothing, and is answered where Binding is not.
        """
        method = Method.BINDING if self._target.kind == "STUN" else Method.ALLOCATE
        self._challenge = await self._wire.ask(Message(method, Class.REQUEST))
        return self._challenge

    async def mapped_address(self) -> tuple[str, int]:
        """Ours, as a STUN server sees it. Raises Refused."""
        return _address(await self.greet(), "XOR-MAPPED-ADDRESS")

    async def show_credentials(self) -> None:
        """To a TURN server, after :meth:`greet`. Raises Refused where it does not take them.

        What else it finds missing is as it should be: nothing was asked for.
        """
        answer = await self._ask(Method.ALLOCATE, {})
        if answer.error_code in BAD_CREDENTIALS:
            raise _refused(answer)

    async def allocate(self) -> Allocation:
        """Have a TURN server lend us an address, and give it back. Raises Refused."""
        await self.greet()
        answer = await self._ask(Method.ALLOCATE, {"REQUESTED-TRANSPORT": UDP_TRANSPORT})
        relayed = _address(answer, "XOR-RELAYED-ADDRESS")
        await self._ask(Method.REFRESH, {"LIFETIME": 0})
        return Allocation(relayed, _address(answer, "XOR-MAPPED-ADDRESS"))

    async def _ask(self, method: Method, attributes: dict[str, Any]) -> Message:
        """Ask with our credentials, by the server's challenge, or by a fresh one it gives."""
        answer = await self._wire.ask(self._sign(method, attributes))
        if answer.error_code == STALE_NONCE:
            self._challenge = answer
            answer = await self._wire.ask(self._sign(method, attributes))
        return answer

    def _sign(self, method: Method, attributes: dict[str, Any]) -> Message:
        request = Message(method, Class.REQUEST, attributes=dict(attributes))
        realm, nonce = (self._challenge.attributes.get(name) for name in ("REALM", "NONCE"))
        username, password = self._target.server.username, self._target.server.credential
        if realm and nonce and username is not None and password is not None:
            request.attributes |= {"USERNAME": username, "REALM": realm, "NONCE": nonce}
            request.add_message_integrity(make_integrity_key(username, realm, password))
        return request


def _address(answer: Message, name: str) -> tuple[str, int]:
    if answer.message_class == Class.ERROR or name not in answer.attributes:
        raise _refused(answer)
    address: tuple[str, int] = answer.attributes[name]
    return address


def _refused(answer: Message) -> Refused:
    code, reason = answer.attributes.get("ERROR-CODE", (0, "an answer without an address"))
    return Refused(code, reason.rstrip("\0 "))


# --- what carries them -----------------------------------------------------------------------


class _Wire(Protocol):
    async def ask(self, request: Message) -> Message:
        """The answer to it: a response or an error with the same transaction id."""
        ...

    def close(self) -> None: ...


def _answer(data: bytes, request: Message) -> Message | None:
    """Raises ValueError for what is no STUN message."""
    answer = parse_message(data)
    is_answer = answer.message_class in (Class.RESPONSE, Class.ERROR)
    return answer if is_answer and answer.transaction_id == request.transaction_id else None


async def _open_udp(target: Target) -> _Wire:
    transport, wire = await asyncio.get_running_loop().create_datagram_endpoint(
        _Udp,
        remote_addr=(target.host, target.port),
        # aiortc asks STUN servers by IPv4 alone.
        family=socket.AF_INET if target.kind == "STUN" else socket.AF_UNSPEC,
    )
    wire.transport = transport
    return wire


class _Udp(asyncio.DatagramProtocol):
    transport: asyncio.DatagramTransport

    def __init__(self) -> None:
        self._request: Message | None = None
        self._heard: asyncio.Future[Message | Exception] | None = None

    async def ask(self, request: Message) -> Message:
        self._request = request
        heard: asyncio.Future[Message | Exception] = asyncio.get_running_loop().create_future()
        self._heard = heard
        pause = RETRANSMIT
        while not heard.done():
            self.transport.sendto(bytes(request))
            await asyncio.wait({heard}, timeout=pause)
            pause *= 2
        news = heard.result()
        if isinstance(news, Exception):
            raise news
        return news

    def close(self) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, addr: object) -> None:
        with suppress(ValueError):  # something else; the answer may still come
            if self._request and (answer := _answer(data, self._request)):
                self._hear(answer)

    def error_received(self, exc: Exception) -> None:
        self._hear(exc)  # nobody listens there, or no route leads there

    def connection_lost(self, exc: Exception | None) -> None:
        self._hear(exc or ConnectionAbortedError())

    def _hear(self, news: Message | Exception) -> None:
        if self._heard is not None and not self._heard.done():
            self._heard.set_result(news)


async def _open_tcp(target: Target) -> _Wire:
    reader, writer = await asyncio.open_connection(target.host, target.port, ssl=target.tls or None)
    return _Tcp(reader, writer)


@attrs.frozen
class _Tcp:
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def ask(self, request: Message) -> Message:
        self._writer.write(bytes(request))
        try:
            while True:
                header = await self._reader.readexactly(HEADER_LENGTH)
                body = await self._reader.readexactly(int.from_bytes(header[2:4]))
                if (answer := _answer(header + body, request)) is not None:
                    return answer
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("the server hung up") from None
        except ValueError:
            raise ConnectionAbortedError("what answers is no TURN server") from None

    def close(self) -> None:
        self._writer.transport.abort()  # a goodbye could wait for the far side
