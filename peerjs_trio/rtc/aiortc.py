"""The default engine: WebRTC by aiortc, all of it in Python.

Of aiortc's habits, these shape the code: it makes full SDP and no trickle; an exception out of
a listener ends the connection in silence; a name under ``.local`` holds a candidate up for a
second. A far side that vanishes is noticed after some 30 s, and reported as a failure.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

import aioice.ice
import aioice.turn
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceCandidate,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.sdp import candidate_from_sdp

from peerjs_trio.guest import Form, GuestLoop
from peerjs_trio.rtc.engine import Frame, IceServer, RtcEngine
from peerjs_trio.rtc.hosted import HostedConnection, open_hosted_engine
from peerjs_trio.rtc.ice_servers import IceServers
from peerjs_trio.rtc.session import LOW_WATER, Session, ascii_label
from peerjs_trio.rtc.troubles import IceTroubles

__all__ = ["open_aiortc_engine"]

_log = logging.getLogger("peerjs_trio")

GATHER_GRACE: Final = 0.25
"Seconds a negotiation has to get its sockets in order before we close them under it."

GATHER_PASSES: Final = 200
"""Passes of the loop it has besides, however long they take: three open a socket, and an address
of this machine is a socket."""

LONG_CHECK: Final = 5.0
"Seconds of trying paths after which the log is told that none was found."

SOCKET_BUFFER: Final = 4 << 20
"Bytes of UDP receive buffer to ask for: aioice's 256 KiB overflows at full speed on loopback."


def open_aiortc_engine(*, form: Form | None = None) -> AbstractAsyncContextManager[RtcEngine]:
    """Open an engine for the length of a block; leaving it closes every connection and waits.

    ``form`` is the guest loop's, see :func:`peerjs_trio.guest.open_guest_loop`. The first
    engine raises aioice's socket buffers, for all that use aioice in this process.
    """
    _prepare_aioice()
    troubles = IceTroubles()
    known = IceServers(troubles)
    session = partial(AiortcSession, troubles=troubles, known=known)
    return open_hosted_engine(session, form=form, prepare=known.prepare, aclose=known.aclose)


class AiortcSession(Session):
    """One RTCPeerConnection of aiortc."""

    def __init__(
        self,
        guest: GuestLoop,
        host: HostedConnection,
        ice_servers: Sequence[IceServer],
        *,
        troubles: IceTroubles,
        known: IceServers,
    ) -> None:
        super().__init__(guest, host, ice_servers, troubles=troubles)
        self._known = known
        self._pc: RTCPeerConnection | None = None
        self._channel: RTCDataChannel | None = None
        self._turn_url: str | None = None
        "Of the TURN server that aiortc has been given."
        self._checking_since: float | None = None
        "In seconds of the loop's clock, when ICE began to try paths."

    # --- negotiation ----------------------------------------------------------------------

    async def _offer(self, label: str, ordered: bool) -> str:
        pc = await self._open()
        self._adopt(pc.createDataChannel(ascii_label(label), ordered=ordered))
        await pc.setLocalDescription(await pc.createOffer())
        return self._described_by(pc)

    async def _answer(self, offer: str) -> str:
        pc = await self._open()
        await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        self._has_description()
        for transceiver in pc.getTransceivers():
            transceiver.direction = "inactive"  # or its media would be decoded, for nobody
        await pc.setLocalDescription(await pc.createAnswer())
        return self._described_by(pc)

    async def _apply(self, answer: str) -> None:
        pc = await self._open()
        await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        self._has_description()

    async def _add_candidate(self, init: Mapping[str, Any]) -> None:
        assert self._pc is not None
        await self._pc.addIceCandidate(_parse_candidate(init))

    async def _open(self) -> RTCPeerConnection:
        if self._pc is None:
            usable = await self._known.usable(self._ice_servers)
            urls = [url for server in usable for url in server.all_urls]
            self._turn_url = next((url for url in urls if url.startswith("turn")), None)
            servers = [
                RTCIceServer(
                    urls=server.all_urls,
                    username=server.username,
                    credential=server.credential,
                )
                for server in usable
            ]
            self._pc = RTCPeerConnection(RTCConfiguration(iceServers=servers))
            self._pc.on("datachannel", self._on_datachannel)
            self._pc.on("iceconnectionstatechange", self._on_state)
            self._pc.on("connectionstatechange", self._on_state)
        return self._pc

    def _described_by(self, pc: RTCPeerConnection) -> str:
        """Our description, with all candidates that there are going to be."""
        sdp = _OTHER_FINGERPRINTS.sub("", _reachable(pc.localDescription.sdp))
        if self._turn_url is not None and " typ relay " not in sdp:
            self._troubles.add(self._turn_url, "gives no relay")
        return sdp

    # --- the channel ----------------------------------------------------------------------

    def _on_datachannel(self, channel: RTCDataChannel) -> None:
        if self._channel is None:
            self._adopt(channel)
        else:
            channel.close()
            self._on_other_channel()

    def _adopt(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.bufferedAmountLowThreshold = LOW_WATER
        # At once, not a pass later: the first message may be in this very packet.
        channel.on("message", self._on_message)
        channel.on("open", self._on_open)
        channel.on("bufferedamountlow", self._on_room)
        channel.on("close", self._on_channel_close)
        if channel.readyState == "open":
            self._on_open()

    @property
    def buffered(self) -> int:
        return 0 if self._channel is None else self._channel.bufferedAmount

    def _send(self, frame: Frame) -> None:
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(frame)

    def _close_channel(self) -> bool:
        # aiortc resets the stream after all that was sent, as the far side does its reset
        # after all that it received.
        if self._channel is None or self._channel.readyState == "connecting":
            return False
        self._channel.close()
        return True

    # --- the end --------------------------------------------------------------------------

    def _on_state(self) -> None:
        assert self._pc is not None
        if self._pc.iceConnectionState == "checking" and self._checking_since is None:
            self._checking_since = asyncio.get_running_loop().time()
        if self._pc.iceConnectionState == "failed":
            self._on_ice_failed()
        elif self._pc.connectionState == "failed":
            self._on_dtls_failed()
        elif self._pc.connectionState == "closed":
            self._on_channel_close()

    def _on_channel_close(self) -> None:
        # Browsers and aiortc end SCTP first, while DTLS is still up. When ICE has lost the far
        # side, DTLS goes down and takes the channel with it.
        sctp = None if self._pc is None else self._pc.sctp
        self._on_close(goodbye=sctp is not None and sctp.transport.state == "connected")

    async def _close(self, operator: asyncio.Task[None] | None) -> None:
        if operator is not None:
            # aioice would lose sight of the sockets it is about to open.
            await asyncio.wait({operator}, timeout=GATHER_GRACE)
            for _ in range(GATHER_PASSES):
                if operator.done():
                    break
                await asyncio.sleep(0)
        if self._pc is not None:
            self._tell_of_no_path(self._pc)
            await self._pc.close()

    def _tell_of_no_path(self, pc: RTCPeerConnection) -> None:
        """aioice gives up after a minute: whoever dialled has lost patience before."""
        if self._checking_since is None or pc.iceConnectionState != "checking":
            return
        took = asyncio.get_running_loop().time() - self._checking_since
        if took > LONG_CHECK:
            why = self._troubles.after_no_path(self._ice_servers)
            _log.warning("no network path was found in %.0f s%s", took, why)


# --- what the far side and the caller wrote ------------------------------------------------


_OTHER_FINGERPRINTS = re.compile(r"^a=fingerprint:(?!sha-256 ).*\r?\n", re.MULTILINE)
"""aiortc gives three of its certificate. Of several Chrome remembers the last one alone, so both
sides would not see the same in this description, which is what proofs rely on."""


def _reachable(sdp: str) -> str:
    """Our own description. Raises OSError if nobody could ever reach us by it."""
    if "\na=candidate:" not in sdp:
        raise OSError("this machine has no network interface besides loopback")
    return sdp


def _parse_candidate(init: Mapping[str, Any]) -> RTCIceCandidate:
    """Raises whatever aiortc does for nonsense."""
    candidate = candidate_from_sdp(str(init["candidate"]).removeprefix("candidate:"))
    mid, index = init.get("sdpMid"), init.get("sdpMLineIndex")
    candidate.sdpMid = mid if isinstance(mid, str) else None
    candidate.sdpMLineIndex = index if isinstance(index, int) else None
    return candidate


# --- aioice --------------------------------------------------------------------------------


def _prepare_aioice() -> None:
    """Mend aioice for everyone in this process: larger socket buffers, mDNS by loop."""
    aioice.turn.UDP_SOCKET_BUFFER_SIZE = max(aioice.turn.UDP_SOCKET_BUFFER_SIZE, SOCKET_BUFFER)
    if isinstance(getattr(aioice.ice, "_mdns", None), threading.local):
        aioice.ice._mdns = _ByLoop()  # type: ignore[assignment]


class _ByLoop:
    """Attributes of which each asyncio loop has its own.

    aioice keeps one mDNS socket a thread. Several stepped loops would share it, and the first
    one to close would take it away from the others.
    """

    def __init__(self) -> None:
        self.__dict__["by_loop"] = weakref.WeakKeyDictionary()

    def __getattr__(self, name: str) -> Any:
        try:
            return self.by_loop[asyncio.get_running_loop()][name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self.by_loop.setdefault(asyncio.get_running_loop(), {})[name] = value
