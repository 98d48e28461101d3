"""What happened, line by line, and a hash over all of it: two runs are the same or they are not."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["KEPT", "Trace"]

KEPT: Final = 60
"Lines that a failure is shown with."


class Trace:
    """Of one run. ``show`` gets every line as it is written."""

    def __init__(self, show: Callable[[str], object] | None = None) -> None:
        self.last: deque[str] = deque(maxlen=KEPT)
        self.lines = 0
        self._hash = hashlib.blake2b(digest_size=16)
        self._show = show

    def write(self, now: float, who: str, what: str) -> None:
        """One line: when, who, what. Texts with payloads or tokens have no place in it."""
        line = f"{now:11.6f} {who:<10} {what}"
        self.lines += 1
        self.last.append(line)
        self._hash.update(line.encode())
        if self._show is not None:
            self._show(line)

    @property
    def hash(self) -> str:
        """Of all lines so far, in hexadecimal."""
        return self._hash.hexdigest()
