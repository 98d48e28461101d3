"""Rooms: who else is there of the caller's network, by the four calls of ambianic-pnp.

A registered client asks for the room of its network, joins it, and asks for its members::

    GET  {path}{key}/{id}/{token}/room/id              {"roomId":"<40 hex digits>"}
    POST {path}{key}/{id}/{token}/room/{room}/join     {"clientsIds":["alice","bob"]}
    GET  {path}{key}/{id}/{token}/room/{room}/members  ["alice","bob"]
    POST {path}{key}/{id}/{token}/room/{room}/leave    {"wasInRoom":true}

Statuses, bodies and content types as in ambianic-pnp 1.0.14 (``src/api/v1/rooms``,
``src/api/middleware/auth``), whose clients take any status but 200 for an error. Ours is stricter
where that one is too trusting: a room is its network's alone, unless named rooms are on, and even
then a name that looks like a network's room is one.

A request becomes a :class:`RoomCall`, which a store answers with a :class:`RoomResult` or a
:class:`RoomRefusal`, and that becomes the reply. The store here is :class:`Rooms`, of one server.
One that several servers share answers the same calls, in its own time.
"""

from __future__ import annotations

import enum
import hmac
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal
from urllib.parse import unquote

import attrs

from . import jsontext
from .admission import same_secret
from .errors import LocalProtocolError
from .server_http import HttpApi
from .server_io import HttpReply, HttpRequest, Refusal, ServerLimits

__all__ = [
    "RoomApi",
    "RoomCall",
    "RoomMode",
    "RoomRefusal",
    "RoomResult",
    "RoomRules",
    "Rooms",
    "check_caller",
    "reply_to",
]

RoomMode = Literal["off", "network", "named"]
RoomAction = Literal["id", "join", "members", "leave"]


class RoomApi:
    """The rooms of one server, from request to reply; ``rules`` are None for none."""

    def __init__(self, api: HttpApi, rules: RoomRules | None, store: Rooms) -> None:
        self._api = api
        self._rules = rules
        self._store = store

    def respond(self, request: HttpRequest, network: str) -> HttpReply | None:
        """The answer to a request of the caller's network; None if it is about no room."""
        read = self._read(request, network)
        if isinstance(read, RoomCall):
            return self.reply(request, read, self._store.perform(read))
        return read and self._api.with_cors(read, request)

    def call(self, request: HttpRequest, network: str) -> RoomCall | None:
        """What a request asks, for another store than the one here; None for all others.

        :meth:`respond` has the answer to those, as it has where there is no other store.
        """
        read = self._read(request, network)
        return read if isinstance(read, RoomCall) else None

    def reply(
        self, request: HttpRequest, call: RoomCall, outcome: RoomResult | RoomRefusal
    ) -> HttpReply:
        """The answer to a call, with what a store said of it."""
        return self._api.with_cors(reply_to(call, outcome), request)

    def _read(self, request: HttpRequest, network: str) -> RoomCall | HttpReply | None:
        segments = self._api.segments(request.target)
        if self._rules is None or segments is None:
            return None
        return self._rules.read(request.method, segments, network)


# --- calls and their answers -----------------------------------------------------------------


@attrs.frozen
class RoomCall:
    """One of the four, by whoever presents this id and token: that is for the store to check."""

    action: RoomAction
    id: str
    token: str = attrs.field(repr=False)
    room: str
    "For ``id`` it is the caller's own."
    is_open: bool
    "Whether the caller may join it, and see who is in it without having joined."


@attrs.frozen
class RoomResult:
    """What came of a call; what the call does not ask for is left as it is here."""

    members: Sequence[str] = ()
    "Of the room, in order of joining; for ``join`` and ``members``."
    was_in_room: bool = False
    "For ``leave``."


class RoomRefusal(enum.Enum):
    """Why a call came to nothing. The value is what its caller is told."""

    # The first two word for word as ambianic-pnp (src/enums.js, and Express's name for a 401).
    UNKNOWN = "Unauthorized"
    BAD_TOKEN = "Invalid token provided"
    CLOSED = "This is not a room of your network"
    FULL = "The room is full"
    TOO_MANY = "You are in too many rooms"


class RoomRules:
    """Reads requests: which calls there are, and whose room is which. It knows nobody."""

    @classmethod
    def of(cls, mode: RoomMode, key: str, secret: bytes, limits: ServerLimits) -> RoomRules | None:
        """Those of a server, as its options say; None for a server without rooms.

        Raises:
            LocalProtocolError: for a mode there is not; and see below.
        """
        if mode not in ("off", "network", "named"):
            raise LocalProtocolError(f"rooms are off, network or named, not {mode!r}")
        return None if mode == "off" else cls(key, secret, named=mode == "named", limits=limits)

    def __init__(self, key: str, secret: bytes, *, named: bool, limits: ServerLimits) -> None:
        """
        Args:
            key: What callers must present.
            secret: Makes rooms out of networks: whoever knows it knows them all. The same after
                a restart, and on every server, for the same rooms.
            named: Whether any name may be joined as a room.

        Raises:
            LocalProtocolError: for a secret that could be guessed.
        """
        if len(secret) < _SECRET_BYTES:
            raise LocalProtocolError(f"rooms need a secret of {_SECRET_BYTES} bytes or more")
        self._key = key
        self._secret = secret
        self._named = named
        self._limits = limits

    def read(
        self, method: str, segments: Sequence[str], network: str
    ) -> RoomCall | HttpReply | None:
        """The call a request makes, or the end of it; None if it is about no room at all.

        Args:
            segments: Of the path behind the server's own, as they came.
            network: The caller's (:func:`~peerjs_proto.addresses.network_of` its address); empty
                where it is not known, which has no room.
        """
        match method, segments:
            case "GET" | "HEAD", [key, id, token, "room", "id"]:
                return self._call("id", key, id, token, None, network)
            case "GET" | "HEAD", [key, id, token, "room", room, "members"]:
                return self._call("members", key, id, token, room, network)
            case "POST", [key, id, token, "room", room, "join"]:
                return self._call("join", key, id, token, room, network)
            case "POST", [key, id, token, "room", room, "leave"]:
                return self._call("leave", key, id, token, room, network)
        return None

    def _call(
        self, action: RoomAction, key: str, id: str, token: str, room: str | None, network: str
    ) -> RoomCall | HttpReply:
        if unquote(key) != self._key:
            return _refused(401, Refusal.BAD_KEY.value, _HTML)
        own = self._room_of(network)
        asked = own if room is None else unquote(room)
        return RoomCall(
            action,
            unquote(id),
            unquote(token),
            asked,
            is_open=asked != "" and (asked == own or (self._named and self._is_name(asked))),
        )

    def _room_of(self, network: str) -> str:
        # SHA-1 for the length old clients know; as a keyed hash it is not broken.
        return hmac.new(self._secret, network.encode(), "sha1").hexdigest() if network else ""

    def _is_name(self, room: str) -> bool:
        return len(room) <= self._limits.room_name_length and not _NETWORKS.fullmatch(room)


def check_caller(call: RoomCall, token: str | None) -> RoomRefusal | None:
    """Whether the caller is who it says; ``token`` is that of the client with its id, if any."""
    if token is None:
        return RoomRefusal.UNKNOWN
    return None if same_secret(token, call.token) else RoomRefusal.BAD_TOKEN


def reply_to(call: RoomCall, outcome: RoomResult | RoomRefusal) -> HttpReply:
    """What the caller gets."""
    match outcome:
        case RoomRefusal.UNKNOWN:
            return _refused(401, outcome.value, _PLAIN)
        case RoomRefusal.BAD_TOKEN:
            return _refused(401, outcome.value, _HTML)
        case RoomRefusal():
            return _refused(403, outcome.value, _PLAIN)
    match call.action:
        case "id" if not call.room:
            return _refused(403, RoomRefusal.CLOSED.value, _PLAIN)
        case "id":
            return _json({"roomId": call.room})
        case "join":
            return _json({"clientsIds": list(outcome.members)})
        case "members":
            return _json(list(outcome.members))
    return _json({"wasInRoom": outcome.was_in_room})


# --- the store of one server -----------------------------------------------------------------


class Rooms:
    """Who is in which room, of the clients of one server."""

    def __init__(self, token_of: Callable[[str], str | None], limits: ServerLimits) -> None:
        """``token_of`` is the token of the client that has this id now, or None."""
        self._token_of = token_of
        self._limits = limits
        # Both ways; a dict without values is a set that keeps its order.
        self._members: dict[str, dict[str, None]] = {}
        self._rooms_of: dict[str, dict[str, None]] = {}

    def perform(self, call: RoomCall) -> RoomResult | RoomRefusal:
        """Carry a call out."""
        refusal = check_caller(call, self._token_of(call.id))
        if refusal is not None:
            return refusal
        match call.action:
            case "join":
                return self._join(call)
            case "leave":
                was_in_room = call.id in self._members.get(call.room, ())
                if was_in_room:
                    self._leave(call.id, call.room)
                return RoomResult(was_in_room=was_in_room)
        return RoomResult(self._seen_by(call))

    def gone(self, id: str) -> None:
        """This client is off the server, and out of its rooms."""
        for room in list(self._rooms_of.get(id, ())):
            self._leave(id, room)

    def _join(self, call: RoomCall) -> RoomResult | RoomRefusal:
        if not call.is_open:
            return RoomRefusal.CLOSED
        members = self._members.get(call.room, {})
        if call.id not in members:
            rooms = self._rooms_of.get(call.id, {})
            if len(members) >= self._limits.room_members:
                return RoomRefusal.FULL
            if len(rooms) >= self._limits.rooms_per_client:
                return RoomRefusal.TOO_MANY
            members[call.id] = rooms[call.room] = None
            self._members[call.room], self._rooms_of[call.id] = members, rooms
        return RoomResult(tuple(members))

    def _seen_by(self, call: RoomCall) -> tuple[str, ...]:
        # A room one may not look into is as empty as one that is not there. Who is in it sees
        # it from anywhere: a phone can change its network between two calls.
        members = self._members.get(call.room, {})
        return tuple(members) if call.is_open or call.id in members else ()

    def _leave(self, id: str, room: str) -> None:
        for table, key, value in ((self._members, room, id), (self._rooms_of, id, room)):
            del table[key][value]
            if not table[key]:
                del table[key]


# --- replies ---------------------------------------------------------------------------------


def _json(value: Any) -> HttpReply:
    body = jsontext.dumps(value).encode()
    return HttpReply(200, body, "application/json; charset=utf-8", _NO_STORE)


def _refused(status: int, text: str, content_type: str) -> HttpReply:
    return HttpReply(status, text.encode(), content_type, _NO_STORE)


_SECRET_BYTES: Final = 16
_NETWORKS: Final = re.compile("[0-9a-fA-F]{40}")
_NO_STORE: Final = {"Cache-Control": "no-store"}
_PLAIN: Final = "text/plain; charset=utf-8"
_HTML: Final = "text/html; charset=utf-8"  # what Express calls any text
