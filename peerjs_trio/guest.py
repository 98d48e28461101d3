"""An asyncio loop as the guest of trio, for libraries that speak asyncio alone.

Two forms stand behind one interface. *stepped*: a trio task sleeps on the loop's own selector
and lets the loop run what is ready, in trio's thread; nothing wakes while nothing happens.
*thread*: the loop runs in a thread of its own, which works everywhere.

A stepped loop lives by trio's clock only as far as that clock is real: under any other
(``MockClock``) its timers would stand still or race, so there the thread is chosen. The thread
is chosen as well where a selector cannot be slept on (Windows), and where trio is itself the
guest of a running asyncio loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import trio

from peerjs_trio.guest_loop import GuestLoop
from peerjs_trio.guest_stepped import SteppedGuest, why_not_stepped
from peerjs_trio.guest_thread import ThreadedGuest

__all__ = ["Form", "GuestLoop", "open_guest_loop"]

Form = Literal["stepped", "thread"]


@asynccontextmanager
async def open_guest_loop(form: Form | None = None) -> AsyncIterator[GuestLoop]:
    """An asyncio loop that lives as long as the block.

    Leaving cancels every asyncio task, waits for their ends (``CLOSE_TIMEOUT`` seconds at
    most, whatever is cancelled outside) and closes the loop. An exception of the body leaves
    the block as it is. One out of a :meth:`GuestLoop.call_host` function, or a SystemExit out
    of an asyncio callback, cancels the body and leaves the block too; two leave as a group.

    ``form`` None takes the best form for this run. Raises RuntimeError for ``"stepped"``
    where that form cannot work.
    """
    only = None
    try:
        async with trio.open_nursery() as nursery:
            if form is None:
                form = "thread" if why_not_stepped() else "stepped"
            guest: GuestLoop = (
                SteppedGuest(nursery) if form == "stepped" else ThreadedGuest(nursery)
            )
            nursery.start_soon(guest._drive)
            try:
                yield guest
            finally:
                with trio.CancelScope(shield=True):
                    await guest._end()
    except BaseExceptionGroup as group:
        only, *others = group.exceptions
        if others:
            raise
    if only is not None:
        try:
            raise only
        finally:
            del only  # or the exception would hold the frame that holds it
