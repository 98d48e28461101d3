"""One media connection: ringing, answering, hanging up. Tracks are the runtime's matter.

Rules from peerjs 1.5.5 ``lib/mediaconnection.ts``: whoever is called may answer any time later,
with or without tracks of its own; the caller opens a data channel beside the media, and its
end tells the far side that the call is over.
"""

from __future__ import annotations

from . import messages
from .commands import Command, MakeMediaAnswer, MakeMediaOffer
from .errors import PeerError
from .events import Event, MediaConnectionClosed, MediaConnectionOffered, MediaConnectionOpened
from .negotiation import Negotiation
from .states import MEDIA_TRANSITIONS, Connection, ConnectionCue

__all__ = ["MediaProtocol"]


class MediaProtocol(Negotiation):
    """Used by :class:`~peerjs_proto.peer.PeerProtocol`; see there for the contract."""

    kind = "media"
    table = MEDIA_TRANSITIONS

    def receive_answer(self, answer: messages.Answer, now: float) -> bool:
        answered = super().receive_answer(answer, now)
        if answered:
            # The ringing took its own time.
            self.deadline = now + self._limits.connect_timeout
        return answered

    def connected(self) -> None:
        if self.state is not Connection.CONNECTING:
            return
        self._advance(ConnectionCue.CONNECTED)
        self._forget()
        self.deadline = None
        self._outbox.events.append(MediaConnectionOpened(self.number))

    @property
    def _answer_timeout(self) -> float:
        return self._limits.ring_timeout

    def _make_offer(self) -> Command:
        return MakeMediaOffer(self.number)

    def _make_answer(self, offer: str) -> Command:
        return MakeMediaAnswer(self.number, offer)

    def _offer_message(self, sdp: str) -> messages.Offer:
        return messages.Offer(
            dst=self.terms.peer,
            kind=self.kind,
            connection_id=self.terms.connection_id,
            sdp=sdp,
            metadata=self.terms.metadata,
        )

    def _offered(self) -> Event:
        terms = self.terms
        return MediaConnectionOffered(self.number, terms.peer, terms.connection_id, terms.metadata)

    def _closed(self, error: PeerError | None) -> Event:
        return MediaConnectionClosed(self.number, error)
