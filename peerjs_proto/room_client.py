"""Rooms as a client sees them: what to ask, what an answer says, who came and went, and when.

The other side of :mod:`peerjs_proto.rooms`, and of ambianic-pnp 1.0.14, whose texts and statuses
differ a little: only a status of 200 is an answer, and its words are shown to nobody unless they
are known, since they may repeat the request, which bears the token.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import attrs

from . import jsontext
from .backoff import Backoff
from .endpoint import validate_id
from .errors import (
    DecodeError,
    Disconnected,
    InvalidId,
    InvalidKey,
    LimitExceeded,
    LocalProtocolError,
    PeerError,
    ServerError,
    ServerUnavailable,
)
from .limits import Limits
from .rooms import RoomRefusal
from .server_io import Refusal
from .session import Registration

__all__ = [
    "DEFAULT_POLLING",
    "Joined",
    "Left",
    "Polling",
    "RoomChange",
    "RoomQuestion",
    "RoomQuestions",
    "RoomWatch",
    "Schedule",
    "check_room_name",
    "is_final",
]

T = TypeVar("T")


# --- who comes and goes ----------------------------------------------------------------------


@attrs.frozen
class Joined:
    """A peer is in the room."""

    peer: str
    "Its id, to be dialled."


@attrs.frozen
class Left:
    """A peer is in the room no more."""

    peer: str


RoomChange: TypeAlias = Joined | Left


class RoomWatch:
    """Changes, out of successive lists of a room's members.

    Between two lists somebody may have come and gone, or gone and come: nobody hears of that.
    """

    def __init__(self, own_id: str) -> None:
        """``own_id`` is never told: one knows that."""
        self._own_id = own_id
        # A dict without values is a set that keeps its order.
        self._members: dict[str, None] = {}
        self._changes: deque[RoomChange] = deque()

    def receive(self, members: Iterable[str]) -> None:
        """This is who is in the room now."""
        there = dict.fromkeys(id for id in members if id != self._own_id)
        self._changes.extend(Left(id) for id in self._members if id not in there)
        self._changes.extend(Joined(id) for id in there if id not in self._members)
        self._members = there

    def next_change(self) -> RoomChange | None:
        """The oldest that was not taken yet; None for none."""
        return self._changes.popleft() if self._changes else None


# --- when to ask ------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Polling(Backoff):
    """How often a room is asked for its members. Behind an error, the wait is added to that."""

    interval: float = 3.0
    "Seconds from an answer to the next question; as clients of ambianic-pnp have it."
    first: float = 3.0

    def __attrs_post_init__(self) -> None:
        if not self.interval > 0:
            raise LocalProtocolError(f"{self.interval} is no interval for polling, in seconds")


DEFAULT_POLLING: Final = Polling()


class Schedule:
    """When to ask next. ``random`` gives numbers from 0 to 1."""

    def __init__(self, polling: Polling, random: Callable[[], float]) -> None:
        self.due = float("-inf")
        "The first question is due at once."
        self._polling = polling
        self._random = random
        self._failures = 0

    def answered(self, now: float) -> None:
        """The question was answered."""
        self._failures = 0
        self.due = now + self._polling.interval

    def failed(self, now: float) -> float:
        """It was not; the seconds until the next."""
        wait = self._polling.interval + self._polling.delay(self._failures, self._random())
        self._failures += 1
        self.due = now + wait
        return wait


def is_final(error: PeerError) -> bool:
    """Whether asking again leads to the same answer; anything else may pass."""
    return isinstance(error, ServerError | InvalidKey | LocalProtocolError)


# --- questions --------------------------------------------------------------------------------


@attrs.frozen
class RoomQuestion(Generic[T]):
    """An HTTP request, and how to read what comes of it."""

    method: Literal["GET", "POST"]
    url: str = attrs.field(repr=False)  # it bears the token
    max_bytes: int
    "Of the answer's body. One more is enough to know that it is too long."
    _take: Callable[[Any], T] = attrs.field(repr=False)

    def read(self, status: int, body: bytes) -> T:
        """The answer.

        Raises ServerError (there are no rooms, or we are not let in) and InvalidKey, which are
        final; Disconnected, where the server does not know us, until we register again;
        ServerUnavailable, where it cannot answer for the moment; LimitExceeded and DecodeError,
        where what came is too much, or not what it should be.
        """
        if status != 200:
            raise _refusal(status, body)
        if len(body) > self.max_bytes:
            raise LimitExceeded(f"an answer about a room of more than {self.max_bytes} bytes")
        try:
            return self._take(jsontext.loads(body, max_depth=_DEPTH))
        except DecodeError as error:
            raise DecodeError(f"the server's answer about a room: {error}") from None


class RoomQuestions:
    """The four that there are, by whoever is registered."""

    def __init__(self, registration: Registration, limits: Limits) -> None:
        self._registration = registration
        self._max_bytes = limits.room_bytes

    def id(self) -> RoomQuestion[str]:
        """Which room is ours: that of all who share our public address."""
        return self._question("GET", _room_id, "id")

    def join(self, room: str) -> RoomQuestion[tuple[str, ...]]:
        """Let us in; the members then, us included."""
        return self._question("POST", _those_with_us, room, "join")

    def members(self, room: str) -> RoomQuestion[tuple[str, ...]]:
        """Who is in it."""
        return self._question("GET", _ids, room, "members")

    def leave(self, room: str) -> RoomQuestion[bool]:
        """Let us out; whether we were in it."""
        return self._question("POST", _was_in_room, room, "leave")

    def _question(
        self, method: Literal["GET", "POST"], take: Callable[[Any], T], *call: str
    ) -> RoomQuestion[T]:
        us = self._registration
        url = us.endpoint.room_url(us.id, us.token, *call)
        return RoomQuestion(method, url, self._max_bytes, take)


def check_room_name(name: str) -> str:
    """The name itself, where it can be one.

    Raises:
        LocalProtocolError: it is empty or too long, or would not survive in a URL.
    """
    if not isinstance(name, str) or not 0 < len(name) <= _NAME_LENGTH or name in (".", ".."):
        raise LocalProtocolError(f"{name!r:.80} is no name of a room: up to {_NAME_LENGTH} letters")
    if jsontext.well_formed(name) != name:
        raise LocalProtocolError("the name of a room has a lone surrogate in it")
    return name


# --- answers ----------------------------------------------------------------------------------


def _room_id(answer: Any) -> str:
    match answer:
        case {"roomId": str(id)} if 0 < len(id) <= _NAME_LENGTH:
            return id
    raise DecodeError("it names no room")


def _those_with_us(answer: Any) -> tuple[str, ...]:
    if not isinstance(answer, dict):
        raise DecodeError("it is no object")
    return _ids(answer.get("clientsIds"))


def _ids(answer: Any) -> tuple[str, ...]:
    if not isinstance(answer, list) or not all(isinstance(id, str) for id in answer):
        raise DecodeError("it is no list of ids")
    # Other servers register clients by any id. Nobody could dial such a one, nor may it spoil
    # the list for the others.
    return tuple(dict.fromkeys(filter(_can_be_dialled, answer)))


def _was_in_room(answer: Any) -> bool:
    match answer:
        case {"wasInRoom": bool(was_in_room)}:
            return was_in_room
    raise DecodeError("it does not say whether we were in the room")


def _can_be_dialled(id: str) -> bool:
    try:
        validate_id(id)
    except InvalidId:
        return False
    return True


def _refusal(status: int, body: bytes) -> PeerError:
    match status:
        case 401 if body == Refusal.BAD_KEY.value.encode():
            return InvalidKey(Refusal.BAD_KEY.value)
        case 401:
            return Disconnected("rooms are for who is registered, and the server does not know us")
        case 403:
            return ServerError(_WORDS.get(body, "the server does not let us into the room"))
        case 404 | 405:
            return ServerError("this server has no rooms: peerjs serve --rooms")
        case 408 | 429 | 500 | 502 | 503 | 504:
            return ServerUnavailable(f"asked about a room, the server answered {status}")
    return ServerError(f"asked about a room, the server answered with status {status}")


_DEPTH: Final = 4
_NAME_LENGTH: Final = 200
_WORDS: Final = {
    reason.value.encode(): f"the server does not let us in: {reason.value}"
    for reason in (RoomRefusal.CLOSED, RoomRefusal.FULL, RoomRefusal.TOO_MANY)
}
