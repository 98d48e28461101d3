"""Serializations: from values to the frames of one data connection, and back.

``serialization`` in the OFFER decides for both ends. A serializer belongs to one connection and
has state: the ids of chunks going out, and the pieces of messages coming in. Rules from peerjs
1.5.5 (``lib/dataconnection``); where we are stricter, the docstring says so.

Applications add their own by passing a larger mapping: ``{**SERIALIZATIONS, "mine": Mine}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

import attrs

from .binarypack import pack, unpack_counted
from .chunks import FRAME_OVERHEAD, Reassembler, split
from .errors import (
    DecodeError,
    LimitExceeded,
    LocalProtocolError,
    MessageTooBig,
    UnsupportedValue,
)
from .jsontext import dumps, loads_counted, well_formed
from .limits import CHUNK_SIZE, Limits

__all__ = [
    "SERIALIZATIONS",
    "VALUE_COST",
    "BinarySerializer",
    "CloseRequested",
    "Frame",
    "Incoming",
    "JsonSerializer",
    "Message",
    "Outgoing",
    "RawSerializer",
    "Serializations",
    "Serializer",
    "serializer_for",
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
    """One serialization at work on one data connection."""

    max_message_size: int | None
    "Bytes in a frame the far side takes, learnt when the channel opens; None: no bound known."

    @property
    def name(self) -> str:
        """The word for it in an OFFER."""
        ...

    @property
    def incomplete(self) -> int:
        """Messages that have arrived in part."""
        ...

    def encode(self, value: Any) -> Outgoing:
        """Make ``value`` ready to go out.

        Raises LocalProtocolError only: UnsupportedValue, MessageTooBig; nothing has changed then.
        """
        ...

    def close_marker(self) -> Frame | None:
        """The frame that asks the far side to close, or None where there is no such thing."""
        ...

    def decode(self, frame: Frame) -> Incoming | None:
        """What a frame brings, or None if it is only a part.

        Raises RemoteProtocolError only: DecodeError, LimitExceeded. Close the connection then.
        """
        ...


Serializations: TypeAlias = Mapping[str, Callable[[Limits], Serializer]]
"""What a serialization is called in OFFERs, and how to begin one on a new connection."""


def serializer_for(
    name: str, limits: Limits, serializations: Serializations | None = None
) -> Serializer:
    """A new serializer for one connection.

    Raises:
        LocalProtocolError: nothing is known under ``name``. For a name from a remote OFFER ask
            ``name in serializations`` first.
    """
    known = SERIALIZATIONS if serializations is None else serializations
    if name not in known:
        raise LocalProtocolError(f"unknown serialization {name!r}; known: {', '.join(known)}")
    return known[name](limits)


class RawSerializer:
    """``raw``: what is sent is what arrives, str as text and bytes as binary frames."""

    name = "raw"
    incomplete = 0

    def __init__(self, limits: Limits) -> None:
        self.max_message_size: int | None = None
        self._limits = limits

    def encode(self, value: Any) -> Outgoing:
        frame: Frame
        if isinstance(value, str):
            frame = well_formed(value)
        elif isinstance(value, bytes | bytearray):
            frame = bytes(value)
        elif isinstance(value, memoryview):
            frame = value.tobytes()
        else:
            kind = type(value).__name__
            raise UnsupportedValue(
                f"raw connections send str and bytes, and this is of type {kind}"
            )
        size = _size(frame)
        _check_size(size, self.max_message_size)
        return Outgoing(size, iter((frame,)))

    def close_marker(self) -> None:
        return None

    def decode(self, frame: Frame) -> Message:
        size = _received_size(frame, self._limits)
        return Message(frame, size + VALUE_COST)


class JsonSerializer:
    """``json``: UTF-8 JSON in binary frames, small ones only.

    Text frames are read as well, though peerjs.js sends none and cannot read them.
    """

    name = "json"
    incomplete = 0

    def __init__(self, limits: Limits) -> None:
        self.max_message_size: int | None = None
        self._limits = limits

    def encode(self, value: Any) -> Outgoing:
        _check_top(value)
        encoded = dumps(value, max_depth=self._limits.nesting).encode()
        # peerjs.js refuses to send what is not smaller than a chunk; it reads any size.
        _check_size(len(encoded), CHUNK_SIZE - 1)
        _check_size(len(encoded), self.max_message_size)
        return Outgoing(len(encoded), iter((encoded,)))

    def close_marker(self) -> Frame:
        return dumps(_CLOSE).encode()

    def decode(self, frame: Frame) -> Incoming:
        size = _received_size(frame, self._limits)
        value, items = loads_counted(
            frame, max_depth=self._limits.nesting, max_items=self._limits.message_items
        )
        if _is_close(value):
            return CloseRequested()
        return Message(value, size + VALUE_COST * items)


class BinarySerializer:
    """``binary``: BinaryPack in binary frames, in chunks where it is larger than one."""

    name = "binary"

    def __init__(self, limits: Limits) -> None:
        self.max_message_size: int | None = None
        self._limits = limits
        self._reassembler = Reassembler(limits)
        self._chunked_messages = 0

    @property
    def incomplete(self) -> int:
        return self._reassembler.incomplete

    def encode(self, value: Any) -> Outgoing:
        _check_top(value)
        packed = pack(value, max_depth=self._limits.nesting)
        bound = self.max_message_size
        if len(packed) <= CHUNK_SIZE and (bound is None or len(packed) <= bound):
            return Outgoing(len(packed), iter((packed,)))
        piece_size = CHUNK_SIZE if bound is None else min(CHUNK_SIZE, bound - FRAME_OVERHEAD)
        if piece_size < 1:
            raise MessageTooBig(f"no chunk fits into the {bound} bytes the far side takes")
        return Outgoing(len(packed), self._chunks(packed, piece_size))

    def close_marker(self) -> Frame:
        return pack(_CLOSE)

    def decode(self, frame: Frame) -> Incoming | None:
        if isinstance(frame, str):
            raise DecodeError("text frame on a binary connection")
        value, size = self._unpack(frame)
        if _is_chunk(value):
            joined = self._reassembler.feed(value)
            if joined is None:
                return None
            value, size = self._unpack(joined)
            if _is_chunk(value):
                raise DecodeError("chunk inside chunks")
        if _is_close(value):
            return CloseRequested()
        return Message(value, size)

    def _chunks(self, packed: bytes, piece_size: int) -> Iterator[Frame]:
        self._chunked_messages += 1  # at the first pull: ids follow the order on the wire
        yield from split(packed, chunk_id=self._chunked_messages, piece_size=piece_size)

    def _unpack(self, data: bytes) -> tuple[Any, int]:
        """The value, and what an inbox is charged for it."""
        size = _received_size(data, self._limits)
        value, items = unpack_counted(
            data, max_depth=self._limits.nesting, max_items=self._limits.message_items
        )
        return value, size + VALUE_COST * items


SERIALIZATIONS: Final[Serializations] = MappingProxyType(
    {
        "binary": BinarySerializer,
        "binary-utf8": BinarySerializer,  # the same thing; peerjs.js offers it as "binary"
        "json": JsonSerializer,
        "raw": RawSerializer,
    }
)
"""The serializations PeerJS brings along."""

_FRAMING: Final = "__peerData"
_CLOSE: Final = {_FRAMING: {"type": "close"}}


def _is_close(value: object) -> bool:
    match value:
        case {"__peerData": {"type": "close"}}:
            return True
    return False


def _is_chunk(value: object) -> bool:
    """peerjs.js takes any truthy ``__peerData`` that does not say close for a chunk's."""
    if not isinstance(value, dict) or _is_close(value):
        return False
    marker = value.get(_FRAMING)
    return not (marker is None or (isinstance(marker, str | int | float) and not marker))


def _check_top(value: object) -> None:
    """Refuse what can be sent inside a message, but not as one."""
    if value is None:
        raise UnsupportedValue("cannot send None: peerjs.js fails on a message that is null")
    if isinstance(value, dict) and _FRAMING in value:
        raise UnsupportedValue(
            f'cannot send a dict with the key "{_FRAMING}": the far side would take it for framing'
        )


def _check_size(size: int, bound: int | None) -> None:
    if bound is not None and size > bound:
        raise MessageTooBig(f"message of {size} bytes; this connection sends {bound} at most")


def _received_size(frame: Frame, limits: Limits) -> int:
    size = _size(frame)
    if size > limits.message_bytes:
        raise LimitExceeded(f"message of {size} bytes, more than {limits.message_bytes}")
    return size


def _size(frame: Frame) -> int:
    """Bytes on the wire."""
    if isinstance(frame, bytes) or frame.isascii():
        return len(frame)
    return len(frame.encode(errors="replace"))
