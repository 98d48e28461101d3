"""Serializations: values to frames and back, and who is to blame for what does not fit."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.binarypack import pack, unpack
from peerjs_proto.chunks import FRAME_OVERHEAD, split
from peerjs_proto.errors import (
    DecodeError,
    LimitExceeded,
    LocalProtocolError,
    MessageTooBig,
    RemoteProtocolError,
    UnsupportedValue,
)
from peerjs_proto.jsontext import dumps
from peerjs_proto.limits import CHUNK_SIZE, DEFAULT_LIMITS, Limits
from peerjs_proto.serialization import SERIALIZATIONS, RawSerializer, serializer_for
from peerjs_proto.serializer import (
    VALUE_COST,
    CloseRequested,
    Frame,
    Incoming,
    Message,
    Serializer,
)
from peerjs_proto.testing.mutations import mutated
from peerjs_proto.testing.values import binary_values, json_values


def _new(name: str, limits: Limits = DEFAULT_LIMITS) -> Serializer:
    return serializer_for(name, limits)


def _frames(serializer: Serializer, value: Any) -> list[Frame]:
    return list(serializer.encode(value).frames)


def _decode(serializer: Serializer, frame: Frame, now: float = 0.0) -> Incoming | None:
    """What one frame brings; none of PeerJS's own brings more than one message."""
    found = list(serializer.decode(frame, now))
    assert len(found) <= 1
    return found[0] if found else None


def _sendable(value: Any) -> bool:
    return value is not None and not (isinstance(value, dict) and "__peerData" in value)


# --- the registry -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "offered"),
    [("binary", "binary"), ("binary-utf8", "binary"), ("json", "json"), ("raw", "raw")],
)
def test_the_name_in_the_offer(asked: str, offered: str) -> None:
    assert asked in SERIALIZATIONS
    assert _new(asked).name == offered


@pytest.mark.parametrize("name", ["", "Binary", "None", "msgpack"])
def test_an_unknown_name_is_the_callers_mistake(name: str) -> None:
    assert name not in SERIALIZATIONS
    with pytest.raises(LocalProtocolError, match="known: binary, binary-utf8, json, raw"):
        _new(name)


def test_applications_add_their_own() -> None:
    mine = {**SERIALIZATIONS, "mine": RawSerializer}
    assert isinstance(serializer_for("mine", DEFAULT_LIMITS, mine), RawSerializer)
    assert "mine" not in SERIALIZATIONS


# --- there and back ---------------------------------------------------------------------------


@given(binary_values().filter(_sendable), st.none() | st.integers(FRAME_OVERHEAD + 1, 200))
def test_binary_there_and_back(value: object, max_message_size: int | None) -> None:
    sender, receiver = _new("binary"), _new("binary")
    sender.max_message_size = max_message_size
    *parts, last = _frames(sender, value)
    for part in parts:
        assert _decode(receiver, part) is None
        assert receiver.incomplete == 1
    assert all(
        max_message_size is None or len(frame) <= max_message_size for frame in [*parts, last]
    )
    incoming = _decode(receiver, last)
    assert isinstance(incoming, Message)
    assert incoming.value == value
    assert receiver.incomplete == 0


@given(json_values().filter(_sendable).filter(lambda value: len(dumps(value).encode()) < 16300))
def test_json_there_and_back(value: object) -> None:
    (frame,) = _frames(_new("json"), value)
    assert isinstance(frame, bytes)
    for received in (frame, frame.decode()):
        incoming = _decode(_new("json"), received)
        assert isinstance(incoming, Message)
        assert incoming.value == value


@given(st.text() | st.binary())
def test_raw_there_and_back(value: str | bytes) -> None:
    (frame,) = _frames(_new("raw"), value)
    assert type(frame) is type(value)
    incoming = _decode(_new("raw"), frame)
    assert isinstance(incoming, Message)
    assert incoming.value == value


@pytest.mark.parametrize(
    ("name", "value", "encoded", "items"),
    [
        ("raw", "€", 3, 1),
        ("raw", b"\0\0", 2, 1),
        ("json", {"a": ["€"]}, 13, 4),
        ("binary", {"a": [b"x"]}, 6, 4),
        ("binary", ["x" * 20_000], 20_004, 2),
    ],
)
def test_an_inbox_is_charged_for_bytes_and_values(
    name: str, value: object, encoded: int, items: int
) -> None:
    outgoing = _new(name).encode(value)
    assert outgoing.size == encoded
    receiver = _new(name)
    *_, incoming = [_decode(receiver, frame) for frame in outgoing.frames]
    assert incoming == Message(value, encoded + VALUE_COST * items)


# --- raw --------------------------------------------------------------------------------------


def test_raw_takes_every_kind_of_bytes_as_it_is_now() -> None:
    data = bytearray(b"abcd")
    outgoing = [_new("raw").encode(value) for value in (data, memoryview(data)[::2])]
    data[:] = b"xxxx"
    assert [list(message.frames) for message in outgoing] == [[b"abcd"], [b"ac"]]


def test_raw_text_is_always_well_formed() -> None:
    assert _frames(_new("raw"), "a\ud800") == ["a\ufffd"]


@pytest.mark.parametrize("value", [None, 1, ["a"], {}])
def test_raw_takes_nothing_else(value: object) -> None:
    with pytest.raises(UnsupportedValue, match=type(value).__name__):
        _new("raw").encode(value)


def test_raw_is_bound_by_the_far_side_alone() -> None:
    raw = _new("raw")
    assert raw.encode(bytes(300_000)).size == 300_000
    raw.max_message_size = 6
    assert _frames(raw, "€€") == ["€€"]
    for value in ("€€x", bytes(7)):
        with pytest.raises(MessageTooBig, match="7 bytes; this connection sends 6"):
            raw.encode(value)


def test_raw_has_no_framing() -> None:
    assert _new("raw").close_marker() is None
    assert _decode(_new("raw"), '{"__peerData":{"type":"close"}}') == Message(
        '{"__peerData":{"type":"close"}}', 31 + VALUE_COST
    )


# --- json -------------------------------------------------------------------------------------


def test_json_is_sent_below_16300_bytes() -> None:
    json = _new("json")
    assert json.encode("x" * 16_297).size == 16_299
    for text in ("x" * 16_298, "€" * 5_433):
        with pytest.raises(MessageTooBig):
            json.encode(text)
    json.max_message_size = 100
    with pytest.raises(MessageTooBig):
        json.encode("x" * 99)


def test_json_of_any_size_is_received() -> None:
    text = "x" * 1_000_000
    assert _decode(_new("json"), dumps(text).encode()) == Message(text, 1_000_002 + VALUE_COST)


@pytest.mark.parametrize("value", [b"", {"a": b""}, {1: 2}, float("nan")])
def test_json_takes_what_json_has(value: object) -> None:
    with pytest.raises(UnsupportedValue):
        _new("json").encode(value)


def test_json_knows_no_chunks() -> None:
    incoming = _decode(_new("json"), b'{"__peerData":1,"n":0,"data":"","total":2}')
    assert isinstance(incoming, Message)


# --- binary -----------------------------------------------------------------------------------


def test_binary_goes_whole_up_to_16300_packed_bytes() -> None:
    binary = _new("binary")
    assert _frames(binary, bytes(16_297)) == [pack(bytes(16_297))]
    assert len(_frames(binary, bytes(16_298))) == 2


def test_chunk_ids_follow_the_order_on_the_wire() -> None:
    binary = _new("binary")
    first, _withdrawn, small, second = (
        binary.encode(value).frames for value in (bytes(20_000), bytes(20_000), 5, bytes(20_000))
    )
    sent = [
        unpack(frame)
        for frames in (second, small, first)
        for frame in frames
        if type(frame) is bytes
    ]
    ids = [chunk["__peerData"] if isinstance(chunk, dict) else None for chunk in sent]
    assert ids == [1, 1, None, 2, 2]


def test_a_smaller_far_side_gets_smaller_chunks() -> None:
    binary = _new("binary")
    binary.max_message_size = 1200
    sizes = [len(frame) for frame in _frames(binary, bytes(100_000))]
    assert max(sizes) <= 1200
    assert len(sizes) < 100
    assert _frames(binary, bytes(1197)) == [pack(bytes(1197))]
    binary.max_message_size = FRAME_OVERHEAD
    assert _frames(binary, 1) == [b"\x01"]
    with pytest.raises(MessageTooBig, match="no chunk fits"):
        binary.encode(bytes(100))


def test_messages_interleave() -> None:
    sender, receiver = _new("binary"), _new("binary")
    long, short = sender.encode("x" * 40_000).frames, sender.encode("y").frames
    assert _decode(receiver, next(long)) is None
    assert _decode(receiver, next(short)) == Message("y", 2 + VALUE_COST)
    assert _decode(receiver, next(long)) is None
    assert _decode(receiver, next(long)) == Message("x" * 40_000, 40_003 + VALUE_COST)


@pytest.mark.parametrize("falsy", [None, False, 0, ""])
def test_what_javascript_finds_falsy_is_no_framing(falsy: object) -> None:
    value = {"__peerData": falsy}
    for name, frame in (("binary", pack(value)), ("json", dumps(value).encode())):
        incoming = _decode(_new(name), frame)
        assert isinstance(incoming, Message)
        assert incoming.value == value


@pytest.mark.parametrize(
    "value", [True, "1", [], {}, {"type": "open"}, {"type": "close"}, -1, 1.5, b""]
)
def test_framing_that_says_nothing_is_refused(value: object) -> None:
    binary = _new("binary")
    if value == {"type": "close"}:
        assert _decode(binary, pack({"__peerData": value})) == CloseRequested()
    else:
        with pytest.raises(DecodeError):
            _decode(binary, pack({"__peerData": value}))


@pytest.mark.parametrize("inner", [1, "x"])
def test_a_chunk_inside_chunks_is_refused(inner: object) -> None:
    nested = pack({"__peerData": inner, "n": 0, "data": b"x", "total": 1})
    (frame,) = split(nested, chunk_id=1)
    with pytest.raises(DecodeError, match="chunk inside chunks"):
        _decode(_new("binary"), frame)


def test_rubbish_in_chunks_is_refused() -> None:
    (frame,) = split(b"\xc4", chunk_id=1)
    with pytest.raises(DecodeError, match="no type byte"):
        _decode(_new("binary"), frame)


@pytest.mark.parametrize("frame", [b"", "", "text", b"\x01\x01", b"\xc9"])
def test_what_is_no_binarypack_is_refused(frame: Frame) -> None:
    with pytest.raises(DecodeError):
        _decode(_new("binary"), frame)


# --- what all of them do ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["binary", "json"])
def test_a_message_cannot_be_none_or_framing(name: str) -> None:
    serializer = _new(name)
    with pytest.raises(UnsupportedValue, match="cannot send None"):
        serializer.encode(None)
    for value in (1, None, {"type": "close"}):
        with pytest.raises(UnsupportedValue, match='the key "__peerData"'):
            serializer.encode({"a": 1, "__peerData": value})
    inside = [None, {"__peerData": 1}]
    (frame,) = _frames(serializer, inside)
    incoming = _decode(serializer, frame)
    assert isinstance(incoming, Message)
    assert incoming.value == inside


@pytest.mark.parametrize("name", ["binary", "json"])
def test_closing(name: str) -> None:
    marker = _new(name).close_marker()
    assert isinstance(marker, bytes)
    assert _decode(_new(name), marker) == CloseRequested()
    expected = {"__peerData": {"type": "close"}}
    assert marker == (pack(expected) if name == "binary" else dumps(expected).encode())


def test_closing_may_come_in_chunks() -> None:
    (frame,) = split(pack({"__peerData": {"type": "close"}}), chunk_id=1)
    assert _decode(_new("binary"), frame) == CloseRequested()


@pytest.mark.parametrize("name", ["binary", "json"])
def test_what_was_refused_left_nothing_behind(name: str) -> None:
    serializer = _new(name)
    with pytest.raises(LocalProtocolError):
        serializer.encode({"big": "x" * 100_000, "bad": {1}})
    with pytest.raises(LocalProtocolError):
        serializer.encode(None)
    assert serializer.incomplete == 0
    fresh = _new(name)
    value = "x" * (CHUNK_SIZE * 2 if name == "binary" else 10)
    assert _frames(serializer, value) == _frames(fresh, value)


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("raw", "é" * 51),
        ("raw", bytes(101)),
        ("json", dumps("é" * 50)),
        ("json", dumps("é" * 50).encode()),
        ("binary", pack("x" * 101)),
    ],
)
def test_received_messages_are_bounded(name: str, frame: Frame) -> None:
    with pytest.raises(LimitExceeded):
        _decode(_new(name, Limits(message_bytes=100)), frame)


def test_messages_received_in_chunks_are_bounded() -> None:
    first, second = _frames(_new("binary"), bytes(20_000))
    receiver = _new("binary", Limits(message_bytes=20_000))
    assert _decode(receiver, first) is None
    with pytest.raises(LimitExceeded):
        _decode(receiver, second)


@pytest.mark.parametrize("name", ["binary", "json"])
def test_received_values_are_bounded(name: str) -> None:
    (frame,) = _frames(_new(name), [[[1, 2, 3]]])
    for limits in (Limits(nesting=2), Limits(message_items=5)):
        with pytest.raises(DecodeError):
            _decode(_new(name, limits), frame)
    assert _decode(_new(name, Limits(nesting=3, message_items=6)), frame)


@pytest.mark.parametrize("name", sorted(SERIALIZATIONS))
@given(
    st.binary()
    | st.text()
    | mutated(binary_values().map(lambda value: pack({"__peerData": value})))
)
def test_any_frame_raises_remote_protocol_error_only(name: str, frame: Frame) -> None:
    with suppress(RemoteProtocolError):
        list(_new(name).decode(frame, 0.0))


@given(mutated(st.binary(min_size=1, max_size=99).map(lambda data: next(split(data, chunk_id=1)))))
def test_mutated_chunks_raise_remote_protocol_error_only(frame: bytes) -> None:
    with suppress(RemoteProtocolError):
        _decode(_new("binary"), frame)


# --- what is never finished -------------------------------------------------------------------


def test_a_message_that_is_never_finished_is_dropped() -> None:
    binary = _new("binary", Limits(partial_timeout=60.0))
    first, *rest = split(pack("x" * 50_000), chunk_id=1)
    assert binary.deadline is None
    assert _decode(binary, first, now=100.0) is None
    assert binary.deadline == 160.0
    assert binary.expire(159.9) == 0
    assert binary.incomplete == 1
    assert binary.expire(160.0) == 1
    assert binary.incomplete == 0
    assert binary.deadline is None
    assert [_decode(binary, frame, now=161.0) for frame in rest] == [None] * len(rest)
    assert binary.incomplete == 0


@pytest.mark.parametrize("name", ["json", "raw"])
def test_what_has_no_parts_never_expires(name: str) -> None:
    serializer = _new(name)
    assert serializer.deadline is None
    assert serializer.incomplete == serializer.expire(1e9) == 0
    assert not serializer.always_reliable
