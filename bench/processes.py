"""Measuring in processes of their own: each begins clean, and ends with what it found."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio

from peerjs_trio import open_server

__all__ = ["Memory", "memory_now", "reset_peak", "serving", "together"]

_PATIENCE: Final = 60.0
"Seconds the server keeps an offer for a peer whose process is still starting."


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """Run each job in a new process, all at once; what they return, in their order.

    A job is a ``functools.partial`` of a module's function, and bounds its own time. Returns
    when all have ended; raises what the first of them raised.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(jobs), mp_context=spawn) as pool:
        return [future.result() for future in [pool.submit(job) for job in jobs]]


@contextmanager
def serving() -> Iterator[str]:
    """A PeerServer of ours in a thread, for peers in other processes; its URL."""
    urls: list[str] = []
    ready = threading.Event()
    stop = trio.Event()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        async with open_server(expire_timeout=_PATIENCE) as server:
            urls.append(server.url)
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            trio.run(serve)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="bench server")
    thread.start()
    ready.wait()
    try:
        yield urls[0]
    finally:
        tokens[0].run_sync_soon(stop.set)
        thread.join()


class Memory(NamedTuple):
    """Of this process, in MiB."""

    pss: float
    "Proportional: what is shared counts by its share."
    rss: float
    peak: float
    "The largest RSS since :func:`reset_peak`."


def memory_now() -> Memory:
    """Read from /proc: Linux alone."""
    status = _fields(Path("/proc/self/status"))
    rollup = _fields(Path("/proc/self/smaps_rollup"))
    return Memory(rollup["Pss"] / 1024, rollup["Rss"] / 1024, status["VmHWM"] / 1024)


def reset_peak() -> None:
    """Let :attr:`Memory.peak` begin again, from what is in use now."""
    Path("/proc/self/clear_refs").write_text("5")


def _fields(path: Path) -> dict[str, int]:
    """The lines ``Name:  123 kB``."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return {line[0].rstrip(":"): int(line[1]) for line in lines if line[-1:] == ["kB"]}
