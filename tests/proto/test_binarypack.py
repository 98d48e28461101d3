"""BinaryPack: there and back, what is refused, and what JavaScript can read of it."""

from __future__ import annotations

import enum
import math
import re
import struct
from array import array
from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.binarypack import pack, unpack, unpack_counted
from peerjs_proto.errors import DecodeError, MessageTooBig, UnsupportedValue
from peerjs_proto.testing.mutations import mutated
from peerjs_proto.testing.values import binary_values

# --- there and back ---------------------------------------------------------------------------


@given(binary_values())
def test_what_is_packed_is_unpacked(value: object) -> None:
    packed = pack(value)
    assert unpack(packed) == value
    assert unpack(bytearray(packed)) == value
    assert unpack(memoryview(packed)) == value


@given(st.integers(-(2**63), 2**64 - 1))
def test_an_integer_arrives_as_one(value: int) -> None:
    back = unpack(pack(value))
    assert type(back) is int
    assert back == value


@pytest.mark.parametrize(
    "value",
    [
        sign * 2**power + off
        for power in (5, 7, 8, 15, 16, 31, 32, 53, 63)
        for sign in (1, -1)
        for off in (-1025, -1024, -1, 0, 1, 1024)
        if sign * 2**power + off >= -(2**63)
    ],
)
def test_integers_at_every_border(value: int) -> None:
    back = unpack(pack(value))
    assert type(back) is int
    assert back == value


@pytest.mark.parametrize(
    ("value", "packed"),
    [
        (0.0, "00"),
        (-0.0, "00"),
        (1.0, "01"),
        (-33.0, "d0df"),
        (-128, "d080"),
        (-129, "d1ff7f"),
        (-(2**15), "d18000"),
        (-(2**15) - 1, "d2ffff7fff"),
        (-(2**31), "d280000000"),
        (2.0**63, "cf8000000000000000"),
        (2.0**64, "cb43f0000000000000"),
        (-(2.0**63), "d38000000000000000"),
        (-1e19, "cbc3e158e460913d00"),
        (-3e9 - 1, "cbc1e65a0bc0200000"),
        (math.inf, "cb7ff0000000000000"),
        (2**63 - 1, "cf7fffffffffffffff"),
        (2**63 - 1024, "d37ffffffffffffc00"),
        (2**64 - 1, "cfffffffffffffffff"),
        (-(2**31) - 1, "cbc1e0000000200000"),
        (-(2**32), "d3ffffffff00000000"),
        (-(2**53) - 1, "d3ffdfffffffffffff"),
    ],
)
def test_numbers_take_the_form_that_javascript_reads(value: float, packed: str) -> None:
    assert pack(value).hex() == packed
    assert unpack(bytes.fromhex(packed)) == value


def test_doubles_are_exact_to_the_bit() -> None:
    for bits in ("0000000000000001", "8000000000000000", "3ff0000000000000", "ffefffffffffffff"):
        value = unpack(bytes.fromhex("cb" + bits))
        assert type(value) is float
        assert struct.pack(">d", value).hex() == bits
    assert math.isnan(unpack(bytes.fromhex("cb7ff8000000000000")))


@pytest.mark.parametrize("size", [0, 15, 16, 4095, 4096, 65535, 65536])
def test_every_size_of_everything(size: int) -> None:
    for value in ("a" * size, bytes(size), [None] * size, dict.fromkeys(map(str, range(size)))):
        packed = pack([value, value])
        assert unpack(packed) == [value, value]
        for cut in {1, 2, len(packed) // 2, len(packed) - 1}:
            with pytest.raises(DecodeError):
                unpack(packed[:cut])


@given(binary_values(), binary_values())
def test_values_inside_values_stay_themselves(first: object, second: object) -> None:
    inner = pack(second)
    assert unpack(b"\x92" + pack(first) + inner) == [first, second]
    assert unpack(pack(inner)) == inner


def test_views_of_any_shape_are_bytes() -> None:
    base = memoryview(bytes(range(24)))
    for view in (base[::2], base[::-1], base[:0], base.cast("B", (4, 6)), base.cast("I")):
        assert unpack(pack([view])) == [view.tobytes()]
    large = memoryview(bytes(range(256)) * 64)
    assert unpack(pack(large[::-3])) == large[::-3].tobytes()
    packed = pack("text")
    doubled = bytes(byte for pair in zip(packed, packed, strict=True) for byte in pair)
    assert unpack(memoryview(doubled)[::2]) == "text"
    assert unpack(memoryview(array("I", [0x01010101] * 2)).cast("B")[:1].cast("b")) == 1


def test_a_bytearray_is_free_again_after_unpacking() -> None:
    good, bad = bytearray(pack([b"x"])), bytearray(b"\x91\xb1\xff")
    value = unpack(good)
    with pytest.raises(DecodeError) as caught:
        unpack(bad)
    good.clear()
    bad.clear()
    assert value == [b"x"]
    assert caught.value


@pytest.mark.parametrize(
    ("text", "arrives"),
    [("\ud800a", "\ufffda"), ("\ud83d\ude00", "\U0001f600"), ("é\udfff", "é\ufffd")],
)
def test_lone_surrogates_are_replaced(text: str, arrives: str) -> None:
    assert unpack(pack({text: text})) == {arrives: arrives}


class Colour(enum.IntEnum):
    RED = 300


class Access(enum.IntFlag):
    READ = 4


class Shade(str, enum.Enum):  # noqa: UP042 - the older way, whose str() is not its value
    DARK = "dark"


class Point(NamedTuple):
    x: int
    y: float


class Blob(bytes):
    pass


class Metres(float):
    pass


class Row(list[Any]):
    pass


def test_a_subclass_goes_as_its_base() -> None:
    value = OrderedDict({Shade.DARK: [Colour.RED, Access.READ, Point(1, 0.5), Blob(b"x")]})
    assert pack(value) == pack({"dark": [300, 4, [1, 0.5], b"x"]})
    more = Row([Metres(0.5), Metres(2.0), Row(), Shade.DARK, bytearray(b"y"), (True, None)])
    assert pack(more) == pack([0.5, 2, [], "dark", b"y", [True, None]])


# --- what is refused on the way out -----------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [0, 0, 0, {1}]}, 'cannot send a set at value["a"][3]'),
        (array("B"), "cannot send an array at value"),
        ([{None: 1}], "cannot send a NoneType as a key at value[0]: keys are str"),
        ({1: 1}, "cannot send an int as a key at value: keys are str"),
        ([2**64], "cannot send an int beyond 64 bits at value[0]: BinaryPack has no form for it"),
        (-(2**63) - 1, "cannot send an int beyond 64 bits at value: BinaryPack has no form for it"),
        ((math.nan,), "cannot send NaN at value[0]: JavaScript's decoder reads infinity"),
        (
            {"x": {"__proto__": 1}},
            'cannot send the key "__proto__" at value["x"]: '
            "JavaScript's decoder would not keep it",
        ),
    ],
)
def test_the_error_says_what_and_where(value: object, message: str) -> None:
    with pytest.raises(UnsupportedValue) as caught:
        pack(value)
    assert str(caught.value) == message


@pytest.mark.parametrize("max_depth", [64, 10**9])
def test_a_value_inside_itself(max_depth: int) -> None:
    cycle: dict[str, Any] = {}
    cycle["again"] = [1, cycle]
    with pytest.raises(UnsupportedValue, match="nested too deeply, or contains itself"):
        pack(cycle, max_depth=max_depth)


def test_depth_out_is_depth_in() -> None:
    value: list[Any] = []
    for _ in range(63):
        value = [value]
    assert unpack(pack(value)) == value
    with pytest.raises(UnsupportedValue, match="nested too deeply"):
        pack([value])
    with pytest.raises(DecodeError, match="nested too deeply"):
        unpack(b"\x91" + pack(value))


@pytest.mark.parametrize("value", [{"a": {"b": 1}}, {"a": [1]}, [{"a": 1}], [[1]]])
def test_lists_and_maps_are_one_deep_each(value: object) -> None:
    packed = pack(value, max_depth=2)
    assert unpack(packed, max_depth=2) == value
    with pytest.raises(UnsupportedValue, match="nested too deeply"):
        pack(value, max_depth=1)
    with pytest.raises(DecodeError, match="nested too deeply"):
        unpack(packed, max_depth=1)


@pytest.mark.parametrize("value", [{}, []])
def test_what_is_empty_is_one_deep_too(value: object) -> None:
    packed = pack(value, max_depth=1)
    assert unpack(packed, max_depth=1) == value
    with pytest.raises(UnsupportedValue, match="nested too deeply"):
        pack(value, max_depth=0)
    with pytest.raises(DecodeError, match="nested too deeply"):
        unpack(packed, max_depth=0)


class Endless(list[int]):
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size


def test_a_count_beyond_32_bits_is_too_big() -> None:
    assert pack(Endless(2**32 - 1)) == b"\xdd\xff\xff\xff\xff"
    with pytest.raises(MessageTooBig, match="this counts 4294967296"):
        pack(Endless(2**32))


# --- what is refused on the way in ------------------------------------------------------------


@given(binary_values())
def test_every_truncation_is_refused(value: object) -> None:
    packed = pack(value)
    for size in range(len(packed)):
        with pytest.raises(DecodeError):
            unpack(packed[:size])


@given(binary_values(), st.binary(min_size=1))
def test_trailing_bytes_are_refused(value: object, more: bytes) -> None:
    with pytest.raises(DecodeError):
        unpack(pack(value) + more)


@given(st.binary())
def test_random_bytes_raise_decode_error_only(data: bytes) -> None:
    _unpack_or_refuse(data)


@given(mutated(binary_values().map(pack)))
def test_mutated_bytes_raise_decode_error_only(data: bytes) -> None:
    _unpack_or_refuse(data)


def _unpack_or_refuse(data: bytes) -> None:
    try:
        value, items = unpack_counted(data, max_depth=8, max_items=100)
    except DecodeError:
        return
    assert 1 <= items <= min(len(data), 100)
    # What was read can be sent again, but for the two things JavaScript cannot read.
    try:
        assert unpack(pack(value)) == value
    except UnsupportedValue as error:
        assert re.search("__proto__|NaN", str(error))  # noqa: PT017


@pytest.mark.parametrize("lead", [0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9])
def test_unassigned_type_bytes_are_refused(lead: int) -> None:
    for data in (bytes([lead]), bytes([0x92, lead, 0x01])):
        with pytest.raises(DecodeError, match=f"no type byte {lead:#x}"):
            unpack(data)


@pytest.mark.parametrize("lead", [0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF])
@pytest.mark.parametrize("rest", [b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff" * 4 + bytes(64)])
def test_a_count_is_paid_before_it_is_believed(lead: int, rest: bytes) -> None:
    # The five bytes dd ff ff ff ff end a Node process by memory.
    with pytest.raises(DecodeError):
        unpack(bytes([lead]) + rest)


def test_counts_inside_counts_add_up() -> None:
    # Each list claims all the bytes that are left, so each claim alone can be true.
    size = 100_000
    claims = b"".join(b"\xdd" + struct.pack(">I", size - 5 * n) for n in range(1, 60))
    with pytest.raises(DecodeError, match="more than 1000000 values"):
        unpack(claims.ljust(size, b"\xc0"), max_items=1_000_000)


@pytest.mark.parametrize(
    ("value", "items"), [(0, 1), ([1, 2], 3), ({"a": 1, "b": [2, 3]}, 7), ("a,b", 1), ([[]], 2)]
)
def test_items_are_counted_and_bounded(value: object, items: int) -> None:
    packed = pack(value)
    assert unpack_counted(packed, max_items=items) == (value, items)
    if items > 1:
        with pytest.raises(DecodeError, match=f"more than {items - 1} values"):
            unpack(packed, max_items=items - 1)


@pytest.mark.parametrize("opening", [b"\x91", b"\x81\xb1a", b"\xdd\x00\x00\x00\x01", b"\x81"])
@pytest.mark.parametrize("max_depth", [64, 10**9])
def test_a_mebibyte_of_openings_is_refused(opening: bytes, max_depth: int) -> None:
    with pytest.raises(DecodeError):
        unpack(opening * (2**20 // len(opening)), max_depth=max_depth)


def test_of_equal_keys_the_last_wins() -> None:
    assert unpack(bytes.fromhex("82b16101b16102")) == {"a": 2}
