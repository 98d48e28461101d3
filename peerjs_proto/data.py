"""One data connection: negotiation, framing, closing.

Rules from peerjs 1.5.5 ``lib/negotiator.ts`` and ``lib/dataconnection/``. Unlike there, every
dial ends in an answer, and a channel that does not keep order is not closed before what was
sent ahead of the close message has had time to arrive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from . import messages
from .commands import (
    AddCandidate,
    ApplyAnswer,
    CloseChannel,
    CloseRtc,
    Command,
    FramesReady,
    MakeAnswer,
    MakeOffer,
)
from .errors import (
    ConnectionClosed,
    ConnectTimeout,
    Disconnected,
    NegotiationFailed,
    NotOpenYet,
    PeerError,
    RemoteProtocolError,
)
from .events import (
    DataConnectionClosed,
    DataConnectionOffered,
    DataConnectionOpened,
    MessageReceived,
)
from .limits import Limits
from .outbox import Outbox
from .serialization import CloseRequested, Frame, Serializer
from .states import DATA_TRANSITIONS, Data, DataCue, advance

__all__ = ["DataProtocol", "Terms"]


@attrs.frozen(kw_only=True)
class Terms:
    """What the offerer decides for both ends."""

    peer: str
    "The remote id."
    connection_id: str
    label: str
    metadata: Any
    serialization: str
    "As the application named it; the wire has :attr:`Serializer.name`."
    reliable: bool


@attrs.define
class _Queued:
    serial: int
    frames: Iterator[Frame]
    begun: bool = False


class DataProtocol:
    """Used by :class:`~peerjs_proto.peer.PeerProtocol`; see there for the contract."""

    def __init__(
        self,
        number: int,
        terms: Terms,
        serializer: Serializer,
        *,
        signal: Callable[[messages.Message], bool],
        limits: Limits,
        outbox: Outbox,
    ) -> None:
        self.number = number
        self.terms = terms
        self.state = Data.CLOSED  # until dial() or invite(), which are called at once
        self.deadline: float | None = None
        self.incoming = False
        self._serializer = serializer
        self._signal = signal
        self._limits = limits
        self._outbox = outbox
        self._offer = ""
        self._early: list[Mapping[str, Any]] = []
        self._queue: deque[_Queued] = deque()
        self._serial = 0
        self.sent = 0
        self._drained = False
        self._linger_until = 0.0

    # --- coming to be ---------------------------------------------------------------------

    def dial(self, now: float) -> None:
        self.state = Data.OFFERING
        self.deadline = now + self._limits.connect_timeout
        self._command(MakeOffer(self.number, self.terms.label, self.terms.reliable))

    def offer_made(self, sdp: str) -> None:
        if self.state is not Data.OFFERING:
            return
        self._advance(DataCue.OFFER_MADE)
        sent = self._signal(
            messages.Offer(
                dst=self.terms.peer,
                kind="data",
                connection_id=self.terms.connection_id,
                sdp=sdp,
                metadata=self.terms.metadata,
                label=self.terms.label,
                reliable=self.terms.reliable,
                serialization=self._serializer.name,
            )
        )
        if not sent:
            self.hang_up(Disconnected("the connection to the server is lost: cannot dial"))

    def receive_answer(self, sdp: str) -> bool:
        """False if there is no offer of ours that waits for one."""
        if self.state is not Data.OFFERED:
            return False
        self._advance(DataCue.ANSWERED)
        self._command(ApplyAnswer(self.number, sdp))
        return True

    def invite(self, offer: str, early: list[Mapping[str, Any]], now: float) -> None:
        self.incoming = True
        self.state = Data.INVITED
        self.deadline = now + self._limits.connect_timeout
        self._offer, self._early = offer, early
        terms = self.terms
        self._outbox.events.append(
            DataConnectionOffered(
                self.number,
                terms.peer,
                terms.connection_id,
                terms.label,
                terms.metadata,
                terms.serialization,
                terms.reliable,
            )
        )

    def accept(self) -> None:
        self._advance(DataCue.ACCEPT)
        self._command(MakeAnswer(self.number, self._offer))
        for candidate in self._early:
            self._command(AddCandidate(self.number, candidate))
        self._offer, self._early = "", []

    def answer_made(self, sdp: str) -> None:
        if self.state is not Data.ANSWERING:
            return
        self._advance(DataCue.ANSWER_MADE)
        sent = self._signal(
            messages.Answer(
                dst=self.terms.peer,
                kind="data",
                connection_id=self.terms.connection_id,
                sdp=sdp,
            )
        )
        if not sent:
            self.hang_up(Disconnected("the connection to the server is lost: cannot answer"))

    def receive_candidate(self, candidate: Mapping[str, Any]) -> bool:
        """False if there are too many of them to keep."""
        if self.state is Data.INVITED:
            if len(self._early) >= self._limits.early_candidates:
                return False
            self._early.append(candidate)
        elif self.state is not Data.CLOSED:
            self._command(AddCandidate(self.number, candidate))
        return True

    def channel_opened(self, max_message_size: int) -> None:
        if self.state is not Data.CONNECTING:
            return
        self._advance(DataCue.CHANNEL_UP)
        self._serializer.max_message_size = max_message_size
        self.deadline = None
        self._outbox.events.append(DataConnectionOpened(self.number))

    # --- sending --------------------------------------------------------------------------

    def send(self, value: Any) -> int:
        if self.state is not Data.OPEN:
            if self.state in (Data.DRAINING, Data.LINGERING, Data.CLOSED):
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
        if self.state is Data.DRAINING and not self._drained:
            self._drained = True
            self._command(CloseChannel(self.number))
        return None

    # --- receiving ------------------------------------------------------------------------

    def receive_frame(self, frame: Frame, now: float) -> None:
        if not self.is_open:
            return
        try:
            incoming = self._serializer.decode(frame)
        except RemoteProtocolError as error:
            self.hang_up(error)
            return
        if isinstance(incoming, CloseRequested):
            self._receive_farewell(now)
        elif incoming is not None:
            self._outbox.events.append(MessageReceived(self.number, incoming.value, incoming.size))
        if self.state is Data.LINGERING:
            self.deadline = min(now + self._limits.flush_linger, self._linger_until)

    def _receive_farewell(self, now: float) -> None:
        if self.state is Data.OPEN and self.terms.reliable:
            self.hang_up(None)
            return
        if self.state is Data.OPEN:
            self._linger_until = now + self._limits.flush_timeout
        self._advance(DataCue.FAREWELL)

    # --- ending ---------------------------------------------------------------------------

    def close(self) -> None:
        """Close at once. A dial that is given up has failed, like every other that fails."""
        given_up = not (self.is_open or self.incoming)
        self.hang_up(ConnectionClosed("closed by this side") if given_up else None)

    def flush(self, now: float) -> None:
        """Close when the far side has everything. Before the channel is open: at once."""
        if self.state is Data.OPEN:
            self.deadline = now + self._limits.flush_timeout
            # Out of order it could overtake what it stands behind; there the end of the
            # channel itself says it, which SCTP delivers last (RFC 6525, section 5.2.2).
            marker = self._serializer.close_marker() if self.terms.reliable else None
            self._enqueue(iter(() if marker is None else (marker,)))
            self._advance(DataCue.FLUSH)
        elif self.state is not Data.DRAINING:
            self.close()

    def channel_closed(self) -> None:
        if self.state is Data.DRAINING and not self._drained:
            self.hang_up(ConnectionClosed("the far side closed before everything was sent"))
        elif self.is_open:
            self.hang_up(None)
        else:
            self.hang_up(NegotiationFailed("the far side closed the connection as it opened"))

    def rtc_failed(self, reason: str) -> None:
        if self.is_open:
            self.hang_up(ConnectionClosed(f"lost the connection: {reason}"))
        else:
            self.hang_up(NegotiationFailed(f"could not connect to {self.terms.peer!r}: {reason}"))

    def hang_up(self, error: PeerError | None) -> None:
        """End now. Says so once; later calls do nothing."""
        if self.state is not Data.CLOSED:
            if self.state is not Data.INVITED:
                self._command(CloseRtc(self.number))
            self._outbox.events.append(DataConnectionClosed(self.number, error))
        self._advance(DataCue.HANGUP)
        self.deadline = None
        self._queue.clear()
        self._offer, self._early = "", []

    def handle_timeout(self, now: float) -> None:
        if self.deadline is None or now < self.deadline:
            return
        if self.state is Data.LINGERING:
            if self._serializer.incomplete and now < self._linger_until:
                self.deadline = min(now + self._limits.flush_linger, self._linger_until)
            else:
                self.hang_up(None)
        elif self.state is Data.DRAINING:
            self.hang_up(
                ConnectTimeout(f"not everything arrived within {self._limits.flush_timeout:g} s")
            )
        else:
            what = "no answer from" if self.state is Data.OFFERED else "no connection to"
            self.hang_up(
                ConnectTimeout(
                    f"{what} {self.terms.peer!r} within {self._limits.connect_timeout:g} s"
                )
            )

    # --- inside ---------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether frames still pass in some direction."""
        return self.state in (Data.OPEN, Data.DRAINING, Data.LINGERING)

    def _enqueue(self, frames: Iterator[Frame]) -> int:
        self._serial += 1
        self._queue.append(_Queued(self._serial, frames))
        self._command(FramesReady(self.number))
        return self._serial

    def _command(self, command: Command) -> None:
        self._outbox.commands.append(command)

    def _advance(self, cue: DataCue) -> None:
        self.state = advance(DATA_TRANSITIONS, self.state, cue)
