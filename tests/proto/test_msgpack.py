"""MsgPack: values there and back over one stream, and what a page would not read."""

from __future__ import annotations

import enum
import math
import mmap
from array import array
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerjs_proto.errors import DecodeError, LimitExceeded, MessageTooBig, UnsupportedValue
from peerjs_proto.events import DataConnectionOffered, SignalingRefused
from peerjs_proto.limits import DEFAULT_LIMITS, Limits
from peerjs_proto.serialization import SERIALIZATIONS, serializer_for
from peerjs_proto.serializer import (
    VALUE_COST,
    CloseRequested,
    Incoming,
    Message,
    Serializer,
)
from peerjs_proto.testing.values import msgpack_values
from tests.proto.pair import Pair

msgpack = pytest.importorskip("msgpack", reason="MsgPack needs the extra msgpack")

untimed = settings(deadline=None)  # a busy machine is no failure


def _new(limits: Limits = DEFAULT_LIMITS) -> Serializer:
    return serializer_for("MsgPack", limits)


def _sent(value: Any) -> bytes:
    return b"".join(_frames(_new(), value))


def _frames(serializer: Serializer, value: Any) -> list[bytes]:
    frames = list(serializer.encode(value).frames)
    assert all(isinstance(frame, bytes) for frame in frames)
    return frames  # type: ignore[return-value]


def _read(data: bytes) -> list[Incoming]:
    receiver = _new()
    found = list(receiver.decode(data, 0.0))
    assert receiver.incomplete == 0
    return found


def _value(data: bytes) -> Any:
    (message,) = _read(data)
    assert isinstance(message, Message)
    return message.value


def _sendable(value: Any) -> bool:
    return value is not None and not (isinstance(value, dict) and "__peerData" in value)


# --- there and back ---------------------------------------------------------------------------


@untimed
@given(msgpack_values().filter(_sendable), st.none() | st.integers(1, 200))
def test_there_and_back(value: object, max_message_size: int | None) -> None:
    sender, receiver = _new(), _new()
    sender.max_message_size = max_message_size
    outgoing = sender.encode(value)
    *parts, last = outgoing.frames
    for part in parts:
        assert list(receiver.decode(part, 0.0)) == []
        assert receiver.incomplete == 1
    (message,) = receiver.decode(last, 0.0)
    assert isinstance(message, Message)
    assert message.value == value
    assert message.size >= outgoing.size + VALUE_COST
    assert receiver.incomplete == 0
    bound = max_message_size or 32_768
    assert all(len(frame) == bound for frame in parts)
    assert 0 < len(last) <= bound


@untimed
@given(st.lists(msgpack_values(), max_size=5), st.lists(st.integers(0, 2**20)))
def test_frames_may_cut_anywhere(values: list[object], cuts: list[int]) -> None:
    stream = b"".join(_sent([value]) for value in values)
    borders = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    receiver = _new()
    found: list[Incoming] = []
    for start, end in pairwise(borders):
        found += receiver.decode(stream[start:end], 0.0)
    assert found == _read(stream)
    assert [message.value for message in found if isinstance(message, Message)] == [
        [value] for value in values
    ]


@untimed
@given(msgpack_values())
def test_byte_by_byte(value: object) -> None:
    receiver = _new()
    found = [list(receiver.decode(bytes([byte]), 0.0)) for byte in _sent([value])]
    assert not any(found[:-1])
    assert found[-1] == _read(_sent([value]))


@pytest.mark.parametrize("size", [32_763, 32_764, 65_531, 65_532, 2**20])
def test_frames_have_32_kib_at_most(size: int) -> None:
    frames = _frames(_new(), "x" * size)
    packed = size + (3 if size < 2**16 else 5)
    assert [len(frame) for frame in frames[:-1]] == [32_768] * ((packed - 1) // 32_768)
    assert sum(map(len, frames)) == packed == _new().encode("x" * size).size


def test_a_smaller_far_side_gets_smaller_frames() -> None:
    serializer = _new()
    serializer.max_message_size = 1200
    assert [len(frame) for frame in _frames(serializer, bytes(2397))] == [1200, 1200]
    serializer.max_message_size = 262_144
    assert [len(frame) for frame in _frames(serializer, bytes(32_766))] == [32_768, 1]
    serializer.max_message_size = 0
    with pytest.raises(MessageTooBig, match="no frame fits into the 0 bytes"):
        serializer.encode(1)


def test_frames_are_made_when_asked_for() -> None:
    data = bytearray(b"ab")
    outgoing = _new().encode(data)
    data[:] = b"cd"
    assert list(outgoing.frames) == [b"\xc4\x02ab"]


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (1, 1),
        ("text", 1),
        ([], 1),
        ([1, [2]], 4),
        ({"a": 1, "b": {}}, 5),
        (datetime(1, 1, 1, tzinfo=UTC), 1),
    ],
)
def test_an_inbox_is_charged_for_bytes_and_values(value: object, items: int) -> None:
    packed = _sent(value)
    assert _read(packed) == [Message(value, len(packed) + VALUE_COST * items)]


# --- what values become -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        *(0, 127, 128, -32, -33, 2**8, 2**16, 2**32, 2**63, 2**64 - 1, -(2**31) - 1, -(2**63)),
        *(0.0, 1.0, -0.0, 0.1, 5e-324, 1e308, math.inf, -math.inf),
    ],
)
def test_numbers_keep_their_type(number: float) -> None:
    back = _value(_sent(number))
    assert type(back) is type(number)
    assert back == number
    assert math.copysign(1, back) == math.copysign(1, number)


def test_a_float_is_a_double_and_nan_is_nan() -> None:
    assert _sent(1.0).hex() == "cb3ff0000000000000"
    assert math.isnan(_value(_sent(math.nan)))
    assert _value(bytes.fromhex("ca3f000000")) == 0.5


@pytest.mark.parametrize(
    ("moment", "packed"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), "d6ff00000000"),
        (datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC), "d6ffffffffff"),
        (datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC), "d7ff7735940000000001"),
        (datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC), "d7ff0000000100000000"),
        (datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC), "c70cff1dcd6500" + "f" * 16),
        (datetime.min.replace(tzinfo=UTC), "c70cff00000000fffffff1886e0900"),
        (datetime.max.replace(tzinfo=UTC), "c70cff3b9ac618000000" + "3afff4417f"),
    ],
)
def test_dates_are_the_timestamp_extension(moment: datetime, packed: str) -> None:
    assert _sent(moment).hex() == packed
    for zone in (timezone(timedelta(hours=-5)), timezone(timedelta(hours=5, minutes=45))):
        try:
            elsewhere = moment.astimezone(zone)
        except OverflowError:
            continue
        assert _sent([elsewhere]).hex() == "91" + packed
    back = _value(bytes.fromhex(packed))
    assert back == moment
    assert back.utcoffset() == timedelta(0)


class Autumn(tzinfo):
    """Every hour comes twice, the second time an hour later."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=2 - moment.fold if moment else 2)

    def dst(self, moment: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> str:
        return "autumn"


def test_the_hour_that_comes_twice_is_two_moments() -> None:
    first = datetime(2020, 10, 25, 2, 30, tzinfo=Autumn())
    for moment, hour in ((first, 0), (first.replace(fold=1), 1)):
        assert _value(_sent(moment)) == datetime(2020, 10, 25, hour, 30, tzinfo=UTC)


def test_nanoseconds_are_cut_to_microseconds() -> None:
    moment = datetime(1970, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC)
    assert _value(b"\xd7\xff" + (999_999_999 << 34 | 1).to_bytes(8)) == moment


class Moment(datetime):
    pass


class Colour(enum.IntEnum):
    RED = 300


class Shade(str, enum.Enum):  # noqa: UP042 - the older way, whose str() is not its value
    DARK = "dark"
    LIGHT = "größer"


class Point(NamedTuple):
    x: int
    y: float


class Blob(bytes):
    pass


def test_a_subclass_goes_as_its_base() -> None:
    moment = Moment(2020, 1, 1, tzinfo=UTC)
    odd = OrderedDict({Shade.DARK: [Colour.RED, Point(1, 0.5), Blob(b"x"), Shade.LIGHT, moment]})
    plain = {"dark": [300, [1, 0.5], b"x", "größer", datetime(2020, 1, 1, tzinfo=UTC)]}
    assert _sent(odd) == _sent(plain)
    assert _value(_sent(odd)) == plain


def test_views_of_any_shape_are_bytes() -> None:
    base = memoryview(bytes(range(24)))
    for view in (base[::2], base[::-1], base[:0], base.cast("B", (4, 6)), base.cast("I")):
        assert _value(_sent([view])) == [view.tobytes()]
    assert _value(_sent(bytearray(b"ab"))) == b"ab"


@pytest.mark.parametrize(
    ("text", "arrives"),
    [("\ud800a", "\ufffda"), ("\ud83d\ude00", "\U0001f600"), ("é\udfff", "é\ufffd")],
)
def test_lone_surrogates_are_replaced(text: str, arrives: str) -> None:
    assert _value(_sent({text: text})) == {arrives: arrives}


def test_lone_surrogates_of_a_page_are_replaced() -> None:
    # @msgpack/msgpack encodes what TextEncoder would not, in texts of up to 200 characters.
    assert _value(bytes.fromhex("92a4eda0bd61a3edbfbf")) == ["\ufffda", "\ufffd"]
    for wrong in ("a1ff", "a2eda0", "a3eda020", "a3ed7f80", "a2c080", "a4f4908080", "81a1ff01"):
        with pytest.raises(DecodeError, match="text is not UTF-8"):
            _read(bytes.fromhex(wrong))


def test_text_on_its_way_out_is_nobody_elses_business() -> None:
    """The handler for surrogates has a name that all of Python knows."""
    with pytest.raises(UnicodeEncodeError):
        "é".encode("ascii", "peerjs_proto.msgpack_stream")


@pytest.mark.parametrize("key", ["__proto__", "", "length"])
def test_any_key_is_received(key: str) -> None:
    assert _value(msgpack.packb([{key: 1}])) == [{key: 1}]


def test_of_equal_keys_the_last_wins() -> None:
    assert _value(bytes.fromhex("82a16101a16102")) == {"a": 2}


# --- what is refused on the way out -----------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [0, 0, 0, {1}]}, 'cannot send a set at value["a"][3]'),
        (array("B"), "cannot send an array at value"),
        ([date(2020, 1, 1)], "cannot send a date at value[0]"),
        (
            [datetime(2020, 1, 1)],
            "cannot send a datetime without a time zone at value[0]: it names no moment",
        ),
        ([{None: 1}], "cannot send a NoneType as a key at value[0]: keys are str"),
        ([2**64], "cannot send an int beyond 64 bits at value[0]: MessagePack has no form for it"),
        (
            -(2**63) - 1,
            "cannot send an int beyond 64 bits at value: MessagePack has no form for it",
        ),
        (
            ({"x": {"__proto__": 1}},),
            'cannot send the key "__proto__" at value[0]["x"]: JavaScript\'s decoder fails on it',
        ),
    ],
)
def test_the_error_says_what_and_where(value: object, message: str) -> None:
    with pytest.raises(UnsupportedValue) as caught:
        _new().encode(value)
    assert str(caught.value) == message


def test_what_peerjs_would_take_for_its_own_is_refused() -> None:
    with pytest.raises(UnsupportedValue, match="cannot send None"):
        _new().encode(None)
    with pytest.raises(UnsupportedValue, match='the key "__peerData"'):
        _new().encode({"__peerData": 1})
    assert _value(_sent([None, {"__peerData": 1}])) == [None, {"__peerData": 1}]


@pytest.mark.parametrize("nesting", [64, 10**9])
def test_a_value_inside_itself(nesting: int) -> None:
    cycle: dict[str, Any] = {}
    cycle["again"] = [1, cycle]
    with pytest.raises(UnsupportedValue, match="nested too deeply, or contains itself"):
        _new(Limits(nesting=nesting)).encode(cycle)


@pytest.mark.parametrize(("nesting", "depth"), [(0, 0), (1, 1), (64, 64), (10**9, 256)])
def test_depth_out_is_depth_in(nesting: int, depth: int) -> None:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    serializer = _new(Limits(nesting=nesting))
    assert list(serializer.decode(_frames(serializer, value)[0], 0.0))
    for deeper in ([value], {"": value}):
        with pytest.raises(UnsupportedValue, match="nested too deeply"):
            serializer.encode(deeper)


def test_a_stack_that_is_nearly_full() -> None:
    value: Any = 1
    for _ in range(250):
        value = [value]

    def from_below(frames: int) -> None:
        if frames:
            from_below(frames - 1)
        else:
            _new(Limits(nesting=256)).encode(value)

    with pytest.raises(UnsupportedValue, match="nested too deeply"):
        from_below(600)


def test_what_32_bits_cannot_count_is_too_big() -> None:
    with (
        mmap.mmap(-1, 2**32) as nothing_yet,  # its pages come when they are touched
        memoryview(nothing_yet) as view,
        pytest.raises(MessageTooBig, match=r"counts to 2\*\*32 - 1"),
    ):
        _new().encode([view])


# --- PeerJS's framing -------------------------------------------------------------------------


def test_closing() -> None:
    marker = _new().close_marker()
    assert isinstance(marker, bytes)
    assert marker == msgpack.packb({"__peerData": {"type": "close"}})
    assert _read(b"\x01" + marker + b"\x02") == [
        Message(1, 1 + VALUE_COST),
        CloseRequested(),
        Message(2, 1 + VALUE_COST),
    ]


@pytest.mark.parametrize("value", [None, 1, {}, {"type": "open"}])
def test_framing_of_another_kind_is_a_value(value: object) -> None:
    assert _value(msgpack.packb({"__peerData": value})) == {"__peerData": value}


def test_null_is_received() -> None:
    assert _value(b"\xc0") is None


def test_the_name_in_the_offer() -> None:
    assert _new().name == "MsgPack"
    assert _new().always_reliable
    assert list(SERIALIZATIONS) == ["binary", "binary-utf8", "json", "raw", "none", "MsgPack"]


# --- between two peers ------------------------------------------------------------------------


def test_two_cores_talk_in_order_whatever_was_asked() -> None:
    pair = Pair(serialization="MsgPack", reliable=False)
    assert pair.alice.rtcs[pair.ours].ordered
    (offered,) = pair.bob.told(DataConnectionOffered)
    assert (offered.serialization, offered.reliable) == ("MsgPack", True)
    values: list[Any] = [1, "x" * 100_000, {"when": datetime(2020, 1, 1, tzinfo=UTC)}, b"end"]
    pair.say(pair.alice, pair.ours, *values)
    assert pair.bob.values(pair.theirs) == values

    pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    pair.alice.drain()
    pair.world.settle()
    for node, number in ((pair.alice, pair.ours), (pair.bob, pair.theirs)):
        assert [event.error for event in node.closed(number)] == [None]


def test_an_offer_without_order_is_refused() -> None:
    pair = Pair()
    pair.bob.core.receive_text(
        '{"type":"OFFER","src":"alice","payload":{"type":"data","connectionId":"dc_2","label":"l",'
        '"serialization":"MsgPack","reliable":false,"sdp":{"type":"offer","sdp":"v=0"}}}',
        pair.world.now,
    )
    pair.bob.drain()
    (refused,) = pair.bob.told(SignalingRefused)
    assert refused.reason == "offers 'MsgPack' without order, in which it cannot be read"
    assert len(pair.bob.told(DataConnectionOffered)) == 1


def test_what_never_goes_on_ends_the_connection() -> None:
    pair = Pair(serialization="MsgPack", limits=Limits(partial_timeout=60.0))
    pair.bob.core.receive_frame(pair.theirs, _sent("x" * 100)[:50], pair.world.now)
    pair.bob.drain()
    pair.world.advance(59.0)
    assert not pair.bob.closed(pair.theirs)
    pair.world.advance(1.0)
    (closed,) = pair.bob.closed(pair.theirs)
    assert isinstance(closed.error, LimitExceeded)
