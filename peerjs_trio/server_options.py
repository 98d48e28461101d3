"""What a PeerServer can be told, wherever its sockets come from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypedDict, Unpack

import anyio

from peerjs_proto.addresses import Proxies
from peerjs_proto.rooms import RoomMode
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import HttpReply, ServerLimits

from .hub import Authorize, Bus, Hub

__all__ = ["ServerOptions", "open_hub"]

_log: Final = logging.getLogger("peerjs.server")


class ServerOptions(TypedDict, total=False):
    """Keyword arguments of :func:`peerjs_trio.open_server` and the like."""

    path: str
    "Under which everything is; ``/``."
    key: str
    "What clients must present; ``peerjs``."
    allow_discovery: bool
    "Whether ``GET {path}{key}/peers`` lists the ids; False."
    alive_timeout: float
    "Seconds without a sign of life until a client is dropped; 60.0."
    expire_timeout: float
    "Seconds messages wait for an absent id; 5.0."
    concurrent_limit: int
    "Clients at once; 5000."
    cors: Collection[str] | None
    "Origins of the pages that may use the HTTP API; None for any."
    reserved_ids: Mapping[str, str]
    "Tokens by the ids that only those who have them can register."
    may_offer: Callable[[str, str], bool] | None
    """``may_offer(src, dst)``: whether the one may dial the other. It is asked at each message,
    so it should know at once. If it raises, they may not."""
    routes: Mapping[str, HttpReply]
    """Other things to GET, by path, such as the page that uses the server:
    ``{"/": HttpReply(200, page, "text/html; charset=utf-8")}``. They win over the API."""
    rooms: RoomMode
    """``"network"`` lets clients find those of their own network (:mod:`peerjs_proto.rooms`),
    ``"named"`` also has rooms for whoever knows their names; ``"off"``."""
    room_secret: bytes
    "What rooms' ids are made with: 16 bytes or more, the same after a restart."
    limits: ServerLimits
    "Every bound on what clients can make the server hold."
    authorize: Authorize | None
    """``await authorize(id, token, key, headers)``: asked about each client before it is
    registered. If it is false, or raises, the client is told ``Unauthorized``."""
    generate_client_id: Callable[[], str] | None
    "Makes the ids that ``GET {path}{key}/id`` gives out; UUIDs if None."
    proxied: Proxies
    "Which proxies to believe about whom they speak for; none."
    bus: Bus | None
    "Connects it with others that share its ids."


def open_hub(
    clock: Callable[[], float] = anyio.current_time, **options: Unpack[ServerOptions]
) -> Hub:
    """The hub of a server with these options; ``clock`` as it takes it.

    Raises:
        LocalProtocolError: for those the protocol does not allow.
    """
    core: dict[str, Any] = dict(options)
    hub = {name: core.pop(name) for name in _OF_THE_HUB if name in core}
    may_offer = options.get("may_offer")
    if may_offer is not None:
        core["may_offer"] = _guarded(may_offer)
    return Hub(ServerProtocol(**core), clock=clock, **hub)


def _guarded(may_offer: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    def guarded(src: str, dst: str) -> bool:
        try:
            return may_offer(src, dst)
        except Exception:
            _log.exception("may_offer raised for %r and %r, who are refused", src, dst)
            return False

    return guarded


_OF_THE_HUB: Final = ("authorize", "generate_client_id", "proxied", "bus")
