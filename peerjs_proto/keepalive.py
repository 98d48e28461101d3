"""Silence on an open connection: ours is broken in time, and the far side's is noticed."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["LARGE", "KeepAlive"]

LARGE: Final = 32 * 1024
"Bytes of a frame that is announced, since nothing is heard until all of it has come."

_GRID: Final = 0.5
"""Seconds: beats are due at multiples of this, so that a peer with hundreds of connections wakes
twice a second for all of them, and not for each."""

_SLOWEST: Final = 8 * 1024
"Bytes a second of the slowest path on which such a frame is waited for."

_MOST: Final = 256 * 1024
"Bytes that can be announced: no frame between our own is larger."

_BEATS = 3
"How often a side speaks in the time after which the other would take it for gone."


class KeepAlive:
    """``patience``: seconds of the far side's silence after which it is gone; None for never.

    ``promised``: the far side's patience with us; None if it has no end. It is due at once, at
    ``since``, which may lie some time back: the first :meth:`handle_timeout` says what time it is.
    """

    def __init__(self, patience: float | None, promised: float | None, since: float) -> None:
        self._patience = math.inf if patience is None else patience
        self._interval = math.inf if promised is None else promised / _BEATS
        self._begun = False
        self._heard_at = since
        self._grace = 0.0
        "Seconds more of silence, while a large frame is on its way."
        self._beat_at = since

    @property
    def deadline(self) -> float:
        """When :meth:`handle_timeout` is due."""
        return min(self._gone_at, self._beat_at)

    def heard(self, now: float) -> None:
        """Something came."""
        self._heard_at = now
        self._grace = 0.0

    def expect(self, size: int) -> None:
        """A frame of that many bytes comes next."""
        self._grace = min(size, _MOST) / _SLOWEST

    def handle_timeout(self, now: float) -> bool:
        """Whether a beat is due."""
        if not self._begun:
            self._begun = True
            self._heard_at, self._beat_at = now, self._next_beat(now)
            return False
        # Who has slept past the end may have slept while the far side spoke: a laptop that was
        # closed, a program that was stopped. What came meanwhile is heard first.
        if now > self._gone_at + self._patience / _BEATS:
            self._heard_at = now - self._patience * (1 - 1 / _BEATS)
        if now < self._beat_at:
            return False
        self._beat_at = self._next_beat(now)
        return True

    def is_gone(self, now: float) -> bool:
        """Whether the far side has been silent for too long."""
        return self._begun and now >= self._gone_at

    def _next_beat(self, now: float) -> float:
        due = now + self._interval
        # Early, never late; and not where that would be at once.
        return due // _GRID * _GRID if 2 * _GRID <= self._interval < math.inf else due

    @property
    def _gone_at(self) -> float:
        return self._heard_at + self._patience + self._grace
