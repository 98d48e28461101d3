"""peerjs_proto in Twisted, with autobahn and aiortc.

    python examples/embed_twisted.py --server http://127.0.0.1:9000/ --id bob
    python examples/embed_twisted.py --server http://127.0.0.1:9000/ --connect bob

The first sends back what others send it, until Ctrl-C. The second sends one value, and sees
whether the same comes back: echo.py. One coroutine owns the core; all else puts inputs into
its queue. aiortc needs asyncio, so the reactor is the one that runs on it.
"""

# The reactor is installed before anything else of Twisted is imported; names are Twisted's.
# ruff: noqa: E402, N802, N803
# mypy: allow-untyped-calls

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from twisted.internet import asyncioreactor

asyncioreactor.install()

from aiortc_engine import Engine, Tell, now
from autobahn.exception import Disconnected
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS
from echo import Echo, arguments
from twisted.internet import defer, ssl, task, threads

from peerjs_proto import Endpoint, PeerProtocol, commands, events


class Peer:
    def __init__(self, reactor: Any, server: Endpoint, id: str | None, dial: str | None) -> None:
        self.reactor = reactor
        self.core = PeerProtocol(server, token=secrets.token_hex(8), id=id)
        self.inputs: defer.DeferredQueue[tuple[Any, ...]] = defer.DeferredQueue()
        self.engine = Engine(self.core, self.tell, asyncio.get_event_loop())
        self.closing: list[defer.Deferred[None]] = []
        self.echo = Echo(self.core, dial)

    def tell(self, input: Callable[..., object], *args: object) -> None:
        self.inputs.put((input, *args))

    async def run(self) -> None:
        self.tell(self.core.start, now())
        while not self.echo.over:
            waiting = self.inputs.get()
            if (deadline := self.core.next_timeout()) is not None:
                waiting.addTimeout(max(0, deadline - now()), self.reactor)
            with suppress(defer.TimeoutError):
                input, *args = await waiting
                input(*args)
            self.core.handle_timeout(now())  # too early, it does nothing
            self.drain()
        self.core.shut_down()
        self.drain()
        self.closing.append(defer.Deferred.fromFuture(asyncio.ensure_future(self.engine.done())))
        await defer.DeferredList(self.closing)
        if self.echo.complaint:
            raise SystemExit(self.echo.complaint)

    def drain(self) -> None:
        while output := self.core.next_command() or self.core.next_event():
            if isinstance(output, events.Event):
                self.echo.handle(output)
            else:
                self.perform(output)

    def perform(self, command: commands.Command) -> None:
        match command:
            case commands.FetchId(url):
                defer.ensureDeferred(self.fetch_id(url))
            case commands.OpenSocket(url):
                self.socket = Socket(self.core, self.tell, url)
                self.closing.append(self.socket.gone)
            case commands.SendText(text):
                with suppress(Disconnected):  # onClose() has told of it
                    self.socket.sendMessage(text.encode())
            case commands.CloseSocket():
                self.socket.close()
            case _:
                self.engine.perform(command)

    async def fetch_id(self, url: str) -> None:
        try:
            self.tell(self.core.receive_http, *await threads.deferToThread(get, url), now())
        except (OSError, HTTPException) as error:
            self.tell(self.core.http_failed, str(error), now())


def get(url: str) -> tuple[int, bytes]:
    try:
        with urlopen(url, timeout=10) as reply:
            return reply.status, reply.read(1000)
    except HTTPError as error:
        return error.code, b""


class Factory(WebSocketClientFactory):
    socket: "Socket"

    def buildProtocol(self, addr: Any) -> "Socket":  # one factory, one socket
        self.socket.factory = self
        return self.socket

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.socket.onClose(False, 1006, reason.getErrorMessage())


class Socket(WebSocketClientProtocol):
    """The way to the server: a WebSocket, or the attempt to have one."""

    def __init__(self, core: PeerProtocol, tell: Tell, url: str) -> None:
        super().__init__()
        self.core, self.tell = core, tell
        self.gone: defer.Deferred[None] = defer.Deferred()
        factory = Factory(url)
        factory.socket = self
        # Without options, autobahn would trust anyone.
        tls = ssl.optionsForClientTLS(factory.host) if factory.isSecure else None
        self.connector = connectWS(factory, tls, timeout=10)

    def close(self) -> None:
        if self.is_open.called:
            self.sendClose(1000)
        else:
            self.connector.disconnect()

    def onOpen(self) -> None:
        self.tell(self.core.socket_opened, now())

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.tell(self.core.receive_text, payload if isBinary else payload.decode(), now())

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.tell(self.core.socket_closed, reason, now())
        self.gone.callback(None)


async def main(reactor: Any, *args: Any) -> None:
    peer = Peer(reactor, *args)
    running = defer.ensureDeferred(peer.run())
    reactor.addSystemEventTrigger("before", "shutdown", peer.tell, peer.echo.end)  # Ctrl-C
    reactor.addSystemEventTrigger("before", "shutdown", lambda: running)
    await running


if __name__ == "__main__":
    task.react(main, arguments())
