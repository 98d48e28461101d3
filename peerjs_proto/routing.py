"""What the server relays, and to which connection of ours it goes.

What makes no sense is dropped, and an event says so.
"""

from __future__ import annotations

from . import messages
from .connections import AnyConnection, Connections
from .errors import ConnectionClosed, DecodeError, PeerError, PeerUnavailable
from .events import SignalingRefused
from .extension import RedialTerms
from .factory import ConnectionFactory
from .limits import Limits
from .outbox import Outbox
from .redial import refusal
from .session import SessionProtocol
from .states import Connection

__all__ = ["Routing"]


class Routing:
    """Used by :class:`~peerjs_proto.peer.PeerProtocol`; see there for the contract."""

    def __init__(
        self,
        session: SessionProtocol,
        connections: Connections,
        factory: ConnectionFactory,
        *,
        limits: Limits,
        outbox: Outbox,
    ) -> None:
        self._session = session
        self._connections = connections
        self._factory = factory
        self._limits = limits
        self._outbox = outbox

    def receive(self, text: str | bytes, now: float) -> None:
        """One message from the server."""
        if isinstance(text, bytes):
            self._refuse(None, "a binary frame on the signaling socket")
            return
        try:
            message = messages.decode(text, self._limits)
        except DecodeError as error:
            self._refuse(None, str(error))
            return
        if self._session.receive(message, now):
            return
        match message:
            case messages.Unknown():
                self._refuse(message.src, f"unknown type of message {message.type[:40]!r}")
            case messages.Offer(src=str(src)) if src != self._session.id:
                self._receive_offer(src, message, now)
            case messages.Answer(src=str(src)):
                self._receive_answer(src, message, now)
            case messages.Candidate(src=str(src)):
                self._receive_candidate(src, message, len(text))
            case messages.Leave(src=str(src)):
                self._end_all(src, PeerUnavailable(f"{src!r} left"))
            case messages.Expire(src=str(src)):
                self._expire(src)
            case _:
                self._refuse(None, f"{type(message).__name__} without a source, or from ourselves")

    def _receive_offer(self, src: str, offer: messages.Offer, now: float) -> None:
        theirs = offer.extension
        if theirs is not None and theirs.redial is not None and theirs.redial.of is not None:
            self._receive_redial(src, offer, theirs.redial, theirs.redial.of, now)
            return
        replaced = self._find(src, offer.connection_id)
        if theirs is not None and replaced is not None:
            # One of our own uses no id twice: it, or somebody on the way, has repeated it.
            replaced.offered_again()
            self._refuse(src, "offers a connection that is here")
            return
        connection = self._factory.for_offer(src, offer)
        if isinstance(connection, str):
            self._refuse_offer(src, offer, connection)
            return
        others = [c for c in self._connections if c is not replaced]
        pending = sum(c.incoming and not c.is_open for c in others)
        if pending >= self._limits.pending_connections:
            words = f"offers a connection while {pending} wait to open: refused"
            self._refuse_offer(src, offer, words)
            return
        if len(others) >= self._limits.connections:
            self._refuse_offer(src, offer, f"offers a connection while {len(others)} are open")
            return
        if replaced is not None:
            # peerjs 1.5.5 lib/peer.ts: a second OFFER replaces the connection.
            replaced.hang_up(ConnectionClosed("replaced by a new offer of the same connection id"))
            self._connections.settle(replaced)
        self._connections.add(connection)
        connection.invite(offer, self._connections.take_early(src, offer.connection_id), now)
        self._connections.settle(connection)

    def _receive_redial(
        self, src: str, offer: messages.Offer, terms: RedialTerms, lineage: str, now: float
    ) -> None:
        connection = self._connections.find_redialled(src, lineage)
        if connection is None or not connection.incoming or not connection.is_open:
            self._refuse_offer(src, offer, "dials a connection again that is not here")
        elif terms.attempt <= connection.attempt:
            if terms.attempt == connection.attempt:
                connection.offered_again()
            self._refuse(src, "dials again, and has done so since")
        elif self._connections.find(src, offer.connection_id) is not None:
            self._refuse(src, "dials again under a connection id that is in use")
        else:
            early = self._connections.take_early(src, offer.connection_id)
            connection.reoffer(offer, terms, early, now)
            self._connections.settle(connection)

    def _receive_answer(self, src: str, answer: messages.Answer, now: float) -> None:
        connection = self._find(src, answer.connection_id)
        if connection is None or not connection.receive_answer(answer, now):
            self._refuse(src, "answers no offer of ours")
            return
        self._connections.settle(connection)

    def _receive_candidate(self, src: str, message: messages.Candidate, size: int) -> None:
        if size > self._limits.candidate_bytes:
            self._refuse(src, f"candidate of {size} bytes exceeds {self._limits.candidate_bytes}")
            return
        connection = self._connections.find(src, message.connection_id)
        if connection is not None:
            kept = connection.receive_candidate(message.candidate)
        else:
            kept = self._connections.keep_early(src, message.connection_id, message.candidate)
        if not kept:
            self._refuse(src, "more early candidates than are kept")

    def _expire(self, src: str) -> None:
        # EXPIRE names no connection, so it is the answer to every offer not answered yet.
        error = PeerUnavailable(f"could not connect to peer {src!r}: it is not on the server")
        for connection in self._connections.of(src):
            if connection.state is Connection.OFFERED:
                connection.fail(error)
                self._connections.settle(connection)

    def _end_all(self, src: str, reason: PeerError) -> None:
        for connection in self._connections.of(src):
            connection.hang_up(None if connection.is_open else reason)
            self._connections.settle(connection)

    def _find(self, src: str, connection_id: str) -> AnyConnection | None:
        """By its id, or by the one it had at first."""
        found = self._connections.find(src, connection_id)
        return found or self._connections.find_redialled(src, connection_id)

    def _refuse_offer(self, src: str, offer: messages.Offer, reason: str) -> None:
        self._refuse(src, reason)
        if offer.extension is not None:
            # One of our own need not wait for its time-out; a page would not understand.
            self._session.send(refusal(src, offer.kind, offer.connection_id, reason))

    def _refuse(self, peer: str | None, reason: str) -> None:
        self._outbox.events.append(SignalingRefused(peer, reason))
