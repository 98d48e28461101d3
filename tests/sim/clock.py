"""Virtual time: what is to happen, by its time, and of the same time by when it was made."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Act", "Clock", "Timer"]

Act: TypeAlias = Callable[[], object]


class Timer:
    """One thing that is to happen."""

    __slots__ = ("act",)

    def __init__(self, act: Act) -> None:
        self.act: Act | None = act

    def cancel(self) -> None:
        """It shall not happen. Legal at any time."""
        self.act = None


class Clock:
    """The only clock there is. It goes from one thing that happens to the next."""

    def __init__(self) -> None:
        self.now = 0.0
        "Seconds from the beginning."
        self.happened = 0
        "How much has happened."
        self._made = 0
        self._queue: list[tuple[float, int, Timer]] = []

    def at(self, when: float, act: Act) -> Timer:
        """Do that then, or now if then is past."""
        self._made += 1
        timer = Timer(act)
        heapq.heappush(self._queue, (max(when, self.now), self._made, timer))
        return timer

    def after(self, delay: float, act: Act) -> Timer:
        """Do that in so many seconds."""
        return self.at(self.now + delay, act)

    def run(self, until: float) -> None:
        """Let everything happen up to a time, which it is then."""
        queue = self._queue
        while queue and queue[0][0] <= until:
            self.now, _, timer = heapq.heappop(queue)
            if timer.act is not None:
                self.happened += 1
                timer.act()
        self.now = max(self.now, until)

    @property
    def waiting(self) -> int:
        """How much is still to happen."""
        return sum(timer.act is not None for _, _, timer in self._queue)
