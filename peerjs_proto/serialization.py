"""Serializations: what turns values into the frames of one data connection, and back.

``serialization`` in the OFFER decides for both ends. A serializer belongs to one connection and
has state: the ids of chunks going out, and the pieces of messages coming in. Rules from peerjs
1.5.5 (``lib/dataconnection``); where we are stricter, the docstring says so. How to add your
own stands in :mod:`peerjs_proto.serializer`. ``MsgPack`` is there where its library is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from . import binarypack, binarypack10
from .chunks import FRAME_OVERHEAD, Reassembler, read_chunk, split
from .errors import DecodeError, LocalProtocolError, MessageTooBig, UnsupportedValue
from .jsontext import dumps, loads_counted, well_formed
from .limits import CHUNK_SIZE, Limits
from .serializer import (
    CLOSE,
    FRAMING,
    VALUE_COST,
    CloseRequested,
    Frame,
    Incoming,
    Message,
    Outgoing,
    Serializations,
    Serializer,
    check_size,
    check_top,
    frame_size,
    is_close,
    received_size,
)
from .unpacker import raw_head

try:
    from .msgpack_stream import MsgPackSerializer
except ModuleNotFoundError:  # of the library
    _extra: Serializations = {}
else:
    _extra = {MsgPackSerializer.name: MsgPackSerializer}

__all__ = [
    "MISSING_EXTRAS",
    "SERIALIZATIONS",
    "BinarySerializer",
    "JsonSerializer",
    "RawSerializer",
    "serializer_for",
]


def serializer_for(
    name: str, limits: Limits, serializations: Serializations | None = None
) -> Serializer:
    """A new serializer for one connection.

    Raises:
        LocalProtocolError: nothing is known under ``name``, or it is one of
            :data:`MISSING_EXTRAS`. For a name from a remote OFFER ask ``name in serializations``
            first.
    """
    known = SERIALIZATIONS if serializations is None else serializations
    if name not in known:
        unknown = f"unknown serialization {name!r}; known: {', '.join(known)}"
        raise LocalProtocolError(MISSING_EXTRAS.get(name, unknown))
    return known[name](limits)


class RawSerializer(Serializer):
    """``raw``: what is sent is what arrives, str as text and bytes as binary frames."""

    name = "raw"

    def __init__(self, limits: Limits) -> None:
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
        size = frame_size(frame)
        check_size(size, self.max_message_size)
        return Outgoing(size, iter((frame,)))

    def decode(self, frame: Frame, now: float) -> Iterable[Incoming]:
        size = received_size(frame, self._limits)
        return (Message(frame, size + VALUE_COST),)


class JsonSerializer(Serializer):
    """``json``: UTF-8 JSON in binary frames, small ones only.

    peerjs before 1.5, and 2.0 beta, speak in text frames and cannot read binary ones, nor can
    1.5 read text. A far side that speaks in text is answered in text.
    """

    name = "json"

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def encode(self, value: Any) -> Outgoing:
        check_top(value)
        encoded = dumps(value, max_depth=self._limits.nesting).encode()
        # peerjs.js refuses to send what is not smaller than a chunk; it reads any size.
        check_size(len(encoded), CHUNK_SIZE - 1)
        check_size(len(encoded), self.max_message_size)
        return Outgoing(len(encoded), iter((self._frame(encoded),)))

    def close_marker(self) -> Frame:
        return self._frame(dumps(CLOSE).encode())

    def decode(self, frame: Frame, now: float) -> Iterable[Incoming]:
        size = received_size(frame, self._limits)
        value, items = loads_counted(
            frame, max_depth=self._limits.nesting, max_items=self._limits.message_items
        )
        if isinstance(frame, str):
            self.before_1_5 = True
        return (CloseRequested() if is_close(value) else Message(value, size + VALUE_COST * items),)

    def _frame(self, encoded: bytes) -> Frame:
        return encoded.decode() if self.before_1_5 else encoded


class BinarySerializer(Serializer):
    """``binary``: BinaryPack in binary frames, in chunks where it is larger than one.

    peerjs before 1.5, and 2.0 beta, pack text beyond U+FFFF in their own way. They are known by
    their OFFER or ANSWER, or by a message that can only be read in that way.

    ``dates_as_text`` as for :func:`peerjs_proto.binarypack.pack`; to have it, pass
    ``{**SERIALIZATIONS, "binary": partial(BinarySerializer, dates_as_text=True)}``.
    """

    name = "binary"

    def __init__(self, limits: Limits, *, dates_as_text: bool = False) -> None:
        self._limits = limits
        self._dates_as_text = dates_as_text
        self._reassembler = Reassembler(limits)
        self._chunked_messages = 0

    @property
    def incomplete(self) -> int:
        return self._reassembler.incomplete

    @property
    def deadline(self) -> float | None:
        return self._reassembler.deadline

    def encode(self, value: Any) -> Outgoing:
        check_top(value)
        form = binarypack10 if self.before_1_5 else binarypack
        parts = form.pack_parts(
            value, max_depth=self._limits.nesting, dates_as_text=self._dates_as_text
        )
        size, bound = sum(map(len, parts)), self.max_message_size
        if size <= CHUNK_SIZE and (bound is None or size <= bound):
            return Outgoing(size, iter((b"".join(parts),)))
        piece_size = CHUNK_SIZE if bound is None else min(CHUNK_SIZE, bound - FRAME_OVERHEAD)
        if piece_size < 1:
            raise MessageTooBig(f"no chunk fits into the {bound} bytes the far side takes")
        return Outgoing(size, self._chunks(parts, piece_size))

    def close_marker(self) -> Frame:
        return binarypack.pack(CLOSE)

    def decode(self, frame: Frame, now: float) -> Iterable[Incoming]:
        if isinstance(frame, str):
            raise DecodeError("text frame on a binary connection")
        chunk = read_chunk(frame)
        if chunk is None:
            value, size = self._unpack(frame)
            if not _is_chunk(value):
                return (CloseRequested() if is_close(value) else Message(value, size),)
            chunk = value
        pieces = self._reassembler.feed(chunk, now)
        if pieces is None:
            return ()
        size = sum(map(len, pieces))
        if head := raw_head(pieces[0], size):
            return (Message(b"".join([pieces[0][head:], *pieces[1:]]), size + VALUE_COST),)
        value, size = self._unpack(b"".join(pieces))
        if _is_chunk(value):
            raise DecodeError("chunk inside chunks")
        return (CloseRequested() if is_close(value) else Message(value, size),)

    def expire(self, now: float) -> int:
        return self._reassembler.expire(now)

    def _chunks(self, parts: list[bytes | bytearray], piece_size: int) -> Iterator[Frame]:
        self._chunked_messages += 1  # at the first pull: ids follow the order on the wire
        yield from split(*parts, chunk_id=self._chunked_messages, piece_size=piece_size)

    def _unpack(self, data: bytes) -> tuple[Any, int]:
        """The value, and what an inbox is charged for it."""
        size = received_size(data, self._limits)
        bounds = {"max_depth": self._limits.nesting, "max_items": self._limits.message_items}
        likely, other = binarypack.unpack_counted, binarypack10.unpack_counted
        if self.before_1_5:
            likely, other = other, likely
        try:
            value, items = likely(data, **bounds)
        except DecodeError as error:
            try:
                value, items = other(data, **bounds)
            except DecodeError:
                raise error from None  # it is neither, and the first try says more
            self.before_1_5 = not self.before_1_5
        return value, size + VALUE_COST * items


SERIALIZATIONS: Final[Serializations] = MappingProxyType(
    {
        "binary": BinarySerializer,
        "binary-utf8": BinarySerializer,  # the same thing; peerjs.js offers it as "binary"
        "json": JsonSerializer,
        "raw": RawSerializer,
        "none": RawSerializer,  # the word for it before 1.5
        **_extra,
    }
)
"""The serializations PeerJS brings along."""

MISSING_EXTRAS: Final[Mapping[str, str]] = MappingProxyType(
    {} if _extra else {"MsgPack": "MsgPack needs the extra: pip install peerjs-sansio[msgpack]"}
)
"""Serializations of PeerJS that cannot be used here, and what to say about it."""


def _is_chunk(value: object) -> bool:
    """peerjs.js takes any truthy ``__peerData`` that does not say close for a chunk's."""
    if not isinstance(value, dict) or is_close(value):
        return False
    marker = value.get(FRAMING)
    return not (marker is None or (isinstance(marker, str | int | float) and not marker))
