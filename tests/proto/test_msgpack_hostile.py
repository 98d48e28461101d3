"""MsgPack from strangers: any bytes at all, and bounds before there is anything to bound."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerjs_proto.errors import DecodeError, LimitExceeded, RemoteProtocolError
from peerjs_proto.limits import DEFAULT_LIMITS, Limits
from peerjs_proto.serialization import serializer_for
from peerjs_proto.serializer import CloseRequested, Incoming, Message, Serializer
from peerjs_proto.testing.mutations import mutated
from peerjs_proto.testing.values import msgpack_values

msgpack = pytest.importorskip("msgpack", reason="MsgPack needs the extra msgpack")

untimed = settings(deadline=None)  # a busy machine is no failure


def _new(limits: Limits = DEFAULT_LIMITS) -> Serializer:
    return serializer_for("MsgPack", limits)


def _feed(serializer: Serializer, *frames: bytes) -> list[Incoming]:
    return [found for frame in frames for found in serializer.decode(frame, 0.0)]


def _packed(value: Any) -> bytes:
    return b"".join(_bytes(_new().encode([value]).frames))


def _bytes(frames: Iterator[str | bytes]) -> Iterator[bytes]:
    for frame in frames:
        assert isinstance(frame, bytes)
        yield frame


# --- any bytes at all -------------------------------------------------------------------------


@untimed
@given(st.binary())
def test_random_bytes(data: bytes) -> None:
    _feed_or_refuse(data)


@untimed
@given(mutated(msgpack_values().map(_packed)))
def test_mutated_bytes(data: bytes) -> None:
    _feed_or_refuse(data)


@untimed
@given(mutated(msgpack_values().map(_packed)))
def test_the_cuts_change_nothing(data: bytes) -> None:
    assert _outcome([data]) == _outcome([bytes([byte]) for byte in data])


def _feed_or_refuse(data: bytes) -> None:
    receiver = _new(Limits(nesting=8, message_items=100))
    try:
        found = _feed(receiver, data)
    except (DecodeError, LimitExceeded):
        return
    for incoming in found:
        # What was read is what the library reads.
        if isinstance(incoming, Message):
            assert incoming.size <= len(data) + 64 * 100
        else:
            assert incoming == CloseRequested()


def _outcome(frames: list[bytes]) -> tuple[list[Incoming], str]:
    receiver = _new()
    found: list[Incoming] = []
    try:
        for frame in frames:
            found.extend(receiver.decode(frame, 0.0))
    except RemoteProtocolError as error:
        return found, f"{type(error).__name__}: {error}"
    return found, f"{receiver.incomplete} incomplete"


def test_a_text_frame_is_refused() -> None:
    with pytest.raises(DecodeError, match="text frame"):
        list(_new().decode("text", 0.0))


@pytest.mark.parametrize("lead", [0xC1, 0xC8, 0xC9, 0xD4, 0xD5, 0xD8])
def test_type_bytes_that_peerjs_never_sends_are_refused(lead: int) -> None:
    for data in (bytes([lead]), bytes([0x92, lead, 0x01])):
        with pytest.raises(DecodeError, match=f"type byte {lead:#x} is none of PeerJS's"):
            _feed(_new(), data)


@pytest.mark.parametrize("head", ["d600", "d605", "d7fe", "c70cfe", "c70bff", "c700ff", "c7ff01"])
def test_extensions_are_refused_at_their_header(head: str) -> None:
    with pytest.raises(DecodeError, match="extension that is not a timestamp"):
        _feed(_new(), bytes.fromhex(head))


@pytest.mark.parametrize("key", ["01", "c0", "c3", "c40161", "90", "80", "d6ff00000000", "cb"])
@pytest.mark.parametrize("before", ["81", "de0002a16101", "df00000001"])
def test_keys_are_text(before: str, key: str) -> None:
    data = bytes.fromhex(before + key) + bytes(20)
    with pytest.raises(DecodeError, match="key that is not text"):
        _feed(_new(), data)


@pytest.mark.parametrize(
    ("nanoseconds", "seconds"),
    [
        (10**9, 0),
        (2**32 - 1, 0),
        (0, -62_135_596_801),
        (0, 253_402_300_800),
        (0, 2**63 - 1),
        (0, -(2**63)),
        (0, 2**32 * 86_400),  # the library reads this one as 1970
    ],
)
def test_moments_that_datetime_cannot_hold_are_refused(nanoseconds: int, seconds: int) -> None:
    with pytest.raises(DecodeError, match="timestamp out of range"):
        _feed(_new(), b"\xc7\x0c\xff" + struct.pack(">Iq", nanoseconds, seconds))


def test_a_short_timestamp_has_nanoseconds_too() -> None:
    with pytest.raises(DecodeError, match="timestamp out of range"):
        _feed(_new(), b"\xd7\xff" + (10**9 << 34).to_bytes(8))


def test_what_came_before_an_error_is_delivered() -> None:
    found, error = _outcome([b"\x01\xa1a\xc1"])
    assert [message.value for message in found if isinstance(message, Message)] == [1, "a"]
    assert error == "DecodeError: MessagePack type byte 0xc1 is none of PeerJS's"


# --- bounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [Limits(), Limits(nesting=10**9)])
@pytest.mark.parametrize("opening", ["91", "81a0", "dc0001", "dd00000001", "df00000001a0", "92"])
def test_a_mebibyte_of_openings_is_refused(opening: str, limits: Limits) -> None:
    one = bytes.fromhex(opening)
    with pytest.raises(LimitExceeded, match="deep"):
        _feed(_new(limits), one * (2**20 // len(one)))


@pytest.mark.parametrize("lead", [0xDD, 0xDF])
def test_a_count_is_believed_within_bounds_only(lead: int) -> None:
    limits = Limits(message_items=1000)
    count = 999 if lead == 0xDD else 499
    announced = bytes([lead]) + count.to_bytes(4)
    assert _feed(_new(limits), announced) == []
    with pytest.raises(LimitExceeded, match="more than 1000 values"):
        _feed(_new(limits), bytes([lead]) + (count + 1).to_bytes(4))
    with pytest.raises(LimitExceeded, match="more than 1000 values"):
        _feed(_new(limits), b"\x92\x91\xc0" + announced)


@pytest.mark.parametrize("lead", [0xDB, 0xC6])
def test_a_size_is_believed_within_bounds_only(lead: int) -> None:
    limits = Limits(message_bytes=1000)
    assert _feed(_new(limits), bytes([lead]) + (995).to_bytes(4)) == []
    for data in (b"", b"\x91", b"\x92\x01"):
        with pytest.raises(LimitExceeded, match=r"more than 1000$"):
            _feed(_new(limits), data + bytes([lead]) + (996).to_bytes(4))
    assert _feed(_new(limits), bytes([lead]) + (995).to_bytes(4) + bytes(995))


def test_small_values_add_up_to_the_bound_of_bytes() -> None:
    limits = Limits(message_bytes=1000)
    assert _feed(_new(limits), b"\xdc\x03\xe5", *[b"\x01"] * 997)
    with pytest.raises(LimitExceeded, match=r"more than 1000$"):
        _feed(_new(limits), b"\xdc\x03\xe6", *[b"\x01"] * 998)
    # The bound is one message's, however many come in one frame.
    assert len(_feed(_new(limits), b"\xc4\x02ab" * 1000)) == 1000


def test_what_is_incomplete_has_a_bound_too() -> None:
    limits = Limits(partial_bytes=100)
    assert _feed(_new(limits), b"\xc4\xf0" + bytes(240))
    assert _feed(_new(limits), b"\xc4\xf0" + bytes(98)) == []
    with pytest.raises(LimitExceeded, match="incomplete message of more than 100 bytes"):
        _feed(_new(limits), b"\xc4\xf0" + bytes(99))


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xdd\xff\xff\xff\xff" * 1000,
        b"\xdd\x00\x3f\xff\xff" * 1000,
        b"\x91" * 1024,
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xdb\x0f\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xc7\xff\xff",
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_bomb_costs_nothing(bomb: bytes, whole: bool) -> None:
    receiver = _new()
    frames = [bomb] if whole else [bomb[at : at + 1] for at in range(len(bomb))]
    tracemalloc.start()
    try:
        for frame in frames:
            try:
                assert list(receiver.decode(frame, 0.0)) == []
            except RemoteProtocolError:
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_a_flood_of_tiny_frames_costs_their_bytes() -> None:
    receiver = _new()
    _feed(receiver, b"\xc6\x00\x10\x00\x00")
    tracemalloc.start()
    try:
        for _ in range(100_000):
            assert not list(receiver.decode(b"x", 0.0))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 150_000


def test_a_blob_is_stepped_over_at_once() -> None:
    """A header is looked at once, and what it announces not at all."""
    receiver = _new()
    value = bytes(range(256)) * 2**12
    frames = [b"\x92\xc6\x00\x10\x00\x00", *[value[at : at + 64] for at in range(0, 2**20, 64)]]
    assert _feed(receiver, *frames) == []
    (message,) = _feed(receiver, b"\x05")
    assert message == Message([value, 5], 2**20 + 7 + 3 * 64)
    assert receiver.incomplete == 0


# --- what is never finished -------------------------------------------------------------------


def test_a_partial_value_has_its_time() -> None:
    assert _new().deadline is None
    receiver = _new(Limits(partial_timeout=60.0))
    assert receiver.expire(1e9) == 0
    assert list(receiver.decode(b"\x01\x93\x01", 100.0))
    assert (receiver.incomplete, receiver.deadline) == (1, 160.0)
    assert list(receiver.decode(b"\x02", 150.0)) == []
    assert receiver.expire(209.9) == 0
    with pytest.raises(LimitExceeded, match="nothing came of an incomplete message for 60 s"):
        receiver.expire(210.0)


def test_a_value_that_is_finished_needs_no_time() -> None:
    receiver = _new()
    assert list(receiver.decode(b"\x92\x01", 100.0)) == []
    assert list(receiver.decode(b"\x02", 101.0))
    assert receiver.incomplete == 0
    assert receiver.deadline is None
    assert receiver.expire(1e9) == 0
