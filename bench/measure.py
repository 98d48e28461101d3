"""Two ways to do the same thing, timed in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from time import process_time
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = ["MIN_ROUNDS", "Timed", "Timer", "compare", "timer"]

MIN_ROUNDS: Final = 5

Timer: TypeAlias = Callable[[int], float]
"""Does something so many times and says how many seconds of CPU it took."""


class Timed(NamedTuple):
    """What a comparison gave."""

    ours: float
    "Seconds of CPU a call, the median of all rounds."
    theirs: float
    "The same of the other."
    ratio: float
    "How many times as fast ours is: the median of the ratios of all rounds."


def timer(call: Callable[[], Any]) -> Timer:
    """The timer of a Python function."""

    def run(times: int) -> float:
        begin = process_time()
        for _ in range(times):
            call()
        return process_time() - begin

    return run


def compare(
    contests: Sequence[tuple[Timer, Timer]], *, rounds: int, quick: bool = False
) -> list[Timed]:
    """Time ours and theirs in turns: whatever else the machine does meets both alike.

    All are warm before the first counts. ``quick`` is one call each, which says nothing.
    """
    times = [
        (1, 1) if quick else (_times_for(ours), _times_for(theirs)) for ours, theirs in contests
    ]
    taken: list[list[tuple[float, float]]] = [[] for _ in contests]
    for _ in range(rounds):
        for (ours, theirs), (our_times, their_times), pairs in zip(
            contests, times, taken, strict=True
        ):
            pairs.append((ours(our_times) / our_times, theirs(their_times) / their_times))
    return [
        Timed(
            median(ours for ours, _ in pairs),
            median(theirs for _, theirs in pairs),
            median(theirs / ours for ours, theirs in pairs),
        )
        for pairs in taken
    ]


def _times_for(run: Timer) -> int:
    """So many calls make one sample. Finding out warms caches and just-in-time compilers."""
    times, spent = 1, 0.0
    while True:
        seconds = run(times)
        spent += seconds
        if seconds >= _SAMPLE and spent >= _WARM_UP:
            return max(1, round(times * _SAMPLE / seconds))
        if seconds < _SAMPLE:
            times *= 2


_SAMPLE: Final = 0.03
"Seconds: long beside a clock's tick, short beside a scheduler's turn."
_WARM_UP: Final = 0.3
"Seconds: V8 has optimized all it will."
