"""What goes in and out of a :class:`~peerjs_proto.server.ServerProtocol`, as values."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

__all__ = [
    "DEFAULT_SERVER_LIMITS",
    "UNCOUNTED_NETWORKS",
    "ClientGone",
    "ClientRefused",
    "ClientRegistered",
    "CloseClient",
    "Credentials",
    "Departure",
    "Fault",
    "Forward",
    "HttpReply",
    "HttpRequest",
    "MessageRefused",
    "QueueExpired",
    "Refusal",
    "SendText",
    "ServerCommand",
    "ServerEvent",
    "ServerLimits",
    "ServerStatistics",
]

_NOTHING: Mapping[str, str] = {}


# --- HTTP --------------------------------------------------------------------------------------


@attrs.frozen
class HttpRequest:
    """The head of a request; bodies are of no interest to a PeerServer."""

    method: str
    target: str = attrs.field(repr=False)
    "Path and query as they came. The query can bear a token: not for logs."
    headers: Mapping[str, str] = attrs.field(default=_NOTHING, repr=False)
    "Names in lower case."


@attrs.frozen
class HttpReply:
    """A whole answer. Its sender adds ``Content-Length``, and leaves the body out for HEAD."""

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = _NOTHING
    "Any others, by name."


# --- who asks ------------------------------------------------------------------------------------


@attrs.frozen
class Credentials:
    """What a client shows when it registers."""

    id: str
    token: str = attrs.field(repr=False)
    key: str = attrs.field(repr=False)


UNCOUNTED_NETWORKS = frozenset({"", "private"})
"""Networks without limits of their own: unknown ones, and private ones, where proxies live.

A proxy stands for all its clients; who names it (``proxied``) has their addresses counted.
"""


# --- commands: what the core asks of its runtime -------------------------------------------------


@attrs.frozen
class SendText:
    """Send a text frame to this client. If its socket is gone or too slow, drop the client."""

    client: int
    text: str = attrs.field(repr=False)


@attrs.frozen
class CloseClient:
    """Close this client's WebSocket, after what was sent. The core has forgotten it already."""

    client: int
    code: int | None
    "The close code; None is an empty close frame, which the far side reads as 1005."
    reason: str


ServerCommand = SendText | CloseClient


@attrs.frozen
class Forward:
    """Hand this message on to where ``dst`` is. Only from a server that has others beside it."""

    src: str
    dst: str
    text: str = attrs.field(repr=False)
    waits: bool
    "Whether it waits for an absent id, for ``expire_timeout``, and then is answered by EXPIRE."


# --- events: what the core tells the application -------------------------------------------------


class Refusal(enum.Enum):
    """Why a WebSocket did not become a client. The value is what the client was told."""

    # The first three and the last are word for word what clients know (peer 1.0.2, src/enums.ts).
    INCOMPLETE = "No id, token, or key supplied to websocket server"
    BAD_KEY = "Invalid key provided"
    FULL = "Server has reached its concurrent user limit"
    BAD_ID = (
        "Invalid id: letters and digits, with single spaces, dashes or underscores between them"
    )
    BAD_TOKEN = "Invalid token: too long"
    ID_TAKEN = "ID is taken"
    UNAUTHORIZED = "Unauthorized"
    TOO_MANY = "Too many connections from your address"
    STOPPING = "The server is stopping"


class Departure(enum.Enum):
    """Why a client is gone."""

    DISCONNECTED = "its socket closed"
    LEFT = "it said LEAVE"
    SILENT = "nothing was heard of it for too long"
    REPLACED = "it came back with a new socket"
    OVERSIZED = "it sent a message over the limit"
    SHUTDOWN = "the server stopped"


class Fault(enum.Enum):
    """What was wrong with a message that went no further."""

    MALFORMED = "no JSON object, or members of wrong types"
    UNKNOWN_TYPE = "a type that clients do not send"
    NO_DESTINATION = "nobody it is for"
    NO_ROOM = "too much is waiting already"
    NOT_ALLOWED = "somebody its sender may not offer to"


@attrs.frozen
class ClientRegistered:
    """A client is on, and has been told so."""

    client: int
    id: str
    replaces: int | None
    "The handle it had until now: the same id and token on an older socket."


@attrs.frozen
class ClientRefused:
    """A WebSocket was turned away; nothing else changed."""

    client: int
    reason: Refusal


@attrs.frozen
class ClientGone:
    """A registered client is off; its id is free, unless it was replaced."""

    client: int
    id: str
    reason: Departure


@attrs.frozen
class MessageRefused:
    """A message went no further. It did no harm to anybody, its sender included."""

    client: int
    id: str
    fault: Fault


@attrs.frozen
class QueueExpired:
    """An id nobody came for: what waited for it is dropped, and its senders were told."""

    id: str
    messages: int
    senders: int


ServerEvent = ClientRegistered | ClientRefused | ClientGone | MessageRefused | QueueExpired


@attrs.frozen
class ServerStatistics:
    """A server at one moment; the last three count from its start."""

    clients: int
    "Registered now."
    waiting_destinations: int
    "Absent ids that messages wait for."
    waiting_messages: int
    waiting_bytes: int
    relayed: int
    "Messages handed on, at once or after waiting."
    refused: int
    "Messages that went no further (:class:`MessageRefused`)."
    expired: int
    "Messages that waited in vain."


# --- limits --------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ServerLimits:
    """What one PeerServer takes from its clients. Sizes in bytes, times in seconds.

    Whatever goes over a bound ends as little as possible: a message is dropped, and its sender
    told by EXPIRE; a connection that is too slow, or sends too much, is closed.
    """

    # -- held by the core ---------------------------------------------------------------------
    message_bytes: int = 256 * 1024
    "One message; :class:`~peerjs_proto.limits.Limits` has the same. npm peer allows 100 MiB."
    nesting: int = 64
    "Depth of lists and maps in a message. Python's own recursion ends near 1,000."
    id_length: int = 256
    "A UUID has 36 characters. An id is repeated in every message relayed."
    token_length: int = 1024
    "peerjs.js makes 11 characters; applications put signed tokens here."
    waiting_messages: int = 1024
    "For one absent id: a dial is an OFFER and up to 20 CANDIDATEs, so 50 peers can wait."
    waiting_bytes: int = 1024 * 1024
    "The same in bytes: some 200 OFFERs. npm peer has no bound on either."
    waiting_destinations: int = 10_000
    "Absent ids in all: every client of a full server dials two."
    waiting_messages_in_all: int = 65_536
    "Six messages for every one of them."
    waiting_bytes_in_all: int = 64 * 1024 * 1024
    "What a small machine has to spare. A queue lives 5 to 6 s."
    room_members: int = 1000
    "Whoever asks is sent them all: 36 KiB of UUIDs."
    rooms_per_client: int = 16
    "Its network's, and those it was told of."
    room_name_length: int = 256
    "That of an id."

    messages_per_second: float = 200.0
    "Of one client, on average; a faster one is read slower. A dial takes some 20 messages."
    message_burst: int = 2000
    "At once, after a rest: 64 dials with 20 CANDIDATEs each are 1,344."
    messages_per_second_from_network: float = 2000.0
    "Of all clients in one network (an IPv4 address, or an IPv6 /64) that is not private."
    message_burst_from_network: int = 20_000
    "The same at once: everybody at one company dials ten others."
    connections_per_network: int = 1000
    "Clients in one such network: an attacker gets a tenth of the sockets, a company fits in."
    id_lease: float = 60.0
    "How long an id that was given out is kept for the network it went to."
    id_leases: int = 10_000
    "At once; beyond, the oldest end."

    # -- held by the runtime ------------------------------------------------------------------
    sockets: int = 10_000
    "TCP connections, registered or not. More are closed as they come."
    backlog_bytes: int = 2 * 1024 * 1024
    "Unsent bytes for one slow client; twice what can wait for it. Beyond, it is closed."
    send_timeout: float = 30.0
    "How long a backlog may stand still before its client is closed."
    head_bytes: int = 16 * 1024
    "The head of an HTTP request; Node's default."
    head_timeout: float = 10.0
    "From connecting, or the last answer, to the end of a request's head."
    ping_interval: float | None = 25.0
    """Silence after which a client is sent a WebSocket ping, whose answer counts as a sign of
    life. Half of what it takes for the pages' browsers to throttle HEARTBEATs to one a minute.
    None for no pings."""
    close_timeout: float = 1.0
    "For the far side to answer a close. Around the world and back takes 0.3 s."


DEFAULT_SERVER_LIMITS = ServerLimits()
"""What applies where nothing else is said."""
