"""peerjs_proto in Twisted, with autobahn and aiortc: one file, to copy and change.

    python examples/embed_twisted.py --server http://127.0.0.1:9000/ --id bob
    python examples/embed_twisted.py --server http://127.0.0.1:9000/ --connect bob

The first sends back what others send it, until Ctrl-C. The second sends one value, and sees
whether the same comes back. One coroutine owns the core; all else puts inputs into its queue.
aiortc needs asyncio, so the reactor is the one that runs on it.
"""

# The reactor is installed before anything else of Twisted is imported; names are Twisted's.
# ruff: noqa: E402, N802, N803
# mypy: allow-untyped-calls

import argparse
import asyncio
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from twisted.internet import asyncioreactor

asyncioreactor.install()

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol, connectWS
from twisted.internet import defer, ssl, task, threads

from peerjs_proto import Endpoint, PeerError, PeerProtocol, commands, events, validate_id

VALUE = {"nested": [1, 2.5, None, {"bytes": b"\x00\xff"}], "large": os.urandom(100_000)}
HIGH_WATER = 1 << 20  # bytes in a channel's buffer; above it, frames wait in the core
now = time.monotonic


class Peer:
    def __init__(self, reactor: Any, server: Endpoint, id: str | None, dial: str | None) -> None:
        self.reactor = reactor
        self.core = PeerProtocol(server, token=secrets.token_hex(8), id=id)
        self.inputs: defer.DeferredQueue[tuple[Any, ...]] = defer.DeferredQueue()
        self.closing: list[defer.Deferred[None]] = []
        self.rtcs: dict[int, Rtc] = {}
        self.dial, self.dialled = dial, 0
        self.over = False
        self.error: PeerError | None = None

    def tell(self, input: Callable[..., object], *args: object) -> None:
        self.inputs.put((input, *args))

    async def run(self) -> None:
        self.tell(self.core.start, now())
        while not self.over:
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
        await defer.DeferredList(self.closing)
        if self.error:
            raise SystemExit(f"{self.error.type}: {self.error}")

    def drain(self) -> None:
        while output := self.core.next_command() or self.core.next_event():
            if isinstance(output, events.Event):
                self.handle(output)
            else:
                self.perform(output)

    def handle(self, event: events.Event) -> None:
        """The application."""
        print(event, flush=True)
        match event:
            case events.PeerOpened() if self.dial:
                connection_id = f"dc_{secrets.token_hex(8)}"
                self.dialled = self.core.connect(self.dial, connection_id=connection_id, now=now())
            case events.PeerFailed(error) | events.PeerDisconnected(error):
                self.end(error)
            case events.DataConnectionOffered(number):
                self.core.accept(number, now())
            case events.DataConnectionOpened(number) if number == self.dialled:
                self.core.send(number, VALUE)
            case events.MessageReceived(number, value) if number == self.dialled:
                print("the same came back:", value == VALUE, flush=True)
                self.core.close(number, now(), flush=True)
            case events.MessageReceived(number, value):
                try:
                    self.core.send(number, value)
                except PeerError as error:  # such as: None cannot be sent
                    print("not sent back:", error, flush=True)
            case events.DataConnectionClosed(number, error) if number == self.dialled:
                self.end(error)

    def end(self, error: PeerError | None) -> None:
        self.over, self.error = True, error

    def perform(self, command: commands.Command) -> None:
        match command:
            case commands.FetchId(url):
                defer.ensureDeferred(self.fetch_id(url))
            case commands.OpenSocket(url):
                self.factory = Factory(self, url)
                self.closing.append(self.factory.gone)
            case commands.SendText(text):
                self.factory.send(text)
            case commands.CloseSocket():
                self.factory.close()
            case commands.FramesReady(number):
                self.rtcs[number].send_frames()
            case commands.CloseRtc(number):
                self.closing.append(self.rtcs.pop(number).do(command))
            case _:
                if isinstance(command, commands.MakeOffer | commands.MakeAnswer):
                    self.rtcs[command.connection] = Rtc(self, command.connection)
                self.rtcs[command.connection].do(command)

    async def fetch_id(self, url: str) -> None:
        # urllib in a thread does for one request. Twisted's Agent would, too.
        try:
            self.tell(self.core.receive_http, *await threads.deferToThread(get, url), now())
        except HTTPError as error:
            self.tell(self.core.receive_http, error.code, b"", now())
        except (OSError, HTTPException) as error:
            self.tell(self.core.http_failed, str(error))


def get(url: str) -> tuple[int, bytes]:
    with urlopen(url, timeout=10) as reply:
        return reply.status, reply.read(1000)


class Factory(WebSocketClientFactory):
    """The way to the server: a WebSocket, or the attempt to have one."""

    def __init__(self, peer: Peer, url: str) -> None:
        super().__init__(url)
        self.protocol = Socket
        self.peer = peer
        self.gone: defer.Deferred[None] = defer.Deferred()
        self.socket: Socket | None = None
        # Without options, autobahn would trust anyone.
        tls = ssl.optionsForClientTLS(self.host) if self.isSecure else None
        self.connector = connectWS(self, tls, timeout=10)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.closed(reason.getErrorMessage())

    def send(self, text: str) -> None:
        if self.socket:
            self.socket.sendMessage(text.encode())

    def close(self) -> None:
        if self.socket:
            self.socket.sendClose(1000)
        else:
            self.connector.disconnect()

    def closed(self, reason: str) -> None:
        self.peer.tell(self.peer.core.socket_closed, reason)
        self.gone.callback(None)


class Socket(WebSocketClientProtocol):
    def onOpen(self) -> None:
        self.factory.socket = self
        self.factory.peer.tell(self.factory.peer.core.socket_opened, now())

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        text = payload if isBinary else payload.decode()
        self.factory.peer.tell(self.factory.peer.core.receive_text, text, now())

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.factory.closed(reason)


class Rtc:
    """One RTCPeerConnection of aiortc with its data channel."""

    def __init__(self, peer: Peer, number: int) -> None:
        self.core, self.tell, self.number = peer.core, peer.tell, number
        # For peers beyond this network, name STUN and TURN servers here.
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.on("datachannel", self.adopt)
        self.pc.on("connectionstatechange", self.on_change)
        self.channel: RTCDataChannel | None = None
        self.turn = asyncio.Lock()

    def do(self, command: commands.Command) -> defer.Deferred[None]:
        return defer.Deferred.fromFuture(asyncio.ensure_future(self.perform(command)))

    async def perform(self, command: commands.Command) -> None:
        async with self.turn:  # one after the other, as the core asked
            try:
                await self.negotiate(command)
            except Exception as error:  # aiortc raises anything at all for a bad description
                self.tell(self.core.rtc_failed, self.number, f"{type(error).__name__}: {error}")

    async def negotiate(self, command: commands.Command) -> None:
        pc = self.pc
        match command:
            case commands.MakeOffer(_, label, ordered):
                # aiortc counts a label in characters where the wire has bytes. Nobody reads it.
                self.adopt(pc.createDataChannel(ascii(label), ordered=ordered))
                await pc.setLocalDescription(await pc.createOffer())
                self.tell(self.core.offer_made, self.number, pc.localDescription.sdp)
            case commands.MakeAnswer(_, sdp):
                await pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
                await pc.setLocalDescription(await pc.createAnswer())
                self.tell(self.core.answer_made, self.number, pc.localDescription.sdp)
            case commands.ApplyAnswer(_, sdp):
                await pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
            case commands.AddCandidate(_, init):
                with suppress(Exception):  # one that makes no sense is no loss
                    candidate = candidate_from_sdp(init["candidate"].removeprefix("candidate:"))
                    candidate.sdpMid = init.get("sdpMid")
                    candidate.sdpMLineIndex = init.get("sdpMLineIndex")
                    await pc.addIceCandidate(candidate)
            case commands.CloseChannel() if self.channel:
                self.channel.close()
            case commands.CloseRtc():
                await pc.close()

    def adopt(self, channel: RTCDataChannel) -> None:
        self.channel = channel
        channel.bufferedAmountLowThreshold = HIGH_WATER // 4
        channel.on("message", lambda f: self.tell(self.core.receive_frame, self.number, f, now()))
        channel.on("bufferedamountlow", lambda: self.tell(self.send_frames))
        channel.on("open", self.on_change)
        channel.on("close", self.on_change)
        self.on_change()

    def on_change(self) -> None:
        state = self.channel.readyState if self.channel else "none"
        if state == "open":
            self.tell(self.core.channel_opened, self.number)
        elif state == "closed" and self.pc.sctp and self.pc.sctp.transport.state == "connected":
            self.tell(self.core.channel_closed, self.number)  # DTLS is up: it is a goodbye
        elif state == "closed" or self.pc.connectionState in ("failed", "closed"):
            self.tell(self.core.rtc_failed, self.number, "no way to the far side")

    def send_frames(self) -> None:
        channel = self.channel
        while channel and channel.readyState == "open" and channel.bufferedAmount < HIGH_WATER:
            if (frame := self.core.next_frame(self.number)) is None:
                break
            channel.send(frame)


async def main(reactor: Any, *args: Any) -> None:
    peer = Peer(reactor, *args)
    running = defer.ensureDeferred(peer.run())

    def stop() -> defer.Deferred[None]:  # Ctrl-C
        peer.tell(peer.end, None)
        return running

    reactor.addSystemEventTrigger("before", "shutdown", stop)
    await running


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", type=Endpoint.parse, required=True)
    parser.add_argument("--id", type=validate_id)
    parser.add_argument("--connect", type=validate_id)
    args = parser.parse_args()
    task.react(main, (args.server, args.id, args.connect))
