"""When a task that never has to wait lets others run."""

from __future__ import annotations

from time import perf_counter
from typing import Final

# By their own names: anyio's words for the same take six times as long, and each message pays.
from trio import Event
from trio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled

__all__ = ["SLICE", "Event", "Turns", "checkpoint_if_cancelled"]

SLICE: Final = 0.0005
"""Seconds a task goes on for while it need not wait. A trip through trio's scheduler costs as
much as all else that is done for a small message; every half millisecond it costs 1 %."""


class Turns:
    """Belongs to what several tasks may use, such as one connection."""

    def __init__(self) -> None:
        self._over = 0.0

    async def give_way(self) -> None:
        """Let other tasks run, if none of ours has for :data:`SLICE`. Never cancelled."""
        if perf_counter() >= self._over:
            await cancel_shielded_checkpoint()
            self.given()

    def given(self) -> None:
        """Others have just run, since one of us had to wait."""
        self._over = perf_counter() + SLICE
