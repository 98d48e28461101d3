"""Connect, exchange, close, again and again, in every way of closing: nothing must be left."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Final

import anyio
import pytest
import trio

from peerjs_trio import Limits, Peer, open_peer, open_server
from peerjs_trio.rtc.choice import EngineName
from tests.soak.answering import answer_all, forget_reports
from tests.soak.meter import Bounds, Sample, Series

__all__ = ["CONNECT_BOUNDS", "soak_connects"]

CONNECT_BOUNDS: Final = Bounds(traced=200, resident=4096)
"For each connection."

_PATIENCE: Final = 5.0
"Seconds for one connection, where many have them together."

_AT_ONCE: Final = 5
"Dials under way."

_ANSWERED: Final = 3.0
"Seconds until the host forgets a dial that was given up."

_WAYS: Final = ("hang up", "flush", "be hung up on")

_GIVEN_UP: Final = 0.03
"Seconds after which a dial is given up: in the middle of it."

_VALUE: Final = {"bytes": b"\x00" * 20_000, "list": list(range(100))}


async def soak_connects(
    engine: EngineName,
    connects: int,
    *,
    blocks: int,
    report: Callable[[Sample], None] = lambda sample: None,
) -> Series:
    """So many connections between two peers; a sample after the first one, and after each block."""
    each = connects // blocks
    limits = Limits(connect_timeout=_ANSWERED)
    series = Series()
    tracemalloc.start()
    try:
        async with (
            open_server() as server,
            open_peer("host", server=server.url, engine=engine, limits=limits) as host,
            open_peer("caller", server=server.url, engine=engine, limits=limits) as caller,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(answer_all, host, nursery)
            nursery.start_soon(forget_reports, host)
            nursery.start_soon(forget_reports, caller)
            for block in range(blocks + 1):
                # One deadline for many: trio keeps each until it would have been.
                with trio.fail_after(each * _PATIENCE):
                    await _connect_many(caller, each if block else 1)
                report(await series.take(block * each))
            nursery.cancel_scope.cancel()
    finally:
        tracemalloc.stop()
    return series


async def _connect_many(caller: Peer, count: int) -> None:
    limit = trio.CapacityLimiter(_AT_ONCE)
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(_connect_once, caller, number, limit)


async def _connect_once(caller: Peer, number: int, limit: trio.CapacityLimiter) -> None:
    """Who closes, and how, goes round; now and then a dial is given up on the way."""
    way = _WAYS[number % len(_WAYS)]
    async with limit:
        if number % 10 == 1:
            with trio.move_on_after(_GIVEN_UP):
                await (await caller.connect("host")).aclose()
        connection = await caller.connect("host", reliable=number % 2 == 0, metadata=way)
        await connection.send(_VALUE)
        assert await connection.receive() == _VALUE
        if way == "be hung up on":
            with pytest.raises(anyio.EndOfStream):
                await connection.receive()
        await connection.aclose(flush=way == "flush")
