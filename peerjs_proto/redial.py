"""A data connection with redial: it outlives its path, and loses nothing by that.

Between two of our own peers that have agreed on it in OFFER and ANSWER. Whoever dialled dials
again, by an OFFER with a new connection id that names the first one; the far side answers at
once. Each says how many frames it has taken, and gets the rest. ``docs/wire.md`` has the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

from . import controls, messages
from .backoff import Redial
from .commands import CloseRtc
from .data import DataProtocol, DataTerms
from .errors import ConnectionClosed, ConnectTimeout, DecodeError, NegotiationFailed, PeerError
from .events import DataConnectionInterrupted, DataConnectionOpened, DataConnectionResumed, Event
from .extension import Extension, RedialTerms
from .journal import Journal
from .limits import Limits
from .negotiation import Signaling
from .outbox import Outbox
from .sdp import max_message_size
from .serializer import Frame, Serializer
from .states import REDIAL_TRANSITIONS, Connection, ConnectionCue

__all__ = ["RedialProtocol", "refusal"]

_CLOSED: Final = "closed"
"The reason in an ANSWER that says: closed in order, while there was no path."

_GOODBYE: Final = 2.0
"Seconds the far side has for hearing that the connection is over."

_BETWEEN: Final = frozenset(
    (
        *(Connection.INTERRUPTED, Connection.OFFERING, Connection.OFFERED),
        *(Connection.ANSWERING, Connection.CONNECTING),
    )
)
"States of a connection that has been open and has no path."


class RedialProtocol(DataProtocol):
    """Used by :class:`~peerjs_proto.peer.PeerProtocol`; see there for the contract.

    ``policy`` is the dialler's; who is dialled waits for ``limits.redial_timeout``.
    """

    table = REDIAL_TRANSITIONS

    def __init__(
        self,
        number: int,
        terms: DataTerms,
        serializer: Serializer,
        *,
        policy: Redial,
        random: Callable[[], float],
        signaling: Signaling,
        limits: Limits,
        outbox: Outbox,
    ) -> None:
        super().__init__(
            number, terms, serializer, signaling=signaling, limits=limits, outbox=outbox
        )
        self.lineage = terms.connection_id
        "The first connection id, by which both sides know the connection."
        self.attempt = 0
        self._policy = policy
        self._random = random
        self._journal = Journal(limits.redial_bytes)
        self._was_open = False
        self._flushing = False
        self._leaving = False
        "Closed by the application: nothing that is still sent or received counts."
        self._said_bye = False
        self._failures = 0
        self._end_at: float | None = None
        "When an interrupted connection is given up; None until the time is known."
        self._retry_at: float | None = None

    @property
    def is_open(self) -> bool:
        return super().is_open or (self._was_open and self.state is not Connection.CLOSED)

    # --- coming to be, again and again ----------------------------------------------------

    def channel_opened(self, largest: int | None) -> None:
        if self.state is not Connection.CONNECTING:
            return
        bound = self._serializer.max_message_size
        super().channel_opened(largest)
        if not super().is_open:
            return  # what overtook the opening was a goodbye
        if bound is not None and self._serializer.max_message_size != bound:
            # Frames are made already, by the first channel's measure.
            self.hang_up(ConnectionClosed("the new channel takes other messages than the old"))
            return
        self._was_open = True
        self._failures = 0
        self._end_at = self._retry_at = None
        if self._flushing:
            self._advance(ConnectionCue.FLUSH)
            self._set_deadline()
        self._frames_ready()

    def reoffer(
        self, offer: messages.Offer, terms: RedialTerms, early: list[Mapping[str, Any]], now: float
    ) -> None:
        """The far side dials again."""
        self._now = now
        if self.state is not Connection.INTERRUPTED:
            self.fail(ConnectionClosed("the far side has lost the connection and dials again"))
        self._stand(terms)
        if not self.is_open:
            return
        self.terms = attrs.evolve(self.terms, connection_id=offer.connection_id)
        self.attempt = terms.attempt
        self._lasts_until(now)
        self._max_message_size = max_message_size(offer.sdp)
        self._advance(ConnectionCue.REOFFER)
        self.deadline = self._attempt_ends(now)
        self._answer(offer.sdp, early)

    def receive_answer(self, answer: messages.Answer, now: float) -> bool:
        theirs = answer.extension
        if self.is_open and theirs is not None and theirs.refused is not None:
            # In whatever state: it may say that it has closed the connection meanwhile.
            closed = theirs.refused == _CLOSED
            self.hang_up(None if closed else ConnectionClosed(f"lost for good: {theirs.refused}"))
            return True
        if answer.connection_id != self.terms.connection_id:
            return False  # it answers an attempt that has come to nothing
        if not super().receive_answer(answer, now):
            return False
        if self.state is Connection.CONNECTING and theirs is not None and theirs.redial is not None:
            if self._was_open:
                self.deadline = self._attempt_ends(now)
            self._stand(theirs.redial)
        return True

    def server_found(self, now: float) -> None:
        super().server_found(now)
        if self.state is Connection.INTERRUPTED:
            self.deadline = now

    def _objection(self, theirs: Extension | None) -> PeerError | None:
        if objection := super()._objection(theirs):
            return objection
        if theirs is None or theirs.redial is None:
            peer = repr(self.terms.peer)
            return NegotiationFailed(
                f"{peer} cannot redial: that takes peerjs-sansio on both sides, and no page has it"
            )
        return None

    def _stand(self, terms: RedialTerms) -> None:
        """How much of ours the far side has taken."""
        try:
            self._journal.begin_again(terms.received)
        except DecodeError as error:
            self.hang_up(error)

    def _extension(self) -> Extension:
        first = self.attempt == 0 or self.incoming
        terms = RedialTerms(
            of=None if first else self.lineage,
            attempt=self.attempt,
            received=self._journal.taken,
        )
        return attrs.evolve(super()._extension(), redial=terms)

    def _opened(self) -> Event:
        if self._was_open:
            return DataConnectionResumed(self.number)
        return DataConnectionOpened(self.number)

    # --- the path breaks ------------------------------------------------------------------

    def fail(self, error: PeerError) -> None:
        if not self.is_open or self._leaving:
            self.hang_up(error)
            return
        if self.state not in _BETWEEN:
            self._outbox.events.append(DataConnectionInterrupted(self.number, error))
        if self.state is not Connection.INTERRUPTED:
            self._advance(ConnectionCue.BREAK)
            self._command(CloseRtc(self.number))
        self._forget()
        self._early_frames.clear()
        self._keep_alive = self._announced = None
        self._beat_due = self._drained = self._said_bye = False
        self._retry_at = None
        self.deadline = self._now  # in the past: the time is not known here

    def channel_closed(self) -> None:
        if self._leaving or self._said_bye:
            self.hang_up(None)  # as we have asked for
        elif self.is_open:
            self.fail(ConnectionClosed("the path was closed"))
        else:
            super().channel_closed()

    def handle_timeout(self, now: float) -> None:
        self._now = now
        if not self._was_open or self.state not in _BETWEEN:
            super().handle_timeout(now)
        elif self.state is not Connection.INTERRUPTED and not self._says_again(now):
            peer = repr(self.terms.peer)
            self.fail(ConnectionClosed(f"an attempt to reach {peer} again led nowhere"))
        if self.state is Connection.INTERRUPTED:
            self._look_for_path(now)

    def _look_for_path(self, now: float) -> None:
        self.deadline = end = self._lasts_until(now)
        if now >= end:
            self._give_up()
            return
        if self.incoming or not self._signaling.is_open:
            return  # it is for the far side to dial, or for the server to come back
        if self._retry_at is None:
            self._retry_at = now + self._policy.delay(self._failures, self._random())
            self._failures += 1
        if now < self._retry_at:
            self.deadline = min(self._retry_at, end)
            return
        self.attempt += 1
        name = f"{self.lineage}~{self.attempt}"
        self.terms = attrs.evolve(self.terms, connection_id=name)
        self.dial()
        self.deadline = self._attempt_ends(now)

    def _attempt_ends(self, now: float) -> float:
        return min(now + self._policy.attempt_timeout, self._lasts_until(now))

    def _lasts_until(self, now: float) -> float:
        """When it is given up, from the first time on that this is asked since its path broke."""
        if self._end_at is None:
            self._end_at = now + self._patience
            if self._flushing:
                self._end_at = min(self._end_at, self._give_up_at)
        return self._end_at

    @property
    def _patience(self) -> float:
        return self._limits.redial_timeout if self.incoming else self._policy.timeout

    def _give_up(self) -> None:
        if self._flushing and self._now >= self._give_up_at:
            patience = self._limits.flush_timeout
            self.hang_up(ConnectTimeout(f"not everything arrived within {patience:g} s"))
        else:
            words = f"there was no path to {self.terms.peer!r} for {self._patience:g} s"
            self.hang_up(ConnectionClosed(words))

    # --- frames ---------------------------------------------------------------------------

    def send(self, value: Any) -> int:
        if self._was_open and self.state in _BETWEEN and not self._flushing:
            return self._enqueue(self._encode(value))
        return super().send(value)

    def _frames_ready(self) -> None:
        if self.state not in _BETWEEN:
            super()._frames_ready()

    def _pick_frame(self) -> Frame | None:
        if self.state not in (Connection.OPEN, Connection.DRAINING) or self._drained:
            return None
        if self._beat_due:
            self._beat_due = False
            self._journal.told()
            return controls.beat(self._journal.taken)
        frame = self._journal.repeat()
        if frame is None and not self._journal.is_full:
            frame = self._next_of_queue()
            if frame is not None:
                self._journal.keep(frame)
        if frame is None and self.state is Connection.DRAINING:
            return self._end_of_frames()
        return frame

    def _end_of_frames(self) -> Frame | None:
        if self._queue or not self._journal.is_clear:
            return None
        if self._journal.tell_at is not None:
            self._journal.told()
            return controls.beat(self._journal.taken)
        if not self._said_bye:
            self._said_bye = True
            return controls.BYE
        return super()._pick_frame()

    def _taken(self) -> int:
        return self._journal.taken

    def _receive_data(self, frame: Frame, now: float) -> None:
        if self._leaving:
            return
        if self._journal.take(frame, now):
            self._beat()
        super()._receive_data(frame, now)

    def _receive_control(self, frame: str) -> None:
        if frame == controls.BYE:
            words = "the far side closed before everything was sent"
            done = not self._flushing or (not self._queue and self._journal.is_clear)
            self.hang_up(None if done else ConnectionClosed(words))
            return
        taken = self._receive_beat(frame)
        if not self._leaving:
            self._journal.confirm(taken)
        if self._queue or self.state is Connection.DRAINING:
            self._frames_ready()

    def _drop_stale_messages(self, now: float) -> None:
        # Nothing is stale: what is missing is on its way, by this path or the next.
        tell_at = self._journal.tell_at
        if tell_at is not None and now >= tell_at:
            self._beat()

    def _dues(self) -> Iterator[float | None]:
        yield from super()._dues()
        if not self._beat_due:
            yield self._journal.tell_at

    # --- ending ---------------------------------------------------------------------------

    def flush(self, now: float) -> None:
        self._now = now
        if self._flushing or self._leaving:
            return
        if not self._was_open:
            self.close()
            return
        self._flushing = True
        self._give_up_at = now + self._limits.flush_timeout
        if self.state is Connection.OPEN:
            self._advance(ConnectionCue.FLUSH)
            self._set_deadline()
            self._frames_ready()
        elif self._end_at is not None:
            self._end_at = min(self._end_at, self._give_up_at)

    def close(self) -> None:
        """What has not arrived is dropped, but the far side is to know that this is the end."""
        if self.state not in (Connection.OPEN, Connection.DRAINING):
            if self._was_open and self.state is not Connection.CLOSED:
                self._signaling.send(self._farewell())
            super().close()
        elif not self._leaving:
            self._leaving = True
            self._queue.clear()
            self._journal.drop()
            if self.state is Connection.OPEN:
                self._advance(ConnectionCue.FLUSH)
            self._give_up_at = self._now + _GOODBYE
            self._set_deadline()
            self._frames_ready()

    def hang_up(self, error: PeerError | None) -> None:
        super().hang_up(None if self._leaving else error)
        self._journal.drop()

    def _farewell(self) -> messages.Answer:
        """There is no path to say it by."""
        return refusal(self.terms.peer, self.kind, self.lineage, _CLOSED)


def refusal(peer: str, kind: str, connection_id: str, reason: str) -> messages.Answer:
    """An ANSWER that is none, for a far side of our own kind; a page would not understand it."""
    return messages.Answer(
        dst=peer,
        kind=kind,
        connection_id=connection_id,
        sdp="-",
        extra=Extension(refused=reason).written(),
    )
