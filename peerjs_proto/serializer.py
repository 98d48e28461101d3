"""What a serialization is: the interface, and PeerJS's framing that several of them share.

A serializer turns values into the frames of one data connection, and back. To add one of your
own, write a class like the five in :mod:`peerjs_proto.serialization` and pass it to both ends,
under the name that OFFERs shall bear::

    class Mine(Serializer):
        name = "mine"

        def __init__(self, limits: Limits) -> None: ...
        def encode(self, value: Any) -> Outgoing: ...
        def decode(self, frame: Frame, now: float) -> Iterable[Incoming]: ...

    PeerProtocol(..., serializations={**SERIALIZATIONS, "mine": Mine})
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, Protocol, TypeAlias

import attrs

from .errors import LimitExceeded, MessageTooBig, UnsupportedValue
from .limits import Limits

__all__ = [
    "CLOSE",
    "FRAMING",
    "VALUE_COST",
    "CloseRequested",
    "Frame",
    "Incoming",
    "Message",
    "Outgoing",
    "Serializations",
    "Serializer",
    "check_size",
    "check_top",
    "frame_size",
    "is_close",
    "received_size",
]

Frame: TypeAlias = str | bytes
"""One message of a data channel: text or binary."""

VALUE_COST: Final = 64
"""Bytes that each value in a received message is charged, for the object it becomes."""


@attrs.frozen
class Outgoing:
    """One message on its way out."""

    size: int
    "Bytes it takes until its last frame is out: its encoded size, without the framing."
    frames: Iterator[Frame]
    "Its frames, in order, each made when asked for. The message is committed by the first."


@attrs.frozen
class Message:
    """A value has arrived whole."""

    value: Any
    size: int
    "What an inbox is charged for it: its encoded bytes, and VALUE_COST for every value in it."


@attrs.frozen
class CloseRequested:
    """The far side has sent everything and asks to close (``close({flush: true})``)."""


Incoming: TypeAlias = Message | CloseRequested


class Serializer(Protocol):
    """One serialization at work on one data connection.

    What is not abstract here has the answer of a serialization without state.
    """

    name: ClassVar[str]
    "The word for it in an OFFER."

    always_reliable: ClassVar[bool] = False
    "Whether its frames make sense in order only, whatever the offerer asked for."

    max_message_size: int | None = None
    "Bytes in a frame the far side takes, learnt when the channel opens; None: no bound known."

    before_1_5: bool = False
    "The far side is peerjs 1.4 or older, as far as its OFFER or ANSWER, or its frames, tell."

    @property
    def incomplete(self) -> int:
        """Messages that have arrived in part."""
        return 0

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` is due, in seconds on the clock of ``now``; None for never."""
        return None

    def encode(self, value: Any) -> Outgoing:
        """Make ``value`` ready to go out.

        Raises LocalProtocolError only: UnsupportedValue, MessageTooBig; nothing has changed then.
        """
        ...

    def decode(self, frame: Frame, now: float) -> Iterable[Incoming]:
        """What a frame brings, in order; nothing if it is only a part.

        Raises RemoteProtocolError only: DecodeError, LimitExceeded; at once or as the result is
        gone through. Close the connection then.
        """
        ...

    def close_marker(self) -> Frame | None:
        """The frame that asks the far side to close, or None where there is no such thing."""
        return None

    def expire(self, now: float) -> int:
        """Drop messages that are incomplete for too long; how many there were.

        Raises RemoteProtocolError where the frames to come would make no sense after that.
        """
        return 0


Serializations: TypeAlias = Mapping[str, Callable[[Limits], Serializer]]
"""What a serialization is called in OFFERs, and how to begin one on a new connection."""


FRAMING: Final = "__peerData"
"""The key by which peerjs.js tells its own messages from the application's."""

CLOSE: Final[Mapping[str, Any]] = {FRAMING: {"type": "close"}}
"""As a message: everything before it was delivered, close now."""


def is_close(value: object) -> bool:
    """Whether a received value is :data:`CLOSE`."""
    match value:
        case {"__peerData": {"type": "close"}}:
            return True
    return False


def check_top(value: object) -> None:
    """Refuse what can be sent inside a message, but not as one. Raises UnsupportedValue."""
    if value is None:
        raise UnsupportedValue("cannot send None: peerjs.js fails on a message that is null")
    if isinstance(value, dict) and FRAMING in value:
        raise UnsupportedValue(
            f'cannot send a dict with the key "{FRAMING}": the far side would take it for framing'
        )


def check_size(size: int, bound: int | None) -> None:
    """Raises MessageTooBig for more bytes than ``bound``."""
    if bound is not None and size > bound:
        raise MessageTooBig(f"message of {size} bytes; this connection sends {bound} at most")


def received_size(frame: Frame, limits: Limits) -> int:
    """The size of a frame that came. Raises LimitExceeded for too much."""
    size = frame_size(frame)
    if size > limits.message_bytes:
        raise LimitExceeded(f"message of {size} bytes, more than {limits.message_bytes}")
    return size


def frame_size(frame: Frame) -> int:
    """Bytes on the wire."""
    if isinstance(frame, bytes) or frame.isascii():
        return len(frame)
    return len(frame.encode(errors="replace"))
