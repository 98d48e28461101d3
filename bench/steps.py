"""The engines alone connect, on plain asyncio and in one process; when each step was done.

What they are like once they are connected is measured with :mod:`bench.rtc`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from bench.engines import EngineName

__all__ = ["BareEnd", "connect", "open_end"]

Description = dict[str, str]
"""A description's ``type`` and ``sdp``."""


class BareEnd(Protocol):
    """One RTCPeerConnection with one data channel."""

    opened: asyncio.Event
    stamps: dict[str, float]
    "Seconds of ``time.perf_counter`` at which ``ice``, ``dtls`` and ``channel`` were up."
    on_candidate: Callable[[Any], object]
    "Where candidates go that are not in the descriptions."

    async def offer(self) -> Description: ...

    async def answer(self, offer: Description) -> Description: ...

    async def accept(self, answer: Description) -> None: ...

    def add_candidate(self, candidate: Any) -> None: ...

    async def close(self) -> None: ...


async def connect(near: BareEnd, far: BareEnd) -> list[float]:
    """Bring the two together; when the steps began and ended, by ``time.perf_counter``."""
    near.on_candidate, far.on_candidate = far.add_candidate, near.add_candidate
    begin = time.perf_counter()
    offer = await near.offer()
    offered = time.perf_counter()
    answer = await far.answer(offer)
    answered = time.perf_counter()
    await near.accept(answer)
    await near.opened.wait()
    return [begin, offered, answered, time.perf_counter()]


def open_end(engine: EngineName, ice_servers: Sequence[dict[str, str]] = ()) -> BareEnd:
    """``ice_servers`` in RTCIceServer's words."""
    return AiortcEnd(ice_servers) if engine == "aiortc" else WrtcEnd(ice_servers)


class _End:
    """What both have."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.stamps: dict[str, float] = {}
        self.on_candidate: Callable[[Any], object] = lambda _: None

    def _note(self, what: str) -> None:
        self.stamps.setdefault(what, time.perf_counter())

    def _on_open(self) -> None:
        self._note("channel")
        self.opened.set()


class AiortcEnd(_End):
    def __init__(self, ice_servers: Sequence[dict[str, str]]) -> None:
        from aiortc import RTCConfiguration, RTCDataChannel, RTCIceServer, RTCPeerConnection

        super().__init__()
        servers = [RTCIceServer(**server) for server in ice_servers]
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._pc.on("datachannel", self._adopt)
        self._pc.on("iceconnectionstatechange", self._on_state)
        self._pc.on("connectionstatechange", self._on_state)
        self._channel: RTCDataChannel | None = None

    async def offer(self) -> Description:
        self._adopt(self._pc.createDataChannel("bench"))
        await self._pc.setLocalDescription(await self._pc.createOffer())
        return self._described()

    async def answer(self, offer: Description) -> Description:
        await self.accept(offer)
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        return self._described()

    async def accept(self, answer: Description) -> None:
        from aiortc import RTCSessionDescription

        await self._pc.setRemoteDescription(RTCSessionDescription(**answer))

    def add_candidate(self, candidate: Any) -> None:
        raise AssertionError("aiortc has all candidates in its descriptions")

    async def close(self) -> None:
        await self._pc.close()

    def _described(self) -> Description:
        local = self._pc.localDescription
        return {"type": local.type, "sdp": local.sdp}

    def _on_state(self) -> None:
        if self._pc.iceConnectionState in ("connected", "completed"):
            self._note("ice")
        if self._pc.connectionState == "connected":
            self._note("dtls")

    def _adopt(self, channel: Any) -> None:
        self._channel = channel
        channel.on("open", self._on_open)
        if channel.readyState == "open":
            self._on_open()


class WrtcEnd(_End):
    def __init__(self, ice_servers: Sequence[dict[str, str]]) -> None:
        import webrtc

        super().__init__()
        servers = [webrtc.RTCIceServer(**server) for server in ice_servers]
        self._pc = webrtc.RTCPeerConnection(webrtc.RTCConfiguration(ice_servers=servers))
        self._pc.on("datachannel", lambda event: self._adopt(event.channel))
        self._pc.on("iceconnectionstatechange", lambda _: self._on_state())
        self._pc.on("icecandidate", lambda event: self._on_candidate(event.candidate))
        self._channel: webrtc.RTCDataChannel | None = None
        self._described_to_us = False
        self._early: list[Any] = []
        self._adding: set[asyncio.Task[None]] = set()

    async def offer(self) -> Description:
        self._adopt(self._pc.create_data_channel("bench"))
        await self._set_local(await self._pc.create_offer())
        return self._described()

    async def answer(self, offer: Description) -> Description:
        await self.accept(offer)
        await self._set_local(await self._pc.create_answer())
        return self._described()

    async def accept(self, answer: Description) -> None:
        import webrtc

        kind = webrtc.RTCSdpType(answer["type"])
        await self._pc.set_remote_description(webrtc.RTCSessionDescriptionInit(kind, answer["sdp"]))
        self._described_to_us = True
        for candidate in self._early:
            self.add_candidate(candidate)
        self._early.clear()

    def add_candidate(self, candidate: Any) -> None:
        if not self._described_to_us:
            self._early.append(candidate)
            return
        task = asyncio.ensure_future(self._pc.add_ice_candidate(candidate))
        self._adding.add(task)
        task.add_done_callback(self._adding.discard)

    async def close(self) -> None:
        self._pc.close()
        await asyncio.sleep(0)

    async def _set_local(self, description: Any) -> None:
        await self._pc.set_local_description(description)
        assert self._pc.sctp is not None
        # The connection's own state follows later, when the channel may be open already.
        dtls = self._pc.sctp.transport
        dtls.on("statechange", lambda _: self._note("dtls") if dtls.state == "connected" else None)

    def _described(self) -> Description:
        local = self._pc.local_description
        assert local is not None
        return {"type": str(local.type.value), "sdp": local.sdp}

    def _on_candidate(self, candidate: Any) -> None:
        if candidate is not None:  # that is the end of them
            self.on_candidate(candidate)

    def _on_state(self) -> None:
        if self._pc.ice_connection_state.value in ("connected", "completed"):
            self._note("ice")

    def _adopt(self, channel: Any) -> None:
        self._channel = channel
        channel.on("open", lambda _: self._on_open())
        if channel.ready_state.value == "open":
            self._on_open()
