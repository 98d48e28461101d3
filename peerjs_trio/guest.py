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

import asyncio
import contextvars
import logging
import math
import selectors
import threading
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, NoReturn, TypeVar, TypeVarTuple

import attrs
import outcome
import sniffio
import trio

__all__ = ["Form", "GuestLoop", "open_guest_loop"]

Form = Literal["stepped", "thread"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_log = logging.getLogger("peerjs_trio")

CLOSE_TIMEOUT: Final = 5.0
"Seconds that what still runs in the loop has for ending, once the block is left."

PASSES_A_TURN: Final = 16
"Passes a stepped loop may make before the other trio tasks have their turn."


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
                form = "thread" if _why_not_stepped() else "stepped"
            guest = _Stepped(nursery) if form == "stepped" else _Threaded(nursery)
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


def _why_not_stepped() -> str | None:
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


class GuestLoop(ABC):
    """The running guest. Made by :func:`open_guest_loop` alone."""

    def __init__(self, nursery: trio.Nursery, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: Final = loop
        "The loop itself, for use from inside it."
        loop.set_exception_handler(_log_error)
        self._nursery = nursery
        self._calls = _Calls()
        self._host_calls = _Calls()
        self._ended = False

    @trio.lowlevel.enable_ki_protection
    async def run(self, async_fn: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """Run an asyncio coroutine function as a task of the loop; its outcome is ours.

        A trio cancellation cancels the asyncio task and waits for its end. If the task ends
        otherwise than by that cancellation, its result or exception counts: nothing that
        was done is lost. Context variables are the caller's. Raises asyncio.CancelledError
        if the task was cancelled inside asyncio, as leaving the guest's block does.
        """
        waiter = trio.lowlevel.current_task()
        context = contextvars.copy_context()
        task: asyncio.Task[T]
        raise_cancel: Callable[[], NoReturn] | None = None

        async def body() -> T:
            return await async_fn(*args)

        def start() -> None:
            nonlocal task
            task = self.loop.create_task(body(), context=context)
            task.add_done_callback(finish)

        def finish(task: asyncio.Task[T]) -> None:
            if task.cancelled() and raise_cancel is not None:
                result: outcome.Outcome[T] = outcome.capture(raise_cancel)
            else:
                result = outcome.capture(task.result)
            self.call_host(trio.lowlevel.reschedule, waiter, result)

        def abort(raise_it: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
            nonlocal raise_cancel
            raise_cancel = raise_it
            self.call(lambda: task.cancel())
            return trio.lowlevel.Abort.FAILED

        self.call(start)
        result: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return result

    @trio.lowlevel.enable_ki_protection
    def call(self, fn: Callable[[*Ts], object], *args: *Ts) -> None:
        """From trio: run ``fn`` inside the loop soon, in the order of the calls.

        Its exception is logged, as asyncio does with a callback's. Raises RuntimeError once
        the guest's block has been left.
        """
        if self._ended:
            raise RuntimeError("the guest loop has ended")
        if self._calls.add(fn, args):
            self._announce_calls()

    def call_host(self, fn: Callable[[*Ts], object], *args: *Ts) -> None:
        """From inside the loop: run ``fn`` in trio's thread soon, in the order of the calls.

        It runs outside of asyncio's call stack, together with the others that have come up
        by then. Its exception is a bug, and ends the guest's block.
        """
        if self._host_calls.add(fn, args):
            self._announce_host_calls()

    async def _end(self) -> None:
        try:
            await self.run(_put_away)
        finally:
            self._ended = True  # before the loop can notice that it is stopped
            self.loop.call_soon_threadsafe(self.loop.stop)

    def _run_calls(self) -> None:
        self._calls.run(self._report)

    def _report(self, error: BaseException) -> None:
        if not isinstance(error, Exception):
            raise error
        self.loop.call_exception_handler({"message": "a call failed", "exception": error})

    def _run_host_calls(self) -> None:
        self._host_calls.run(self._crash)

    def _crash(self, error: BaseException) -> None:
        # Raised by a task of its own: the loop goes on until its tasks have ended.
        self._nursery.start_soon(_raise, error)

    @abstractmethod
    async def _drive(self) -> None:
        """Keep the loop going until :meth:`_end`, then close it."""

    @abstractmethod
    def _announce_calls(self) -> None: ...

    @abstractmethod
    def _announce_host_calls(self) -> None: ...


class _Stepped(GuestLoop):
    """The loop runs in trio's thread, a few passes at a time."""

    def __init__(self, nursery: trio.Nursery) -> None:
        if reason := _why_not_stepped():
            raise RuntimeError(f"no stepped guest loop here: {reason}")
        self._stepped = _SteppedLoop()
        super().__init__(nursery, self._stepped)

    # A KeyboardInterrupt in the middle of a pass would tear asyncio's state: trio keeps it
    # for the main task's next checkpoint instead.
    @trio.lowlevel.enable_ki_protection
    async def _drive(self) -> None:
        with trio.CancelScope(shield=True):
            while not self._ended:
                idle = self._step()
                with trio.CancelScope(deadline=trio.current_time() + idle) as nap:
                    self._stepped.on_work = nap.cancel
                    self._run_host_calls()
                    if idle == 0 or nap.cancel_called:
                        await trio.lowlevel.cancel_shielded_checkpoint()
                    else:
                        await trio.lowlevel.wait_readable(self._stepped.selector.fileno())
                self._stepped.on_work = None
        self._step()
        self._run_host_calls()
        self.loop.close()

    def _step(self) -> float:
        library, sniffio.thread_local.name = sniffio.thread_local.name, "asyncio"
        try:
            return self._stepped.step()
        except BaseException as error:  # only KeyboardInterrupt and its like get out of a loop
            self._crash(error)
            return 0.0
        finally:
            sniffio.thread_local.name = library

    def _announce_calls(self) -> None:
        self.loop.call_soon(self._run_calls)

    def _announce_host_calls(self) -> None:
        """Nothing to do: the driving task looks after every step."""


class _SteppedLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, which comes back from :meth:`step` instead of blocking."""

    def __init__(self) -> None:
        self.selector = _SteppedSelector()
        super().__init__(self.selector)
        self.on_work: Callable[[], None] | None = None
        "Called when work or a deadline arrives between two steps."

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


class _Threaded(GuestLoop):
    """The loop runs in a thread; calls cross over in batches, one wake-up each."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery, asyncio.new_event_loop())
        self._token = trio.lowlevel.current_trio_token()
        self._thread_ended = trio.Event()

    @trio.lowlevel.enable_ki_protection
    async def _drive(self) -> None:
        thread = threading.Thread(target=self._run_loop, name="peerjs_trio guest loop")
        thread.start()
        with trio.CancelScope(shield=True):
            await self._thread_ended.wait()
        thread.join()  # it has nothing left to do
        self._run_host_calls()

    def _run_loop(self) -> None:
        sniffio.thread_local.name = "asyncio"
        while not self._ended:
            try:
                self.loop.run_forever()
            except BaseException as error:
                self._token.run_sync_soon(self._crash, error)
        self.loop.close()
        self._token.run_sync_soon(self._thread_ended.set)

    def _announce_calls(self) -> None:
        self.loop.call_soon_threadsafe(self._run_calls)

    def _announce_host_calls(self) -> None:
        self._token.run_sync_soon(self._run_host_calls)


@attrs.define(eq=False)
class _Calls:
    """Calls on their way to the other side, which is told once for many."""

    _waiting: deque[tuple[Callable[..., object], tuple[Any, ...]]] = attrs.Factory(deque)
    _announced: bool = False

    def add(self, fn: Callable[..., object], args: tuple[Any, ...]) -> bool:
        """Whether the other side must be told now."""
        self._waiting.append((fn, args))
        if self._announced:
            return False
        self._announced = True
        return True

    def run(self, on_error: Callable[[BaseException], object]) -> None:
        # In this order: what another thread adds from now on is announced again.
        self._announced = False
        for _ in range(len(self._waiting)):
            fn, args = self._waiting.popleft()
            try:
                fn(*args)
            except BaseException as error:
                on_error(error)


async def _put_away() -> None:
    """Inside the loop: end all that runs there."""
    loop = asyncio.get_running_loop()
    until = loop.time() + CLOSE_TIMEOUT
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        if (left := until - loop.time()) <= 0:
            names = sorted(task.get_name() for task in tasks)
            _log.warning("asyncio tasks do not end, left alone: %s", ", ".join(names))
            break
        await asyncio.wait(tasks, timeout=left)
    for ending in (loop.shutdown_asyncgens(), loop.shutdown_default_executor()):
        await asyncio.wait({loop.create_task(ending)}, timeout=max(0, until - loop.time()))
    await asyncio.sleep(0)  # transports that were closed just now say connection_lost


async def _raise(error: BaseException) -> NoReturn:
    raise error


def _log_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncio's exception handler. No values: a message or a repr may hold someone's data."""
    error = context.get("exception")
    if error is None:
        _log.error("asyncio: %s", context["message"])
    else:
        where = "".join(traceback.format_tb(error.__traceback__))
        _log.error("asyncio: a callback or task raised %s\n%s", type(error).__name__, where)
