"""What a :class:`~peerjs_proto.cluster.ClusterNode` asks of its store, and what nodes send each
other, as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs

from . import jsontext
from .errors import DecodeError

__all__ = [
    "Claim",
    "ClusterStatistics",
    "Exchange",
    "Fetch",
    "Moved",
    "Parcel",
    "Question",
    "Reply",
    "Request",
    "Tick",
    "parse_parcel",
    "read_payload",
    "write_parcels",
]

Reply = Any
"""What the store answers: int, bytes, or lists of them."""


# --- what a node asks of the store ---------------------------------------------------------------


@attrs.frozen(eq=False)
class Request:
    """One thing to be done there; ``peerjs_trio/bus/exchange.lua`` says what each name does."""

    name: str
    arguments: tuple[str | bytes | int, ...] = attrs.field(repr=False)
    settle: Callable[[Reply, float], None] = attrs.field(repr=False)
    "Called with the reply and the time."


@attrs.frozen(eq=False)
class Exchange:
    """All requests of one moment, to be sent as one call; the replies come in their order."""

    head: tuple[str | int, ...]
    "The node, its lease and times in milliseconds, the limits."
    requests: Sequence[Request]

    @property
    def arguments(self) -> list[str | bytes | int]:
        """As the script takes them."""
        arguments: list[str | bytes | int] = list(self.head)
        for request in self.requests:
            arguments.append(request.name)
            arguments += request.arguments
        return arguments


@attrs.define(eq=False)
class Claim:
    """An id that a client of this node asks for, or has."""

    id: str
    nonce: str
    "Says which claim is meant: the same client can come back."
    digest: str = attrs.field(repr=False)
    "Of the token; the store never sees that itself."
    granted: bool | None = None
    "None for not known yet."
    known: bool = False
    "Whether the store has it. One that was granted while it was away is not."
    lost: bool = False
    "Whether it was another's in the meantime."
    waited_for: bool = False
    "Whether messages wait for it in the store."
    client: int | None = None
    "The core's handle, once the client is on."


@attrs.define(eq=False)
class Question:
    """Something else that somebody wants to know of the store."""

    reply: Reply = None
    "None while there is none, and if it went away in the meantime."


@attrs.frozen
class ClusterStatistics:
    """A node at one moment; the last four count from its start."""

    letters: int
    "Messages for clients elsewhere that are not known to have arrived."
    letter_bytes: int
    forwarded: int
    "Messages that another node has taken."
    parked: int
    "Messages that wait in the store, or did."
    given_up: int
    "Messages answered by EXPIRE here, because there was no room or no store."
    exchanges: int
    "Calls to the store."


# --- what nodes tell each other ------------------------------------------------------------------


@attrs.frozen
class Tick:
    """This node can still hear itself."""


@attrs.frozen
class Moved:
    """Somebody else has taken the id of a claim of this node."""

    nonce: str
    id: str


@attrs.frozen
class Fetch:
    """Messages wait for an id of this node."""

    id: str


@attrs.frozen
class Parcel:
    """Messages from another node, and what became of those that were sent to it."""

    node: str
    "Who sends it, and wants to know."
    arrived: Sequence[int]
    "Numbers of messages that were delivered."
    strayed: Sequence[int]
    "Numbers of messages for ids that are not there."
    messages: Sequence[tuple[int, str, str]] = attrs.field(repr=False)
    "Number, destination and text of each."


def read_payload(payload: bytes) -> Tick | Moved | Fetch | Parcel | None:
    """What came over the node's channel; None for what another version may have sent."""
    kind, rest = payload[:1], payload[1:]
    try:
        match kind:
            case b"T":
                return Tick()
            case b"M":
                nonce, _, id = str(rest, "utf-8").partition(" ")
                return Moved(nonce, id)
            case b"F":
                return Fetch(str(rest, "utf-8"))
            case b"P":
                return parse_parcel(rest)
    except (DecodeError, UnicodeDecodeError):
        pass
    return None


def write_parcels(
    node: str,
    arrived: Iterable[int],
    strayed: Iterable[int],
    messages: Iterable[tuple[int, str, bytes]],
) -> bytes:
    """A :class:`Parcel` as it is sent: a line of JSON, then the texts, end to end.

    So the texts, which are JSON themselves, are neither escaped nor read on the way.
    """
    contents: list[tuple[int, str, int]] = []
    texts: list[bytes] = []
    for number, dst, text in messages:
        contents.append((number, dst, len(text)))
        texts.append(text)
    head = jsontext.dumps([node, list(arrived), list(strayed), contents])
    return b"".join((b"P", head.encode(), b"\n", *texts))


def parse_parcel(data: bytes) -> Parcel:
    """Raises:
    DecodeError: it is none.
    """
    line, _, texts = data.partition(b"\n")
    match jsontext.loads(line, max_depth=_DEPTH):
        case [str(node), list(arrived), list(strayed), list(contents)]:
            pass
        case _:
            raise DecodeError("no parcel")
    messages = []
    start = 0
    for content in contents:
        match content:
            case [int(number), str(dst), int(size)] if 0 <= size <= len(texts) - start:
                try:
                    text = str(texts[start : start + size], "utf-8")
                except UnicodeDecodeError:
                    raise DecodeError("a message that is not UTF-8") from None
                messages.append((number, dst, text))
                start += size
            case _:
                raise DecodeError("a parcel with other contents than it says")
    return Parcel(node, _numbers(arrived), _numbers(strayed), messages)


def _numbers(values: list[Any]) -> list[int]:
    return [value for value in values if isinstance(value, int)]


_DEPTH: Final = 3
