"""The frames of a connection that outlives its path: what has arrived, and what to say again.

Channels keep order and lose nothing until they break, so frames need no numbers on the wire: both
sides count them. Each tells the other how many it has taken, now and then and whenever a new
channel begins, and what the far side has not taken is handed out again. So every frame is taken
once, in order, over as many channels as it may need.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from .errors import DecodeError
from .serializer import Frame, frame_size

__all__ = ["ACK_AFTER_BYTES", "ACK_AFTER_FRAMES", "ACK_WITHIN", "Journal"]

ACK_AFTER_FRAMES: Final = 64
"Frames taken after which the far side is told at once."

ACK_AFTER_BYTES: Final = 256 * 1024
"The same in bytes."

ACK_WITHIN: Final = 0.1
"Seconds until it is told of fewer."

_OVERHEAD: Final = 64
"Bytes that a kept frame costs beside its own."


class Journal:
    """Both directions of one connection; ``capacity``: bytes kept until the far side has them."""

    def __init__(self, capacity: int) -> None:
        self.taken = 0
        "Frames of the far side, from the first on."
        self._capacity = capacity
        self._kept: deque[Frame] = deque()
        "Handed out, and not known to be taken."
        self._kept_bytes = 0
        self._confirmed = 0
        "Our frames before those."
        self._again = 0
        "How many of the kept ones, the last of them, are to be handed out again."
        self._untold = 0
        self._untold_bytes = 0
        self._tell_at: float | None = None

    # --- ours -----------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether nothing new may be handed out. One frame always fits."""
        return self._kept_bytes >= self._capacity

    @property
    def is_clear(self) -> bool:
        """Whether the far side has taken everything."""
        return not self._kept

    def keep(self, frame: Frame) -> None:
        """It is being handed out for the first time."""
        self._kept.append(frame)
        self._kept_bytes += frame_size(frame) + _OVERHEAD

    def repeat(self) -> Frame | None:
        """The next that is to be handed out again."""
        if not self._again:
            return None
        self._again -= 1
        return self._kept[-1 - self._again]

    def confirm(self, taken: int) -> None:
        """The far side has taken that many. Raises DecodeError for more than there were."""
        count = taken - self._confirmed
        if not 0 <= count <= len(self._kept) - self._again:
            raise DecodeError("the far side confirms what it was not sent")
        for _ in range(count):
            self._kept_bytes -= frame_size(self._kept.popleft()) + _OVERHEAD
        self._confirmed = taken

    def begin_again(self, taken: int) -> None:
        """On a new channel; the far side has taken that many. Raises as :meth:`confirm`."""
        self._again = 0
        self.confirm(taken)
        self._again = len(self._kept)

    def drop(self) -> None:
        """Keep nothing any more: nothing will be handed out again."""
        self._kept.clear()
        self._kept_bytes = self._again = 0

    # --- theirs ---------------------------------------------------------------------------

    def take(self, frame: Frame, now: float) -> bool:
        """A frame has come; whether the far side should be told at once."""
        self.taken += 1
        self._untold += 1
        self._untold_bytes += len(frame)
        if self._tell_at is None:
            self._tell_at = now + ACK_WITHIN
        return self._untold >= ACK_AFTER_FRAMES or self._untold_bytes >= ACK_AFTER_BYTES

    @property
    def tell_at(self) -> float | None:
        """When the far side should be told at the latest; None if there is nothing new."""
        return self._tell_at

    def told(self) -> None:
        """It is being told."""
        self._untold = self._untold_bytes = 0
        self._tell_at = None
