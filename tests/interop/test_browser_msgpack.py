"""MsgPack between a page with peerjs's own serializer.msgpack.mjs and a Python peer."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import anyio
import pytest

from peerjs_trio import UnsupportedValue
from tests.interop.ends import DIALLERS, Dialler, Pair, both_ways
from tests.interop.lab import Collected
from tests.interop.test_browser_data import BYTES, NESTED, PLAIN
from tests.interop.values import Digest, Made, encode, numbered

pytest.importorskip("msgpack", reason="MsgPack needs the extra msgpack")

pytestmark = [pytest.mark.trio, pytest.mark.browser]

# Beyond the server, which only introduces them, nothing depends on which one it was.
one_server = pytest.mark.parametrize("which", ["ours"], indirect=True)

DATES = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2020, 2, 29, 12, 30, 15, 123_000, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
]
# A page sends whole numbers from 2**53 on as doubles, and as such they arrive.
DOUBLES = [1e300, *(value for value in PLAIN if type(value) is int and abs(value) >= 2**53)]
SAME = [value for value in PLAIN if value not in DOUBLES]
VALUES = [*SAME, *NESTED, *BYTES, *DATES, {"when": DATES}, math.inf, 0.1, 5e-324]


@pytest.mark.parametrize("dialler", DIALLERS)
async def test_values_cross_both_ways(pair: Pair, dialler: Dialler) -> None:
    line, connection = await pair.connect(dialler, serialization="MsgPack")
    assert line.serialization == connection.serialization == "MsgPack"
    assert line.reliable
    for here, there in both_ways((line, connection)):
        for sent in VALUES:
            await here.send(sent)
            received = await there.receive()
            assert encode(received) == encode(sent), here
    for sent in DOUBLES:
        await line.send(sent)
        received = await connection.receive()
        assert (type(received), received) == (float, float(sent))
        await connection.send(sent)
        assert await line.receive() == sent


@one_server
@pytest.mark.parametrize("dialler", DIALLERS)
async def test_sizes_at_the_border_of_a_frame(pair: Pair, dialler: Dialler) -> None:
    line, connection = await pair.connect(dialler, serialization="MsgPack")
    sizes = [1, 31, 32, *range(32_762, 32_767), 65_535, 65_536, 2**20, 5 * 2**20]
    for made in [Made(kind, size) for kind in ("bytes", "text") for size in sizes]:
        await line.send_made(made)
        assert Digest.of(await connection.receive()) == made.digest()
        await connection.send(made.value())
        assert await line.receive_digest() == made.digest()


@one_server
async def test_structures_over_many_frames(pair: Pair) -> None:
    value = [{"n": n, "text": "é😀" * 20, "bytes": bytes(50), "at": DATES[1]} for n in range(3000)]
    for here, there in both_ways(await pair.connect("page", serialization="MsgPack")):
        await here.send(value)
        assert encode(await there.receive()) == encode(value)


@one_server
@pytest.mark.parametrize("dialler", DIALLERS)
async def test_a_burst_arrives_in_order(pair: Pair, dialler: Dialler) -> None:
    line, connection = await pair.connect(dialler, serialization="MsgPack")
    await line.burst(2000, "object")
    for n in range(2000):
        assert await connection.receive() == numbered("object", n)
    for n in range(2000):
        await connection.send(numbered("object", n))
    assert await line.collect(2000, "object") == Collected.perfect(2000)


@one_server
@pytest.mark.parametrize("dialler", DIALLERS)
async def test_a_flushing_close_of_the_page_comes_last(pair: Pair, dialler: Dialler) -> None:
    line, connection = await pair.connect(dialler, serialization="MsgPack")
    big = Made("bytes", 2**20)
    await line.burst(100, "number")
    await line.send_made(big)
    await line.close(flush=True)
    assert [await connection.receive() for _ in range(100)] == list(range(100))
    assert await connection.receive() == big.value()
    with pytest.raises(anyio.EndOfStream):
        await connection.receive()
    await line.closed()


@one_server
@pytest.mark.parametrize("dialler", DIALLERS)
async def test_a_flushing_close_of_python_comes_last(pair: Pair, dialler: Dialler) -> None:
    line, connection = await pair.connect(dialler, serialization="MsgPack")
    big = Made("text", 2**20)
    for n in range(100):
        await connection.send(n)
    await connection.send(big.value())
    await connection.aclose(flush=True)
    assert [await line.receive() for _ in range(100)] == list(range(100))
    assert await line.receive_digest() == big.digest()
    with pytest.raises(anyio.EndOfStream):
        await line.receive()


@one_server
async def test_what_would_end_the_pages_stream_is_refused(pair: Pair) -> None:
    line, connection = await pair.connect("page", serialization="MsgPack")
    worse: list[Any] = [None, {"__peerData": 1}, {"a": {"__proto__": 1}}, datetime(2020, 1, 1)]
    for value in worse:
        with pytest.raises(UnsupportedValue):
            await connection.send(value)
    await connection.send("well")
    assert await line.receive() == "well"


@one_server
async def test_a_moment_is_the_same_in_every_zone(pair: Pair) -> None:
    line, connection = await pair.connect("python", serialization="MsgPack")
    await connection.send(datetime(2020, 1, 1, 5, 45, tzinfo=timezone(timedelta(hours=5.75))))
    assert await line.receive() == datetime(2020, 1, 1, tzinfo=UTC)
