"""serve_tunnel: a local port that leads to the HTTP of another peer."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

import trio

from peerjs_trio.http.transport import PeerTransport
from peerjs_trio.http.tunnel_connection import TunnelConnection
from peerjs_trio.http.tunnel_guard import LOCAL_NAMES, Guard
from peerjs_trio.http.tunnel_limits import DEFAULT_TUNNEL_LIMITS, TunnelLimits

__all__ = ["LOCAL_NAMES", "TunnelLimits", "serve_tunnel"]

_log: Final = logging.getLogger("peerjs_trio.http")


async def serve_tunnel(
    transport: PeerTransport,
    listeners: Sequence[trio.SocketListener],
    *,
    hosts: Iterable[str] = LOCAL_NAMES,
    limits: TunnelLimits = DEFAULT_TUNNEL_LIMITS,
) -> None:
    """Serve HTTP/1.1 on local listeners, until it is cancelled; the requests go to the peer.

    :param listeners: of :func:`trio.open_tcp_listeners`; they are closed in the end.
    :param hosts: names, without ports, that requests may have in ``Host``; what comes for others
        is answered with 421, so that no page of another site gets here under a name of its own
        (DNS rebinding). ``Origin``, where there is one, must name one of them as well: 403.
    :param limits: on connections, heads, bodies and waiting.

    Bodies are streamed both ways, and a WebSocket goes through. Where the peer cannot be asked,
    the response is 502 or 504, with the reason as its text; one that breaks off closes the local
    connection.
    """
    places = trio.Semaphore(limits.connections)
    guard = Guard(hosts)

    async def serve(stream: trio.SocketStream) -> None:
        try:
            await TunnelConnection(stream, transport, guard, limits).run()
        except Exception:
            # An error of ours must not end everybody's tunnel.
            _log.exception("a local connection is closed by an error of the tunnel's own")
        finally:
            places.release()
            await trio.aclose_forcefully(stream)

    bounded = [_Bounded(listener, places) for listener in listeners]
    await trio.serve_listeners(serve, bounded)


class _Bounded(trio.abc.Listener[trio.SocketStream]):
    """Accepts when there is a place; until then, others wait in the kernel."""

    def __init__(self, listener: trio.SocketListener, places: trio.Semaphore) -> None:
        self._listener = listener
        self._places = places

    async def accept(self) -> trio.SocketStream:
        await self._places.acquire()
        try:
            return await self._listener.accept()
        except BaseException:
            self._places.release()
            raise

    async def aclose(self) -> None:
        await self._listener.aclose()
