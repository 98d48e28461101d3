"""One RTCPeerConnection of aiortc inside the guest loop, for :mod:`peerjs_trio.rtc.aiortc`.

Of aiortc's habits, these shape the code: it makes full SDP and no trickle; it raises anything
at all for a bad description; an exception out of a listener ends the connection in silence;
a name under ``.local`` holds a candidate up for a second.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVarTuple

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

from peerjs_proto.sdp import UNSTATED_LARGEST_MESSAGE, max_message_size
from peerjs_trio.guest import GuestLoop
from peerjs_trio.rtc.engine import Frame, IceServer

if TYPE_CHECKING:
    from peerjs_trio.rtc.aiortc import AiortcConnection

__all__ = ["Session", "close_sessions", "prepare_aioice"]

Ts = TypeVarTuple("Ts")

_log = logging.getLogger("peerjs_trio")

LOW_WATER: Final = 1 << 18
"``room_made`` is told when this many bytes are left: a channel should never run dry."

MAX_LABEL: Final = 255
"Characters of the channel's own label, which nobody reads: PeerJS's label is in the OFFER."

MAX_CANDIDATES: Final = 100
"Candidates one far side can have us try. Browsers send about a dozen."

MAX_MEDIA_SECTIONS: Final = 8
"``m=`` sections in a remote description; aiortc builds a transport for each."

MAX_EARLY_FRAMES: Final = 64
"Messages that may overtake the opening of their channel."

MAX_REASON: Final = 200
"Characters of an error's own text, which may quote the far side."

GATHER_GRACE: Final = 0.25
"Seconds a negotiation has to get its sockets in order before we close them under it."

CLOSE_TIMEOUT: Final = 5.0
"Seconds all sessions of an engine together have for closing."

GONE: Final = "the far side is gone without a goodbye"

SOCKET_BUFFER: Final = 4 << 20
"Bytes of UDP receive buffer to ask for: aioice's 256 KiB overflows at full speed on loopback."


def prepare_aioice() -> None:
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


async def close_sessions(sessions: Sequence[Session]) -> None:
    """Close what is still open, all at once, and wait for it, ``CLOSE_TIMEOUT`` at most."""
    if closing := {session.close() for session in sessions}:
        _, late = await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
        if late:
            _log.warning("%d WebRTC connections did not close in time", len(late))


class Session:
    """The half in the guest loop: one RTCPeerConnection and its first data channel.

    Operations run one after the other, in the order they were asked for. Only an exception
    of theirs, and what aiortc reports, ends the session; nothing gets out into the loop.
    """

    def __init__(
        self, guest: GuestLoop, host: AiortcConnection, ice_servers: Sequence[IceServer]
    ) -> None:
        self.taken = 0
        "Bytes :meth:`send` has passed on to the channel, or dropped."
        self._guest = guest
        self._host = host
        self._ice_servers = ice_servers
        self._pc: RTCPeerConnection | None = None
        self._channel: RTCDataChannel | None = None
        self._operations: deque[Callable[[], Awaitable[None]]] = deque()
        self._operator: asyncio.Task[None] | None = None
        self._max_message_size: int | None = None
        "Of the far side; None until its description is applied."
        self._candidates = 0
        self._early_candidates: list[RTCIceCandidate] = []
        self._adding: set[asyncio.Task[None]] = set()
        self._frames: deque[Frame] = deque()
        self._frames_announced = False
        self._is_open = False
        self._closing: asyncio.Task[None] | None = None

    # --- negotiation ---------------------------------------------------------------------

    def make_offer(self, label: str, ordered: bool) -> None:
        async def operation() -> None:
            pc = self._open()
            # aiortc counts a label in characters where the wire counts bytes.
            ascii_label = label.encode("ascii", "replace").decode()[:MAX_LABEL]
            self._adopt(pc.createDataChannel(ascii_label, ordered=ordered))
            await pc.setLocalDescription(await pc.createOffer())
            self._tell(self._host.sink.offer_made, _reachable(pc.localDescription.sdp))

        self._do(operation)

    def make_answer(self, offer: str) -> None:
        async def operation() -> None:
            pc = self._open()
            await self._describe(pc, "offer", offer)
            for transceiver in pc.getTransceivers():
                transceiver.direction = "inactive"  # or its media would be decoded, for nobody
            await pc.setLocalDescription(await pc.createAnswer())
            self._tell(self._host.sink.answer_made, _reachable(pc.localDescription.sdp))

        self._do(operation)

    def apply_answer(self, sdp: str) -> None:
        async def operation() -> None:
            await self._describe(self._open(), "answer", sdp)

        self._do(operation)

    async def _describe(self, pc: RTCPeerConnection, kind: str, sdp: str) -> None:
        largest = _check_sdp(sdp)
        await pc.setRemoteDescription(RTCSessionDescription(sdp, kind))
        self._max_message_size = largest
        for candidate in self._early_candidates:
            self._try_candidate(pc, candidate)
        self._early_candidates.clear()

    def add_candidate(self, init: Mapping[str, Any]) -> None:
        candidate = _parse_candidate(init)
        self._candidates += 1
        if candidate is None or self._candidates > MAX_CANDIDATES:
            _log.debug("a remote candidate is ignored")
        elif self._pc is None or self._max_message_size is None:
            self._early_candidates.append(candidate)
        else:
            self._try_candidate(self._pc, candidate)

    def _try_candidate(self, pc: RTCPeerConnection, candidate: RTCIceCandidate) -> None:
        # A task each: a name under .local takes up to a second to resolve.
        async def add() -> None:
            try:
                await pc.addIceCandidate(candidate)
            except Exception as error:
                _log.debug("a remote candidate is ignored: %s", type(error).__name__)

        task = asyncio.create_task(add())
        self._adding.add(task)
        task.add_done_callback(self._adding.discard)

    def _open(self) -> RTCPeerConnection:
        if self._pc is None:
            servers = [
                RTCIceServer(
                    urls=[server.urls] if isinstance(server.urls, str) else list(server.urls),
                    username=server.username,
                    credential=server.credential,
                )
                for server in self._ice_servers
            ]
            self._pc = RTCPeerConnection(RTCConfiguration(iceServers=servers))
            self._pc.on("datachannel", self._on_datachannel)
            self._pc.on("iceconnectionstatechange", self._on_state)
            self._pc.on("connectionstatechange", self._on_state)
        return self._pc

    def _do(self, operation: Callable[[], Awaitable[None]]) -> None:
        if self._closing is None:
            self._operations.append(operation)
            if self._operator is None:
                self._operator = asyncio.create_task(self._operate())

    async def _operate(self) -> None:
        try:
            while self._operations:
                await self._operations.popleft()()
        except Exception as error:  # aiortc raises whatever comes for a bad description
            self._fail(f"negotiation failed: {type(error).__name__}: {str(error)[:MAX_REASON]}")
        finally:
            self._operator = None

    # --- the channel ---------------------------------------------------------------------

    def _on_datachannel(self, channel: RTCDataChannel) -> None:
        if self._channel is None:
            self._adopt(channel)
        else:
            channel.close()

    def _adopt(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.bufferedAmountLowThreshold = LOW_WATER
        # At once, not a pass later: the first message may be in this very packet.
        channel.on("message", self._on_message)
        channel.on("open", self._on_open)
        channel.on("bufferedamountlow", self._on_room)
        channel.on("close", self._on_close)
        if channel.readyState == "open":
            self._on_open()

    def _on_open(self) -> None:
        self._is_open = True
        self._guest.call_host(self._host.opened, self._max_message_size or UNSTATED_LARGEST_MESSAGE)
        if self._frames:
            self._announce_frames()

    def _on_message(self, message: Frame) -> None:
        self._frames.append(message)
        if self._is_open:
            self._announce_frames()
        elif len(self._frames) > MAX_EARLY_FRAMES:
            self._fail("the far side sends on a channel that it does not open")

    def _announce_frames(self) -> None:
        if not self._frames_announced:
            self._frames_announced = True
            self._guest.call_host(self._host.arrived)

    def take_frames(self) -> list[Frame]:
        """In trio's thread: the frames that have come since the last time."""
        self._frames_announced = False  # first: what comes from now on is announced again
        return [self._frames.popleft() for _ in range(len(self._frames))]

    def _on_room(self) -> None:
        self._tell(self._host.sink.room_made)

    @property
    def buffered(self) -> int:
        """From either thread: bytes in the channel's own buffer."""
        return 0 if self._channel is None else self._channel.bufferedAmount

    def send(self, frame: Frame, size: int) -> None:
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(frame)
        self.taken += size

    def close_channel(self) -> None:
        # aiortc resets the stream after all that was sent, as the far side does its reset
        # after all that it received.
        if self._channel is None or self._channel.readyState == "connecting":
            self._end(self._host.sink.channel_closed)
        else:
            self._channel.close()

    # --- the end -------------------------------------------------------------------------

    def _on_state(self) -> None:
        assert self._pc is not None
        if self._pc.iceConnectionState == "failed" and not self._is_open:
            self._fail("ICE failed: no network path between the two sides works")
        elif self._pc.iceConnectionState == "failed":
            self._fail(GONE)  # ICE and DTLS both tell, now the one first and now the other
        elif self._pc.connectionState == "failed":
            self._fail("DTLS failed: the far side is not the one its description names")
        elif self._pc.connectionState == "closed":
            self._on_close()

    def _on_close(self) -> None:
        if not self._is_open:
            self._fail("the far side ended the connection before it was open")
        elif self._says_goodbye():
            self._end(self._host.sink.channel_closed)
        else:
            self._fail(GONE)

    def _says_goodbye(self) -> bool:
        """Whether a channel that closes does so by the far side's will.

        Browsers and aiortc end SCTP first, while DTLS is still up. When ICE has lost the far
        side, DTLS goes down and takes the channel with it.
        """
        sctp = None if self._pc is None else self._pc.sctp
        return sctp is not None and sctp.transport.state == "connected"

    def _tell(self, report: Callable[[*Ts], None], *args: *Ts) -> None:
        self._guest.call_host(self._host.tell, report, *args)

    def _fail(self, reason: str) -> None:
        self._end(self._host.sink.failed, reason)

    def _end(self, report: Callable[[*Ts], None], *args: *Ts) -> None:
        if self._closing is None:
            self._guest.call_host(self._host.tell_last, report, *args)
            self.close()

    def close(self) -> asyncio.Task[None]:
        """Begin to close, unless that is under way; the task ends when all is closed."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        return self._closing

    async def _close(self) -> None:
        self._operations.clear()
        operator = self._operator
        if operator is not None:
            # aioice would lose sight of the sockets it is about to open.
            await asyncio.wait({operator}, timeout=GATHER_GRACE)
        for task in self._adding:
            task.cancel()
        try:
            if self._pc is not None:
                await self._pc.close()
        finally:
            if operator is not None:
                operator.cancel()
            self._guest.call_host(self._host.gone)


# --- what the far side and the caller wrote ------------------------------------------------


def _check_sdp(sdp: str) -> int:
    """The far side's largest message in bytes. Raises ValueError for what aiortc chokes on."""
    if len(re.findall(r"^m=", sdp, re.MULTILINE)) > MAX_MEDIA_SECTIONS:
        raise ValueError("too many media sections")
    if len(re.findall(r"^a=candidate:", sdp, re.MULTILINE)) > MAX_CANDIDATES:
        raise ValueError("too many candidates")
    if len(re.findall(r"^m=application ", sdp, re.MULTILINE)) != 1:
        raise ValueError("not one section for data")
    if not re.search(r"^a=fingerprint:", sdp, re.MULTILINE):
        raise ValueError("no fingerprint")
    return max_message_size(sdp)


def _reachable(sdp: str) -> str:
    """Our own description. Raises OSError if nobody could ever reach us by it."""
    if "\na=candidate:" not in sdp:
        raise OSError("this machine has no network interface besides loopback")
    return sdp


def _parse_candidate(init: Mapping[str, Any]) -> RTCIceCandidate | None:
    match init:
        case {"candidate": str(line)}:
            mid, index = init.get("sdpMid"), init.get("sdpMLineIndex")
        case _:
            return None
    try:
        candidate = candidate_from_sdp(line.removeprefix("candidate:"))
    except (AssertionError, ValueError):
        return None  # an empty line among them: the end of candidates, which we need not know
    candidate.sdpMid = mid if isinstance(mid, str) else None
    candidate.sdpMLineIndex = index if isinstance(index, int) else None
    return candidate
