"""The HTTP side of a PeerServer: a request in, a reply out, both values.

Paths, bodies and CORS as in peer 1.0.2 (``src/api``), watched from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

import attrs

from . import jsontext
from .server_io import HttpReply, HttpRequest, Refusal

__all__ = ["HttpApi", "split_target"]


class HttpApi:
    """Used by :class:`~peerjs_proto.server.ServerProtocol`; see there for the arguments."""

    def __init__(
        self,
        path: str,
        key: str,
        allow_discovery: bool,
        cors: Collection[str] | None,
        routes: Mapping[str, HttpReply],
        *,
        has_rooms: bool = False,
    ) -> None:
        self._path = f"/{path.strip('/')}/" if path.strip("/") else "/"
        self._key = key
        self._allow_discovery = allow_discovery
        self._cors = cors
        self._routes = routes
        self._methods = "GET,HEAD,POST" if has_rooms else "GET,HEAD"

    def is_websocket(self, target: str) -> bool:
        """Whether this is where clients open their WebSockets."""
        # The segment is the word peerjs whatever the key is.
        return split_target(target)[0] == f"{self._path}peerjs"

    def segments(self, target: str) -> list[str] | None:
        """The path's, behind the server's own and as they came; None if it is another's."""
        path = split_target(target)[0]
        if not f"{path}/".startswith(self._path):
            return None
        return path[len(self._path) :].removesuffix("/").split("/")

    def lists_ids(self, request: HttpRequest) -> bool:
        """Whether the answer is a list of all ids."""
        match self.segments(request.target):
            case [key, "peers"] if self._allow_discovery and unquote(key) == self._key:
                return request.method in ("GET", "HEAD")
        return False

    def respond(
        self, request: HttpRequest, *, ids: Iterable[str], give_id: Callable[[], str | None]
    ) -> HttpReply:
        """The answer, given who is registered and where an id comes from if one is asked for."""
        path = split_target(request.target)[0]
        reads = request.method in ("GET", "HEAD")
        if reads and path in self._routes:
            return self._routes[path]
        segments = self.segments(request.target)
        if segments is None:
            return _NOT_FOUND
        if request.method == "OPTIONS":
            return self.with_cors(self._preflight(request), request)
        reply = self._get(segments, ids, give_id) if reads else _NOT_FOUND
        return self.with_cors(reply, request)

    def _get(
        self, segments: list[str], ids: Iterable[str], give_id: Callable[[], str | None]
    ) -> HttpReply:
        match segments:
            case [""]:
                return _json(_DESCRIPTION)
            case [_, "id"]:  # for any key, as peer does: the WebSocket is where it counts
                if (id := give_id()) is None:
                    return HttpReply(503, b"No id is free")
                return HttpReply(200, id.encode(), "text/html; charset=utf-8", _NO_STORE)
            case [_, "peers"] if not self._allow_discovery:
                return HttpReply(401, b"Unauthorized")
            case [key, "peers"] if unquote(key) != self._key:
                return HttpReply(401, Refusal.BAD_KEY.value.encode())
            case [_, "peers"]:
                return _json(list(ids))
        return _NOT_FOUND

    def _preflight(self, request: HttpRequest) -> HttpReply:
        headers = {"Access-Control-Allow-Methods": self._methods}
        if (asked := request.headers.get("access-control-request-headers")) is not None:
            headers["Access-Control-Allow-Headers"] = asked
        return HttpReply(204, headers=headers)

    def with_cors(self, reply: HttpReply, request: HttpRequest) -> HttpReply:
        """Say which page may read this. Nothing here depends on cookies, so by default any."""
        headers = {**reply.headers, "Vary": "Origin, Access-Control-Request-Headers"}
        origin = request.headers.get("origin")
        if origin is not None and (self._cors is None or origin in self._cors):
            headers["Access-Control-Allow-Origin"] = origin
        return attrs.evolve(reply, headers=headers)


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request target, in origin form or absolute form (RFC 9112, 3.2)."""
    if target.startswith(("http://", "https://")):
        target = "/" + "/".join(target.split("/", 3)[3:])
    path, _, query = target.partition("?")
    return path, query


def _json(value: Any) -> HttpReply:
    body = jsontext.dumps(value).encode()
    return HttpReply(200, body, "application/json; charset=utf-8", _NO_STORE)


_NO_STORE: Final = {"Cache-Control": "no-store"}
_NOT_FOUND: Final = HttpReply(404, b"Not Found")
_DESCRIPTION: Final = {
    "name": "PeerJS Server",
    "description": "peerjs-sansio: where PeerJS clients find each other.",
    "website": "https://peerjs.com/",
}
