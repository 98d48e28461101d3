"""Where a process spends its CPU: the kernel interrupts it every few milliseconds of that.

Nothing is slowed down, as a profiler that follows every call does. What a C function takes counts
for the line that calls it.
"""

from __future__ import annotations

import linecache
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, TypeAlias

__all__ = ["Profile", "sampling"]

Profile: TypeAlias = dict[str, float]
"""Shares of the samples, by part of the program; and ``kernel``, of all CPU, by its own account."""

_INTERVAL: Final = 0.001
"Seconds of CPU; kernels have a coarser clock, often 4 ms."


@contextmanager
def sampling() -> Iterator[Profile]:
    """Look into this process for the length of the block; the profile is filled in at its end."""
    lines: Counter[tuple[str, int]] = Counter()

    def take(number: int, frame: FrameType | None) -> None:
        if frame is not None:
            # Instructions of the interpreter's own have no line.
            lines[frame.f_code.co_filename, frame.f_lineno or 0] += 1

    profile: Profile = {}
    signal.signal(signal.SIGPROF, take)
    before = os.times()
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
    try:
        yield profile
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        after = os.times()
        parts: Counter[str] = Counter()
        for (file, line), count in lines.items():
            parts[_part(file, line)] += count
        profile.update((part, count / lines.total()) for part, count in parts.most_common())
        system, user = after.system - before.system, after.user - before.user
        profile["kernel"] = system / (system + user) if system + user else 0.0


def _part(file: str, number: int) -> str:
    line = linecache.getline(file, number)
    for call in (".recv(", ".send(", ".poll("):
        if call in line:
            return f"{call[1:]})"
    path = Path(file)
    if path.parent.name == "json":
        return "peerjs_proto.jsontext"  # whose work it is
    for package in ("trio", "anyio", "peerjs_trio", "peerjs_proto"):
        if package in path.parts:
            return f"{package}.{path.stem}" if package.startswith("peerjs") else package
    return path.stem
