"""Data connections between a real peerjs.js page and a Python peer: every value, both ways."""

from __future__ import annotations

import math
from typing import Any

import pytest

from peerjs_trio import DataConnection, MessageTooBig, UnsupportedValue
from tests.interop.devtools import JavaScriptError
from tests.interop.ends import DIALLERS, Dialler, Pair, both_ways
from tests.interop.lab import Collected, Line
from tests.interop.values import Digest, Made, Numbered, encode, numbered

pytestmark = [pytest.mark.trio, pytest.mark.browser]

# Beyond the server, which only introduces them, nothing depends on which one it was.
one_server = pytest.mark.parametrize("which", ["ours"], indirect=True)


# --- values ----------------------------------------------------------------------------------

BORDERS = [0, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, 2**53 - 1]
INTEGERS = sorted({sign * (n + d) for n in BORDERS for d in (-1, 0, 1) for sign in (1, -1)})
PLAIN = [True, False, "", "text", "é😀\x00\u2028", "😀" * 20, [], {}, 0.5, -1.5, *INTEGERS]
NESTED = [[1, [2, [3]]], {"a": {"b": [{"c": "é"}]}, "😀": None}, list(range(20))]
BYTES = [b"", b"\x00", bytes(range(256)), {"raw": b"x"}]

VALUES: dict[str, list[Any]] = {
    "binary": [*PLAIN, *NESTED, *BYTES],
    "binary-utf8": ["é😀", b"\x00\xff", {"a": 1}],
    "json": [*PLAIN, *NESTED],
    "raw": ["", "é😀", b"", b"\x00\xff"],
}

# A page cannot send these right: it refuses whole numbers from 2**64 on, turns 2**63 into its
# opposite, and its doubles are made by hand. It reads them as they are, denormal ones apart.
ONLY_FROM_PYTHON = [2**63, -(2**63), 1e300, -1e300, 0.1, 2.2250738585072014e-308, math.inf]


@pytest.mark.parametrize("dialler", DIALLERS)
async def test_values_cross_both_ways(pair: Pair, dialler: Dialler) -> None:
    for serialization, values in VALUES.items():
        ends = await pair.connect(dialler, serialization=serialization)
        for here, there in both_ways(ends):
            for sent in values:
                await here.send(sent)
                received = await there.receive()
                assert encode(received) == encode(sent), (serialization, here)


@one_server
async def test_numbers_that_only_python_sends_right(pair: Pair) -> None:
    line, connection = await pair.connect("page")
    for sent in ONLY_FROM_PYTHON:
        await connection.send(sent)
        assert await line.receive() == sent


@one_server
@pytest.mark.parametrize("dialler", DIALLERS)
async def test_sizes_at_the_border_of_a_chunk(pair: Pair, dialler: Dialler) -> None:
    # A packed string or byte string of this length has 3 bytes before it.
    sizes = [1, 15, 16, *range(16_296, 16_302), 2 * 16_300, 65_535, 65_536, 2**20]
    line, connection = await pair.connect(dialler, reliable=True)
    for made in [Made(kind, size) for kind in ("bytes", "text") for size in sizes]:
        await _cross(line, connection, made)


@one_server
async def test_big_values(pair: Pair) -> None:
    line, connection = await pair.connect("python", reliable=True)
    await _cross(line, connection, Made("bytes", 5 * 2**20))

    big = Made("bytes", 64 * 2**20)
    await connection.send(big.value())
    assert await line.receive_digest() == big.digest()


@one_server
async def test_a_long_text_is_cut_in_the_middle_of_a_character(pair: Pair) -> None:
    text = "a" + "😀é" * 10_000
    for here, there in both_ways(await pair.connect("page")):
        await here.send(text)
        assert await there.receive() == text


@one_server
async def test_json_ends_at_16_300_bytes(pair: Pair) -> None:
    line, connection = await pair.connect("page", serialization="json")
    longest, too_long = Made("text", 16_297), Made("text", 16_298)  # and two quotes
    with pytest.raises(MessageTooBig):
        await connection.send(too_long.value())
    with pytest.raises(JavaScriptError) as refused:
        await line.send_made(too_long)
    assert refused.value.type == MessageTooBig.type
    await _cross(line, connection, longest)


@one_server
async def test_raw_ends_where_the_data_channel_does(pair: Pair) -> None:
    line, connection = await pair.connect("page", serialization="raw")
    longest, too_long = Made("bytes", 262_144), Made("bytes", 262_145)
    await _cross(line, connection, longest)
    with pytest.raises(MessageTooBig):
        await connection.send(too_long.value())
    await _cross(line, connection, Made("text", 262_144))


@one_server
@pytest.mark.parametrize("serialization", ["binary", "json"])
async def test_what_would_be_lost_is_refused(pair: Pair, serialization: str) -> None:
    """A page drops a null; Python says so before it goes out, and the connection is unharmed."""
    line, connection = await pair.connect("python", serialization=serialization)
    with pytest.raises(UnsupportedValue):
        await connection.send(None)
    await _cross(line, connection, Made("text", 10))


# --- many ------------------------------------------------------------------------------------


@one_server
@pytest.mark.parametrize("dialler", DIALLERS)
async def test_a_burst_arrives_in_order(pair: Pair, dialler: Dialler) -> None:
    line, connection = await pair.connect(dialler, reliable=True)
    await line.burst(10_000, "object")
    await _expect_burst(connection, 10_000, "object")
    await _burst(connection, 10_000, "object")
    assert await line.collect(10_000, "object") == Collected.perfect(10_000)


@one_server
async def test_a_burst_arrives_whole_without_order(pair: Pair) -> None:
    line, connection = await pair.connect("page", reliable=False)
    await _burst(connection, 2000, "number")
    collected = await line.collect(2000, "number")
    assert (collected.received, collected.distinct, collected.strangers) == (2000, 2000, [])

    await line.burst(2000, "number")
    assert sorted([await connection.receive() for _ in range(2000)]) == list(range(2000))


# --- helpers ---------------------------------------------------------------------------------


async def _cross(line: Line, connection: DataConnection, made: Made) -> None:
    await line.send_made(made)
    assert Digest.of(await connection.receive()) == made.digest()
    await connection.send(made.value())
    assert await line.receive_digest() == made.digest()


async def _burst(connection: DataConnection, count: int, kind: Numbered) -> None:
    for n in range(count):
        await connection.send(numbered(kind, n))


async def _expect_burst(connection: DataConnection, count: int, kind: Numbered) -> None:
    for n in range(count):
        assert await connection.receive() == numbered(kind, n)
