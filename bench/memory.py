"""Memory while a long stream crosses: the water marks bound it, however long it is."""

from __future__ import annotations

import time
from functools import partial
from statistics import median
from typing import Final

import trio

from bench.ends import far_figures, figures, serve_far, upload
from bench.engines import EngineName, engine_factory, engines
from bench.processes import serving, together
from bench.table import Table
from peerjs_trio import open_peer

__all__ = ["measure"]

_MIB: Final = 1 << 20
_MESSAGE: Final = 16 << 10
_SIZES: Final[dict[EngineName, int]] = {"aiortc": 128 * _MIB, "wrtc": 1024 * _MIB}
"Bytes in all: aiortc would need minutes for as much as wrtc."

_PATIENCE: Final = 600.0
"Seconds a stream has; tens are enough."

Part = tuple[float, float, float]
"""MiB grown here, MiB grown there, seconds."""


def measure(rounds: int, *, quick: bool = False, sizes: dict[EngineName, int] = _SIZES) -> Table:
    """``rounds`` is the number of parts the stream is cut in, each with a peak of its own."""
    rows: list[list[str | float]] = []
    with serving() as url:
        for name in engines():
            size = 2 * _MIB if quick else sizes[name]
            count = size // rounds // _MESSAGE
            parts: list[Part] = together(
                partial(_send, url, name, rounds, count),
                partial(serve_far, url, f"far-{name}", name, 2, seconds=_PATIENCE),
            )[0]
            here, there, seconds = zip(*parts, strict=True)
            rows.append(
                [
                    f"{name}, {size // _MIB:,} MiB",
                    *(median(here), max(here), median(there), max(there)),
                    count * _MESSAGE * rounds / sum(seconds) / _MIB,
                ]
            )
    return Table(
        "memory while a raw stream of 16 KiB messages crosses, MiB above what was in use before",
        ["engine", "sender", "sender, at most", "receiver", "receiver, at most", "MiB/s"],
        rows,
        f"Peaks of {rounds} parts: their median, and the largest. The baseline is an open\n"
        "connection over which nothing has gone yet.",
    )


def _send(url: str, name: EngineName, parts: int, count: int) -> list[Part]:
    return trio.run(_stream, url, name, parts, count)


async def _stream(url: str, name: EngineName, parts: int, count: int) -> list[Part]:
    message = bytes(_MESSAGE)
    taken = []
    with trio.fail_after(_PATIENCE):
        async with open_peer(server=url, engine=engine_factory(name)) as peer:
            far = f"far-{name}"
            asked = await peer.connect(far, metadata={"job": "figures"}, reliable=True)
            connection = await peer.connect(
                far, metadata={"job": "sink", "count": count}, serialization="raw", reliable=True
            )
            before, before_there = figures(), await far_figures(asked)
            for _ in range(parts):
                figures(reset=True)
                await far_figures(asked, reset=True)
                begin = time.perf_counter()
                await upload(connection, message)
                seconds = time.perf_counter() - begin
                after, after_there = figures(), await far_figures(asked)
                grown = after.peak - before.rss, after_there.peak - before_there.rss
                taken.append((*grown, seconds))
            await connection.aclose()
            await asked.aclose()
    return taken
