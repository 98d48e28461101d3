"""Functions to be called at their time, one task for all of them."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio

from peerjs_proto.deadlines import Deadlines

__all__ = ["Timers"]


class Timers:
    """At most one timer a key. What they call must not raise, nor wait."""

    def __init__(self) -> None:
        self._deadlines = Deadlines()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._alarm = trio.CancelScope()

    def set(self, key: int, delay: float, callback: Callable[[], None]) -> None:
        """Call it in so many seconds, instead of what this key had."""
        deadline = trio.current_time() + delay
        self._deadlines.set(key, deadline)
        self._callbacks[key] = callback
        if deadline < self._alarm.deadline:
            self._alarm.deadline = deadline

    def cancel(self, key: int) -> None:
        self._deadlines.set(key, None)
        self._callbacks.pop(key, None)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            # Later than needed where timers were cancelled: waking once for nothing is cheaper
            # than moving the alarm each time.
            self._alarm = trio.CancelScope(deadline=self._deadlines.next or inf)
            with self._alarm:
                await trio.sleep_forever()
            for key in self._deadlines.take(trio.current_time()):
                callback = self._callbacks.pop(key, None)  # one before it can have cancelled it
                if callback is not None:
                    callback()
