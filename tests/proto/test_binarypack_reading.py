"""Reading BinaryPack: many numbers at once or one by one, and where it says what is wrong."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.binarypack import pack, unpack, unpack_counted
from peerjs_proto.errors import DecodeError
from peerjs_proto.testing.values import binary_values
from peerjs_proto.unpacker import raw_head

# --- lists of numbers, which are read many at a time ------------------------------------------

_FORMS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}


@st.composite
def packed_numbers(draw: st.DrawFn) -> list[bytes]:
    """Packed numbers in every form, shortest or not, in runs of one form."""
    numbers: list[bytes] = []
    for _ in range(draw(st.integers(1, 5))):
        lead = draw(st.sampled_from([*_FORMS, 0x00, 0xE0]))
        if lead in _FORMS:
            size = struct.calcsize(_FORMS[lead])
            bodies = draw(st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=3))
            some = [bytes([lead]) + body for body in bodies]
        else:
            leads = draw(st.lists(st.integers(lead, lead + 0x1F), min_size=1, max_size=3))
            some = [bytes([lead]) for lead in leads]
        numbers += some * draw(st.integers(1, 20))
    return numbers


@given(packed_numbers(), st.lists(binary_values(), max_size=1))
def test_many_numbers_are_what_each_of_them_is(numbers: list[bytes], last: list[Any]) -> None:
    items = [*numbers, *map(pack, last)]
    expected = [unpack(item) for item in items]
    value, count = unpack_counted(b"\xdd" + struct.pack(">I", len(items)) + b"".join(items))
    assert list(map(_exactly, value)) == list(map(_exactly, expected))
    assert count >= 1 + len(items)


def _exactly(value: Any) -> Any:
    """Such that == tells -0.0 from 0.0 and 1 from 1.0, and takes NaN for NaN."""
    return (type(value), struct.pack(">d", value)) if type(value) is float else value


@given(packed_numbers(), st.integers(1, 9))
def test_many_numbers_cut_short(numbers: list[bytes], missing: int) -> None:
    data = b"\xdc" + struct.pack(">H", len(numbers)) + b"".join(numbers)
    with pytest.raises(DecodeError):
        unpack(data[: max(1, len(data) - missing)])


@pytest.mark.parametrize(
    "values",
    [
        [0.5] * 10_000,
        [*range(-300, 10_000)],
        [-(2**31) - 1.0] * 100,
        [math.inf] * 20 + [-math.inf] * 20,
        [7] * 4095 + [0.5] * 4097 + [None] * 20 + [2**40] * 20,
        [-(2**40)] * 100,
        [1, -1] * 100 + ["x"] * 20 + [True] * 20,
    ],
)
def test_long_lists_of_numbers(values: list[Any]) -> None:
    assert unpack(pack(values)) == values
    assert [type(value) for value in unpack(pack(values))] == [
        int if type(value) is float and value.is_integer() else type(value) for value in values
    ]


def test_nan_does_not_hide_integers_beside_it() -> None:
    nan, whole = bytes.fromhex("cb7ff8000000000000"), bytes.fromhex("cbc1e0000000200000")
    for items in ([nan, whole], [whole, nan], [whole, nan, whole]):
        value = unpack(b"\xdc" + struct.pack(">H", 10 * len(items)) + b"".join(items * 10))
        assert {type(number) for number in value if number == number} == {int}


@pytest.mark.parametrize("count", [1, 40])
def test_whole_doubles_that_fit_an_int64_are_integers(count: int) -> None:
    lowest, below = -(2.0**63), math.nextafter(-(2.0**63), -math.inf)
    for number, kind in ((lowest, int), (below, float), (-(2.0**31), float), (-1e300, float)):
        packed = b"\xcb" + struct.pack(">d", number)
        (value, *_) = values = unpack(b"\xdc" + struct.pack(">H", count) + packed * count)
        assert values == [number] * count
        assert type(value) is kind
        assert type(unpack(b"\x81\xb1a" + packed)["a"]) is kind


@pytest.mark.parametrize(
    "value",
    [*("x" * size for size in (0, 15, 16, 255, 256, 300, 600, 65535, 65536)), 0.5, -0.5, -3e9 - 1],
    ids=lambda value: f"{len(value)} x" if isinstance(value, str) else repr(value),
)
def test_a_value_is_the_same_in_a_list_and_in_a_map(value: Any) -> None:
    packed = pack(value)
    alone = unpack(packed)
    assert alone == value
    assert [*map(_exactly, unpack(b"\x92" + packed + packed))] == [_exactly(alone)] * 2
    in_map = unpack(b"\x82\xb1a" + packed + b"\xb1b" + packed)
    assert [*map(_exactly, in_map.values())] == [_exactly(alone)] * 2
    if type(value) is str:
        assert unpack(b"\x81" + packed + b"\xc0") == {value: None}


# --- where it says what is wrong --------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "cut short at byte 0"),
        ("b361", "cut short at byte 2"),
        ("b3e282", "cut short at byte 3"),
        ("91b3e282", "cut short at byte 4"),
        ("82b161b3e282", "cut short at byte 6"),
        ("d800", "cut short at byte 2"),
        ("92d800", "cut short at byte 3"),
        ("92d8000561", "cut short at byte 5"),
        ("81b161d8000561", "cut short at byte 7"),
        ("92cb00", "cut short at byte 3"),
        ("da000561", "cut short at byte 4"),
        ("dc00", "cut short at byte 2"),
        ("b161ff", "value ends at byte 2 of 3"),
        ("91b1ff", "text at byte 1 is not UTF-8"),
        ("91d80001ff", "text at byte 1 is not UTF-8"),
        ("82b1610191b100c0", "key at byte 4 is not text"),
        ("81b161b1ff", "text at byte 3 is not UTF-8"),
        ("81b1ff01", "text at byte 1 is not UTF-8"),
        ("81b161d80001ff", "text at byte 3 is not UTF-8"),
        ("d80001ff", "text at byte 0 is not UTF-8"),
        ("81d80001ff01", "text at byte 1 is not UTF-8"),
        ("810101", "key at byte 1 is not text"),
        ("81cc0101", "key at byte 1 is not text"),
        ("dc0005000000", "count at byte 3 exceeds the bytes that follow"),
        ("93c40103", "no type byte 0xc4 (at byte 1)"),
        ("92dcffff", "count at byte 4 exceeds the bytes that follow"),
        ("91" * 65, "nested too deeply (at byte 65)"),
    ],
)
def test_the_error_says_where(data: str, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        unpack(bytes.fromhex(data))
    assert str(caught.value).startswith("BinaryPack ")
    assert str(caught.value).endswith(message)


def test_python_may_give_up_before_the_depth_does() -> None:
    with pytest.raises(DecodeError) as caught:
        unpack(b"\x91" * 100_000 + b"\xc0", max_depth=10**9)
    assert str(caught.value) == "BinaryPack nested too deeply"


# --- what JavaScript has sent, now and before --------------------------------------------------


def test_undefined_is_none() -> None:
    assert unpack(bytes.fromhex("97c0c1d4d5d6d701")) == [None] * 6 + [1]


@pytest.mark.parametrize(
    ("sent", "packed"),
    [
        ('"😀"', "b6f09f9880"),
        ('["😀", 1, 2]', "93b6f09f98800102"),
        ('["😀", "abcdef"]', "92b6f09f9880b6616263646566"),
        ('{"k😀": 1}', "81b76bf09f988001"),
    ],
)
def test_the_wrong_count_of_old_encoders_is_refused(sent: str, packed: str) -> None:
    # Made by running peerjs-js-binarypack 1.0.1, of peerjs 1.0 to 1.4: the bytes are UTF-8, but
    # it counts 6 for a character of 4. Neither its own decoder nor 2.1.0's reads them.
    with pytest.raises(DecodeError):
        unpack(bytes.fromhex(packed))


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("é", "b2c3a9"),
        ("€", "b3e282ac"),
        ("\ufffd", "b3efbfbd"),  # from "\ud800"
        # Beyond 600 UTF-16 units it counts right.
        ("x" * 600 + "😀", "d8025c" + "78" * 600 + "f09f9880"),
    ],
)
def test_other_text_of_old_encoders_is_read(text: str, packed: str) -> None:
    assert unpack(bytes.fromhex(packed)) == text
    assert pack(text).hex() == packed


@pytest.mark.parametrize(
    "malformed",
    [
        "eda0bdedb880",  # the halves of 😀, each for itself (CESU-8): no encoder ever sent it
        "eda080",  # half a character
        "c080",  # an overlong NUL
        "f8808080",  # no such length
        "f4908080",  # beyond U+10FFFF
        "80",
        "e282",
    ],
)
def test_malformed_utf8_is_refused(malformed: str) -> None:
    text = bytes.fromhex(malformed)
    with pytest.raises(DecodeError, match="not UTF-8"):
        unpack(bytes([0xB0 + len(text)]) + text)
    with pytest.raises(DecodeError, match="not UTF-8"):
        unpack(bytes([0x81, 0xB0 + len(text)]) + text + b"\x01")


# --- bytes and no more ------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 15, 16, 65_535, 65_536])
def test_where_bytes_begin(size: int) -> None:
    packed = pack(bytes(size))
    head = raw_head(packed, len(packed))
    assert packed[head:] == bytes(size)
    assert raw_head(memoryview(packed)[:head], len(packed)) == head
    for cut in range(head):
        assert raw_head(packed[:cut], len(packed)) == 0
    for wrong in (len(packed) - 1, len(packed) + 1):
        assert raw_head(packed, wrong) == 0


@given(binary_values())
def test_what_else_there_is_begins_nowhere(value: object) -> None:
    packed = pack(value)
    head = raw_head(packed, len(packed))
    assert bool(head) == isinstance(value, bytes)
    assert not head or packed[head:] == value
