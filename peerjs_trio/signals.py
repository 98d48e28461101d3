"""stop_on_signal: who is told to stop leaves its blocks first, so that far sides hear of it."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import anyio
import anyio.abc
import attrs

from .background import open_background

__all__ = ["STOP_SIGNALS", "Stop", "stop_on_signal"]

STOP_SIGNALS: Final = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Ctrl-C, what ``kill`` and service managers send, and the terminal that goes (not on Windows)."""


@attrs.define
class Stop:
    """Made by :func:`stop_on_signal`."""

    signal: signal.Signals | None = None
    "The one that has ended the block; None if none has."


@asynccontextmanager
async def stop_on_signal(*signals: signal.Signals) -> AsyncGenerator[Stop]:
    """Cancel the block at the first of these signals; the program goes on behind it.

    :param signals: those of :data:`~peerjs_trio.signals.STOP_SIGNALS` if not given.

    Without it SIGTERM and SIGHUP end a Python program in the middle of everything, and far sides
    notice only when they miss it. What is opened inside the block is closed before the block ends::

        async with stop_on_signal(), open_peer("alice") as alice:
            await answer_everybody(alice)

    Only the first counts: the next does what it would do without us, and so ends a program that
    takes too long to close. Signals that are ignored (``nohup``) stay so. SIGKILL cannot be
    caught. Works in the main thread alone, where Python handles signals; elsewhere it raises
    RuntimeError.
    """
    wanted = [s for s in signals or STOP_SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
    stop = Stop()
    async with open_background() as tasks:
        if wanted:
            await tasks.start(_watch, wanted, stop, tasks.cancel_scope)
        yield stop


async def _watch(
    wanted: list[signal.Signals],
    stop: Stop,
    scope: anyio.CancelScope,
    *,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    with anyio.open_signal_receiver(*wanted) as received:
        task_status.started()
        async for number in received:
            stop.signal = number
            break
    # The handlers of before are back now, for the second signal.
    scope.cancel()
