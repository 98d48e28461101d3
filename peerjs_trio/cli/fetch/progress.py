"""Progress: how far a transfer is, on a line of the terminal that is written again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, TextIO

__all__ = ["Progress"]

_WIDTH: Final = 24
_LARGE: Final = 1_000_000
"Bytes from which on it is shown: others are there before one has read it."
_INTERVAL: Final = 0.2
"Seconds between two lines."


class Progress:
    """Counts what has been transferred, and shows it where somebody looks.

    Args:
        wanted: False shows nothing, as where ``out`` is no terminal.
        clock: Tells seconds.
    """

    def __init__(
        self, out: TextIO, *, wanted: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._shown = wanted and out.isatty()
        self._clock = clock
        self._drawn = False
        self.expect(None)

    def expect(self, total: int | None) -> None:
        """A transfer begins, of this many bytes; None if nobody knows."""
        self._total = total
        self._done = 0
        self._began = self._last = self._clock()

    def hide(self) -> None:
        """Show nothing any more."""
        self._erase()
        self._shown = False

    def add(self, count: int) -> None:
        """So many bytes more."""
        self._done += count
        if not self._shown or max(self._done, self._total or 0) < _LARGE:
            return
        now = self._clock()
        if now - self._last >= _INTERVAL or self._done == self._total:
            self._last = now
            self._out.write(f"\r\x1b[K{self._line(now - self._began)}")
            self._out.flush()
            self._drawn = True

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._erase()

    def _erase(self) -> None:
        if self._drawn:
            self._out.write("\r\x1b[K")
            self._out.flush()
            self._drawn = False

    def _line(self, seconds: float) -> str:
        rate = self._done / seconds if seconds > 0 else 0.0
        speed = f"{_megabytes(rate)}/s"
        if not self._total:
            return f"{_megabytes(self._done)}, {speed}"
        share = min(self._done / self._total, 1.0)
        bar = "#" * int(share * _WIDTH)
        left = (self._total - self._done) / rate if rate else 0.0
        size = _megabytes(self._total)
        return f"[{bar:{_WIDTH}}] {share:4.0%} of {size}, {speed}, {left:.0f} s left"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
