"""aiortc on plain asyncio."""

from __future__ import annotations

from typing import Final

import aioice.turn
from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from bench.rtc.bare import LOW_WATER, BareLine

__all__ = ["AiortcLine"]

# As ours does, or the comparison would flatter us: aioice's own buffer overflows on loopback.
SOCKET_BUFFER: Final = 4 << 20


class AiortcLine(BareLine):
    def __init__(self) -> None:
        super().__init__()
        aioice.turn.UDP_SOCKET_BUFFER_SIZE = SOCKET_BUFFER
        self._pc = RTCPeerConnection()
        self._pc.on("datachannel", self._adopt)

    async def offer(self) -> str:
        self._adopt(self._pc.createDataChannel("bench"))
        await self._pc.setLocalDescription(await self._pc.createOffer())
        return self._pc.localDescription.sdp

    async def answer(self, offer: str) -> str:
        await self._pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        return self._pc.localDescription.sdp

    async def accept(self, answer: str) -> None:
        await self._pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def close(self) -> None:
        await self._pc.close()

    def _adopt(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.bufferedAmountLowThreshold = LOW_WATER
        channel.on("message", self.on_message)
        channel.on("bufferedamountlow", self.on_low)
        channel.on("open", self.on_open)
        if channel.readyState == "open":
            self.on_open()

    @property
    def buffered(self) -> int:
        return self._channel.bufferedAmount

    def put(self, message: bytes) -> None:
        self._channel.send(message)
