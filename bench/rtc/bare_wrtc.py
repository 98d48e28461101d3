"""wrtc, which is libwebrtc, on plain asyncio."""

from __future__ import annotations

import asyncio

from webrtc import (
    MessageEvent,
    RTCDataChannel,
    RTCDataChannelState,
    RTCIceGatheringState,
    RTCPeerConnection,
    RTCSdpType,
    RTCSessionDescriptionInit,
)

from bench.rtc.bare import LOW_WATER, BareLine

__all__ = ["WrtcLine"]


class WrtcLine(BareLine):
    def __init__(self) -> None:
        super().__init__()
        self._pc = RTCPeerConnection()
        self._gathered = asyncio.Event()
        self._pc.on("datachannel", lambda event: self._adopt(event.channel))
        self._pc.on("icegatheringstatechange", lambda _: self._gathering())

    async def offer(self) -> str:
        self._adopt(self._pc.create_data_channel("bench"))
        return await self._describe(await self._pc.create_offer())

    async def answer(self, offer: str) -> str:
        await self._pc.set_remote_description(RTCSessionDescriptionInit(RTCSdpType.offer, offer))
        return await self._describe(await self._pc.create_answer())

    async def _describe(self, description: RTCSessionDescriptionInit) -> str:
        await self._pc.set_local_description(description)
        await self._gathered.wait()
        complete = self._pc.local_description
        assert complete is not None
        return complete.sdp

    async def accept(self, answer: str) -> None:
        await self._pc.set_remote_description(RTCSessionDescriptionInit(RTCSdpType.answer, answer))

    async def close(self) -> None:
        self._pc.close()

    def _gathering(self) -> None:
        if self._pc.ice_gathering_state == RTCIceGatheringState.complete:
            self._gathered.set()

    def _adopt(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.buffered_amount_low_threshold = LOW_WATER
        channel.on("message", self._on_message)
        channel.on("bufferedamountlow", lambda _: self.on_low())
        channel.on("open", lambda _: self.on_open())
        if channel.ready_state == RTCDataChannelState.open:
            self.on_open()

    def _on_message(self, event: MessageEvent) -> None:
        self.on_message(event.data)

    @property
    def buffered(self) -> int:
        return self._channel.buffered_amount

    def put(self, message: bytes) -> None:
        self._channel.send(message)
