"""One data connection: framing, sending, receiving, closing.

Rules from peerjs 1.5.5 ``lib/dataconnection/``. Unlike there, a channel that does not keep
order is not closed before what was sent ahead of the close message has had time to arrive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from . import messages
from .commands import CloseChannel, Command, FramesReady, MakeAnswer, MakeOffer
from .errors import (
    ConnectionClosed,
    ConnectTimeout,
    LimitExceeded,
    NotOpenYet,
    PeerError,
    RemoteProtocolError,
)
from .events import (
    DataConnectionClosed,
    DataConnectionOffered,
    DataConnectionOpened,
    Event,
    MessageReceived,
    MessagesDropped,
)
from .limits import Limits
from .negotiation import Negotiation, Signaling, Terms
from .outbox import Outbox
from .sdp import UNSTATED_LARGEST_MESSAGE, max_message_size
from .serializer import CloseRequested, Frame, Serializer
from .states import DATA_TRANSITIONS, Connection, ConnectionCue

__all__ = ["DataProtocol", "DataTerms"]


@attrs.frozen(kw_only=True)
class DataTerms(Terms):
    """What the offerer decides for both ends."""

    label: str
    serialization: str
    "As the application named it; the wire has :attr:`Serializer.name`."
    reliable: bool


@attrs.define
class _Queued:
    serial: int
    frames: Iterator[Frame]
    begun: bool = False


class DataProtocol(Negotiation):
    """Used by :class:`~peerjs_proto.peer.PeerProtocol`; see there for the contract."""

    kind = "data"
    table = DATA_TRANSITIONS
    terms: DataTerms

    def __init__(
        self,
        number: int,
        terms: DataTerms,
        serializer: Serializer,
        *,
        signaling: Signaling,
        limits: Limits,
        outbox: Outbox,
    ) -> None:
        super().__init__(number, terms, signaling=signaling, limits=limits, outbox=outbox)
        self.sent = 0
        self._serializer = serializer
        self._max_message_size = UNSTATED_LARGEST_MESSAGE
        self._early_frames: list[tuple[Frame, float]] = []
        self._queue: deque[_Queued] = deque()
        self._serial = 0
        self._drained = False
        self._quiet_at = 0.0
        self._give_up_at = 0.0

    # --- coming to be ---------------------------------------------------------------------

    def invite(self, offer: str, early: list[Mapping[str, Any]], now: float) -> None:
        self._max_message_size = max_message_size(offer)
        super().invite(offer, early, now)

    def receive_answer(self, answer: messages.Answer, now: float) -> bool:
        answered = super().receive_answer(answer, now)
        if answered:
            self._max_message_size = max_message_size(answer.sdp)
            self._serializer.before_1_5 = answer.before_1_5
        return answered

    def channel_opened(self, largest: int | None) -> None:
        if self.state is not Connection.CONNECTING:
            return
        self._advance(ConnectionCue.CONNECTED)
        self._serializer.max_message_size = self._max_message_size if largest is None else largest
        self.deadline = None
        self._outbox.events.append(DataConnectionOpened(self.number))
        early, self._early_frames = self._early_frames, []
        for frame, then in early:
            self.receive_frame(frame, then)

    @property
    def _answer_timeout(self) -> float:
        return self._limits.connect_timeout

    def _make_offer(self) -> Command:
        return MakeOffer(self.number, self.terms.label, self.terms.reliable)

    def _make_answer(self, offer: str) -> Command:
        return MakeAnswer(self.number, offer)

    def _offer_message(self, sdp: str) -> messages.Offer:
        return messages.Offer(
            dst=self.terms.peer,
            kind=self.kind,
            connection_id=self.terms.connection_id,
            sdp=sdp,
            metadata=self.terms.metadata,
            label=self.terms.label,
            reliable=self.terms.reliable,
            serialization=self._serializer.name,
        )

    def _offered(self) -> Event:
        terms = self.terms
        return DataConnectionOffered(
            self.number,
            terms.peer,
            terms.connection_id,
            terms.label,
            terms.metadata,
            terms.serialization,
            terms.reliable,
        )

    def _closed(self, error: PeerError | None) -> Event:
        return DataConnectionClosed(self.number, error)

    # --- sending --------------------------------------------------------------------------

    def send(self, value: Any) -> int:
        if self.state is not Connection.OPEN:
            if self.state in (Connection.DRAINING, Connection.LINGERING, Connection.CLOSED):
                raise ConnectionClosed("the data connection is closed")
            raise NotOpenYet("the data connection is not open yet")
        return self._enqueue(self._serializer.encode(value).frames)

    def withdraw(self, serial: int) -> bool:
        for queued in self._queue:
            if queued.serial == serial:
                if queued.begun:
                    return False
                self._queue.remove(queued)
                return True
        return False

    def next_frame(self) -> Frame | None:
        while self._queue:
            head = self._queue[0]
            head.begun = True
            frame = next(head.frames, None)
            if frame is not None:
                return frame
            self.sent = self._queue.popleft().serial
        if self.state is Connection.DRAINING and not self._drained:
            self._drained = True
            self._command(CloseChannel(self.number))
        return None

    # --- receiving ------------------------------------------------------------------------

    def receive_frame(self, frame: Frame, now: float) -> None:
        if self.state is Connection.CONNECTING:
            self._keep_early_frame(frame, now)
            return
        if not self.is_open:
            return
        try:
            for incoming in self._serializer.decode(frame, now):
                if isinstance(incoming, CloseRequested):
                    self._receive_farewell(now)
                    break  # nothing comes behind it
                self._outbox.events.append(
                    MessageReceived(self.number, incoming.value, incoming.size)
                )
        except RemoteProtocolError as error:
            self.hang_up(error)
            return
        self._quiet_at = now + self._limits.flush_linger
        self._set_deadline()

    def _keep_early_frame(self, frame: Frame, now: float) -> None:
        # Of a channel without order, messages may overtake the word that it is open
        # (RFC 8832, section 6); and engines may tell of the two in either order.
        if len(self._early_frames) < self._limits.early_frames:
            self._early_frames.append((frame, now))
        else:
            self.hang_up(LimitExceeded("the far side sends on a channel that does not open"))

    def _receive_farewell(self, now: float) -> None:
        if self.state is Connection.OPEN and self.terms.reliable:
            self.hang_up(None)
            return
        if self.state is Connection.OPEN:
            self._give_up_at = now + self._limits.flush_timeout
        self._advance(ConnectionCue.FAREWELL)

    # --- ending ---------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether frames still pass in some direction."""
        return self.state in (Connection.OPEN, Connection.DRAINING, Connection.LINGERING)

    def flush(self, now: float) -> None:
        """Close when the far side has everything. Before the channel is open: at once."""
        if self.state is Connection.OPEN:
            # Out of order it could overtake what it stands behind; there the end of the
            # channel itself says it, which SCTP delivers last (RFC 6525, section 5.2.2).
            marker = self._serializer.close_marker() if self.terms.reliable else None
            self._enqueue(iter(() if marker is None else (marker,)))
            self._advance(ConnectionCue.FLUSH)
            self._give_up_at = now + self._limits.flush_timeout
            self._set_deadline()
        elif self.state is not Connection.DRAINING:
            self.close()

    def channel_closed(self) -> None:
        if self.state is Connection.DRAINING and not self._drained:
            self.hang_up(ConnectionClosed("the far side closed before everything was sent"))
        else:
            super().channel_closed()

    def hang_up(self, error: PeerError | None) -> None:
        super().hang_up(error)
        self._queue.clear()
        self._early_frames.clear()

    def handle_timeout(self, now: float) -> None:
        if not self.is_open:
            super().handle_timeout(now)
            return
        try:
            count = self._serializer.expire(now)
        except RemoteProtocolError as error:
            self.hang_up(error)
            return
        if count:
            self._outbox.events.append(MessagesDropped(self.number, count))
        self._end_what_is_overdue(now)

    def _end_what_is_overdue(self, now: float) -> None:
        if self.state is Connection.DRAINING and now >= self._give_up_at:
            self.hang_up(
                ConnectTimeout(f"not everything arrived within {self._limits.flush_timeout:g} s")
            )
            return
        if self.state is Connection.LINGERING and now >= min(self._quiet_at, self._give_up_at):
            if not self._serializer.incomplete or now >= self._give_up_at:
                self.hang_up(None)
                return
            self._quiet_at = now + self._limits.flush_linger
        self._set_deadline()

    # --- inside ---------------------------------------------------------------------------

    def _set_deadline(self) -> None:
        """What is due next on an open connection."""
        if self.state is Connection.OPEN:
            self.deadline = self._serializer.deadline
            return
        if not self.is_open:
            return
        dues = [] if self._serializer.deadline is None else [self._serializer.deadline]
        dues.append(self._give_up_at)
        if self.state is Connection.LINGERING:
            dues.append(self._quiet_at)
        self.deadline = min(dues, default=None)

    def _enqueue(self, frames: Iterator[Frame]) -> int:
        self._serial += 1
        self._queue.append(_Queued(self._serial, frames))
        self._command(FramesReady(self.number))
        return self._serial
