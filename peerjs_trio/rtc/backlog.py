"""How far behind what a far side sends we may be, and how to know.

No library here has receive backpressure: what comes is ours to keep at once. So a far side that
sends faster than this side takes must be ended at some point. The bounds are those that an inbox
has by default; here they are for what has not got that far.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

__all__ = ["BEHIND", "MAX_BYTES", "MAX_MESSAGES", "Backlog"]

_log = logging.getLogger("peerjs_trio")

MAX_MESSAGES: Final = 65_536
"Messages on their way to trio's thread."

MAX_BYTES: Final = 512 << 20
"The same in bytes of payload; of text, in characters."

ASK_MESSAGES: Final = 4096
"A question after so many messages: a percent of the time that they take."

ASK_BYTES: Final = 32 << 20
"Or after so many bytes."

BEHIND: Final = "the far side sends faster than this side takes"


class Backlog:
    """How many messages wait in a library's own queue, which cannot be looked into.

    A question whose answer comes by that queue comes behind all that is in it: what passes in
    between is what was waiting. It is asked again and again while messages come.
    """

    def __init__(self, ask: Callable[[], Awaitable[object]]) -> None:
        """``ask`` returns when its answer has come. It runs as a task, and may raise."""
        self._ask = ask
        self._asking: asyncio.Task[None] | None = None
        self._messages = 0
        self._bytes = 0

    def passed(self, size: int) -> bool:
        """A message of ``size`` bytes has come out of the queue; whether too many were in it."""
        self._messages += 1
        self._bytes += size
        if self._asking is not None:
            return self._messages > MAX_MESSAGES or self._bytes > MAX_BYTES
        if self._messages >= ASK_MESSAGES or self._bytes >= ASK_BYTES:
            self._messages = self._bytes = 0
            self._asking = asyncio.create_task(self._wait())
        return False

    def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _wait(self) -> None:
        try:
            await self._ask()
        except Exception as error:  # whatever a library raises for a connection that is closed
            _log.debug("no answer: %s", type(error).__name__)
        self._messages = self._bytes = 0
        self._asking = None
