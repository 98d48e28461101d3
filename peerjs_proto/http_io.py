"""What goes into :class:`~peerjs_proto.http.HttpProtocol` and what comes out of it.

The rules are in docs/http-over-webrtc.md.
"""

from __future__ import annotations

import enum
import re
from typing import Final

import attrs

from .errors import ConnectionClosed, LocalProtocolError, PeerError

__all__ = [
    "DEFAULT_HTTP_LIMITS",
    "HTTP_LABEL",
    "LARGEST_FRAME",
    "OF_ONE_HOP",
    "BodyNotNeeded",
    "CloseReceived",
    "DataReceived",
    "Drained",
    "Ended",
    "Failed",
    "GoAwayCode",
    "GoingAway",
    "Headers",
    "HttpEvent",
    "HttpLimits",
    "MessageReceived",
    "Ready",
    "RequestHead",
    "RequestReceived",
    "ResetCode",
    "ResponseHead",
    "ResponseReceived",
    "StreamReset",
    "WebSocketClosed",
]

HTTP_LABEL: Final = "peerjs-http"
"Of the data connections that carry this protocol: ``raw`` and reliable."

LARGEST_FRAME: Final = 65_536
"In bytes: what every WebRTC carries in one message."

Headers = tuple[tuple[str, str], ...]
"Names in lower case, and values of letters up to U+00FF, in order."

OF_ONE_HOP: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te"),
        *("trailer", "transfer-encoding", "upgrade"),
    }
)
"Headers that are about a TCP connection, and go no further (RFC 9110, section 7.6.1)."


# --- heads --------------------------------------------------------------------------------------


@attrs.frozen
class RequestHead:
    """What a request begins with. Raises LocalProtocolError for what HTTP does not allow."""

    method: str
    path: str
    "Path and query, in ASCII, from the first ``/`` on."
    headers: Headers = ()
    websocket: bool = False
    "Whether the request wants to become a WebSocket."

    def __attrs_post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.method):
            raise LocalProtocolError("the method is no token of HTTP")
        if not _PATH.fullmatch(self.path):
            raise LocalProtocolError("a path is printable ASCII without '#', and begins with '/'")
        if self.websocket and self.method != "GET":
            raise LocalProtocolError("a WebSocket begins with GET")
        _check_headers(self.headers)


@attrs.frozen
class ResponseHead:
    """What a response begins with. Raises LocalProtocolError for what HTTP does not allow."""

    status: int
    "200 to 599, or 101 for a WebSocket."
    headers: Headers = ()

    def __attrs_post_init__(self) -> None:
        if self.status != 101 and not 200 <= self.status <= 599:
            raise LocalProtocolError("a status is 200 to 599, or 101 for a WebSocket")
        _check_headers(self.headers)

    def misfit(self, request: RequestHead, *, end: bool) -> str | None:
        """Why this cannot answer that request, with a body or, at its ``end``, without one."""
        if self.status == 101 and (end or not request.websocket):
            return "101 begins a WebSocket where one was asked for"
        if not end and (request.method == "HEAD" or self.status in (204, 304)):
            return "a response to HEAD, 204 and 304 have no body"
        return None


_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
"RFC 9110, section 5.6.2."
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_PATH: Final = re.compile(r"/[!-\"$-~]*")
"Not all of it is RFC 3986's: browsers send more. A fragment is no part of a request."
_VALUE: Final = re.compile("[\t -~\x80-\xff]*")
"RFC 9110, section 5.5, with obs-text."


def _check_headers(headers: Headers) -> None:
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise LocalProtocolError("a header's name is no token of HTTP in lower case")
        if not _VALUE.fullmatch(value):
            raise LocalProtocolError(f"the value of the header {name!r} has letters of no header")
        if name in OF_ONE_HOP:
            raise LocalProtocolError(f"the header {name!r} belongs to one hop")


# --- bounds -------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class HttpLimits:
    """What one side of a connection accepts. Sizes in bytes."""

    frame_bytes: int = LARGEST_FRAME
    "One frame of the far side's."
    head_bytes: int = 32_768
    "One head, as JSON. Web servers take 8 to 64 KiB."
    headers: int = 128
    "Headers in one head; Apache takes 100."
    streams: int = 100
    "Requests under way at once, for a server. RFC 9113 recommends no less for HTTP/2."
    window: int = 262_144
    "What one stream may send before its reader has taken any of it; each frame costs 32 more."
    message_bytes: int = 1_048_576
    "One WebSocket message, as uvicorn and trio-websocket have it, or a little less."
    answers: int = 1000
    "Frames that answer the far side's and that it does not read, beside two for each of streams."

    def __attrs_post_init__(self) -> None:
        if not 1024 <= self.frame_bytes <= LARGEST_FRAME:
            raise LocalProtocolError("a frame has 1,024 to 65,536 bytes")
        if self.window < 1024:
            raise LocalProtocolError("a window has 1,024 bytes or more")
        if min(self.head_bytes, self.headers, self.message_bytes, self.streams, self.answers) < 1:
            raise LocalProtocolError("a limit below one lets nothing through")
        if max(self.window, self.message_bytes, self.streams) >= 1 << 31:
            raise LocalProtocolError("a window, a message and streams are below 2**31")


DEFAULT_HTTP_LIMITS: Final = HttpLimits()
"""What applies where nothing else is said."""


# --- ends ---------------------------------------------------------------------------------------


class ResetCode(enum.IntEnum):
    """Why a stream was reset."""

    DONE = 0
    "Nothing more of the request is needed; the response is whole."
    CANCELLED = 1
    "Whoever wanted it has given up."
    REFUSED = 2
    "Not looked at, and can be tried again."
    INVALID = 3
    "A head or a message breaks a rule."
    TOO_LARGE = 4
    "A limit of the receiver's."
    FAILED = 5
    "What was being carried broke off."
    TIMEOUT = 6
    "It took too long."


class GoAwayCode(enum.IntEnum):
    """Why no new requests are taken."""

    CLOSING = 0
    PROTOCOL = 1
    VERSION = 2
    OVERLOAD = 3


class StreamReset(PeerError):
    """The far side has reset this stream."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        "A ResetCode, or a number of a later version."
        self.reason = reason

    def __str__(self) -> str:
        names = {code.value: code.name.lower().replace("_", " ") for code in ResetCode}
        name = names.get(self.code, str(self.code))
        return f"the far side reset the request: {name}" + (self.reason and f" ({self.reason})")


class WebSocketClosed(ConnectionClosed):
    """The WebSocket is closed, by this side or the other."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        "1000 and so on, as in RFC 6455; 1005 where none was given, 1006 where it broke off."
        self.reason = reason

    def __str__(self) -> str:
        return f"the WebSocket is closed: {self.code}" + (self.reason and f" ({self.reason})")


# --- events -------------------------------------------------------------------------------------


@attrs.frozen
class Ready:
    """The far side has said what it can do: a client can send requests now."""

    agent: str
    "Its name and version, for people."


@attrs.frozen
class RequestReceived:
    """To a server: answer it, and say when you are done with it."""

    stream: int
    head: RequestHead
    ended: bool
    "Whether it has no body."


@attrs.frozen
class ResponseReceived:
    """To a client: the head of a response."""

    stream: int
    head: ResponseHead
    ended: bool


@attrs.frozen
class DataReceived:
    """A part of a body. Say ``consumed(stream, cost)`` when the application has taken it."""

    stream: int
    data: bytes = attrs.field(repr=False)
    cost: int
    ended: bool


@attrs.frozen
class MessageReceived:
    """A whole message of a WebSocket. Say ``consumed`` as for a body."""

    stream: int
    value: str | bytes = attrs.field(repr=False)
    cost: int


@attrs.frozen
class CloseReceived:
    """The WebSocket is closed, both ways."""

    stream: int
    code: int
    reason: str


@attrs.frozen
class BodyNotNeeded:
    """To a client: the server has answered, and drops the rest of the request."""

    stream: int


@attrs.frozen
class Drained:
    """Nothing given to this stream waits any more: it went out, or was dropped with the stream."""

    stream: int


@attrs.frozen
class Ended:
    """The stream broke off; nothing more comes of it. None ends without an error this way."""

    stream: int
    error: PeerError


@attrs.frozen
class GoingAway:
    """The far side takes no new requests."""

    code: int
    reason: str


@attrs.frozen
class Failed:
    """The connection cannot go on: send the frames that are left, and close it."""

    error: PeerError


HttpEvent = (
    Ready
    | RequestReceived
    | ResponseReceived
    | DataReceived
    | MessageReceived
    | CloseReceived
    | BodyNotNeeded
    | Drained
    | Ended
    | GoingAway
    | Failed
)
