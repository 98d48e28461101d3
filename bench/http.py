"""HTTP over WebRTC: ambianic's way and ours, beside plain HTTP on loopback to the same server."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from statistics import median
from typing import Final

import httpx
import trio

from bench.ambianic_client import dial
from bench.engines import EngineName, engine_factory, engines
from bench.http_device import device, running, web_server
from bench.http_ways import AmbianicWay, HttpxWay, Way
from bench.processes import serving, together
from bench.table import Table
from peerjs_trio import open_peer
from peerjs_trio.http.transport import open_transport

__all__ = ["measure"]

Name = tuple[str, str]
"""Engine, way."""

Sample = dict[str, float]
"""By column."""

_PLAIN: Final[Name] = ("", "plain HTTP")
_AMBIANIC: Final = "ambianic's"
_PAGE: Final = "ambianic's, its client"
_OURS: Final = "ours"
_DIRECT: Final = "ours, the application itself"

_AT_ONCE: Final = 50
_SMALL: Final = 200_000
_LARGE: Final = 10_000_000
"Bytes of bodies; of a quick measurement a tenth of the large one."

_PATIENCE: Final = 1200.0

_NOTE: Final = """\
The web server is uvicorn, in a process of its own; so are the device, whose peer passes requests on
to it, and the client, which is httpx or ambianic's protocol. "The application itself": the device
calls the API and asks no web server. "Its client": looks for the answer every 200 ms and rests for
50 ms, as peer-fetch does. A second: GETs of a small JSON. Ambianic's protocol has one request at a
time whoever asks, and bodies of up to 262,144 bytes. First byte: of a response on which the server
works for a second before its first part, and for another before its last."""


def measure(rounds: int, *, quick: bool = False) -> Table:
    with ExitStack() as stack:
        url = stack.enter_context(serving())
        base_url = stack.enter_context(running(web_server))
        for engine in engines():
            stack.enter_context(running(device, url, engine, base_url))
        client = partial(_client, url, base_url, engines(), rounds, quick)
        taken: dict[Name, list[Sample]] = together(client)[0]
    return Table(
        f"HTTP over WebRTC, {_AT_ONCE} requests at once and one after the other",
        [
            *("engine", "way", "a second", "× plain"),
            *(f"a second, {_AT_ONCE} at once", "× plain", "× ambianic's"),
            *("200 KB, ms", "× plain", "10 MB, ms", "× plain", "first byte, ms"),
        ],
        [_row(name, taken) for name in taken],
        _NOTE,
    )


def _row(name: Name, taken: dict[Name, list[Sample]]) -> list[str | float]:
    mine, plain = taken[name], taken[_PLAIN]
    theirs = taken.get((name[0], _AMBIANIC), [])
    return [
        *name,
        *(_figure(mine, "one"), _ratio(mine, plain, "one")),
        *(_figure(mine, "many"), _ratio(mine, plain, "many"), _ratio(mine, theirs, "many")),
        *(_figure(mine, "small"), _ratio(mine, plain, "small")),
        *(_figure(mine, "large") or "cannot", _ratio(mine, plain, "large")),
        _figure(mine, "first"),
    ]


def _figure(samples: Sequence[Sample], column: str) -> str | float:
    return median(sample[column] for sample in samples) if column in samples[0] else ""


def _ratio(mine: Sequence[Sample], theirs: Sequence[Sample], column: str) -> str | float:
    """Of the rounds' own figures."""
    if mine is theirs or not theirs or column not in mine[0]:
        return ""
    return median(one[column] / other[column] for one, other in zip(mine, theirs, strict=True))


# --- the client ----------------------------------------------------------------------------------


def _client(
    url: str, base_url: str, names: Sequence[EngineName], rounds: int, quick: bool
) -> dict[Name, list[Sample]]:
    return trio.run(_measure, url, base_url, names, rounds, quick)


async def _measure(
    url: str, base_url: str, names: Sequence[EngineName], rounds: int, quick: bool
) -> dict[Name, list[Sample]]:
    taken: dict[Name, list[Sample]] = defaultdict(list)
    with trio.fail_after(_PATIENCE):
        async with AsyncExitStack() as stack:
            ways = await _open_ways(stack, url, base_url, names)
            for way in ways.values():
                await way.get("/small")  # to be warm
            for _ in range(rounds):
                for name, way in ways.items():
                    taken[name].append(await _sample(way, quick))
    return dict(taken)


async def _open_ways(
    stack: AsyncExitStack, url: str, base_url: str, names: Sequence[EngineName]
) -> dict[Name, Way]:
    async def open_httpx(transport: httpx.AsyncBaseTransport | None, base_url: str) -> HttpxWay:
        client = httpx.AsyncClient(
            transport=transport, base_url=base_url, timeout=60, trust_env=False
        )
        return HttpxWay(await stack.enter_async_context(client))

    ways: dict[Name, Way] = {_PLAIN: await open_httpx(None, base_url)}
    for name in names:
        peer = await stack.enter_async_context(open_peer(server=url, engine=engine_factory(name)))
        ways[name, _AMBIANIC] = AmbianicWay(await dial(peer, f"{name}-proxy"))
        ways[name, _PAGE] = AmbianicWay(await dial(peer, f"{name}-proxy"), look=0.2, pause=0.05)
        for way, remote in ((_OURS, "proxy"), (_DIRECT, "app")):
            transport = await stack.enter_async_context(open_transport(peer, f"{name}-{remote}"))
            ways[name, way] = await open_httpx(transport, "http://device/")
    return ways


async def _sample(way: Way, quick: bool) -> Sample:
    seconds = 0.1 if quick else 1.0
    sample = {
        "one": await _rate(way, 1, seconds),
        "many": await _rate(way, _AT_ONCE, seconds),
        "small": await _time(way, _SMALL),
    }
    if way.carries_all:
        sample["large"] = await _time(way, _LARGE // 10 if quick else _LARGE)
    if not quick:
        sample["first"] = await way.first_byte("/work") * 1e3
    return sample


async def _rate(way: Way, at_once: int, seconds: float) -> float:
    """Responses a second."""
    count = 0
    began = time.perf_counter()

    async def ask() -> None:
        nonlocal count
        while time.perf_counter() - began < seconds:
            await way.get("/small")
            count += 1

    async with trio.open_nursery() as nursery:
        for _ in range(min(at_once, way.at_once)):
            nursery.start_soon(ask)
    return count / (time.perf_counter() - began)


async def _time(way: Way, size: int) -> float:
    """Milliseconds for a body of so many bytes."""
    began = time.perf_counter()
    assert await way.get(f"/body?{size}") == size
    return (time.perf_counter() - began) * 1e3
