"""Data channel frames: what arrives on a connection, as it should be and as it should not."""

from __future__ import annotations

from typing import Any

from peerjs_proto.binarypack import pack
from peerjs_proto.chunks import split
from peerjs_proto.limits import DEFAULT_LIMITS
from peerjs_proto.serialization import serializer_for
from peerjs_proto.serializer import Frame

from ._hypothesis import st
from .mutations import mutated
from .values import binary_values, sendable, values_of

__all__ = ["chunked", "chunks", "frames", "hostile_frames"]


@st.composite
def frames(draw: st.DrawFn, serialization: str = "binary") -> str | bytes:
    """One frame that holds a whole message, or the word to close."""
    serializer = serializer_for(serialization, DEFAULT_LIMITS)
    marker = serializer.close_marker()
    if marker is not None and draw(st.integers(0, 9)) == 9:
        return marker
    return next(serializer.encode(draw(values_of(serialization).filter(sendable))).frames)


@st.composite
def chunked(draw: st.DrawFn) -> tuple[Any, list[bytes]]:
    """A value, and the frames of ``binary`` that carry it in chunks, in any order.

    Some come twice. All are there, and it is the whole message once the last distinct one is.
    """
    value = draw(binary_values().filter(sendable))
    pieces = list(split(pack(value), chunk_id=draw(_chunk_ids), piece_size=draw(_piece_sizes)))
    doubled = draw(st.lists(st.sampled_from(pieces), max_size=3))
    # What comes after the last piece would begin a new message under the same id.
    order = draw(st.permutations(pieces))
    for piece in doubled:
        at = order.index(piece)
        if at < len(order) - 1:
            order.insert(draw(st.integers(at + 1, len(order) - 1)), piece)
    return value, order


def chunks() -> st.SearchStrategy[bytes]:
    """One chunk by itself: of any message, with any index and total, true or not."""
    fields = {"__peerData": _numbers, "n": _numbers, "total": _numbers}
    return st.fixed_dictionaries({**fields, "data": st.binary(max_size=40) | st.none()}).map(pack)


def hostile_frames() -> st.SearchStrategy[Frame]:
    """What a channel may carry that wishes nobody well; some of it is valid after all."""
    return st.one_of(
        st.binary(max_size=64),
        st.text(max_size=20),
        chunks(),
        mutated(st.one_of(chunks(), st.builds(pack, binary_values()))),
    )


_chunk_ids = st.integers(1, 5)
_piece_sizes = st.integers(1, 40)
_numbers = st.integers(-1, 5) | st.sampled_from([1.0, 1.5, 2**32, 2**53, None, True, "1"])
