"""What an :class:`~peerjs_trio.http.upstream.Upstream` asks its server, made of an ASGI scope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import attrs
import trio

from peerjs_proto.fence import Fence, RequestRefused
from peerjs_proto.http_headers import forwarded, request_headers, response_headers, validate_method

__all__ = [
    "DEFAULT_UPSTREAM_LIMITS",
    "Outgoing",
    "Receive",
    "Scope",
    "Send",
    "UpstreamLimits",
    "in_time",
    "refuse",
]

Scope: TypeAlias = Any  # a mapping, of one type or another
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]


@attrs.frozen(kw_only=True)
class UpstreamLimits:
    """What remote sides, and the server itself, can make a proxy do. Bytes and seconds."""

    connect_timeout: float = 10.0
    "To connect, and to wait for a place among ``requests``: 503 where none is free by then."
    head_timeout: float = 60.0
    "From the end of a request to the head of its response; nginx's ``proxy_read_timeout``."
    part_timeout: float = 60.0
    """Between two parts of a body, whoever is waited for: who sends it, or who should take it. A
    stream of events that can be silent for longer needs more, or comments in between."""
    request_bytes: int = 100 * 1024 * 1024
    "The body of a request. It is passed on as it comes, and never held here."
    response_bytes: int | None = 4 * 1024**3
    "The body of a response: a film, or an hour of a camera. None: no end."
    requests: int = 256
    """At once, for all remote sides together. Others wait for their turn; that one peer does not
    have them all is for ``ServeLimits.requests_per_peer`` to see to."""
    websockets: int = 256
    "The same for WebSockets, which stay."
    message_bytes: int = 1024 * 1024
    "One message of a WebSocket, in either direction."


DEFAULT_UPSTREAM_LIMITS: Final = UpstreamLimits()


@attrs.frozen
class Outgoing:
    """A request as it goes to the server, without its body."""

    method: str
    target: bytes
    "Path and query."
    headers: list[tuple[bytes, bytes]]

    @classmethod
    def of(cls, scope: Scope, fence: Fence) -> Outgoing:
        """Read a scope of type ``http`` or ``websocket``.

        ``scope["extensions"]["peerjs"]`` has ``peer``, the id of who asks, and ``pair``, the name
        of a paired device or None.

        Raises:
            RequestRefused: it is not passed on.
        """
        method = validate_method(scope.get("method", "GET"))
        who = (scope.get("extensions") or {}).get("peerjs") or {}
        ours = forwarded(who.get("peer"), who.get("pair"))
        headers = request_headers(scope["headers"], fence.authority, ours)
        return cls(method, fence.target(_path_and_query(scope)), headers)

    def passed_back(
        self, headers: Iterable[tuple[bytes, bytes]], fence: Fence
    ) -> list[tuple[bytes, bytes]]:
        """The headers of its response, as whoever has asked gets them."""

        def seen(location: bytes) -> bytes:
            reference = location.decode("latin-1")
            return fence.seen_from_outside(reference, self.target).encode("latin-1")

        return [
            (name, seen(value) if name == b"location" else value)
            for name, value in response_headers(headers)
        ]


@contextmanager
def in_time(seconds: float, error: Exception) -> Iterator[trio.CancelScope]:
    """Raise ``error`` where the block takes longer; the scope's deadline can be moved."""
    with trio.move_on_after(seconds) as scope:
        yield scope
    if scope.cancelled_caught:
        raise error


async def refuse(scope: Scope, send: Send, error: RequestRefused) -> None:
    """Answer a request with an error's status and words."""
    kind = "http.response"
    if scope["type"] == "websocket":
        kind = "websocket.http.response"
        if kind not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
    body = f"{error}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if scope.get("method") == "HEAD":
        body = b""
    await send({"type": f"{kind}.start", "status": error.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def _path_and_query(scope: Scope) -> bytes:
    # Decoding is for the server alone: raw_path is as it came. Some hosts leave the query in it.
    raw_path: bytes | None = scope.get("raw_path")
    path = quote(scope["path"], safe=_PLAIN).encode() if raw_path is None else raw_path
    path = path.partition(b"?")[0]
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


_PLAIN: Final = "/:@!$&'()*+,;=~"
"What can stand in a path as it is (RFC 3986, 3.3)."
