"""One data connection: framing, sending, receiving, closing.

Rules from peerjs 1.5.5 ``lib/dataconnection/``. Unlike there, a channel that does not keep
order is not closed before what was sent ahead of the close message has had time to arrive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from . import controls, messages
from .commands import CloseChannel, Command, FramesReady, MakeAnswer, MakeOffer
from .errors import (
    ConnectionClosed,
    ConnectTimeout,
    LimitExceeded,
    NegotiationFailed,
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
from .extension import Extension
from .keepalive import LARGE, KeepAlive
from .limits import Limits
from .negotiation import Negotiation, Signaling, Terms
from .outbox import Outbox
from .sdp import UNSTATED_LARGEST_MESSAGE, max_message_size
from .serializer import CloseRequested, Frame, Serializer, check_size, frame_size
from .states import DATA_TRANSITIONS, Connection, ConnectionCue

__all__ = ["DataProtocol", "DataTerms"]

_PASSING: Final = frozenset((Connection.OPEN, Connection.DRAINING, Connection.LINGERING))
"States in which frames pass in some direction."


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
        self._theirs: Extension | None = None
        "What the far side says beside PeerJS; None where it is none of our own."
        self._keep_alive: KeepAlive | None = None
        "There while the connection is open, and silence has a meaning."
        self._beat_due = False
        self._announced: Frame | None = None
        "What the far side has just been told the size of."

    # --- coming to be ---------------------------------------------------------------------

    def invite(self, offer: messages.Offer, early: list[Mapping[str, Any]], now: float) -> None:
        self._max_message_size = max_message_size(offer.sdp)
        self._theirs = offer.extension
        super().invite(offer, early, now)

    def receive_answer(self, answer: messages.Answer, now: float) -> bool:
        if self.state is not Connection.OFFERED:
            return False
        theirs = answer.extension
        if objection := self._objection(theirs):
            self.hang_up(objection)
            return True
        super().receive_answer(answer, now)
        self._theirs = theirs
        self._max_message_size = max_message_size(answer.sdp)
        self._serializer.before_1_5 = answer.before_1_5
        return True

    def channel_opened(self, largest: int | None) -> None:
        if self.state is not Connection.CONNECTING:
            return
        self._advance(ConnectionCue.CONNECTED)
        self._forget()
        self._serializer.max_message_size = self._max_message_size if largest is None else largest
        self._keep_alive = self._begin_keep_alive()
        self._set_deadline()
        self._outbox.events.append(self._opened())
        early, self._early_frames = self._early_frames, []
        for frame, then in early:
            self.receive_frame(frame, then)

    def _objection(self, theirs: Extension | None) -> PeerError | None:
        """Why an ANSWER is none."""
        if theirs is None or theirs.refused is None:
            return None
        return NegotiationFailed(f"{self.terms.peer!r} refused: {theirs.refused}")

    def _begin_keep_alive(self) -> KeepAlive | None:
        patience, promised = self._limits.idle_timeout, None
        if self._theirs is not None:
            patience, promised = self._limits.keep_alive, self._theirs.keep_alive
        if patience is None and promised is None:
            return None
        return KeepAlive(patience, promised, self._now)

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
            extra=self._extension().written(),
        )

    def _answer_extra(self) -> Mapping[str, Any]:
        return {} if self._theirs is None else self._extension().written()

    def _extension(self) -> Extension:
        """What we say beside PeerJS."""
        return Extension(keep_alive=self._limits.keep_alive)

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

    def _opened(self) -> Event:
        return DataConnectionOpened(self.number)

    def _closed(self, error: PeerError | None) -> Event:
        return DataConnectionClosed(self.number, error)

    # --- sending --------------------------------------------------------------------------

    def send(self, value: Any) -> int:
        if self.state is not Connection.OPEN:
            if self.is_open or self.state is Connection.CLOSED:
                raise ConnectionClosed("the data connection is closed")
            raise NotOpenYet("the data connection is not open yet")
        return self._enqueue(self._encode(value))

    def _encode(self, value: Any) -> Iterator[Frame]:
        outgoing = self._serializer.encode(value)
        if self._theirs is not None and isinstance(value, str) and value.startswith("\0"):
            # It grows by a character, if its serialization sends text as it is.
            check_size(outgoing.size + 1, self._serializer.max_message_size)
        return outgoing.frames

    def withdraw(self, serial: int) -> bool:
        for queued in self._queue:
            if queued.serial == serial:
                if queued.begun:
                    return False
                self._queue.remove(queued)
                return True
        return False

    def next_frame(self) -> Frame | None:
        frame, self._announced = self._announced, None
        if frame is not None:
            return frame
        frame = self._pick_frame()
        if frame is None or self._theirs is None or self._theirs.keep_alive is None:
            return frame
        if (size := frame_size(frame)) <= LARGE:
            return frame
        # Until all of it is there, the far side hears nothing.
        self._announced = frame
        return controls.beat(self._taken(), size)

    def _pick_frame(self) -> Frame | None:
        if self._beat_due and not self._drained:
            self._beat_due = False
            return controls.beat(self._taken())
        frame = self._next_of_queue()
        if frame is None and self.state is Connection.DRAINING and not self._drained:
            self._drained = True
            self._command(CloseChannel(self.number))
        return frame

    def _next_of_queue(self) -> Frame | None:
        while self._queue:
            head = self._queue[0]
            head.begun = True
            frame = next(head.frames, None)
            if frame is not None:
                return frame if self._theirs is None else controls.escape(frame)
            self.sent = self._queue.popleft().serial
        return None

    def _beat(self) -> None:
        self._beat_due = True
        self._frames_ready()

    def _taken(self) -> int:
        """Frames of the far side that count; without redial nobody does."""
        return 0

    # --- receiving ------------------------------------------------------------------------

    def receive_frame(self, frame: Frame, now: float) -> None:
        self._now = now
        if self.state is Connection.CONNECTING:
            self._keep_early_frame(frame, now)
            return
        if self.state not in _PASSING:
            return
        if self._keep_alive is not None:
            self._keep_alive.heard(now)
        try:
            if self._theirs is not None and isinstance(frame, str):
                if controls.is_control(frame):
                    self._receive_control(frame)
                else:
                    self._receive_data(controls.unescape(frame), now)
            else:
                self._receive_data(frame, now)
        except RemoteProtocolError as error:
            self.hang_up(error)
            return
        self._quiet_at = now + self._limits.flush_linger
        self._set_deadline()

    def _receive_data(self, frame: Frame, now: float) -> None:
        for incoming in self._serializer.decode(frame, now):
            if isinstance(incoming, CloseRequested):
                self._receive_farewell(now)
                break  # nothing comes behind it
            self._outbox.events.append(MessageReceived(self.number, incoming.value, incoming.size))

    def _receive_control(self, frame: str) -> None:
        """Raises RemoteProtocolError."""
        self._receive_beat(frame)

    def _receive_beat(self, frame: str) -> int:
        """How many of our frames have been taken. Raises DecodeError."""
        taken, size = controls.read_beat(frame)
        if self._keep_alive is not None:
            self._keep_alive.expect(size)
        return taken

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
        """Whether it came to be, and has not ended."""
        return self.state in _PASSING

    def flush(self, now: float) -> None:
        """Close when the far side has everything. Before the channel is open: at once."""
        self._now = now
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
        self._keep_alive = self._announced = None

    def handle_timeout(self, now: float) -> None:
        self._now = now
        if self.state not in _PASSING:
            super().handle_timeout(now)
            return
        if self._keep_alive is not None:
            if self._keep_alive.handle_timeout(now):
                self._beat()
            if self._keep_alive.is_gone(now):
                self.fail(ConnectionClosed("the far side is gone: it has fallen silent"))
                return
        try:
            self._drop_stale_messages(now)
        except RemoteProtocolError as error:
            self.hang_up(error)
            return
        self._end_what_is_overdue(now)

    def _drop_stale_messages(self, now: float) -> None:
        """Raises RemoteProtocolError where nothing could be read behind them."""
        if count := self._serializer.expire(now):
            self._outbox.events.append(MessagesDropped(self.number, count))

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
        if self.state in _PASSING:
            self.deadline = min((due for due in self._dues() if due is not None), default=None)

    def _dues(self) -> Iterator[float | None]:
        if self._keep_alive is not None:
            yield self._keep_alive.deadline
        yield self._serializer.deadline
        if self.state is not Connection.OPEN:
            yield self._give_up_at
        if self.state is Connection.LINGERING:
            yield self._quiet_at

    def _enqueue(self, frames: Iterator[Frame]) -> int:
        self._serial += 1
        self._queue.append(_Queued(self._serial, frames))
        self._frames_ready()
        return self._serial

    def _frames_ready(self) -> None:
        self._command(FramesReady(self.number))
