"""The guest loop in trio's thread, a few passes at a time.

A wake-up is what crossing costs: a pass of trio's scheduler, a pass of asyncio's, and what is
set up and taken down around them. So there are as few of them as can be. A call into the loop
needs none, and what it leaves for the loop to do comes with the next turn. Three tasks take
turns at stepping the loop, and each waits for one thing in one way: the selector, the next
deadline, work that came from outside. With one task for all, a call had to cancel its sleep
and set it up again, which alone cost more than the rest of the way.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import selectors
from collections.abc import Callable
from typing import Any, Final, TypeVarTuple

import attrs
import sniffio
import trio

from peerjs_trio.guest_loop import GuestLoop

__all__ = ["PASSES_A_TURN", "SteppedGuest", "why_not_stepped"]

Ts = TypeVarTuple("Ts")

PASSES_A_TURN: Final = 16
"Passes the loop may make before the other trio tasks have their turn."


def why_not_stepped() -> str | None:
    if not hasattr(selectors.DefaultSelector, "fileno"):
        return "this platform's selector cannot be slept on"
    clock = trio.lowlevel.current_clock()
    hour = clock.deadline_to_sleep_time(clock.current_time() + 3600)
    if not 3500 < hour <= 3601:  # a mock clock says never
        return "trio's clock is not real time"
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return None
    return "an asyncio loop is running in this thread"


class SteppedGuest(GuestLoop):
    """A loop that trio steps."""

    def __init__(self, nursery: trio.Nursery) -> None:
        if reason := why_not_stepped():
            raise RuntimeError(f"no stepped guest loop here: {reason}")
        self._stepped = _SteppedLoop()
        super().__init__(nursery, self._stepped)
        self._inside = False
        "Whether code of the loop's runs now, in a step or a call."
        self._due = False
        "Whether there is work that no step has seen."
        self._worker: trio.lowlevel.Task | None = None
        "The task that sees to such work, while it waits for some."
        self._alarm = trio.CancelScope()
        "Its deadline is the loop's, or an earlier one."

    async def _drive(self) -> None:
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_selector)
                nursery.start_soon(self._watch_clock)
                await self._watch_work()
                nursery.cancel_scope.cancel()
        self._step()
        self._run_host_calls()
        self.loop.close()

    # A KeyboardInterrupt in the middle of a pass would tear asyncio's state: trio keeps it
    # for the main task's next checkpoint instead.
    @trio.lowlevel.enable_ki_protection
    async def _watch_selector(self) -> None:
        fileno = self._stepped.selector.fileno()
        while True:
            await trio.lowlevel.wait_readable(fileno)
            self._turn()

    @trio.lowlevel.enable_ki_protection
    async def _watch_clock(self) -> None:
        while True:
            self._alarm = trio.CancelScope()
            self._turn()
            with self._alarm:
                await trio.sleep_forever()

    @trio.lowlevel.enable_ki_protection
    async def _watch_work(self) -> None:
        while not self._ended:
            if self._due:
                await trio.lowlevel.cancel_shielded_checkpoint()
            else:
                self._worker = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(_not_now)
            if self._due:  # or someone else's turn has done it meanwhile
                self._turn()

    def _turn(self) -> None:
        self._due = False
        self._stepped.on_work = None
        idle = self._step()
        self._stepped.on_work = self._work_came
        self._run_host_calls()
        if idle == 0:
            self._work_came()
        elif idle < math.inf:
            # A deadline that moves away leaves the alarm as it is: to ring in vain now and
            # then costs less than to be set at every turn.
            deadline = trio.current_time() + idle
            if deadline < self._alarm.deadline:
                self._alarm.deadline = deadline

    def _step(self) -> float:
        library, sniffio.thread_local.name = sniffio.thread_local.name, "asyncio"
        self._inside = True
        try:
            return self._stepped.step()
        except BaseException as error:  # only KeyboardInterrupt and its like get out of a loop
            self._crash(error)
            return 0.0
        finally:
            self._inside = False
            sniffio.thread_local.name = library

    def _work_came(self) -> None:
        self._stepped.on_work = None  # once is enough
        self._due = True
        if self._worker is not None:
            trio.lowlevel.reschedule(self._worker)
            self._worker = None

    @trio.lowlevel.enable_ki_protection
    def call(self, fn: Callable[[*Ts], object], *args: *Ts) -> None:
        if self._inside or self._calls:
            super().call(fn, *args)
            return
        if self._ended:
            raise RuntimeError("the guest loop has ended")
        # At once, as if the loop made one more pass for it: it is between two of them now.
        # This is where a loop may say so: asyncio has it in __all__, for those who make loops.
        library, sniffio.thread_local.name = sniffio.thread_local.name, "asyncio"
        outer = asyncio._get_running_loop()
        self._inside = True
        asyncio._set_running_loop(self.loop)
        try:
            fn(*args)
        except Exception as error:
            self._report(error)
        except BaseException as error:
            self._crash(error)
        finally:
            asyncio._set_running_loop(outer)
            self._inside = False
            sniffio.thread_local.name = library

    def _announce_calls(self) -> None:
        self.loop.call_soon(self._run_calls)

    def _announce_host_calls(self) -> None:
        if self._stepped.on_work is not None:  # out of a call: the next turn looks for them
            self._work_came()


def _not_now(_raise_cancel: Any) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


class _SteppedLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, which comes back from :meth:`step` instead of blocking."""

    def __init__(self) -> None:
        self.selector = _SteppedSelector()
        super().__init__(self.selector)
        self.on_work: Callable[[], None] | None = None
        "Called when work or a deadline arrives; None in a step, which sees it anyway."

    def step(self) -> float:
        """Run what is ready and what comes of it; return seconds until there is more to do."""
        self.selector.passes_left = PASSES_A_TURN
        self.selector.turn_over = self.stop
        try:
            self.run_forever()
        except _WouldBlock as idle:
            return idle.seconds
        return 0.0

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        if self.on_work is not None:
            self.on_work()
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        if self.on_work is not None:
            self.on_work()
        return super().call_at(when, callback, *args, context=context)


class _SteppedSelector(selectors.DefaultSelector):
    """Never blocks. How long a loop would like to is what it tells its selector."""

    passes_left: int
    turn_over: Callable[[], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            # Here the loop has nothing at hand, so nothing is lost by leaving it.
            raise _WouldBlock(math.inf if timeout is None else timeout)
        self.passes_left -= 1
        if self.passes_left <= 0:
            self.turn_over()
        return ready


@attrs.frozen
class _WouldBlock(Exception):
    seconds: float
