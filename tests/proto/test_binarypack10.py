"""BinaryPack of peerjs before 1.5, byte by byte; what it is for is in ``test_versions``."""

from __future__ import annotations

from datetime import date

import pytest

from peerjs_proto.binarypack10 import pack, unpack_counted
from peerjs_proto.errors import DecodeError, UnsupportedValue

EMOJI = "😀".encode()


def test_what_goes_out_is_bounded_and_dates_need_leave() -> None:
    assert pack(["é", [1]], max_depth=2).hex() == "92b2c3a99101"
    with pytest.raises(UnsupportedValue, match="nested too deeply"):
        pack(["é", [1]], max_depth=1)
    with pytest.raises(UnsupportedValue, match="cannot send a date"):
        pack(date(2024, 2, 29))
    assert pack(date(2024, 2, 29), dates_as_text=True) == b"\xba2024-02-29"


@pytest.mark.parametrize(
    ("text", "packed"),
    [("\ud800é", "b5efbfbdc3a9"), ("\ud83d\ude00", "b6eda0bdedb880"), ("é\udfff", "b5c3a9efbfbd")],
)
def test_lone_surrogates_are_replaced(text: str, packed: str) -> None:
    assert pack(text).hex() == packed


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_anything_like_bytes_is_read(kind: type[bytes]) -> None:
    data = kind(b"\x82\xb1a\x91\x01\xb1b\xc0")
    assert unpack_counted(data) == ({"a": [1], "b": None}, 6)
    with pytest.raises(DecodeError, match="more than 5 values"):
        unpack_counted(data, max_items=5)
    assert unpack_counted(data, max_depth=2)[1] == 6
    with pytest.raises(DecodeError, match="nested too deeply"):
        unpack_counted(data, max_depth=1)


@pytest.mark.parametrize("opening", [b"\x81", b"\x81\xb1a"])  # as a key, and as a value
def test_maps_inside_maps_are_bounded(opening: bytes) -> None:
    with pytest.raises(DecodeError, match="nested too deeply"):
        unpack_counted(opening * 80)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("82b1610191b100c0", "key at byte 4 is not text"),
        ("81b161b1ff", "text at byte 3 is not UTF-8"),
        ("91d80001ff", "text at byte 1 is not UTF-8"),
        ("91b3e282", "cut short at byte 4"),
    ],
)
def test_the_error_says_where(data: str, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        unpack_counted(bytes.fromhex(data))
    assert str(caught.value) == f"BinaryPack {message}"


def test_what_stands_behind_a_text_is_not_counted_in() -> None:
    # -16 is the byte f0, with which characters of four bytes begin.
    assert unpack_counted(b"\x92\xb6" + EMOJI + b"\xf0")[0] == ["😀", -16]


def test_characters_beyond_ffff_count_among_the_values() -> None:
    data = b"\x91\xb6" + EMOJI
    assert unpack_counted(data, max_items=3) == (["😀"], 3)
    with pytest.raises(DecodeError, match="more than 2 values"):
        unpack_counted(data, max_items=2)


def test_a_text_of_600_units_is_never_counted_right() -> None:
    # With the two numbers behind it, it might be one of 600 units that counts its bytes.
    text = EMOJI + b"a" * 596
    data = b"\x93\xd8" + (len(text) + 2).to_bytes(2) + text + b"\x01\x02"
    assert unpack_counted(data)[0] == [text.decode(), 1, 2]


def test_longer_texts_are_never_counted_wrong() -> None:
    longest = EMOJI * 300
    assert unpack_counted(b"\xd8" + (6 * 300).to_bytes(2) + longest)[0] == longest.decode()
    for count in (301, 400):  # and what follows is no text, so nothing could be meant but this
        text = b"\xd8" + (6 * count).to_bytes(2) + EMOJI * count
        with pytest.raises(DecodeError, match="not UTF-8"):
            unpack_counted(b"\xdc" + (1001).to_bytes(2) + text + b"\xff" * 1000)
