"""What users of either library saw in these tests, and after how long: for docs/faults.md.

``nox -s faults`` prints them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Literal

import attrs
import trio

__all__ = ["FIGURES", "Figure", "Stopwatch", "together"]

Who = Literal["ours", "ours, redial=True", "peerjs.js"]


@attrs.frozen
class Figure:
    fault: str
    who: Who
    saw: str
    seconds: float | None
    "None: it was not there after the seconds that ``saw`` names."


FIGURES: Final[list[Figure]] = []
"In the order of the tests."


class Stopwatch:
    """Runs from the fault on."""

    def __init__(self, fault: str) -> None:
        self._fault = fault
        self._begin = trio.current_time()

    def saw(self, who: Who, what: str, *, within: float) -> None:
        """Write it down; fail where it took longer than the documents promise."""
        seconds = trio.current_time() - self._begin
        FIGURES.append(Figure(self._fault, who, what, seconds))
        assert seconds < within, f"{who}: {what} only after {seconds:.1f} s"

    def saw_nothing(self, who: Who, what: str) -> None:
        """Write down what did not happen until now."""
        seconds = trio.current_time() - self._begin
        FIGURES.append(Figure(self._fault, who, f"no {what} in {seconds:.0f} s", None))


async def together(*views: Callable[[], Awaitable[None]]) -> None:
    """Let each see what it sees, at the same time."""
    async with trio.open_nursery() as nursery:
        for view in views:
            nursery.start_soon(view)
