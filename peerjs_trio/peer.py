"""open_peer and Peer: one peer on the network, for the length of a block."""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, assert_never
from weakref import WeakSet

import anyio
import anyio.abc
import anyio.lowlevel

from peerjs_proto import commands, events
from peerjs_proto.backoff import Reconnect, Redial
from peerjs_proto.endpoint import CLOUD, DEFAULT_KEY, LAN, Endpoint
from peerjs_proto.errors import Disconnected, LocalProtocolError, PeerError
from peerjs_proto.limits import DEFAULT_LIMITS, Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.serialization import SERIALIZATIONS
from peerjs_proto.serializer import Serializations
from peerjs_proto.states import Session

from .background import open_background
from .connection import DataConnection
from .driver import Driver
from .feed import Feed
from .ice import IceServersInit, IceSource
from .rtc.choice import DEFAULT_ENGINE, EngineName, engine_named
from .rtc.engine import EngineFactory, IceServer, RtcConnection, RtcEngine
from .signaling import SignalingLink
from .sink import Sink
from .websocket import Transport, WebSocketTransport

__all__ = ["DEFAULT_ICE_SERVERS", "Peer", "open_peer"]

DEFAULT_ICE_SERVERS: Sequence[IceServer] = (
    IceServer("stun:stun.l.google.com:19302"),
    IceServer(
        ("turn:eu-0.turn.peerjs.com:3478", "turn:us-0.turn.peerjs.com:3478"),
        username="peerjs",
        credential="peerjsp",
    ),
)
"""What peerjs 1.5.5 uses where nothing is said (``util.defaultConfig``); public knowledge."""

DEFAULT_RECONNECT = Reconnect()
"""How a peer comes back to its server where nothing else is said."""

_STATES = 64
"States kept for each who watches :meth:`Peer.states`."

_REPORTS = 256
"Reports kept for :meth:`Peer.reports`; the oldest are forgotten first."

_GOODBYE = 3.0
"Seconds at most to tell the server that we leave."

_log = logging.getLogger("peerjs_trio")


@asynccontextmanager
async def open_peer(
    id: str | None = None,
    *,
    server: str | Sequence[str] = CLOUD,
    key: str = DEFAULT_KEY,
    token: str | None = None,
    reconnect: Reconnect | None = DEFAULT_RECONNECT,
    ice_servers: IceServersInit | None = None,
    engine: EngineName | EngineFactory = DEFAULT_ENGINE,
    limits: Limits = DEFAULT_LIMITS,
    serializations: Serializations = SERIALIZATIONS,
    transport: Transport | None = None,
) -> AsyncGenerator[Peer]:
    """Be a peer for as long as the block lasts.

    :param id: ours; None lets the server choose one.
    :param server: ``http(s)://host:port/path`` of a PeerServer; PeerJS's public one if not given.
        Several are tried in turn, at first and after each loss. Peers find each other where
        they are registered with the same one. ``"lan"`` is the first one by name that announces
        itself on the local network, with the extra ``lan``; after a loss it is looked for again.
    :param key: the server's API key.
    :param token: the secret that holds the id at the server; a fresh one if not given. With
        the same one a new process takes the place of an old one.
    :param reconnect: how to come back to the server after a loss, with the same id and token:
        by default after a wait of up to 1, 2, 4, 8, 16 and then 30 seconds, each up to chance,
        without a limit to the attempts. None: not at all. :attr:`Peer.state` tells of it.
    :param ice_servers: STUN and TURN servers, as IceServer or in RTCIceServer's words; or a
        function that returns them, asked anew for each connection, for credentials that expire.
        None: PeerJS's own, or none at all where the server is ``"lan"``, on this machine or at a
        private address: then nothing depends on the internet, and nobody there hears of us.
    :param engine: what does WebRTC: ``"aiortc"``, ``"wrtc"`` (libwebrtc, fast, with the extra
        ``fast``), ``"auto"`` (wrtc where it is installed, else aiortc), or an engine of your own.
    :param limits: bounds on what other sides can make us hold, and all time limits.
    :param serializations: those that may be used, the application's own among them.
    :param transport: how to reach the server; the real network if not given.

    Entering returns when the server has registered us. It raises InvalidId, IdTaken, InvalidKey,
    ServerError (it refused) or ServerUnavailable (it could not be reached or did not answer).
    Leaving closes every connection, tells the server, and waits until nothing is left behind.
    """
    transport = transport or WebSocketTransport()
    search = None
    if server == LAN:
        from .lan.find import Search  # zeroconf is an extra

        search = Search(key, limits.server_timeout, transport)
        endpoints = await search.endpoints()
    else:
        urls = [server] if isinstance(server, str) else server
        endpoints = [Endpoint.parse(url, key) for url in urls]
    if ice_servers is None:
        is_local = search is not None or all(endpoint.is_local for endpoint in endpoints)
        ice_servers = () if is_local else DEFAULT_ICE_SERVERS
    ice = IceSource(ice_servers)
    core = PeerProtocol(
        endpoints,
        id=id,
        token=token or secrets.token_urlsafe(16),
        token_reused=token is not None,
        limits=limits,
        serializations=serializations,
        reconnect=reconnect,
        random=random.random,
    )
    async with AsyncExitStack() as stack:
        factory = engine_named(engine) if isinstance(engine, str) else engine
        rtc = await stack.enter_async_context(factory())
        rtc.prepare(ice.ask())
        tasks = await stack.enter_async_context(open_background())
        peer = Peer(core, rtc, ice, limits, transport)
        link = SignalingLink(peer._driver, transport, tasks, limits.signaling_bytes)
        peer._link = link
        tasks.start_soon(peer._driver.keep_time)
        try:
            await peer._register()
            if search is not None:
                tasks.start_soon(search.follow, peer)
            yield peer
        finally:
            with anyio.CancelScope(shield=True):
                peer._shut_down()
                with anyio.move_on_after(_GOODBYE):
                    await link.wait_closed()


class Peer:
    """A registered peer. Made by :func:`open_peer`."""

    _link: SignalingLink

    def __init__(
        self,
        core: PeerProtocol,
        engine: RtcEngine,
        ice_servers: IceSource,
        limits: Limits,
        transport: Transport,
    ) -> None:
        self._core = core
        self._driver = Driver(core, self._perform, self._deliver, self._settled)
        self._engine = engine
        self._ice_servers = ice_servers
        self._limits = limits
        self._transport = transport
        self._connections: dict[int, DataConnection] = {}
        self._rtcs: dict[int, RtcConnection] = {}
        self._incoming: dict[str | None, Feed[DataConnection]] = {None: Feed(limits.connections)}
        "By label; None has those of all others."
        self._reports: Feed[events.Event] = Feed(_REPORTS)
        self._state = core.session
        self._watchers: WeakSet[Feed[Session]] = WeakSet()
        self._failure: PeerError | None = None
        "Why there is no registration."

    def __repr__(self) -> str:
        return f"<Peer {self.id!r}, {self._core.session.value}>"

    @property
    def id(self) -> str:
        """Ours, under which others find us."""
        return self._core.id or ""

    @property
    def is_open(self) -> bool:
        """Whether we are registered, so that we can dial and be dialled."""
        return self._core.session is Session.OPEN

    @property
    def state(self) -> Session:
        """Our standing with the server: ``OPEN``, ``WAITING`` to try again, ``LOST`` …"""
        return self._core.session

    def states(self) -> AsyncIterator[Session]:
        """The state now, and each one that follows, as they come; ends with ``CLOSED``.

        Of those that nobody takes, the last 64 are kept.
        """
        feed: Feed[Session] = Feed(_STATES)
        feed.put(self.state)
        if self.state is Session.CLOSED:
            feed.end()
        else:
            self._watchers.add(feed)
        return feed

    async def reconnect(self) -> None:
        """Register with the server again, now; returns when that is done, or is not needed.

        Raises what :func:`open_peer` does; after that ``open_peer(reconnect=…)`` decides when
        the next attempt is made. Raises LocalProtocolError when the peer is closed.
        """
        with self._driver.turn() as core:
            core.reconnect(anyio.current_time())
        await self._reach_open()

    async def disconnect(self) -> None:
        """Leave the server, and stay away from it until :meth:`reconnect`.

        Connections live on. Dials that have no answer yet raise Disconnected.
        """
        with self._driver.turn() as core:
            core.disconnect()
        with anyio.move_on_after(_GOODBYE):
            await self._link.wait_closed()

    @property
    def connections(self) -> tuple[DataConnection, ...]:
        """The open ones."""
        return tuple(c for c in self._connections.values() if c.is_open)

    async def connect(
        self,
        remote_id: str,
        *,
        label: str | None = None,
        metadata: Any = None,
        serialization: str = "binary",
        reliable: bool = False,
        redial: bool | Redial = False,
    ) -> DataConnection:
        """Dial another peer; returns when the connection is open.

        :param label: a name for the connection; a random one if not given.
        :param metadata: any JSON value, for the other side to see before the first message.
        :param serialization: ``binary``, ``binary-utf8``, ``json``, ``raw`` or, with the extra
            ``msgpack``, ``MsgPack``; for both sides.
        :param reliable: True keeps messages in order. They all arrive either way. ``MsgPack``
            always does.
        :param redial: True, or how: the connection outlives its path. When that breaks, another is
            looked for, under the same DataConnection; it keeps messages in order, and each arrives
            once. Needs peerjs-sansio on both sides: with a page NegotiationFailed says so.

        Raises PeerUnavailable (that peer is not on the server, which takes it five seconds to
        say), ConnectTimeout (``limits.connect_timeout``), NegotiationFailed (no way through),
        InvalidId, UnsupportedValue for the metadata, and Disconnected without a server. While
        the server is lost and coming back it waits, within ``limits.connect_timeout`` too; so it
        does for its turn while more than ``limits.dials`` others are dialled.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        connection_id = f"dc_{secrets.token_hex(8)}"
        with self._driver.turn() as core:
            number = core.connect(
                remote_id,
                connection_id=connection_id,
                label=label,
                metadata=metadata,
                serialization=serialization,
                reliable=reliable,
                redial=Redial() if redial is True else redial or None,
                now=anyio.current_time(),
            )
            connection = self._add(
                number,
                peer=remote_id,
                connection_id=connection_id,
                label=label or connection_id,
                metadata=metadata,
                serialization=serialization,
                reliable=core.is_reliable(number),
                redial=core.has_redial(number),
                dialled_by_them=False,
            )
        await connection._wait_open()
        return connection

    def incoming_connections(self, *labels: str) -> AsyncIterator[DataConnection]:
        """Connections that others have opened to us, as they come.

        :param labels: only those that the dialler gave one of these labels. From now on they are
            no longer among the others, which come where no label is given.

        They are accepted and open whether or not anybody iterates, so that no message is
        lost. Of those that nobody takes ``limits.connections`` are kept, ended ones among them,
        and the oldest is closed for the next. Ends when the peer is closed; raises
        ServerUnavailable (or what else has ended the registration) when no more can come because
        the server is lost for good. LocalProtocolError: labels that were not asked for together
        before, some of them with others.
        """
        if not labels:
            return self._incoming[None]
        taken = {label: self._incoming[label] for label in labels if label in self._incoming}
        if not taken:
            feed = self._incoming[None].part(lambda connection: connection.label in labels)
            self._incoming |= dict.fromkeys(labels, feed)
            return feed
        if len(taken) < len(labels) or len(set(map(id, taken.values()))) > 1:
            raise LocalProtocolError(f"some of these labels are taken already: {', '.join(taken)}")
        return next(iter(taken.values()))

    def reports(self) -> AsyncIterator[events.Event]:
        """What went wrong and belongs to no connection of the application's, as it comes.

        SignalingRefused: a message dropped, and why. DataConnectionClosed: somebody's attempt
        to connect to us failed. MessagesDropped: a far side never finished what it began to
        send. PeerDisconnected: the server is lost. The last 256 are kept until somebody reads
        them. Ends when the peer is closed.
        """
        return self._reports

    # --- inside ---------------------------------------------------------------------------

    async def _register(self) -> None:
        with self._driver.turn() as core:
            core.start(anyio.current_time())
        await self._reach_open()

    async def _reach_open(self) -> None:
        """Returns when we are registered; raises what an attempt to be ended with."""
        async for state in self.states():
            if state is Session.OPEN:
                return
            if state in (Session.WAITING, Session.LOST):
                break
        raise self._failure or Disconnected("the peer is closed")

    def _shut_down(self) -> None:
        with self._driver.turn() as core:
            core.shut_down()
        self._end_incoming()
        self._reports.end()

    def _settled(self) -> None:
        """After each turn: tell those who watch of a new state."""
        if self._core.session is not self._state:
            self._state = self._core.session
            for feed in self._watchers:
                feed.put(self._state)
                if self._state is Session.CLOSED:
                    feed.end()

    def _perform(self, command: commands.Command) -> None:
        """Start what the core asks for. Nothing here waits."""
        match command:
            case commands.FramesReady(number):
                if number in self._connections:
                    self._connections[number]._pump()
            case commands.FetchId(url):
                self._link.fetch_id(url)
            case commands.OpenSocket(url):
                self._link.open(url)
            case commands.SendText(text):
                self._link.send(text)
            case commands.CloseSocket():
                self._link.close()
            case commands.MakeOffer(number, label, ordered):
                self._open_rtc(number).make_offer(label, ordered=ordered)
            case commands.MakeAnswer(number, sdp):
                self._connections[number]._described(remote=sdp)
                self._open_rtc(number).make_answer(sdp)
            case commands.ApplyAnswer(number, sdp):
                self._connections[number]._described(remote=sdp)
                self._rtcs[number].apply_answer(sdp)
            case commands.AddCandidate(number, candidate):
                self._rtcs[number].add_candidate(candidate)
            case commands.CloseChannel(number):
                self._rtcs[number].close_channel()
            case commands.CloseRtc(number):
                self._rtcs.pop(number).close()
            case commands.MakeMediaOffer() | commands.MakeMediaAnswer():
                raise AssertionError("the core was told that there is no media")
            case _:
                assert_never(command)

    def _deliver(self, event: events.Event) -> None:
        match event:
            case events.MessageReceived(number, value, size):
                if number in self._connections:
                    self._connections[number]._received(value, size)
            case events.PeerOpened(id):
                _log.info("registered with the server as %s", id)
                for feed in self._incoming.values():
                    feed.resume()
            case events.PeerFailed(error):
                self._failure = error
            case events.PeerDisconnected(error, retry_in):
                self._failure = error
                self._reports.put(event)
                if retry_in is not None:
                    _log.warning("%s; trying again in %.1f s", error, retry_in)
                elif isinstance(error, Disconnected):
                    _log.info("disconnected from the server, as asked for")
                else:
                    _log.warning("%s; giving up", error)
                    self._end_incoming(error)
            case events.DataConnectionOffered(number):
                self._add(
                    number,
                    peer=event.peer,
                    connection_id=event.connection_id,
                    label=event.label,
                    metadata=event.metadata,
                    serialization=event.serialization,
                    reliable=event.reliable,
                    redial=self._core.has_redial(number),
                    dialled_by_them=True,
                )
                with self._driver.turn() as core:
                    core.accept(number, anyio.current_time())
            case events.DataConnectionOpened(number):
                connection = self._connections[number]
                connection._opened()
                if connection._dialled_by_them and (oldest := self._arrived(connection)):
                    _log.warning("nobody takes incoming connections: closed one of %s", oldest.peer)
                    oldest._close_here()
            case events.DataConnectionInterrupted(number, error):
                connection = self._connections[number]
                connection._interrupt(True)
                _log.warning("looking for another path to %s: %s", connection.peer, error)
                self._reports.put(event)
            case events.DataConnectionResumed(number):
                self._connections[number]._interrupt(False)
                _log.info("%s has been reached again", self._connections[number].peer)
                self._reports.put(event)
            case events.MessagesDropped(number, count):
                who = self._connections[number].peer
                _log.warning("dropped %d messages of %s that were never finished", count, who)
                self._reports.put(event)
            case events.DataConnectionClosed(number, error):
                connection = self._connections.pop(number)
                if connection._dialled_by_them and not connection._has_settled:
                    self._reports.put(event)
                connection._ended(error)
            case events.SignalingRefused(who, reason):
                _log.warning("dropped a signaling message of %s: %s", who or "the server", reason)
                self._reports.put(event)
            case (
                events.MediaConnectionOffered()
                | events.MediaConnectionOpened()
                | events.MediaConnectionClosed()
            ):
                raise AssertionError("the core was told that there is no media")
            case _:
                assert_never(event)

    def _arrived(self, connection: DataConnection) -> DataConnection | None:
        """Hand it to whoever takes its label; the oldest that nobody has taken is returned."""
        feed = self._incoming.get(connection.label) or self._incoming[None]
        return feed.put(connection)

    def _end_incoming(self, error: PeerError | None = None) -> None:
        for feed in self._incoming.values():
            feed.end(error)

    def _add(self, number: int, **terms: Any) -> DataConnection:
        connection = DataConnection(self._driver, number, self._limits, **terms)
        self._connections[number] = connection
        return connection

    def _open_rtc(self, number: int) -> RtcConnection:
        sink = Sink(self._driver, number, self._connections[number])
        rtc = self._engine.open(sink, self._ice_servers.ask_again())
        self._rtcs[number] = self._connections[number]._rtc = rtc
        return rtc
