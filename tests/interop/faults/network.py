"""What is broken between a peer and its server: ports and paths that do not do what they should."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import trio
from trio_websocket import ConnectionClosed, wrap_server_stream

from tests.interop.background import open_background
from tests.interop.servers import Server
from tests.trio.ice import write_certificate

__all__ = ["Relay", "Tls", "open_mute_port", "open_mute_server", "open_relay", "open_tls"]


@attrs.define(eq=False)
class Relay:
    """A way to a server that can die silently: nothing comes through, and nothing is closed."""

    url: str
    "The server's, by way of the relay."
    _works: trio.Event = attrs.Factory(trio.Event)

    def die(self) -> None:
        self._works = trio.Event()

    def heal(self) -> None:
        """What was under way arrives now, as it does with TCP."""
        self._works.set()

    async def _carry(self, near: trio.SocketStream, server: tuple[str, int]) -> None:
        await self._works.wait()
        async with near, await trio.open_tcp_stream(*server) as far, open_background() as nursery:
            nursery.start_soon(self._pump, far, near)
            await self._pump(near, far)

    async def _pump(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            async for data in source:
                await self._works.wait()
                await sink.send_all(data)
            await self._works.wait()
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await self._works.wait()
            await trio.aclose_forcefully(sink)


@asynccontextmanager
async def open_relay(server: Server) -> AsyncIterator[Relay]:
    """A relay that works, for the length of the block."""
    parts = urlsplit(server.url)
    address = (parts.hostname or "", parts.port or 80)

    async def carry(stream: trio.SocketStream) -> None:
        await relay._carry(stream, address)

    async with _listening(carry) as port:
        relay = Relay(f"http://127.0.0.1:{port}{parts.path}")
        relay.heal()
        yield relay


@asynccontextmanager
async def open_mute_port() -> AsyncIterator[str]:
    """The URL of a port that accepts, reads, and never says a word."""

    async def read(stream: trio.SocketStream) -> None:
        async with stream:
            async for _ in stream:
                pass

    async with _listening(read) as port:
        yield f"http://127.0.0.1:{port}/"


@asynccontextmanager
async def open_mute_server() -> AsyncIterator[str]:
    """The same of a server that opens the WebSocket, and says no more."""

    async def answer(stream: trio.SocketStream) -> None:
        async with stream, trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            socket = await request.accept()
            with suppress(ConnectionClosed):
                while True:
                    await socket.get_message()

    async with _listening(answer) as port:
        yield f"http://127.0.0.1:{port}/"


@attrs.frozen
class Tls:
    """A server behind TLS, with a certificate that no authority has signed."""

    url: str
    trusting: ssl.SSLContext
    "For a client that trusts this very certificate."


@asynccontextmanager
async def open_tls(server: Server, directory: Path) -> AsyncIterator[Tls]:
    """The same server once more, with TLS; its files go to ``directory``."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    write_certificate(certificate, key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    parts = urlsplit(server.url)

    async def carry(tcp: trio.SocketStream) -> None:
        near = trio.SSLStream(tcp, context, server_side=True, https_compatible=True)
        async with near, await trio.open_tcp_stream(parts.hostname or "", parts.port or 80) as far:
            try:
                await near.do_handshake()
            except trio.BrokenResourceError:
                return  # whoever it is does not trust us
            async with open_background() as nursery:
                nursery.start_soon(_pump, far, near)
                await _pump(near, far)

    async with _listening(carry) as port:
        trusting = ssl.create_default_context(cafile=str(certificate))
        yield Tls(f"https://127.0.0.1:{port}{parts.path}", trusting)


@asynccontextmanager
async def _listening(handler: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[int]:
    """The port on loopback; a handler that fails fails the test."""
    async with open_background() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handler, [listener])
        port: int = listener.socket.getsockname()[1]
        yield port


async def _pump(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream) -> None:
    try:
        async for data in source:
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # one of them has gone
