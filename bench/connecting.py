"""How long ``connect()`` takes on one machine, and where the time goes."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from statistics import median
from typing import Any, Final, cast

import trio

from bench import steps
from bench.engines import FORMS, EngineName, engine_factory, engines
from bench.processes import serving, together
from bench.table import Table
from peerjs_trio import open_peer
from peerjs_trio.guest import Form
from peerjs_trio.rtc.engine import EngineFactory, IceServer, RtcConnection, RtcEngine, RtcSink

__all__ = ["measure"]

_COLUMNS: Final = [
    *("connect(), ms", "p50", "p90"),
    *("offer", "there", "answer", "back", "up", "told"),
    *("ICE", "DTLS", "channel"),
]
_NOTE: Final = """\
Both ends are in one process; the server, where there is one, is in another. p50 and p90 are of
all connects; the steps are medians. offer: make the connection, gather, describe. there: the
OFFER to the far side, through the server. answer: gather and describe there. back: the ANSWER.
up: from there until the channel is open: ICE, DTLS and the channel, which only the bare engine
tells apart. told: until connect() returns."""

_WARM_UP: Final = 2
"Connects that do not count: the first imports and compiles."

_PATIENCE: Final = 120.0
"Seconds that one process has."

Sample = dict[str, float]
"""Milliseconds by column."""

Job = Callable[[], list[Sample]]


def measure(rounds: int, *, quick: bool = False) -> Table:
    times = 2 if quick else 10
    alive: dict[str, list[Sample]] = {}
    dead: dict[str, list[Sample]] = {}
    with serving() as url, _silence() as port:
        contests: dict[str, Job] = {}
        for name in engines():
            for form in FORMS:
                contests[f"{name}, {form}"] = partial(_ours, url, name, form, times)
        for name in engines():
            contests[f"{name}, bare"] = partial(_bare, name, times)
        # These wait for an answer that does not come: they can do so side by side.
        waits: dict[str, Job] = {}
        for what, server in _dead_servers(port).items():
            for name in engines():
                waits[f"{name}, ours, {what}"] = partial(_ours, url, name, "stepped", 1, [server])
            for name in engines():
                waits[f"{name}, bare, {what}"] = partial(_bare, name, 1, [server])
        for _ in range(rounds):
            for what, job in contests.items():
                alive.setdefault(what, []).extend(together(job)[0])
        for _ in range(rounds):
            for what, samples in zip(waits, together(*waits.values()), strict=True):
                dead.setdefault(what, []).extend(samples)
    rows = [_row(what, samples) for what, samples in {**alive, **dead}.items()]
    return Table("connect() on one machine", list(_COLUMNS), rows, _NOTE)


def _row(what: str, samples: Sequence[Sample]) -> list[str | float]:
    totals = sorted(sample["total"] for sample in samples)
    row: list[str | float] = [what, median(totals), totals[len(totals) * 9 // 10]]
    for column in _COLUMNS[3:]:
        known = [sample[column] for sample in samples if column in sample]
        row.append(median(known) if known else "")
    return row


# --- ours ----------------------------------------------------------------------------------


def _ours(
    url: str, name: EngineName, form: Form, times: int, servers: Sequence[dict[str, str]] = ()
) -> list[Sample]:
    logging.getLogger("peerjs_trio").setLevel(logging.ERROR)  # that a server is silent is no news
    trio.run(_connect_ours, url, name, form, _WARM_UP, ())
    return trio.run(_connect_ours, url, name, form, times, servers)


async def _connect_ours(
    url: str, name: EngineName, form: Form, times: int, servers: Sequence[dict[str, str]]
) -> list[Sample]:
    ours: list[Sample] = []
    theirs: list[Sample] = []
    samples = []
    with trio.fail_after(_PATIENCE):
        factory = engine_factory(name, form)
        async with (
            open_peer(server=url, engine=_watched(factory, ours), ice_servers=servers) as near,
            open_peer(server=url, engine=_watched(factory, theirs), ice_servers=servers) as far,
        ):
            for _ in range(times):
                begin = time.perf_counter()
                connection = await near.connect(far.id)
                end = time.perf_counter()
                other = await anext(far.incoming_connections())
                samples.append(_steps(begin, ours[-1], theirs[-1], end))
                await connection.aclose()
                await _closed(other)
    return samples


def _steps(begin: float, ours: Sample, theirs: Sample, end: float) -> Sample:
    moments = {
        "offer": ours["offer_made"],
        "there": theirs["make_answer"],
        "answer": theirs["answer_made"],
        "back": ours["apply_answer"],
        "up": ours["channel_opened"],
        "told": end,
    }
    sample = {"total": (end - begin) * 1e3}
    for step, moment in moments.items():
        sample[step] = (moment - begin) * 1e3
        begin = moment
    return sample


async def _closed(connection: Any) -> None:
    async for _ in connection:
        pass


def _watched(factory: EngineFactory, log: list[Sample]) -> EngineFactory:
    """The same engine; for each connection, when which of its calls and reports came."""

    @asynccontextmanager
    async def open_engine() -> AsyncIterator[RtcEngine]:
        async with factory() as engine:
            yield _WatchedEngine(engine, log)

    return open_engine


class _WatchedEngine:
    def __init__(self, engine: RtcEngine, log: list[Sample]) -> None:
        self._engine = engine
        self._log = log

    def prepare(self, ice_servers: Sequence[IceServer]) -> None:
        self._engine.prepare(ice_servers)

    def open(self, sink: RtcSink, ice_servers: Sequence[IceServer]) -> RtcConnection:
        stamps: Sample = {}
        self._log.append(stamps)
        watched = cast(RtcSink, _Watched(sink, stamps))
        connection = self._engine.open(watched, ice_servers)
        return cast(RtcConnection, _Watched(connection, stamps))


class _Watched:
    """A connection or a sink that notes when its methods are first called."""

    def __init__(self, inner: Any, stamps: Sample) -> None:
        self._inner = inner
        self._stamps = stamps

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return value

        def call(*args: Any, **options: Any) -> Any:
            self._stamps.setdefault(name, time.perf_counter())
            return value(*args, **options)

        return call


# --- theirs --------------------------------------------------------------------------------


def _bare(name: EngineName, times: int, servers: Sequence[dict[str, str]] = ()) -> list[Sample]:
    async def run() -> list[Sample]:
        async with asyncio.timeout(_PATIENCE):
            for _ in range(_WARM_UP):
                await _connect_bare(name, ())
            return [await _connect_bare(name, servers) for _ in range(times)]

    return asyncio.run(run())


async def _connect_bare(name: EngineName, servers: Sequence[dict[str, str]]) -> Sample:
    begin = time.perf_counter()
    near, far = steps.open_end(name, servers), steps.open_end(name, servers)
    _, offered, answered, opened = await steps.connect(near, far)
    await far.opened.wait()
    await near.close()
    await far.close()
    sample = {
        "total": opened - begin,
        "offer": offered - begin,
        "answer": answered - offered,
        "up": opened - answered,
    }
    moment = answered
    for step in ("ICE", "DTLS", "channel"):
        then = max(moment, near.stamps[step.lower()])
        sample[step] = then - moment
        moment = then
    return {step: seconds * 1e3 for step, seconds in sample.items()}


# --- servers that do not answer --------------------------------------------------------------


@contextmanager
def _silence() -> Iterator[int]:
    """A UDP port of this machine where nobody answers, and nobody says so."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        yield silent.getsockname()[1]


def _dead_servers(port: int) -> dict[str, dict[str, str]]:
    turn = {"urls": f"turn:127.0.0.1:{port}", "username": "bench", "credential": "bench"}
    return {"silent STUN": {"urls": f"stun:127.0.0.1:{port}"}, "silent TURN": turn}
