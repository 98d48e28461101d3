"""Chunks: how ``binary`` carries messages that are too big for one frame.

peerjs 1.5.5 (``BinaryPackChunker``, ``BinaryPack._handleChunk``): a packed message of more than
16,300 bytes is cut into frames, each a BinaryPack map ``{"__peerData": id, "n": index, "data":
piece, "total": count}``. Ids count up from 1 on each connection. The pieces are joined when all
are there, in whatever order they came.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs

from .binaryforms import RAW
from .errors import DecodeError, LimitExceeded
from .limits import CHUNK_SIZE, Limits
from .packer import packed_head, packed_integer

__all__ = ["FRAME_OVERHEAD", "PIECE_COST", "Piece", "Reassembler", "read_chunk", "split"]

FRAME_OVERHEAD: Final = 57
"""Bytes a frame can be larger than its piece: 25 of map and keys, 5 of size, 9 of each number."""

PIECE_COST: Final = 256
"""Bytes the smallest piece is charged: objects of its own and a place in a table."""

Piece: TypeAlias = bytes | memoryview
"""The data of one chunk: bytes, or a view of them inside their frame."""


def split(
    *parts: bytes | bytearray, chunk_id: int, piece_size: int = CHUNK_SIZE
) -> Iterator[bytes]:
    """The frames that carry a packed message, each made when it is asked for: the only copy.

    Byte for byte what peerjs.js sends, with pieces of ``piece_size`` bytes (1 or more).
    """
    size = sum(map(len, parts))
    total = -(-size // piece_size)
    # What pack() makes of {"__peerData": chunk_id, "n": n, "data": piece, "total": total}.
    before = b"\x84\xba__peerData%b\xb1n" % packed_integer(chunk_id)
    between = b"\xb4data%b" % packed_head(RAW, piece_size)
    behind = b"\xb5total%b" % packed_integer(total)
    for n, piece in enumerate(_pieces(parts, piece_size), 1):
        if n == total:
            between = b"\xb4data%b" % packed_head(RAW, size - (n - 1) * piece_size)
        yield b"".join((before, packed_integer(n - 1), between, *piece, behind))


def _pieces(parts: Iterable[bytes | bytearray], size: int) -> Iterator[list[memoryview]]:
    """The bytes of all parts, ``size`` at a time, as views."""
    piece: list[memoryview] = []
    left = size
    for part in parts:
        view = memoryview(part)
        at = 0
        while at < len(view):
            taken = view[at : at + left]
            piece.append(taken)
            at += len(taken)
            left -= len(taken)
            if not left:
                yield piece
                piece, left = [], size
    if piece:
        yield piece


def read_chunk(frame: bytes) -> dict[str, Any] | None:
    """The chunk that a frame is, its data a view of the frame: what unpack() says, uncopied.

    Knows the one form that peerjs.js and we send, and that with a large piece: a view takes half
    a KiB beside it, and keeps the whole frame. None for all else, which is to be unpacked.
    """
    head = _HEAD.match(frame)
    if head is None:
        return None
    end = head.end() + int.from_bytes(head[3])
    tail = _TAIL.fullmatch(frame, end)
    if tail is None or end - head.end() < _VIEW_FROM:
        return None
    return {
        "__peerData": _number(head[1]),
        "n": _number(head[2]),
        "data": memoryview(frame)[head.end() : end],
        "total": _number(tail[1]),
    }


class Reassembler:
    """Puts the messages of one connection together, from pieces in any order and interleaved.

    A piece that is there already is ignored. An id is free again once its message is complete,
    as in peerjs.js. A piece is charged its size, and :data:`PIECE_COST` at least, so that a flood
    of tiny ones stays within the same bound of memory.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Those that have waited longest for a piece come first.
        self._partial: dict[int, _Partial] = {}
        self._held_bytes = 0
        self._dropped: deque[int] = deque(maxlen=limits.partial_messages)

    @property
    def incomplete(self) -> int:
        """Messages of which some pieces are here and some are not."""
        return len(self._partial)

    @property
    def held_bytes(self) -> int:
        """What all pieces kept here are charged; never above ``Limits.partial_bytes``."""
        return self._held_bytes

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` is due; None while nothing is incomplete."""
        for partial in self._partial.values():
            return partial.touched + self._limits.partial_timeout
        return None

    def expire(self, now: float) -> int:
        """Drop the messages that got no piece for ``Limits.partial_timeout``; their number.

        Pieces of theirs that come later are ignored: they would never be complete.
        """
        dropped = 0
        while (due := self.deadline) is not None and due <= now:
            chunk_id = next(iter(self._partial))
            self._held_bytes -= self._partial.pop(chunk_id).cost
            self._dropped.append(chunk_id)
            dropped += 1
        return dropped

    def feed(self, chunk: Mapping[str, Any], now: float) -> list[Piece] | None:
        """Take one decoded chunk; return the message that it completes, packed and in pieces.

        ``now`` is in seconds. A piece that is here already, or belongs to a message that was
        dropped, does nothing.

        Raises:
            DecodeError: this is no chunk, or contradicts an earlier one of the same message.
            LimitExceeded: it would take more than the limits allow.

        After an error the connection is to be closed; nothing of the chunk was kept.
        """
        chunk_id = _integer(chunk, "__peerData", at_least=1)
        total = _integer(chunk, "total", at_least=1)
        n = _integer(chunk, "n", at_least=0)
        data = chunk.get("data")
        if not isinstance(data, bytes | memoryview):
            raise DecodeError("chunk whose data is not bytes")
        if n >= total:
            raise DecodeError(f"chunk {n} of a message of {total}")
        if chunk_id in self._dropped:
            return None
        partial = self._partial.get(chunk_id)
        if partial is None:
            partial = self._begin(total)
        elif partial.total != total:
            raise DecodeError(f"chunk of a message of {total}, which was one of {partial.total}")
        elif n in partial.pieces:
            return None

        cost = max(len(data), PIECE_COST)
        if partial.size + len(data) > self._limits.message_bytes:
            raise LimitExceeded(f"message of more than {self._limits.message_bytes} bytes")
        if self._held_bytes + cost > self._limits.partial_bytes:
            raise LimitExceeded(
                f"incomplete messages of more than {self._limits.partial_bytes} bytes"
            )
        partial.pieces[n] = data
        partial.size += len(data)
        partial.cost += cost
        partial.touched = now
        self._held_bytes += cost
        self._partial.pop(chunk_id, None)
        if len(partial.pieces) < total:
            self._partial[chunk_id] = partial
            return None
        self._held_bytes -= partial.cost
        return [partial.pieces[n] for n in range(total)]

    def _begin(self, total: int) -> _Partial:
        # Refused at the first piece, not when the memory is spent: it could never be complete.
        if total * PIECE_COST > self._limits.partial_bytes:
            raise LimitExceeded(f"message of {total} chunks")
        if len(self._partial) >= self._limits.partial_messages:
            raise LimitExceeded(f"more than {self._limits.partial_messages} incomplete messages")
        return _Partial(total)


@attrs.define
class _Partial:
    """A message of which some pieces are here."""

    total: int
    pieces: dict[int, Piece] = attrs.Factory(dict)
    size: int = 0
    cost: int = 0
    touched: float = 0.0
    "When its newest piece came."


def _integer(chunk: Mapping[str, Any], field: str, *, at_least: int) -> int:
    """A whole number out of a chunk: other senders than JavaScript may write it as a double."""
    value = chunk.get(field)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise DecodeError(f"chunk whose {field} is no integer from {at_least} on")
    return value


def _number(packed: bytes) -> int:
    """What :data:`_NUMBER` has found."""
    return packed[0] if len(packed) == 1 else int.from_bytes(packed[1:])


_NUMBER: Final = rb"([\x00-\x7f]|\xcc.|\xcd..|\xce....)"
_HEAD: Final = re.compile(
    rb"\x84\xba__peerData%b\xb1n%b\xb4data\xda(..)" % (_NUMBER, _NUMBER), re.DOTALL
)
_TAIL: Final = re.compile(rb"\xb5total%b" % _NUMBER, re.DOTALL)

_VIEW_FROM: Final = 8192
"Bytes in a piece from which it is a view, which takes a sixteenth of it at most."
