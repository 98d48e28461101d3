"""PeerProtocol: one peer. Routes messages to its session and its connections.

No I/O, no clock, no randomness. Call an input, then take every command and every event, then
see when the next deadline is; in any order, and as many inputs at a time as you like::

    peer = PeerProtocol(endpoint, token=..., id="alice")
    peer.start(now)
    while True:
        while command := peer.next_command(): ...   # carry it out; its answer is an input
        while event := peer.next_event(): ...       # tell the application
        ...                                         # wait for an input or peer.next_timeout()

``now`` is in seconds on any one monotonic clock. Misuse raises a
:class:`~peerjs_proto.errors.LocalProtocolError` and changes nothing. What a server or a peer
does wrong never raises: it ends as little as possible, and an event says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import jsontext, messages
from .commands import Command
from .data import DataProtocol, Terms
from .endpoint import Endpoint, validate_id
from .errors import (
    ConnectionClosed,
    DecodeError,
    Disconnected,
    InvalidId,
    LocalProtocolError,
    PeerError,
    PeerUnavailable,
)
from .events import Event, SignalingRefused
from .limits import DEFAULT_LIMITS, Limits
from .outbox import Outbox
from .serialization import SERIALIZATIONS, Frame, Serializations, Serializer, serializer_for
from .session import SessionProtocol
from .states import Data, Session

__all__ = ["PeerProtocol"]


class PeerProtocol:
    """One peer: its registration with a PeerServer, and its connections to other peers.

    ``token`` is the client's secret, and ``token_reused`` says that the server may still hold
    a registration under it. ``id=None`` asks the server for one.
    Raises :class:`~peerjs_proto.errors.InvalidId`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        token: str,
        id: str | None = None,
        token_reused: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        serializations: Serializations = SERIALIZATIONS,
    ) -> None:
        self._limits = limits
        self._serializations = serializations
        self._outbox = Outbox()
        self._session = SessionProtocol(
            endpoint,
            id=id,
            token=token,
            token_reused=token_reused,
            limits=limits,
            outbox=self._outbox,
        )
        self._connections: dict[int, DataProtocol] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._deadlines: dict[int, float] = {}
        self._early: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        self._last_number = 0

    @property
    def id(self) -> str | None:
        """Ours; None until the server has given one."""
        return self._session.id

    @property
    def session(self) -> Session:
        """Our standing with the server."""
        return self._session.state

    # --- out ------------------------------------------------------------------------------

    def next_command(self) -> Command | None:
        """What to do next, or None for now."""
        return self._outbox.commands.popleft() if self._outbox.commands else None

    def next_event(self) -> Event | None:
        """What has happened, or None for now."""
        return self._outbox.events.popleft() if self._outbox.events else None

    def next_timeout(self) -> float | None:
        """When :meth:`handle_timeout` is due, if no input changes it; None for never."""
        deadlines = list(self._deadlines.values())
        if self._session.deadline is not None:
            deadlines.append(self._session.deadline)
        return min(deadlines, default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what is due. Too early, it does nothing; too late, it does it once."""
        self._session.handle_timeout(now)
        for number in [n for n, deadline in self._deadlines.items() if deadline <= now]:
            connection = self._connections[number]
            connection.handle_timeout(now)
            self._settle(connection)

    # --- in: the application --------------------------------------------------------------

    def start(self, now: float) -> None:
        """Register with the server: PeerOpened or PeerFailed follows."""
        self._session.start(now)

    def connect(
        self,
        peer: str,
        *,
        connection_id: str,
        now: float,
        label: str | None = None,
        metadata: Any = None,
        serialization: str = "binary",
        reliable: bool = False,
    ) -> int:
        """Dial a peer; the number of the new connection.

        ``connection_id`` is ``dc_`` and something random. DataConnectionOpened or
        DataConnectionClosed with its error follows, in ``limits.connect_timeout`` at most.
        Raises InvalidId, Disconnected without a server, UnsupportedValue for metadata that
        JSON cannot hold, and LocalProtocolError for an unknown serialization.
        """
        if validate_id(peer) == self.id:
            raise InvalidId("a peer cannot dial itself")
        if (peer, connection_id) in self._numbers:
            raise LocalProtocolError(f"connection id {connection_id!r} is in use")
        text = jsontext.dumps(metadata)
        if len(text) > self._limits.signaling_bytes // 2:
            raise LocalProtocolError(f"metadata of {len(text)} bytes does not fit the signaling")
        terms = Terms(
            peer=peer,
            connection_id=connection_id,
            label=label or connection_id,
            # A copy: what the application does to its own must not reach the wire half-way.
            metadata=jsontext.loads(text, max_depth=self._limits.nesting),
            serialization=serialization,
            reliable=bool(reliable),
        )
        serializer = serializer_for(serialization, self._limits, self._serializations)
        if self._session.state is not Session.OPEN:
            raise Disconnected("not connected to the server: cannot dial")
        if len(self._connections) >= self._limits.connections:
            raise LocalProtocolError(f"{len(self._connections)} connections are open: no more")
        connection = self._add(terms, serializer)
        connection.dial(now)
        self._settle(connection)
        return connection.number

    def accept(self, connection: int) -> None:
        """Let a remote peer's DataConnectionOffered come to be."""
        self._get(connection).accept()

    def send(self, connection: int, value: Any) -> int:
        """Queue a value; the serial number of the message.

        Call :meth:`next_frame` when told FramesReady. Raises UnsupportedValue, MessageTooBig,
        NotOpenYet and ConnectionClosed.
        """
        return self._get(connection).send(value)

    def withdraw(self, connection: int, serial: int) -> bool:
        """Take a queued message back; False once any of it has been handed out."""
        found = self._connections.get(connection)
        return found is not None and found.withdraw(serial)

    def sent(self, connection: int) -> int:
        """Serial of the newest message wholly handed out, by the last :meth:`next_frame`.

        0 for none, and for a connection that has ended.
        """
        found = self._connections.get(connection)
        return 0 if found is None else found.sent

    def close(self, connection: int, now: float, *, flush: bool = False) -> None:
        """End a connection, or refuse one that was offered: DataConnectionClosed follows.

        With ``flush``, when the far side has everything that was queued.
        """
        found = self._connections.get(connection)
        if found is None:
            return
        if flush:
            found.flush(now)
        else:
            found.close()
        self._settle(found)

    def fail(self, connection: int, error: PeerError) -> None:
        """End a connection for a reason of the runtime's, such as an inbox that is full."""
        found = self._connections.get(connection)
        if found is not None:
            found.hang_up(error)
            self._settle(found)

    def shut_down(self) -> None:
        """End every connection, tell the peers concerned and the server, and close for good."""
        peers = dict.fromkeys(c.terms.peer for c in self._connections.values())
        for connection in list(self._connections.values()):
            connection.close()
            self._settle(connection)
        for peer in peers:
            self._session.send(messages.Leave(dst=peer))
        self._session.close()
        self._early.clear()

    # --- in: the server -------------------------------------------------------------------

    def receive_http(self, status: int, body: bytes, now: float) -> None:
        """Answers FetchId. The body may be cut off after some hundred bytes."""
        self._session.receive_http(status, body, now)

    def http_failed(self, reason: str) -> None:
        """Answers FetchId: there was no HTTP answer. ``reason`` is for people."""
        self._session.http_failed(reason)

    def socket_opened(self, now: float) -> None:
        """Answers OpenSocket."""
        self._session.socket_opened(now)

    def socket_closed(self, reason: str) -> None:
        """Answers OpenSocket, or comes at any time after: the WebSocket is gone."""
        self._session.socket_closed(reason)

    def receive_text(self, text: str | bytes, now: float) -> None:
        """One message from the server. Binary ones are refused: PeerJS has none."""
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
            case messages.Offer(src=str(src)) if src != self.id:
                self._receive_offer(src, message, now)
            case messages.Answer(src=str(src)):
                self._receive_answer(src, message)
            case messages.Candidate(src=str(src)):
                self._receive_candidate(src, message, len(text))
            case messages.Leave(src=str(src)):
                self._end_all(src, PeerUnavailable(f"{src!r} left"))
            case messages.Expire(src=str(src)):
                self._expire(src)
            case _:
                self._refuse(None, f"{type(message).__name__} without a source, or from ourselves")

    # --- in: WebRTC -----------------------------------------------------------------------

    def offer_made(self, connection: int, sdp: str) -> None:
        """Answers MakeOffer."""
        if found := self._connections.get(connection):
            found.offer_made(sdp)
            self._settle(found)

    def answer_made(self, connection: int, sdp: str) -> None:
        """Answers MakeAnswer."""
        if found := self._connections.get(connection):
            found.answer_made(sdp)
            self._settle(found)

    def channel_opened(self, connection: int, max_message_size: int) -> None:
        """The data channel is open. The far side takes that many bytes in one frame."""
        if found := self._connections.get(connection):
            found.channel_opened(max_message_size)
            self._settle(found)

    def receive_frame(self, connection: int, frame: Frame, now: float) -> None:
        """One data channel message."""
        if found := self._connections.get(connection):
            found.receive_frame(frame, now)
            self._settle(found)

    def next_frame(self, connection: int) -> Frame | None:
        """What to send next on this channel; call it only while there is room."""
        found = self._connections.get(connection)
        return None if found is None else found.next_frame()

    def channel_closed(self, connection: int) -> None:
        """The data channel, or all under it, was closed in order by the far side."""
        if found := self._connections.get(connection):
            found.channel_closed()
            self._settle(found)

    def rtc_failed(self, connection: int, reason: str) -> None:
        """The RTCPeerConnection has failed, or could not be made. ``reason`` is for people."""
        if found := self._connections.get(connection):
            found.rtc_failed(reason)
            self._settle(found)

    # --- routing --------------------------------------------------------------------------

    def _receive_offer(self, src: str, offer: messages.Offer, now: float) -> None:
        key = (src, offer.connection_id)
        if offer.kind != "data":
            self._refuse(src, f"offers a {offer.kind[:20]!r} connection, which is not supported")
            return
        serialization = offer.serialization
        if serialization is None or serialization not in self._serializations:
            name = "no serialization" if serialization is None else f"{serialization[:40]!r}"
            self._refuse(src, f"offers a data connection with {name}, which is not supported")
            return
        if key in self._numbers:
            # peerjs 1.5.5 lib/peer.ts: a second OFFER replaces the connection.
            replaced = self._connections[self._numbers[key]]
            replaced.hang_up(ConnectionClosed("replaced by a new offer of the same connection id"))
            self._settle(replaced)
        pending = sum(not c.is_open and c.incoming for c in self._connections.values())
        if pending >= self._limits.pending_connections:
            self._refuse(src, f"offers a connection while {pending} wait to open: refused")
            return
        if len(self._connections) >= self._limits.connections:
            self._refuse(src, f"offers a connection while {len(self._connections)} are open")
            return
        terms = Terms(
            peer=src,
            connection_id=offer.connection_id,
            label=offer.label or offer.connection_id,
            metadata=offer.metadata,
            serialization=serialization,
            reliable=bool(offer.reliable),
        )
        connection = self._add(
            terms, serializer_for(serialization, self._limits, self._serializations)
        )
        connection.invite(offer.sdp, self._early.pop(key, []), now)
        self._settle(connection)

    def _receive_answer(self, src: str, answer: messages.Answer) -> None:
        connection = self._find(src, answer.connection_id)
        if connection is None or not connection.receive_answer(answer.sdp):
            self._refuse(src, "answers no offer of ours")

    def _receive_candidate(self, src: str, message: messages.Candidate, size: int) -> None:
        if size > self._limits.candidate_bytes:
            self._refuse(src, f"candidate of {size} bytes exceeds {self._limits.candidate_bytes}")
            return
        connection = self._find(src, message.connection_id)
        if connection is not None:
            kept = connection.receive_candidate(message.candidate)
        else:
            kept = self._keep_early((src, message.connection_id), message.candidate)
        if not kept:
            self._refuse(src, "more early candidates than are kept")

    def _keep_early(self, key: tuple[str, str], candidate: Mapping[str, Any]) -> bool:
        """CANDIDATEs may overtake their OFFER: the server's queues keep no order between nodes."""
        kept = self._early.setdefault(key, [])
        if len(kept) >= self._limits.early_candidates:
            return False
        kept.append(candidate)
        if len(self._early) > self._limits.early_connections:
            del self._early[next(iter(self._early))]
        return True

    def _expire(self, src: str) -> None:
        # EXPIRE names no connection, so it is the answer to every offer not answered yet.
        error = PeerUnavailable(f"could not connect to peer {src!r}: it is not on the server")
        for connection in self._with(src):
            if connection.state is Data.OFFERED:
                connection.hang_up(error)
                self._settle(connection)

    def _end_all(self, src: str, reason: PeerError) -> None:
        for connection in self._with(src):
            connection.hang_up(None if connection.is_open else reason)
            self._settle(connection)

    # --- inside ---------------------------------------------------------------------------

    def _add(self, terms: Terms, serializer: Serializer) -> DataProtocol:
        self._last_number += 1
        connection = DataProtocol(
            self._last_number,
            terms,
            serializer,
            signal=self._session.send,
            limits=self._limits,
            outbox=self._outbox,
        )
        self._connections[connection.number] = connection
        self._numbers[terms.peer, terms.connection_id] = connection.number
        return connection

    def _settle(self, connection: DataProtocol) -> None:
        """After every call to a connection: note its deadline, or forget it."""
        number = connection.number
        if connection.deadline is None:
            self._deadlines.pop(number, None)
        else:
            self._deadlines[number] = connection.deadline
        if connection.state is Data.CLOSED and number in self._connections:
            del self._connections[number]
            del self._numbers[connection.terms.peer, connection.terms.connection_id]

    def _get(self, connection: int) -> DataProtocol:
        try:
            return self._connections[connection]
        except KeyError:
            raise ConnectionClosed("the connection is closed") from None

    def _find(self, peer: str, connection_id: str) -> DataProtocol | None:
        number = self._numbers.get((peer, connection_id))
        return None if number is None else self._connections[number]

    def _with(self, peer: str) -> list[DataProtocol]:
        return [c for c in self._connections.values() if c.terms.peer == peer]

    def _refuse(self, peer: str | None, reason: str) -> None:
        self._outbox.events.append(SignalingRefused(peer, reason))
