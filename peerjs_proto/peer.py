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

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import messages
from .backoff import Reconnect, Redial
from .commands import Command
from .connections import AnyConnection, Connections
from .data import DataProtocol
from .endpoint import Endpoint, validate_id
from .errors import (
    Disconnected,
    InvalidId,
    LocalProtocolError,
    PeerError,
)
from .events import Event
from .factory import ConnectionFactory
from .limits import DEFAULT_LIMITS, Limits
from .media import MediaProtocol
from .outbox import Outbox
from .redial import RedialProtocol
from .routing import Routing
from .serialization import SERIALIZATIONS
from .serializer import Frame, Serializations
from .session import Registration, SessionProtocol
from .states import Session

__all__ = ["PeerProtocol"]


class PeerProtocol:
    """One peer: its registration with a PeerServer, and its connections to other peers.

    ``endpoint`` is its server, or several: they are tried in turn, each once, and again after a
    loss. ``token`` is the client's secret, and ``token_reused`` says that the server may still
    hold a registration under it. ``id=None`` asks the server for one. ``media`` says that the
    runtime can carry calls; without, those of others are refused.

    With ``reconnect``, a registration that was lost is asked for again, by the same id and
    token. ``random`` gives numbers from 0 to 1, such as ``random.random``; that needs it.
    Raises :class:`~peerjs_proto.errors.InvalidId`, and LocalProtocolError for no server at all
    and for a missing ``random``.
    """

    def __init__(
        self,
        endpoint: Endpoint | Sequence[Endpoint],
        *,
        token: str,
        id: str | None = None,
        token_reused: bool = False,
        limits: Limits = DEFAULT_LIMITS,
        serializations: Serializations = SERIALIZATIONS,
        media: bool = False,
        reconnect: Reconnect | None = None,
        random: Callable[[], float] | None = None,
    ) -> None:
        endpoints = _several(endpoint)
        if reconnect is not None and random is None:
            raise LocalProtocolError("reconnect needs random, or all peers come back at once")
        self._limits = limits
        self._outbox = Outbox()
        self._session = SessionProtocol(
            endpoints,
            id=id,
            token=token,
            token_reused=token_reused,
            reconnect=reconnect,
            random=random or float,  # which gives 0.0: without a policy nobody asks
            limits=limits,
            outbox=self._outbox,
            on_open=self._server_found,
            on_lost=self._server_lost,
        )
        self._connections = Connections(limits)
        self._factory = ConnectionFactory(
            self._connections,
            limits=limits,
            serializations=serializations,
            media=media,
            random=random,
            signaling=self._session,
            outbox=self._outbox,
        )
        self._routing = Routing(
            self._session, self._connections, self._factory, limits=limits, outbox=self._outbox
        )

    @property
    def id(self) -> str | None:
        """Ours; None until the server has given one."""
        return self._session.id

    @property
    def session(self) -> Session:
        """Our standing with the server."""
        return self._session.state

    @property
    def registration(self) -> Registration | None:
        """What the server knows us by, for requests beside the WebSocket; None without one."""
        return self._session.registration

    # --- out ------------------------------------------------------------------------------

    def next_command(self) -> Command | None:
        """What to do next, or None for now."""
        return self._outbox.commands.popleft() if self._outbox.commands else None

    def next_event(self) -> Event | None:
        """What has happened, or None for now."""
        return self._outbox.events.popleft() if self._outbox.events else None

    def next_timeout(self) -> float | None:
        """When :meth:`handle_timeout` is due, if no input changes it; None for never."""
        dues = (self._session.deadline, self._connections.deadline)
        return min((due for due in dues if due is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what is due. Too early, it does nothing; too late, it does it once."""
        self._session.handle_timeout(now)
        for connection in self._connections.take_due(now):
            connection.handle_timeout(now)
            self._connections.settle(connection)

    # --- in: the application --------------------------------------------------------------

    def start(self, now: float) -> None:
        """Register with the server: PeerOpened or PeerFailed follows."""
        self._session.start(now)

    def disconnect(self) -> None:
        """Leave the server, and keep the connections: PeerDisconnected follows.

        What needs the server fails, such as dials without an answer. Does nothing where there
        is no server.
        """
        self._session.disconnect()

    def reconnect(self, now: float) -> None:
        """Register again, now, by the same id and token: PeerOpened or PeerDisconnected follows.

        Does nothing where that is under way, or not needed. Raises LocalProtocolError before
        ``start`` and after ``shut_down``.
        """
        self._session.reconnect(now)

    def move(self, endpoint: Endpoint | Sequence[Endpoint]) -> None:
        """From the next attempt to register on, this is the server, or these.

        Nothing is attempted sooner for it, and a registration that there is stays. Raises
        LocalProtocolError for no server at all.
        """
        self._session.move(_several(endpoint))

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
        redial: Redial | None = None,
    ) -> int:
        """Dial a peer; the number of the new connection.

        ``connection_id`` is ``dc_`` and something random. DataConnectionOpened or
        DataConnectionClosed with its error follows, in ``limits.connect_timeout`` at most. That
        bounds the wait for a server that is coming back, and for a turn behind other dials, too.

        With ``redial`` the connection, once open, outlives its path: reliable, and each message
        arrives once. A far side that is none of ours, such as a page, fails the dial then.
        DataConnectionInterrupted and DataConnectionResumed tell of it.

        Raises InvalidId, Disconnected without a server, UnsupportedValue for metadata that
        JSON cannot hold, and LocalProtocolError for an unknown serialization.
        """
        connection = self._factory.for_dial(
            peer,
            connection_id=connection_id,
            label=label,
            metadata=metadata,
            serialization=serialization,
            reliable=reliable,
            redial=redial,
        )
        return self._dial(connection, now)

    def call(self, peer: str, *, connection_id: str, now: float, metadata: Any = None) -> int:
        """Call a peer, with tracks the runtime has; the number of the new connection.

        ``connection_id`` is ``mc_`` and something random. MediaConnectionOpened or
        MediaConnectionClosed with its error follows, in ``limits.ring_timeout`` and
        ``limits.connect_timeout`` at most. Raises as :meth:`connect`, and LocalProtocolError
        where there is no media.
        """
        connection = self._factory.for_call(peer, connection_id=connection_id, metadata=metadata)
        return self._dial(connection, now)

    def accept(self, connection: int, now: float) -> None:
        """Let come to be what a remote peer offered."""
        found = self._connections.demand(connection)
        found.accept(now)
        self._connections.settle(found)

    def send(self, connection: int, value: Any) -> int:
        """Queue a value; the serial number of the message.

        Call :meth:`next_frame` when told FramesReady. Raises UnsupportedValue, MessageTooBig,
        NotOpenYet and ConnectionClosed.
        """
        return self._connections.demand_data(connection).send(value)

    def is_reliable(self, connection: int) -> bool:
        """Whether its messages arrive in order: as asked for, or as its serialization needs.

        False for a media connection, and for one that has ended.
        """
        found = self._connections.data(connection)
        return found is not None and found.terms.reliable

    def has_redial(self, connection: int) -> bool:
        """Whether it outlives its path; False for one that has ended."""
        return isinstance(self._connections.get(connection), RedialProtocol)

    def withdraw(self, connection: int, serial: int) -> bool:
        """Take a queued message back; False once any of it has been handed out."""
        found = self._connections.data(connection)
        return found is not None and found.withdraw(serial)

    def sent(self, connection: int) -> int:
        """Serial of the newest message wholly handed out, by the last :meth:`next_frame`.

        0 for none, and for a connection that has ended.
        """
        found = self._connections.data(connection)
        return 0 if found is None else found.sent

    def close(self, connection: int, now: float, *, flush: bool = False) -> None:
        """End a connection, or refuse one that was offered: DataConnectionClosed follows.

        With ``flush``, when the far side has everything that was queued.
        """
        found = self._connections.get(connection)
        if found is None:
            return
        if flush and isinstance(found, DataProtocol):
            found.flush(now)
        else:
            found.close()
        self._connections.settle(found)

    def fail(self, connection: int, error: PeerError) -> None:
        """End a connection for a reason of the runtime's, such as an inbox that is full."""
        found = self._connections.get(connection)
        if found is not None:
            found.hang_up(error)
            self._connections.settle(found)

    def shut_down(self) -> None:
        """End every connection, tell the peers concerned and the server, and close for good."""
        peers = dict.fromkeys(c.terms.peer for c in self._connections)
        for connection in self._connections:
            connection.close()
            connection.hang_up(None)  # where close takes its time
            self._connections.settle(connection)
        for peer in peers:
            self._session.send(messages.Leave(dst=peer))
        self._session.close()
        self._connections.forget_early()

    # --- in: the server -------------------------------------------------------------------

    def receive_http(self, status: int, body: bytes, now: float) -> None:
        """Answers FetchId. The body may be cut off after some hundred bytes."""
        self._session.receive_http(status, body, now)

    def http_failed(self, reason: str, now: float) -> None:
        """Answers FetchId: there was no HTTP answer. ``reason`` is for people."""
        self._session.http_failed(reason, now)

    def socket_opened(self, now: float) -> None:
        """Answers OpenSocket."""
        self._session.socket_opened(now)

    def socket_closed(self, reason: str, now: float) -> None:
        """Answers OpenSocket, or comes at any time after: the WebSocket is gone."""
        self._session.socket_closed(reason, now)

    def receive_text(self, text: str | bytes, now: float) -> None:
        """One message from the server. Binary ones are refused: PeerJS has none."""
        if self.session in (Session.NEW, Session.CLOSED):
            return  # no socket of ours: it crossed our CloseSocket, and nobody is left to answer
        self._routing.receive(text, now)

    # --- in: WebRTC -----------------------------------------------------------------------

    def offer_made(self, connection: int, sdp: str) -> None:
        """Answers MakeOffer."""
        if found := self._connections.get(connection):
            found.offer_made(sdp)
            self._connections.settle(found)

    def answer_made(self, connection: int, sdp: str) -> None:
        """Answers MakeAnswer."""
        if found := self._connections.get(connection):
            found.answer_made(sdp)
            self._connections.settle(found)

    def candidate_found(self, connection: int, candidate: Mapping[str, Any]) -> None:
        """An ICE candidate of our own that is in no description, an RTCIceCandidateInit.

        Legal from MakeOffer or MakeAnswer on; told before ``offer_made`` or ``answer_made`` it
        goes out behind the description. Where descriptions are complete it is never called.
        """
        if found := self._connections.get(connection):
            found.candidate_found(candidate)

    def channel_opened(self, connection: int, max_message_size: int | None = None) -> None:
        """The data channel is open.

        The far side takes that many bytes in one frame; None: what its description says, and
        262,144 at most.
        """
        if found := self._connections.data(connection):
            found.channel_opened(max_message_size)
            self._connections.settle(found)

    def media_connected(self, connection: int) -> None:
        """The RTCPeerConnection of a call is connected."""
        found = self._connections.get(connection)
        if isinstance(found, MediaProtocol):
            found.connected()
            self._connections.settle(found)

    def receive_frame(self, connection: int, frame: Frame, now: float) -> None:
        """One data channel message. It may overtake ``channel_opened``."""
        if found := self._connections.data(connection):
            found.receive_frame(frame, now)
            self._connections.settle(found)

    def next_frame(self, connection: int) -> Frame | None:
        """What to send next on this channel; call it only while there is room."""
        found = self._connections.data(connection)
        return None if found is None else found.next_frame()

    def channel_closed(self, connection: int) -> None:
        """The data channel, or all under it, was closed in order by the far side."""
        if found := self._connections.get(connection):
            found.channel_closed()
            self._connections.settle(found)

    def rtc_failed(self, connection: int, reason: str) -> None:
        """The RTCPeerConnection has failed, or could not be made. ``reason`` is for people."""
        if found := self._connections.get(connection):
            found.rtc_failed(reason)
            self._connections.settle(found)

    def _server_found(self, now: float) -> None:
        for connection in self._connections:
            connection.server_found(now)
            self._connections.settle(connection)

    def _server_lost(self) -> None:
        for connection in self._connections:
            connection.server_lost()
            self._connections.settle(connection)

    # --- inside ---------------------------------------------------------------------------

    def _dial(self, connection: AnyConnection, now: float) -> int:
        terms = connection.terms
        if validate_id(terms.peer) == self.id:
            raise InvalidId("a peer cannot dial itself")
        if self._connections.find(terms.peer, terms.connection_id):
            raise LocalProtocolError(f"connection id {terms.connection_id!r} is in use")
        if self._session.state is not Session.OPEN and not self._session.is_coming_back:
            raise Disconnected("not connected to the server: cannot dial")
        if len(self._connections) >= self._limits.connections:
            raise LocalProtocolError(f"{len(self._connections)} connections are open: no more")
        self._connections.dial(connection, now)
        return connection.number


def _several(endpoint: Endpoint | Sequence[Endpoint]) -> list[Endpoint]:
    endpoints = [endpoint] if isinstance(endpoint, Endpoint) else list(endpoint)
    if not endpoints:
        raise LocalProtocolError("a peer needs a server, or several")
    return endpoints
