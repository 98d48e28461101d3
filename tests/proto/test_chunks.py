"""Chunks: the frames are JavaScript's, any order will do, and no sender can make us hold more."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.binarypack import pack, unpack
from peerjs_proto.chunks import FRAME_OVERHEAD, PIECE_COST, Reassembler, read_chunk, split
from peerjs_proto.errors import DecodeError, LimitExceeded, RemoteProtocolError
from peerjs_proto.limits import CHUNK_SIZE, DEFAULT_LIMITS, Limits

_SMALL = Limits(message_bytes=4 * PIECE_COST, partial_bytes=8 * PIECE_COST, partial_messages=3)


def _chunk(chunk_id: Any = 1, n: Any = 0, data: Any = b"x", total: Any = 2) -> dict[str, Any]:
    return {"__peerData": chunk_id, "n": n, "data": data, "total": total}


def _fed(reassembler: Reassembler, chunk: dict[str, Any], now: float = 0.0) -> bytes | None:
    """The message that a chunk completes."""
    pieces = reassembler.feed(chunk, now)
    return None if pieces is None else b"".join(pieces)


# --- splitting --------------------------------------------------------------------------------


def test_the_frames_are_those_of_peerjs() -> None:
    packed = bytes(range(256)) * 64  # 16,384 bytes
    first, second = split(packed, chunk_id=7)
    # As npm's peerjs 1.5.5 and peerjs-js-binarypack 2.1.0 make them.
    head = "84ba5f5f706565724461746107b16e{n}b464617461da{size}"
    tail = bytes.fromhex("b5746f74616c02")
    assert first == bytes.fromhex(head.format(n="00", size="3fac")) + packed[:16300] + tail
    assert second == bytes.fromhex(head.format(n="01", size="0054")) + packed[16300:] + tail


@given(
    st.lists(st.binary(max_size=300) | st.binary(max_size=300).map(bytearray), max_size=5),
    st.integers(1, 300) | st.sampled_from([65_535, 65_536]),
    st.sampled_from([1, 127, 128, 255, 256, 65_535, 65_536, 2**32, 2**63, 2**64 - 1]),
)
def test_the_frames_are_packed_maps(
    parts: list[bytes | bytearray], piece_size: int, chunk_id: int
) -> None:
    packed = b"".join(parts)
    pieces = [packed[at : at + piece_size] for at in range(0, len(packed), piece_size)]
    frames = list(split(*parts, chunk_id=chunk_id, piece_size=piece_size))
    assert frames == [
        pack({"__peerData": chunk_id, "n": n, "data": piece, "total": len(pieces)})
        for n, piece in enumerate(pieces)
    ]


@pytest.mark.parametrize("count", [127, 128, 129, 256, 257, 65_537])
def test_the_index_and_the_total_are_packed_as_any_number(count: int) -> None:
    frames = list(split(bytes(2 * count - 1), chunk_id=1, piece_size=2))
    last = {"__peerData": 1, "n": count - 1, "data": b"\0", "total": count}
    assert (len(frames), frames[-1]) == (count, pack(last))


@pytest.mark.parametrize(
    ("size", "frames"), [(1, 1), (CHUNK_SIZE, 1), (CHUNK_SIZE + 1, 2), (2 * CHUNK_SIZE, 2)]
)
def test_no_frame_without_data(size: int, frames: int) -> None:
    assert len(list(split(bytes(size), chunk_id=1))) == frames


@given(st.binary(min_size=1, max_size=200), st.integers(1, 250), st.integers(1, 2**64 - 1))
def test_a_frame_is_little_larger_than_its_piece(data: bytes, piece: int, chunk_id: int) -> None:
    reassembler = Reassembler(DEFAULT_LIMITS)
    whole = None
    for frame in split(data, chunk_id=chunk_id, piece_size=piece):
        assert len(frame) <= piece + FRAME_OVERHEAD
        whole = _fed(reassembler, unpack(frame))
    assert whole == data


def test_the_overhead_is_the_largest_there_is() -> None:
    largest = {"__peerData": 2**64 - 1, "n": 2**64 - 1, "data": bytes(65536), "total": 2**64 - 1}
    assert len(pack(largest)) == 65536 + FRAME_OVERHEAD


def test_frames_are_made_when_asked_for() -> None:
    packed = bytes(64 * 1024 * 1024)
    tracemalloc.start()
    frames = split(packed, chunk_id=1)
    for _ in range(10):
        next(frames)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * CHUNK_SIZE


# --- reading ----------------------------------------------------------------------------------


_NUMBERS: Final = st.sampled_from([0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1])


@given(_NUMBERS, _NUMBERS, st.sampled_from([8192, CHUNK_SIZE, 65_535]), _NUMBERS)
def test_a_chunk_is_read_without_a_copy(chunk_id: int, n: int, size: int, total: int) -> None:
    chunk = _chunk(chunk_id, n, bytes(size), total)
    frame = pack(chunk)
    read = read_chunk(frame)
    assert read is not None
    assert read == chunk
    assert isinstance(read["data"], memoryview)
    assert read["data"].obj is frame
    assert len(frame) <= len(read["data"]) + FRAME_OVERHEAD, "no more is kept than is charged"


_FRAME: Final = pack({"__peerData": 300, "n": 7, "data": bytes(8192), "total": 70_000})


@given(st.integers(0, 50) | st.integers(len(_FRAME) - 20, len(_FRAME)), st.binary(max_size=3))
def test_what_is_read_is_what_would_be_unpacked(at: int, other: bytes) -> None:
    for frame in (_FRAME[:at] + other, _FRAME[:at] + other + _FRAME[at + len(other) :]):
        read = read_chunk(frame)
        assert read is None or read == unpack(frame)


@pytest.mark.parametrize(
    "chunk",
    [
        _chunk(data=bytes(8191)),  # cheaper to copy
        _chunk(data=bytes(65_536)),  # nobody sends it
        _chunk(chunk_id=2**32, data=bytes(8192)),
        _chunk(n=1.5, data=bytes(8192)),
        _chunk(total=-1, data=bytes(8192)),
        {**_chunk(data=bytes(8192)), "more": 1},
        dict(reversed(_chunk(data=bytes(8192)).items())),
        {},
    ],
)
def test_other_forms_are_left_to_unpack(chunk: dict[str, Any]) -> None:
    assert read_chunk(pack(chunk)) is None
    assert read_chunk(pack(chunk) + b"\0") is None
    assert read_chunk(pack(chunk)[:-1]) is None


# --- putting together -------------------------------------------------------------------------


@given(st.data())
def test_any_order_interleaved_and_repeated(data: st.DataObject) -> None:
    messages = data.draw(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=4))
    piece = data.draw(st.integers(1, 20))
    chunks = [
        unpack(frame)
        for chunk_id, message in enumerate(messages, 1)
        for frame in split(message, chunk_id=chunk_id, piece_size=piece)
    ]
    order = data.draw(st.permutations(chunks))
    reassembler = Reassembler(DEFAULT_LIMITS)
    seen: list[dict[str, Any]] = []
    complete = {}
    for chunk in order:
        whole = _fed(reassembler, chunk)
        seen.append(chunk)
        if whole is not None:
            complete[chunk["__peerData"]] = whole
        again = data.draw(st.sampled_from(seen))
        if again["__peerData"] not in complete:
            assert _fed(reassembler, again) is None
    assert complete == dict(enumerate(messages, 1))
    assert (reassembler.incomplete, reassembler.held_bytes) == (0, 0)


def test_what_is_held_is_told() -> None:
    reassembler = Reassembler(DEFAULT_LIMITS)
    reassembler.feed(_chunk(1, data=bytes(1000)), 0.0)
    reassembler.feed(_chunk(2, data=b"x"), 0.0)
    assert reassembler.incomplete == 2
    assert reassembler.held_bytes == 1000 + PIECE_COST
    assert _fed(reassembler, _chunk(1, n=1, data=b"y")) == bytes(1000) + b"y"
    assert (reassembler.incomplete, reassembler.held_bytes) == (1, PIECE_COST)


def test_an_id_is_free_again_once_complete() -> None:
    reassembler = Reassembler(DEFAULT_LIMITS)
    for text in (b"first", b"second"):
        assert _fed(reassembler, _chunk(data=text, total=1)) == text


def test_whole_doubles_are_integers() -> None:
    reassembler = Reassembler(DEFAULT_LIMITS)
    assert _fed(reassembler, _chunk(3.0, 0.0, b"a", 2.0)) is None
    assert _fed(reassembler, _chunk(3, 1, b"b", 2)) == b"ab"


# --- what is refused --------------------------------------------------------------------------


_BAD_IDS: Final[list[Any]] = [0, -1, True, 1.5, "1", None, [], {}, b"1"]
_BAD_NUMBERS: Final[list[Any]] = [-1, 2, 2**32, True, 0.5, "0", None]
_BAD_TOTALS: Final[list[Any]] = [0, -1, True, 2.5, float("inf"), float("nan"), "2", None]
_BAD_DATA: Final[list[Any]] = ["x", None, 1, [1], {}]


@pytest.mark.parametrize(
    "chunk",
    [
        *[_chunk(chunk_id=bad) for bad in _BAD_IDS],
        *[_chunk(n=bad) for bad in _BAD_NUMBERS],
        *[_chunk(total=bad) for bad in _BAD_TOTALS],
        *[_chunk(data=bad) for bad in _BAD_DATA],
        *[{"__peerData": 1}, {"__peerData": {"type": "open"}}, {}],
    ],
)
def test_what_is_no_chunk_is_refused(chunk: dict[str, Any]) -> None:
    reassembler = Reassembler(DEFAULT_LIMITS)
    with pytest.raises(DecodeError):
        reassembler.feed(chunk, 0.0)
    assert (reassembler.incomplete, reassembler.held_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (_chunk(chunk_id=0), "chunk whose __peerData is no integer from 1 on"),
        (_chunk(total="2"), "chunk whose total is no integer from 1 on"),
        (_chunk(n=-1), "chunk whose n is no integer from 0 on"),
        (_chunk(n=5, total=3), "chunk 5 of a message of 3"),
        (_chunk(data="x"), "chunk whose data is not bytes"),
    ],
)
def test_the_error_says_what_is_wrong(chunk: dict[str, Any], message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Reassembler(DEFAULT_LIMITS).feed(chunk, 0.0)
    assert str(caught.value) == message


@pytest.mark.parametrize("total", [1, 3])
def test_a_changed_total_is_refused(total: int) -> None:
    reassembler = Reassembler(DEFAULT_LIMITS)
    reassembler.feed(_chunk(total=2), 0.0)
    with pytest.raises(DecodeError, match="one of 2"):
        reassembler.feed(_chunk(total=total), 0.0)


def test_a_message_too_large_is_refused() -> None:
    reassembler = Reassembler(_SMALL)
    reassembler.feed(_chunk(n=0, total=3, data=bytes(_SMALL.message_bytes - 1)), 0.0)
    reassembler.feed(_chunk(n=1, total=3, data=b"x"), 0.0)
    with pytest.raises(LimitExceeded, match="message of more than 1024 bytes"):
        reassembler.feed(_chunk(n=2, total=3, data=b"y"), 0.0)
    assert reassembler.held_bytes == _SMALL.message_bytes - 1 + PIECE_COST


def test_all_messages_together_are_bounded() -> None:
    reassembler = Reassembler(_SMALL)
    reassembler.feed(_chunk(1, data=bytes(_SMALL.message_bytes)), 0.0)
    reassembler.feed(_chunk(2, data=bytes(_SMALL.message_bytes)), 0.0)
    with pytest.raises(LimitExceeded, match="incomplete messages of more than 2048 bytes"):
        reassembler.feed(_chunk(3), 0.0)


def test_the_number_of_messages_is_bounded() -> None:
    reassembler = Reassembler(_SMALL)
    for chunk_id in (1, 2, 3):
        reassembler.feed(_chunk(chunk_id), 0.0)
    with pytest.raises(LimitExceeded, match="more than 3 incomplete messages"):
        reassembler.feed(_chunk(4), 0.0)
    assert _fed(reassembler, _chunk(2, n=1)) == b"xx"
    assert _fed(reassembler, _chunk(4)) is None


@pytest.mark.parametrize("total", [9, 2**32, 2**64 - 1])
def test_a_total_that_could_never_be_held_is_refused_at_once(total: int) -> None:
    reassembler = Reassembler(_SMALL)
    with pytest.raises(LimitExceeded, match=f"message of {total} chunks"):
        reassembler.feed(_chunk(total=total), 0.0)
    assert reassembler.incomplete == 0


def test_a_flood_of_tiny_pieces_is_charged_more_than_it_takes() -> None:
    limits = Limits(partial_bytes=4 * 1024 * 1024)
    total = limits.partial_bytes // PIECE_COST
    pieces = (bytes([n % 256, n // 256]) for n in range(total - 1))  # none of them shared
    tracemalloc.start()
    reassembler = Reassembler(limits)
    for n, piece in enumerate(pieces):
        reassembler.feed(_chunk(n=n, total=total, data=piece), 0.0)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < reassembler.held_bytes <= limits.partial_bytes


def test_views_keep_little_more_than_they_are_charged() -> None:
    largest = 2**32 - 1  # as long as numbers get in a frame that is viewed
    frames = (
        pack({"__peerData": largest, "n": n, "data": bytes(8192), "total": 10_000})
        for n in range(1000)
    )
    tracemalloc.start()
    reassembler = Reassembler(DEFAULT_LIMITS)
    for chunk in map(read_chunk, frames):
        assert chunk is not None
        reassembler.feed(chunk, 0.0)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < reassembler.held_bytes * 17 / 16


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "__peerData": st.integers(0, 5) | st.floats() | st.none(),
                "n": st.integers(-1, 5) | st.text(max_size=1),
                "data": st.binary(max_size=600) | st.booleans(),
                "total": st.integers(0, 5) | st.just(2**32) | st.floats(),
            },
        )
    )
)
def test_whatever_comes_the_bounds_hold(chunks: list[dict[str, Any]]) -> None:
    reassembler = Reassembler(_SMALL)
    for chunk in chunks:
        with suppress(RemoteProtocolError):
            reassembler.feed(chunk, 0.0)
        assert reassembler.held_bytes <= _SMALL.partial_bytes
        assert reassembler.incomplete <= _SMALL.partial_messages


# --- age --------------------------------------------------------------------------------------


def test_a_piece_keeps_its_own_message_alive_and_no_other() -> None:
    reassembler = Reassembler(Limits(partial_timeout=10.0))
    reassembler.feed(_chunk(1, total=3), 0.0)
    reassembler.feed(_chunk(2, total=3), 4.0)
    reassembler.feed(_chunk(1, n=1, total=3), 8.0)
    assert reassembler.deadline == 14.0
    reassembler.feed(_chunk(2, total=3), 12.0)  # it is there already: no progress
    assert reassembler.expire(14.0) == 1
    assert reassembler.incomplete == 1
    assert reassembler.deadline == 18.0
    assert _fed(reassembler, _chunk(1, n=2, total=3), 17.0) == b"xxx"
    assert reassembler.deadline is None
    assert reassembler.held_bytes == 0


def test_what_comes_too_late_is_ignored() -> None:
    reassembler = Reassembler(Limits(partial_timeout=10.0))
    reassembler.feed(_chunk(1), 0.0)
    assert reassembler.expire(10.0) == 1
    assert _fed(reassembler, _chunk(1, n=1), 11.0) is None
    assert _fed(reassembler, _chunk(1, n=0), 11.0) is None
    assert reassembler.incomplete == reassembler.held_bytes == 0


def test_dropped_ids_are_not_remembered_for_ever() -> None:
    reassembler = Reassembler(_SMALL)
    for chunk_id in range(1, 100):
        reassembler.feed(_chunk(chunk_id), float(chunk_id * 1000))
        assert reassembler.expire(chunk_id * 1000 + 60.0) == 1
    reassembler.feed(_chunk(1), 1e6)
    assert reassembler.incomplete == 1


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.integers(0, 2), st.sampled_from([0.0, 1.0, 5.0, 11.0])),
        max_size=60,
    )
)
def test_what_is_held_is_always_counted_and_always_ends(
    steps: list[tuple[int, int, float]],
) -> None:
    limits = Limits(partial_timeout=10.0, partial_messages=4)
    reassembler = Reassembler(limits)
    now = 0.0
    for chunk_id, n, wait in steps:
        now += wait
        with suppress(LimitExceeded):
            reassembler.feed(_chunk(chunk_id, n, total=3), now)
        due = reassembler.deadline
        assert (due is None) == (reassembler.incomplete == 0)
        assert due is None or due - 10.0 <= now
        assert reassembler.expire(now) <= 4
        assert reassembler.incomplete * PIECE_COST <= reassembler.held_bytes
    assert reassembler.expire(now + 10.0) <= 4
    assert reassembler.incomplete == reassembler.held_bytes == 0
