"""aiortc, driven by peerjs_proto's commands: the WebRTC of all embed_*.py beside this file.

aiortc cannot do without an asyncio loop. The core may be in another thread than that loop, or in
the same: perform() and send_frames() are called where the core is, all else runs in the loop.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from peerjs_proto import PeerProtocol, commands

HIGH_WATER = 1 << 20  # bytes on their way into a channel; above it, frames wait in the core
now = time.monotonic  # the examples' clock as well

Tell = Callable[..., None]
"""``tell(input, *args)`` has ``input(*args)`` called where the core is, soon, in order."""


class Engine:
    """The RTCPeerConnections of one core."""

    def __init__(self, core: PeerProtocol, tell: Tell, loop: asyncio.AbstractEventLoop) -> None:
        self.core, self.tell, self.loop = core, tell, loop
        self.rtcs: dict[int, Rtc] = {}
        self.doing: set[Future[None]] = set()

    def perform(self, command: commands.Command) -> None:
        """Carry out a command about a connection, or begin to."""
        match command:
            case commands.FramesReady(number):
                self.rtcs[number].send_frames()
            case commands.MakeOffer(number) | commands.MakeAnswer(number):
                self.rtcs[number] = Rtc(self, number)
                self.begin(self.rtcs[number], command)
            case commands.CloseRtc(number):
                self.begin(self.rtcs.pop(number), command)
            case commands.ApplyAnswer(number) | commands.AddCandidate(number):
                self.begin(self.rtcs[number], command)
            case commands.CloseChannel(number):
                self.begin(self.rtcs[number], command)

    def begin(self, rtc: "Rtc", command: commands.Command) -> None:
        done = asyncio.run_coroutine_threadsafe(rtc.perform(command), self.loop)
        self.doing.add(done)
        done.add_done_callback(self.doing.discard)

    async def done(self) -> None:
        """Wait until all that was begun is done; after shut_down(), until all is closed."""
        await asyncio.gather(*map(asyncio.wrap_future, self.doing))


class Rtc:
    """One RTCPeerConnection with its data channel."""

    def __init__(self, engine: Engine, number: int) -> None:
        self.core, self.tell, self.loop = engine.core, engine.tell, engine.loop
        self.number = number
        self.handed_over = self.taken = 0  # bytes of frames, to the loop and there
        # For peers beyond this network, name STUN and TURN servers here.
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.on("datachannel", self.adopt)
        self.pc.on("connectionstatechange", self.on_change)
        self.channel: RTCDataChannel | None = None
        self.turn = asyncio.Lock()

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
        while channel and self.handed_over - self.taken + channel.bufferedAmount < HIGH_WATER:
            if (frame := self.core.next_frame(self.number)) is None:
                break
            self.handed_over += len(frame)
            self.loop.call_soon_threadsafe(self.send, channel, frame)

    def send(self, channel: RTCDataChannel, frame: str | bytes) -> None:
        if channel.readyState == "open":
            channel.send(frame)
        self.taken += len(frame)
        if self.taken == self.handed_over:
            self.tell(self.send_frames)  # or nobody would, had the buffer not filled up
