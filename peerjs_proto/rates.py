"""How fast somebody may go on: a token bucket that answers with a time to wait."""

from __future__ import annotations

import attrs

__all__ = ["Rate", "Spending"]


@attrs.frozen
class Rate:
    per_second: float
    burst: float
    "How many at once, after a rest."


@attrs.define(eq=False)
class Spending:
    """What one party has used of its rate. It may go into debt, and has to wait that off."""

    rate: Rate
    _spent: float = 0.0
    _at: float = float("-inf")

    def spend(self, now: float) -> float:
        """One more; seconds until the next one is welcome, 0.0 for at once."""
        rested = (now - self._at) * self.rate.per_second
        spent = self._spent - rested if rested < self._spent else 0.0
        self._spent = spent = spent + 1
        self._at = now
        over = spent - self.rate.burst
        return over / self.rate.per_second if over > 0 else 0.0
