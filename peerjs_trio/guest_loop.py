"""What both forms of the guest loop have in common: the calls that cross, and the end."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import traceback
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, TypeVar, TypeVarTuple

import attrs
import outcome
import trio

__all__ = ["CLOSE_TIMEOUT", "GuestLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_log = logging.getLogger("peerjs_trio")

_CALLS_A_PASS: Final = 256
"Calls that run in the loop before it looks at its sockets again."

CLOSE_TIMEOUT: Final = 5.0
"Seconds that what still runs in the loop has for ending, once the block is left."


class GuestLoop(ABC):
    """The running guest. Made by :func:`open_guest_loop` alone."""

    def __init__(self, nursery: trio.Nursery, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: Final = loop
        "The loop itself, for use from inside it."
        loop.set_exception_handler(_log_error)
        self._nursery = nursery
        self._calls = Calls()
        self._host_calls = Calls()
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
        """From trio: run ``fn`` inside the loop, in the order of the calls.

        It runs soon or at once, as the form has it: count on neither. Its exception is
        logged, as asyncio does with a callback's. Raises RuntimeError once the guest's block
        has been left.
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
        # Ten thousand small messages in one pass would keep the loop from its sockets for seconds.
        if self._calls.run(self._report, most=_CALLS_A_PASS):
            self._announce_calls()

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


@attrs.define(eq=False)
class Calls:
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

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def run(self, on_error: Callable[[BaseException], object], most: int = sys.maxsize) -> bool:
        """Whether some are left, and this side must be told again."""
        # In this order: what another thread adds from now on is announced again.
        self._announced = False
        for _ in range(min(len(self._waiting), most)):
            fn, args = self._waiting.popleft()
            try:
                fn(*args)
            except BaseException as error:
                on_error(error)
        if not self._waiting or self._announced:
            return False
        self._announced = True
        return True


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
