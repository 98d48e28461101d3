"""JSON in: one value within bounds, or DecodeError. JSON out: what JavaScript reads right."""

from __future__ import annotations

import enum
import json
import math
from collections import OrderedDict, defaultdict
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.errors import DecodeError, LocalProtocolError, UnsupportedValue
from peerjs_proto.jsontext import dumps, loads, loads_counted, well_formed
from peerjs_proto.testing.mutations import mutated
from peerjs_proto.testing.values import json_values

# --- there and back ---------------------------------------------------------------------------


@given(json_values())
def test_what_is_written_is_read(value: object) -> None:
    text = dumps(value)
    assert loads(text, max_depth=64) == value
    assert loads(text.encode(), max_depth=64) == value


@given(json_values())
def test_the_text_is_what_json_stringify_would_accept(value: object) -> None:
    assert json.loads(dumps(value), parse_constant=pytest.fail) == value


def test_compact_and_without_escapes() -> None:
    assert dumps({"a": [1, 2.5, None, True], "ä": "€"}) == '{"a":[1,2.5,null,true],"ä":"€"}'


def test_own_keys_of_javascript_are_plain_keys() -> None:
    assert loads('{"__proto__":{"a":1}}', max_depth=2) == {"__proto__": {"a": 1}}


def test_of_equal_keys_the_last_wins() -> None:
    assert loads('{"a":1,"a":2}', max_depth=1) == {"a": 2}


# --- text -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"\ud83d", "\ufffd"),
        (r"\uD83Dx\uDe00", "\ufffdx\ufffd"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\ud83d\u0041", "\ufffdA"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d", "\\\ufffd"),
        (r"\ud83d\\ude00", r"�\ude00"),
    ],
)
def test_lone_surrogates_in_escapes_are_replaced(escaped: str, text: str) -> None:
    assert loads(f'["{escaped}"]', max_depth=1) == [text]
    assert loads(f'{{"{escaped}":1}}', max_depth=1) == {text: 1}


@given(st.lists(st.sampled_from(["\\", '"', "u", "d83d", "\\ud83d", "\\ude00", "x"])).map("".join))
def test_whatever_is_read_can_be_sent_again(inner: str) -> None:
    try:
        text = loads(f'"{inner}"', max_depth=0)
    except DecodeError:
        return
    assert loads(dumps(text), max_depth=0) == text
    text.encode()


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("plain €", "plain €"),
        ("\ud800", "\ufffd"),
        ("\udc00\ud800", "\ufffd\ufffd"),
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d\ude00", "\U0001f600"),
        ("\ud83d\U0001f600", "\ufffd\U0001f600"),
    ],
)
def test_lone_surrogates_are_replaced_on_the_way_out(text: str, replaced: str) -> None:
    assert well_formed(text) == replaced
    assert loads(dumps({text: [text]}), max_depth=2) == {replaced: [replaced]}


# --- what is refused on the way in ------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            " ",
            "{",
            '{"a"}',
            "[1,]",
            "nul",
            "'a'",
            '"\t"',
            '"\\x"',
            "01",
            "1 2",
            "{}x",
            "\ufeff1",
        ],
        *["NaN", "Infinity", "-Infinity", "[NaN]", "1e309", "-1e999", "1" * 309, "1" * 10_000],
        *[b"\xff", b'"\xed\xa0\x80"', b'"\xc0\x80"', b"\xef\xbb\xbf1", "1".encode("utf-16")],
        *['"\ud800"', '"', '"\\', '"\\"', "]", "[[]]]", "\x00"],
    ],
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(DecodeError):
        loads(text, max_depth=64)


def test_the_error_tells_where_and_quotes_nothing() -> None:
    with pytest.raises(DecodeError, match=r"line 1 column 12") as caught:
        loads('{"secret": hunter2}', max_depth=64)
    assert "hunter2" not in str(caught.value)


@given(st.text() | st.binary())
def test_any_input_raises_decode_error_only(text: str | bytes) -> None:
    with suppress(DecodeError):
        loads(text, max_depth=64)


@given(mutated(json_values().map(lambda value: dumps(value).encode())))
def test_mutated_json_raises_decode_error_only(text: bytes) -> None:
    try:
        value, items = loads_counted(text, max_depth=8, max_items=50)
    except DecodeError:
        return
    assert items <= 50
    assert loads(dumps(value), max_depth=8) == value


# --- bounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"]}":'])
def test_a_mebibyte_of_openings_is_refused(opening: str) -> None:
    with pytest.raises(DecodeError, match="deep"):
        loads(opening * (2**20 // len(opening)), max_depth=64)


def test_a_bound_beyond_pythons_own_still_ends_in_decode_error() -> None:
    with pytest.raises(DecodeError):
        loads("[" * 200_000 + "]" * 200_000, max_depth=10**6)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"[[[[":', "}")])
def test_depth_is_exact(opening: str, closing: str) -> None:
    text = opening * 5 + "1" + closing * 5
    assert loads(text, max_depth=5)
    with pytest.raises(DecodeError, match="more than 4 deep"):
        loads(text, max_depth=4)


def test_depth_is_not_the_number_of_brackets() -> None:
    assert loads("[[],[],[],[[]]]", max_depth=3) == [[], [], [], [[]]]


def test_brackets_inside_strings_do_not_count() -> None:
    text = dumps(["[" * 1000, '\\"[[{', "{" * 1000])
    assert loads_counted(text, max_depth=1, max_items=4)[1] == 4


@pytest.mark.parametrize(
    ("text", "items"), [("1", 1), ("[1,2]", 3), ('{"a":1,"b":[2,3]}', 7), ('"a,b:[c]"', 1)]
)
def test_items_are_counted_before_they_exist(text: str, items: int) -> None:
    assert loads_counted(text, max_depth=9, max_items=items)[1] == items
    with pytest.raises(DecodeError, match=f"more than {items - 1} values"):
        loads_counted(text, max_depth=9, max_items=items - 1)


def test_escapes_to_the_end_take_linear_time() -> None:
    with pytest.raises(DecodeError):
        loads('"' + '\\"' * 2**19, max_depth=1)


# --- what is refused on the way out -----------------------------------------------------------


class Colour(enum.IntEnum):
    RED = 1


class Shade(enum.StrEnum):
    DARK = "dark"


class Point(NamedTuple):
    x: int
    y: int


class Real(float):
    pass


def test_a_subclass_goes_as_its_base() -> None:
    value = {
        Shade.DARK: Colour.RED,
        "point": Point(1, 2),
        "ordered": OrderedDict(a=Real(0.5)),
        "default": defaultdict(list, b=[Shade.DARK]),
    }
    assert loads(dumps(value), max_depth=9) == {
        "dark": 1,
        "point": [1, 2],
        "ordered": {"a": 0.5},
        "default": {"b": ["dark"]},
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (set(), "cannot send a set at value"),
        ({"a": [0, 0, 0, {1}]}, 'cannot send a set at value["a"][3]'),
        ([b""], "cannot send a bytes at value[0]"),
        (OSError(), "cannot send an OSError at value"),
        ({"a": {1: 2}}, 'cannot send an int as a key at value["a"]: keys are str'),
        ([math.nan], "cannot send nan at value[0]: JSON has no form for it"),
        ({"€": -math.inf}, 'cannot send -inf at value["€"]: JSON has no form for it'),
        (10**308, "cannot send an int of more than 308 digits at value: JavaScript reads infinity"),
        ({"k" * 99: {1}}, f'cannot send a set at value["{"k" * 38}…]'),
    ],
)
def test_the_error_says_what_and_where(value: object, message: str) -> None:
    with pytest.raises(UnsupportedValue) as caught:
        dumps(value)
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, LocalProtocolError)


def test_the_largest_integers_are_sent() -> None:
    for value in (10**308 - 1, 1 - 10**308, 2**64, 10**20):
        assert loads(dumps(value), max_depth=0) == value


@pytest.mark.parametrize("max_depth", [64, 10**9])
def test_a_value_inside_itself(max_depth: int) -> None:
    cycle: list[Any] = [1]
    cycle.append({"again": cycle})
    with pytest.raises(UnsupportedValue, match="nested too deeply, or contains itself"):
        dumps(cycle, max_depth=max_depth)


@pytest.mark.parametrize("value", [{"a": {}}, {"a": []}, [{}], [[]]])
def test_depth_is_counted_in_lists_and_maps(value: Any) -> None:
    assert loads(dumps(value, max_depth=2), max_depth=2) == value
    with pytest.raises(UnsupportedValue, match="nested too deeply"):
        dumps(value, max_depth=1)


def test_a_depth_that_python_cannot_write_is_no_recursion_error() -> None:
    for levels in range(100, 1100, 25):
        value: list[Any] = []
        for _ in range(levels):
            value = [value]
        try:
            dumps(value, max_depth=10**9)
        except UnsupportedValue:
            return
    pytest.fail("the last one is deeper than Python's stack")


def test_depth_out_is_depth_in() -> None:
    value: list[Any] = []
    for _ in range(63):
        value = [value]
    assert loads(dumps(value), max_depth=64) == value
    with pytest.raises(UnsupportedValue, match=r"at value\[0\]\[0\]\[0\]\[0\]\[0\]\[…\]\[0\]"):
        dumps([value])
