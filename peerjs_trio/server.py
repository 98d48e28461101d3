"""A PeerServer in the trio run you have: HTTP and WebSocket on one port.

::

    async with open_server(port=9000) as server:
        async with open_peer("alice", server=server.url) as alice:
            ...

The rules are :class:`peerjs_proto.server.ServerProtocol`'s, what has to do with them but sockets
is :class:`~peerjs_trio.hub.Hub`'s, and here are the sockets: one task reads them all, and whoever
has something for one writes at once.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, Unpack

import anyio.abc
import trio

from peerjs_proto.endpoint import DEFAULT_KEY, Endpoint
from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.server_io import (
    DEFAULT_SERVER_LIMITS,
    UNCOUNTED_NETWORKS,
    ServerLimits,
    ServerStatistics,
)

from .background import open_background
from .hub import Hub, known_network_of
from .poller import open_poller
from .server_connection import Connection
from .server_options import ServerOptions, open_hub
from .timers import Timers
from .tls import Certificates
from .tls_layer import TlsLayer
from .wire import Shared, listen, reachable

__all__ = ["PeerServer", "open_server"]

_log: Final = logging.getLogger("peerjs.server")


@asynccontextmanager
async def open_server(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    listener: socket.socket | None = None,
    certificates: Certificates | None = None,
    stop_timeout: float = 5.0,
    **options: Unpack[ServerOptions],
) -> AsyncIterator[PeerServer]:
    """Serve for the length of the block. Leaving it closes every client (1001) and socket.

    Args:
        host: An address or name of this machine; ``"0.0.0.0"`` and ``"::"`` are all of them,
            the latter with IPv6 *and* IPv4.
        port: 0 takes a free one.
        listener: A TCP socket that listens already, such as systemd's, instead of these two.
        certificates: For ``https://`` and ``wss://``.
        stop_timeout: Seconds for all clients to leave in order, at the end.
        options: :class:`~peerjs_trio.server_options.ServerOptions`.

    Raises:
        OSError: the port is in use, or the address is not ours; the text names it.
        LocalProtocolError: for arguments the protocol does not allow.
    """
    if not 0 <= port <= 65535:  # the system would take it modulo 65536
        raise LocalProtocolError(f"{port} is no port: 0 to 65535")
    hub = open_hub(trio.current_time, **options)
    limits = options.get("limits", DEFAULT_SERVER_LIMITS)
    listener = listener or await listen(host, port)
    scheme = "http" if certificates is None else "https"
    url = f"{scheme}://{reachable(listener)}/{options.get('path', '/').strip('/')}"
    endpoint = Endpoint.parse(url, options.get("key", DEFAULT_KEY))
    async with open_background() as tasks:
        server = PeerServer(hub, endpoint, listener.getsockname()[0], limits, certificates, tasks)
        is_up = trio.Event()
        tasks.start_soon(server._serve, listener, is_up)
        try:
            # Not by tasks.start: cancelled, that would wait for the end of what is shielded.
            await is_up.wait()
            yield server
        finally:
            with trio.CancelScope(shield=True), listener:
                await server._shut_down(stop_timeout)


class PeerServer:
    """A running server, as :func:`open_server` yields it."""

    def __init__(
        self,
        hub: Hub,
        endpoint: Endpoint,
        listens_on: str,
        limits: ServerLimits,
        certificates: Certificates | None,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self.hub = hub
        "What it shares with servers on other sockets: pages, observers, the core."
        self.listens_on = listens_on
        'The address of this machine that it has; ``"::"`` and ``"0.0.0.0"`` are all of them.'
        self.limits = limits
        self._endpoint = endpoint
        self._certificates = certificates
        self._timers = Timers()
        self._shared = Shared(
            open_poller(tasks), self._timers, limits.backlog_bytes, limits.send_timeout
        )
        self._tasks = tasks
        self._acceptor: _Acceptor | None = None
        self._connections: set[Connection] = set()
        self._networks: Counter[str] = Counter()
        self._life = trio.CancelScope(shield=True)  # _shut_down is what ends it
        self._deserted: trio.Event | None = None  # set, while shutting down, by the last to go

    @property
    def url(self) -> str:
        """What peers on this machine pass as ``server``: ``"http://127.0.0.1:9000/"``."""
        return self._endpoint.url

    @property
    def host(self) -> str:
        """The address in :attr:`url`: one that can be connected to, even if all are served."""
        return self._endpoint.host

    @property
    def port(self) -> int:
        return self._endpoint.port

    @property
    def is_secure(self) -> bool:
        """Whether it is reached by TLS."""
        return self._endpoint.secure

    @property
    def path(self) -> str:
        """Under which everything is; begins and ends with a slash."""
        return self._endpoint.path

    @property
    def clients(self) -> int:
        """How many are registered now."""
        return self.statistics().clients

    def statistics(self) -> ServerStatistics:
        """How things stand, in numbers."""
        return self.hub.statistics

    # --- for its connections ------------------------------------------------------------------

    def start_soon(self, job: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        """Have something done that takes time."""
        self._tasks.start_soon(job, *args)

    def connection_ended(self, connection: Connection, address: str) -> None:
        self._connections.discard(connection)
        network = self._counted(address)
        if network is not None:
            self._networks[network] -= 1
            if not self._networks[network]:
                del self._networks[network]
        if self._deserted is not None and not self._connections:
            self._deserted.set()

    # --- life ---------------------------------------------------------------------------------

    async def _serve(self, listener: socket.socket, is_up: trio.Event) -> None:
        # Whatever cancels the server, its clients are told.
        with self._life:
            async with self.hub.running(), trio.open_nursery() as nursery:
                self._acceptor = _Acceptor(listener, self._shared, self._accept)
                nursery.start_soon(self._shared.poller.run)
                nursery.start_soon(self._timers.run)
                if self.limits.ping_interval is not None:
                    nursery.start_soon(self._ping, self.limits.ping_interval)
                is_up.set()

    async def _shut_down(self, grace: float) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
        self._deserted = trio.Event()
        for connection in list(self._connections):
            connection.stop()
        self.hub.shut_down()
        if self._connections:
            with trio.move_on_after(grace):
                await self._deserted.wait()
        for connection in list(self._connections):
            connection.close()
        self._life.cancel()

    async def _ping(self, interval: float) -> None:
        """Ask those who say nothing whether they are there.

        A page in the background sends HEARTBEATs once a minute or less, as its timers are
        throttled; its browser answers pings as ever.
        """
        while True:
            await trio.sleep(interval / 2)
            self.hub.ping_silent(interval)

    # --- connections --------------------------------------------------------------------------

    def _accept(self, sock: socket.socket, address: str) -> None:
        network = self._counted(address)
        if len(self._connections) >= self.limits.sockets or (
            network is not None and self._networks[network] >= self.limits.connections_per_network
        ):
            sock.close()
            return
        if network is not None:
            self._networks[network] += 1
        tls = None if self._certificates is None else TlsLayer(self._certificates.context)
        self._connections.add(Connection(self, sock, address, self._shared, tls))

    def _counted(self, address: str) -> str | None:
        # With proxies, it is the core that counts: who they speak for is in their requests.
        if self.hub.is_proxied:
            return None
        network = known_network_of(address)
        return None if network in UNCOUNTED_NETWORKS else network


class _Acceptor:
    """Takes in connections as they come."""

    def __init__(
        self,
        listener: socket.socket,
        shared: Shared,
        accept: Callable[[socket.socket, str], None],
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._shared = shared
        self._accept = accept
        shared.poller.watch(listener, self)

    def readable(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            self._accept(sock, address[0])

    def writable(self) -> None:
        """Nothing is ever written to it."""

    def close(self) -> None:
        self._shared.timers.cancel(_ACCEPTORS_KEY)
        self._shared.poller.forget(self._listener)
        self._listener.close()

    def _rest(self, error: OSError) -> None:
        # Out of files or memory: those who are here go on, and some of them will leave.
        if error.errno not in _SCARCE:
            raise error
        _log.error("cannot accept connections for now: %s", error.strerror)
        self._shared.poller.want(self._listener, reads=False, writes=False)
        self._shared.timers.set(_ACCEPTORS_KEY, _REST, self._go_on)

    def _go_on(self) -> None:
        self._shared.poller.want(self._listener, reads=True, writes=False)


_ACCEPTED_AT_ONCE: Final = 64
_SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_REST: Final = 0.1
"Seconds until it tries again."
_ACCEPTORS_KEY: Final = -1
