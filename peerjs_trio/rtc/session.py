"""One RTCPeerConnection and its data channel inside the guest loop, whatever library it is of.

What the libraries have in common stands here: their API is W3C's, their methods raise anything
at all for a bad description, and their listeners must let no exception out.
"""

from __future__ import annotations

import asyncio
import logging
import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVarTuple

from peerjs_proto.sdp import UNSTATED_LARGEST_MESSAGE, max_message_size
from peerjs_trio.guest import GuestLoop
from peerjs_trio.rtc.backlog import BEHIND, MAX_BYTES, MAX_MESSAGES
from peerjs_trio.rtc.engine import Frame, IceServer
from peerjs_trio.rtc.troubles import IceTroubles

if TYPE_CHECKING:
    from peerjs_trio.rtc.hosted import HostedConnection

__all__ = [
    "HIGH_WATER",
    "LOW_WATER",
    "Session",
    "SessionFactory",
    "ascii_label",
    "close_sessions",
]

Ts = TypeVarTuple("Ts")

_log = logging.getLogger("peerjs_trio")

HIGH_WATER: Final = 1 << 20
"Bytes a channel takes before ``room`` says wait: enough to keep a library busy, no more."

LOW_WATER: Final = 1 << 18
"``room_made`` is told when this many bytes are left: a channel should never run dry."

MAX_LABEL: Final = 255
"Characters of the channel's own label, which nobody reads: PeerJS's label is in the OFFER."

MAX_CANDIDATES: Final = 100
"Candidates one far side can have us try. Browsers send about a dozen."

MAX_MEDIA_SECTIONS: Final = 8
"``m=`` sections in a remote description; a transport is built for each."

MAX_EARLY_FRAMES: Final = 64
"Messages that may overtake the opening of their channel."

MAX_OTHER_CHANNELS: Final = 16
"Channels besides the one, which are closed at once. PeerJS opens none."

MAX_REASON: Final = 200
"Characters of an error's own text, which may quote the far side."

CLOSE_TIMEOUT: Final = 5.0
"Seconds all sessions of an engine together have for closing."

GONE: Final = "the far side is gone without a goodbye"

NO_PATH: Final = "ICE failed: no network path between the two sides works"

SessionFactory: TypeAlias = "Callable[[GuestLoop, HostedConnection, Sequence[IceServer]], Session]"


class Session(ABC):
    """The half in the guest loop. A library's own subclass adds what is its own."""

    def __init__(
        self,
        guest: GuestLoop,
        host: HostedConnection,
        ice_servers: Sequence[IceServer],
        *,
        troubles: IceTroubles,
    ) -> None:
        self.taken = 0
        "Bytes the channel has been given, from the first on. Read by the other half."
        self._guest = guest
        self._host = host
        self._ice_servers = ice_servers
        self._troubles = troubles
        self._operations: deque[Callable[[], Awaitable[None]]] = deque()
        self._operator: asyncio.Task[None] | None = None
        self._candidates = 0
        self._early_candidates: list[Mapping[str, Any]] = []
        self._adding: set[asyncio.Task[None]] = set()
        self._described = False
        self._largest = UNSTATED_LARGEST_MESSAGE
        self._frames: deque[Frame] = deque()
        self._came = 0
        "Bytes of frames, from the first on. Written in here."
        self._went = 0
        "The same of those that were taken. Written in trio's thread."
        self._frames_announced = False
        self._other_channels = 0
        self._is_open = False
        self._closing: asyncio.Task[None] | None = None

    # --- a library's own ------------------------------------------------------------------

    @abstractmethod
    async def _offer(self, label: str, ordered: bool) -> str:
        """Make the connection and its channel; our description."""

    @abstractmethod
    async def _answer(self, offer: str) -> str:
        """Make the connection for the far side's offer; our description."""

    @abstractmethod
    async def _apply(self, answer: str) -> None:
        """The far side's answer. Raises where there was no offer."""

    @abstractmethod
    async def _add_candidate(self, init: Mapping[str, Any]) -> None:
        """Try a candidate of the far side. What it raises is logged."""

    @property
    @abstractmethod
    def buffered(self) -> int:
        """From either thread: bytes in the channel's own buffer."""

    @abstractmethod
    def _send(self, frame: Frame) -> None:
        """Give it to the channel; ignored unless that is open."""

    @abstractmethod
    def _close_channel(self) -> bool:
        """Close the channel behind all that was sent, if there is one; False if none is open."""

    @abstractmethod
    async def _close(self, operator: asyncio.Task[None] | None) -> None:
        """Close the connection; ``operator`` is a negotiation that is still under way."""

    # --- negotiation ----------------------------------------------------------------------

    def make_offer(self, label: str, ordered: bool) -> None:
        async def operation() -> None:
            self._tell(self._host.sink.offer_made, await self._offer(label, ordered))

        self._do(operation)

    def make_answer(self, offer: str) -> None:
        async def operation() -> None:
            self._largest = _check_sdp(offer)
            self._tell(self._host.sink.answer_made, await self._answer(offer))

        self._do(operation)

    def apply_answer(self, sdp: str) -> None:
        async def operation() -> None:
            self._largest = _check_sdp(sdp)
            await self._apply(sdp)

        self._do(operation)

    def add_candidate(self, init: Mapping[str, Any]) -> None:
        self._candidates += 1
        if self._candidates > MAX_CANDIDATES or not init.get("candidate"):
            _log.debug("a remote candidate is ignored")  # none at all: the end of candidates
        elif self._described:
            self._try_candidate(init)
        else:
            self._early_candidates.append(init)

    def _has_description(self) -> None:
        """To be called when the far side's description is in place: now candidates may come."""
        self._described = True
        for init in self._early_candidates:
            self._try_candidate(init)
        self._early_candidates.clear()

    def _try_candidate(self, init: Mapping[str, Any]) -> None:
        if self._closing is not None:
            return

        # A task each: a name under .local takes up to a second to resolve.
        async def add() -> None:
            try:
                await self._add_candidate(init)
            except Exception as error:
                _log.debug("a remote candidate is ignored: %s", type(error).__name__)

        task = asyncio.create_task(add())
        self._adding.add(task)
        task.add_done_callback(self._adding.discard)

    def _do(self, operation: Callable[[], Awaitable[None]]) -> None:
        if self._closing is None:
            self._operations.append(operation)
            if self._operator is None:
                self._operator = asyncio.create_task(self._operate())

    async def _operate(self) -> None:
        try:
            while self._operations:
                await self._operations.popleft()()
        except Exception as error:  # whatever a library raises for a bad description
            self._fail(f"negotiation failed: {type(error).__name__}: {str(error)[:MAX_REASON]}")
        finally:
            self._operator = None

    # --- the channel ----------------------------------------------------------------------

    def _on_open(self) -> None:
        if self._is_open:
            return
        self._is_open = True
        self._guest.call_host(self._host.opened, self._largest)
        if self._frames:
            self._announce_frames()

    def _on_other_channel(self) -> None:
        self._other_channels += 1
        if self._other_channels > MAX_OTHER_CHANNELS:
            self._fail("the far side opens channel after channel")

    def _on_message(self, message: Frame) -> None:
        if self._closing is not None:
            return
        self._frames.append(message)
        self._came += len(message)
        if len(self._frames) > MAX_MESSAGES or self._came - self._went > MAX_BYTES:
            self._fail(BEHIND)  # trio's thread is busy with something else
        elif self._is_open:
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
        frames = [self._frames.popleft() for _ in range(len(self._frames))]
        self._went += sum(map(len, frames))
        return frames

    def _on_room(self) -> None:
        self._tell(self._host.sink.room_made)

    def send(self, frame: Frame, size: int) -> None:
        self._send(frame)
        self.taken += size

    def close_channel(self) -> None:
        if not self._close_channel():
            self._end(self._host.sink.channel_closed)

    # --- the end --------------------------------------------------------------------------

    def _on_ice_failed(self) -> None:
        # ICE and DTLS both tell of a loss, now the one first and now the other.
        if self._is_open:
            self._fail(GONE)
        else:
            self._fail(NO_PATH + self._troubles.after_no_path(self._ice_servers))

    def _on_dtls_failed(self) -> None:
        self._fail("DTLS failed: the far side is not the one its description names")

    def _on_close(self, goodbye: bool) -> None:
        """The channel is closed, by the far side's will (``goodbye``) or because it is gone."""
        if not self._is_open:
            self._fail("the far side ended the connection before it was open")
        elif goodbye:
            self._end(self._host.sink.channel_closed)
        else:
            self._fail(GONE)

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
            self._closing = asyncio.create_task(self._close_all())
        return self._closing

    async def _close_all(self) -> None:
        self._operations.clear()
        for task in self._adding:
            task.cancel()
        operator = self._operator
        try:
            await self._close(operator)
        finally:
            if operator is not None:
                operator.cancel()
            self._guest.call_host(self._host.gone)


async def close_sessions(sessions: Sequence[Session]) -> None:
    """Close what is still open, all at once, and wait for it, ``CLOSE_TIMEOUT`` at most."""
    if closing := {session.close() for session in sessions}:
        _, late = await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
        if late:
            _log.warning("%d WebRTC connections did not close in time", len(late))


def ascii_label(label: str) -> str:
    """What a channel's own label can be everywhere: aiortc counts in characters, not bytes."""
    return label.encode("ascii", "replace").decode()[:MAX_LABEL]


def _check_sdp(sdp: str) -> int:
    """The far side's largest message in bytes. Raises ValueError for what libraries choke on."""
    if len(re.findall(r"^m=", sdp, re.MULTILINE)) > MAX_MEDIA_SECTIONS:
        raise ValueError("too many media sections")
    if len(re.findall(r"^a=candidate:", sdp, re.MULTILINE)) > MAX_CANDIDATES:
        raise ValueError("too many candidates")
    if len(re.findall(r"^m=application ", sdp, re.MULTILINE)) != 1:
        raise ValueError("not one section for data")
    if not re.search(r"^a=fingerprint:", sdp, re.MULTILINE):
        raise ValueError("no fingerprint")
    return max_message_size(sdp)
