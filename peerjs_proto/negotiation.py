"""What data and media connections have in common: how they come to be, and that they end.

Rules from peerjs 1.5.5 ``lib/negotiator.ts`` and ``lib/peer.ts``. Unlike there, every dial ends
in an answer, and nothing waits for ever.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol

import attrs

from . import messages
from .commands import AddCandidate, ApplyAnswer, CloseRtc, Command
from .errors import (
    ConnectionClosed,
    ConnectTimeout,
    Disconnected,
    NegotiationFailed,
    PeerError,
)
from .events import Event
from .limits import Limits
from .outbox import Outbox
from .states import Connection, ConnectionCue, Transitions, advance

__all__ = ["Negotiation", "Signaling", "Terms"]

_NEEDS_SERVER: Final = frozenset(
    (Connection.WAITING, Connection.OFFERING, Connection.OFFERED, Connection.ANSWERING)
)

_SAY_AGAIN: Final = 1.0
"Seconds from a server's OPEN until a dial that has no answer is offered again."

_WITHOUT_RTC: Final = frozenset((Connection.WAITING, Connection.INVITED, Connection.INTERRUPTED))


class Signaling(Protocol):
    """The way to the far side before there is a connection."""

    @property
    def is_open(self) -> bool:
        """There is a server, and it knows us."""
        ...

    @property
    def is_coming_back(self) -> bool:
        """There is no server at present, and there will be one."""
        ...

    def send(self, message: messages.Message) -> bool:
        """Hand a message to the server; False if there is none."""
        ...


@attrs.frozen(kw_only=True)
class Terms:
    """What the offerer decides for both ends."""

    peer: str
    "The remote id."
    connection_id: str
    metadata: Any


class Negotiation(ABC):
    """One connection, data or media; used by :class:`~peerjs_proto.peer.PeerProtocol`.

    After every call its owner looks at ``deadline`` and ``state``.
    """

    kind: ClassVar[str]
    "The wire's word for it."
    table: ClassVar[Transitions]
    "Which states it goes through."

    def __init__(
        self,
        number: int,
        terms: Terms,
        *,
        signaling: Signaling,
        limits: Limits,
        outbox: Outbox,
    ) -> None:
        self.number = number
        self.terms = terms
        self.state = Connection.NEW
        self.deadline: float | None = None
        self.incoming = False
        self._signaling = signaling
        self._limits = limits
        self._outbox = outbox
        self._now = 0.0
        "When its owner last said what time it is."
        self._offer = ""
        self._early: list[Mapping[str, Any]] = []
        self._found: list[Mapping[str, Any]] = []
        self._unsaid: list[messages.Message] = []
        "What the far side is to hear as soon as there is a server to tell it."
        self._said: list[messages.Message] = []
        "What it should have heard, until the connection is open: a server may have lost it."
        self._fails_at: float | None = None
        "The deadline behind that of saying it again."

    # --- what differs ---------------------------------------------------------------------

    @abstractmethod
    def _make_offer(self) -> Command: ...

    @abstractmethod
    def _make_answer(self, offer: str) -> Command: ...

    @abstractmethod
    def _offer_message(self, sdp: str) -> messages.Offer: ...

    @abstractmethod
    def _offered(self) -> Event: ...

    @abstractmethod
    def _closed(self, error: PeerError | None) -> Event: ...

    @property
    @abstractmethod
    def _answer_timeout(self) -> float:
        """Seconds an offer, ours or theirs, may go without an answer."""

    @property
    def is_open(self) -> bool:
        """Whether it came to be, and has not ended."""
        return self.state is Connection.OPEN

    # --- ours -----------------------------------------------------------------------------

    def wait(self, now: float) -> None:
        """Others are dialling: :meth:`dial` follows. The time it may take runs from here on."""
        self._advance(ConnectionCue.WAIT)
        self._now = now
        self.deadline = now + self._answer_timeout

    def dial(self) -> None:
        self._advance(ConnectionCue.DIAL)
        self._command(self._make_offer())

    def offer_made(self, sdp: str) -> None:
        if self.state is not Connection.OFFERING:
            return
        self._advance(ConnectionCue.OFFER_MADE)
        self._say(self._offer_message(sdp))
        self._say_found()

    def receive_answer(self, answer: messages.Answer, now: float) -> bool:
        """False if there is no offer of ours that waits for one."""
        if self.state is not Connection.OFFERED:
            return False
        self._advance(ConnectionCue.ANSWERED)
        self._now = now
        self._restore_deadline()
        self._command(ApplyAnswer(self.number, answer.sdp))
        return True

    # --- theirs ---------------------------------------------------------------------------

    def invite(self, offer: messages.Offer, early: list[Mapping[str, Any]], now: float) -> None:
        self.incoming = True
        self._advance(ConnectionCue.INVITE)
        self._now = now
        self.deadline = now + self._answer_timeout
        self._offer, self._early = offer.sdp, early
        self._outbox.events.append(self._offered())

    def accept(self, now: float) -> None:
        self._advance(ConnectionCue.ACCEPT)
        self._now = now
        self.deadline = now + self._limits.connect_timeout
        self._answer(self._offer, self._early)
        self._offer, self._early = "", []

    def answer_made(self, sdp: str) -> None:
        if self.state is not Connection.ANSWERING:
            return
        self._advance(ConnectionCue.ANSWER_MADE)
        answer = messages.Answer(
            dst=self.terms.peer,
            kind=self.kind,
            connection_id=self.terms.connection_id,
            sdp=sdp,
            extra=self._answer_extra(),
        )
        self._say(answer)
        self._say_found()

    # --- both -----------------------------------------------------------------------------

    def candidate_found(self, candidate: Mapping[str, Any]) -> None:
        """One of our own. It goes behind our description, or at once if that is out already."""
        if self.state in (Connection.OFFERING, Connection.ANSWERING):
            self._found.append(candidate)
        elif self.state not in (Connection.NEW, Connection.INVITED, Connection.CLOSED):
            self._say(self._candidate_message(candidate))

    def receive_candidate(self, candidate: Mapping[str, Any]) -> bool:
        """False if there are too many of them to keep."""
        if self.state is Connection.INVITED:
            if len(self._early) >= self._limits.early_candidates:
                return False
            self._early.append(candidate)
        elif self.state not in _WITHOUT_RTC:
            self._command(AddCandidate(self.number, candidate))
        return True

    def close(self) -> None:
        """Close at once. A dial that is given up has failed, like every other that fails."""
        given_up = not (self.is_open or self.incoming)
        self.hang_up(ConnectionClosed("closed by this side") if given_up else None)

    def channel_closed(self) -> None:
        if self.is_open:
            self.hang_up(None)
        else:
            self.fail(NegotiationFailed("the far side closed the connection as it opened"))

    def rtc_failed(self, reason: str) -> None:
        if self.is_open:
            self.fail(ConnectionClosed(f"lost the connection: {reason}"))
        else:
            self.fail(NegotiationFailed(f"could not connect to {self.terms.peer!r}: {reason}"))

    def fail(self, error: PeerError) -> None:
        """This path has come to nothing, and with it the connection, if it can have no other."""
        self.hang_up(error)

    def hang_up(self, error: PeerError | None) -> None:
        """End now. Says so once; later calls do nothing."""
        if self.state is not Connection.CLOSED:
            if self.state not in _WITHOUT_RTC:
                self._command(CloseRtc(self.number))
            self._outbox.events.append(self._closed(error))
        self._advance(ConnectionCue.HANGUP)
        self.deadline = None
        self._offer = ""
        self._forget()

    def handle_timeout(self, now: float) -> None:
        """Its deadline has come."""
        self._now = now
        if self._says_again(now):
            return
        peer = repr(self.terms.peer)
        match self.state:
            case Connection.WAITING:
                what, patience = "too many dials at once: no turn", self._answer_timeout
            case Connection.OFFERING | Connection.OFFERED:
                what, patience = f"no answer from {peer}", self._answer_timeout
            case Connection.INVITED:
                what, patience = f"the offer of {peer} not accepted", self._answer_timeout
            case _:
                what, patience = f"no connection to {peer}", self._limits.connect_timeout
        self.fail(ConnectTimeout(f"{what} within {patience:g} s"))

    # --- the server -----------------------------------------------------------------------

    def server_found(self, now: float) -> None:
        """Say what waited for it; and again what the one before it may have lost."""
        self._now = now
        if self.state is Connection.OFFERED and self._said and self._fails_at is None:
            # Not at once: what waited for us comes first, and the answer may be among it. To a
            # page, a second OFFER would begin another connection.
            assert self.deadline is not None
            self._fails_at = self.deadline
            self.deadline = min(now + _SAY_AGAIN, self.deadline)
        unsaid, self._unsaid = self._unsaid, []
        for message in unsaid:
            self._say(message)

    def offered_again(self) -> None:
        """Its OFFER has come once more: our answer may be lost."""
        if self.incoming and self.state is Connection.CONNECTING:
            self._say_again()

    def server_lost(self) -> None:
        """It does not come back by itself: what needs it has failed."""
        unsaid, self._unsaid = self._unsaid, []
        if self.state in _NEEDS_SERVER or any(map(_is_description, unsaid)):
            self.fail(self._cut_off())

    # --- inside ---------------------------------------------------------------------------

    def _answer(self, offer: str, early: list[Mapping[str, Any]]) -> None:
        self._command(self._make_answer(offer))
        for candidate in early:
            self._command(AddCandidate(self.number, candidate))

    def _answer_extra(self) -> Mapping[str, Any]:
        """What an ANSWER says beside PeerJS."""
        return {}

    def _say(self, message: messages.Message) -> None:
        """Tell the far side, now or when the server is back: our deadline bounds that."""
        if self._signaling.send(message):
            if self.state in (Connection.OFFERED, Connection.CONNECTING):
                self._said.append(message)
            return
        if self._signaling.is_coming_back:
            self._unsaid.append(message)
        elif _is_description(message):
            self.fail(self._cut_off())

    def _cut_off(self) -> Disconnected:
        verb = "answer" if self.incoming else "dial"
        return Disconnected(f"the connection to the server is lost: cannot {verb}")

    def _forget(self) -> None:
        """All that was kept for coming to be."""
        self._early, self._found = [], []
        self._unsaid, self._said = [], []
        self._fails_at = None

    def _says_again(self, now: float) -> bool:
        """Whether that was all that was due."""
        if self._fails_at is None or now >= self._fails_at:
            return False
        self._restore_deadline()
        self._say_again()
        return True

    def _say_again(self) -> None:
        said, self._said = self._said, []
        for message in said:
            self._say(message)

    def _restore_deadline(self) -> None:
        if self._fails_at is not None:
            self.deadline, self._fails_at = self._fails_at, None

    def _say_found(self) -> None:
        found, self._found = self._found, []
        for candidate in found:
            self.candidate_found(candidate)

    def _candidate_message(self, candidate: Mapping[str, Any]) -> messages.Candidate:
        return messages.Candidate(
            dst=self.terms.peer,
            kind=self.kind,
            connection_id=self.terms.connection_id,
            candidate=candidate,
        )

    def _command(self, command: Command) -> None:
        self._outbox.commands.append(command)

    def _advance(self, cue: ConnectionCue) -> None:
        self.state = advance(self.table, self.state, cue)


def _is_description(message: messages.Message) -> bool:
    """Whether nothing can come of a connection without it."""
    return isinstance(message, messages.Offer | messages.Answer)
