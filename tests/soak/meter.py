"""What this process holds, and whether that grows."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import threading
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from statistics import linear_regression
from typing import Final

import attrs
import trio

__all__ = ["Bounds", "Sample", "Series", "sample"]

_SETTLE: Final = 15.0
"Seconds for what ends by itself to have ended."

_LOOKS: Final = 20
"Tenths of a second; the second half of them counts."

_WARM_UP: Final = 0.2
"The part of a run in which libraries fill their caches; bytes are compared after it."

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@attrs.frozen
class Sample:
    """Counts, and bytes."""

    done: float
    "Connections made, or seconds passed, until now."
    trio_tasks: int
    asyncio_tasks: int
    threads: int
    "Python's and the libraries' own."
    files: int
    traced: int
    "Bytes of Python's own, by tracemalloc."
    resident: int
    "Bytes of the whole process."

    @property
    def counts(self) -> dict[str, int]:
        names = ("trio_tasks", "asyncio_tasks", "threads", "files")
        return {name: getattr(self, name) for name in names}


@attrs.frozen
class Bounds:
    """Bytes that may be lost for each connection, or second: the noise of one run."""

    traced: float
    resident: float


async def sample(done: float, at_rest: Sample | None = None) -> Sample:
    """Once there is no more than ``at_rest``, or that was given up on.

    Without it: what there is at most for a moment, when all has had time to settle.
    """
    if at_rest is None:
        looks = [await _look() for _ in range(_LOOKS)][_LOOKS // 2 :]
        counts = {name: max(look[name] for look in looks) for name in looks[0]}
    else:
        counts = await _look()
        with trio.move_on_after(_SETTLE):
            while any(counts[name] > count for name, count in at_rest.counts.items()):
                counts = await _look()
    _return_memory()
    traced = tracemalloc.get_traced_memory()[0]
    return Sample(done, **counts, traced=traced, resident=_resident())


async def _look() -> dict[str, int]:
    # Threads and sockets of the libraries end without a word.
    await trio.sleep(0.1)
    return _counts()


@attrs.frozen
class Series:
    """The samples of one run: the first has the counts that all others must come back to."""

    samples: Sequence[Sample]

    def slope(self, of: Callable[[Sample], float]) -> float:
        """Of a least-squares line after the warm-up: what is added for each one done."""
        warm = [s for s in self.samples if s.done > _WARM_UP * self.samples[-1].done]
        if len(warm) < 2:
            return 0.0
        return linear_regression([s.done for s in warm], [of(s) for s in warm])[0]

    def faults(self, bounds: Bounds | None = None) -> list[str]:
        """What has grown, in words; nothing if nothing has.

        Without bounds only counts are compared: a short run is all warm-up.
        """
        first, last = self.samples[0], self.samples[-1]
        found = [
            f"{name}: {first.counts[name]} at first, {count} at last"
            for name, count in last.counts.items()
            if count > first.counts[name]
        ]
        for name in ("traced", "resident") if bounds else ():
            slope, bound = self.slope(attrgetter(name)), getattr(bounds, name)
            if slope > bound:
                found.append(f"{name}: {slope:.0f} bytes each, more than {bound:.0f}")
        return found

    def table(self) -> str:
        """All of it, for people."""
        rows = ["   done  trio asyncio threads files    traced    resident"]
        for s in self.samples:
            rows.append(
                f"{s.done:7.0f} {s.trio_tasks:5} {s.asyncio_tasks:7} {s.threads:7} {s.files:5} "
                f"{s.traced / 1024:5.0f} KiB {s.resident / 1024:7.0f} KiB"
            )
        traced, resident = self.slope(attrgetter("traced")), self.slope(attrgetter("resident"))
        rows.append(f"bytes each: {traced:.0f} traced, {resident:.0f} resident")
        return "\n".join(rows)


def _counts() -> dict[str, int]:
    gc.collect()  # some end with their last reference
    loops = [o for o in gc.get_objects() if isinstance(o, asyncio.AbstractEventLoop)]
    return {
        "trio_tasks": trio.lowlevel.current_statistics().tasks_living,
        "asyncio_tasks": sum(len(asyncio.all_tasks(loop)) for loop in loops),
        "threads": max(threading.active_count(), len(os.listdir("/proc/self/task"))),
        "files": len(os.listdir("/proc/self/fd")),
    }


def _return_memory() -> None:
    """Let glibc give back what is free: what it keeps for later is no leak."""
    with suppress(AttributeError):  # another libc, which does so by itself
        ctypes.CDLL(None).malloc_trim(0)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
