"""Where the CPU goes: ``python -m bench.profile ENGINE LOOP LINE SIZE``.

LOOP is ``bare``, ``stepped`` or ``thread``; LINE a serialization, and ``bare`` for the bare engine.
``--ping`` does round trips. Both ends are in this process; of the thread form, trio's thread
alone is seen. The profiler slows Python down and C not at all: shares count, not times.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from typing import Any

import anyio

from bench.rtc.line import Job


async def both(jobs: dict[str, Job], line: str, size: int, count: int, ping: bool) -> None:
    """Both ends' jobs at once."""
    there, here = ("echo", "ping") if ping else ("receive", "send")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(jobs[there], f"b {line}", count)
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(jobs[here], f"a {line}", size, count)


async def connect(jobs: dict[str, Job], line: str) -> None:
    """As :mod:`bench.rtc.pair` does."""
    if line == "bare":
        answer = await jobs["answer"]("b bare", await jobs["offer"]("a bare"))
        await jobs["accept"]("a bare", answer)
        await jobs["opened"]("a bare")
        await jobs["opened"]("b bare")
        return
    url = await jobs["serve"]()
    await jobs["join"]("a", url)
    await jobs["join"]("b", url)
    await jobs["dial"]("a", "b", line)
    await jobs["accept"]("b")


async def profile(options: Any) -> None:
    from bench.rtc.__main__ import open_jobs

    bare = options.loop == "bare"
    kind = ("bare", options.engine) if bare else ("ours", options.engine, options.loop)
    async with open_jobs(*kind) as jobs:
        await connect(jobs, options.line)
        await both(jobs, options.line, options.size, max(1, options.count // 10), options.ping)
        profiler = cProfile.Profile()
        profiler.enable()
        await both(jobs, options.line, options.size, options.count, options.ping)
        profiler.disable()
    pstats.Stats(profiler).sort_stats(options.sort).print_stats(30)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("engine", choices=["aiortc", "wrtc"])
    parser.add_argument("loop", choices=["bare", "stepped", "thread"])
    parser.add_argument("line")
    parser.add_argument("size", type=int, help="bytes of a value")
    parser.add_argument("--count", type=int, default=2000, help="of values, or of round trips")
    parser.add_argument("--ping", action="store_true")
    parser.add_argument("--sort", default="tottime")
    chosen = parser.parse_args()
    anyio.run(profile, chosen, backend="asyncio" if chosen.loop == "bare" else "trio")
