"""What this process holds, and whether that grows."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from statistics import linear_regression
from typing import Final

import attrs
import trio

__all__ = ["Bounds", "Sample", "Series"]

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


@attrs.define
class Series:
    """The samples of one run: the last must come back to the counts of the first ones."""

    first: int = 1
    "How many say what rest is: libraries keep more open after the first trouble than before."
    samples: list[Sample] = attrs.Factory(list)

    async def take(self, done: float) -> Sample:
        """A sample, once there is no more than at rest, or that was given up on.

        The first ones are what there is at most for a moment, when all has had time to settle.
        """
        if len(self.samples) < self.first:
            looks = [await _look() for _ in range(_LOOKS)][_LOOKS // 2 :]
            counts = _most(looks)
        else:
            counts = await _look()
            with trio.move_on_after(_SETTLE):
                while any(counts[name] > most for name, most in self.at_rest().items()):
                    counts = await _look()
        _return_memory()
        traced = tracemalloc.get_traced_memory()[0]
        self.samples.append(Sample(done, **counts, traced=traced, resident=_resident()))
        return self.samples[-1]

    def at_rest(self) -> dict[str, int]:
        """What there may be, by the first samples."""
        return _most([sample.counts for sample in self.samples[: self.first]])

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
        first = self.at_rest()
        found = [
            f"{name}: {first[name]} at first, {count} at last"
            for name, count in self.samples[-1].counts.items()
            if count > first[name]
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


def _most(counts: list[dict[str, int]]) -> dict[str, int]:
    return {name: max(each[name] for each in counts) for name in counts[0]}


async def _look() -> dict[str, int]:
    # Threads and sockets of the libraries end without a word.
    await trio.sleep(0.1)
    return _counts()
