"""The one place that touches a core: feed it, drain it, and wake it at its deadline.

An input and the drain after it happen without an ``await`` between them, in the trio thread,
so no two inputs are ever interleaved and every command is carried out in the core's order.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio

from peerjs_proto.commands import Command
from peerjs_proto.events import Event
from peerjs_proto.peer import PeerProtocol

__all__ = ["Driver"]


class Driver:
    """Owns a PeerProtocol. ``perform`` and ``deliver`` must return at once.

    So must ``settled``, which is called after each turn.
    """

    def __init__(
        self,
        core: PeerProtocol,
        perform: Callable[[Command], None],
        deliver: Callable[[Event], None],
        settled: Callable[[], None],
    ) -> None:
        self._core = core
        self._perform = perform
        self._deliver = deliver
        self._settled = settled
        self._draining = False
        self._sleeps_until = -math.inf
        self._sooner = anyio.Event()

    def turn(self) -> Driver:
        """Call inputs of the core in this block; what they cause is done when it ends."""
        return self

    # Not a generator: this is on the way of every message, and costs half as much.
    def __enter__(self) -> PeerProtocol:
        return self._core

    def __exit__(self, *_: object) -> None:
        self._drain()

    async def keep_time(self) -> None:
        """Runs for as long as the peer does."""
        while True:
            deadline = self._core.next_timeout()
            self._sleeps_until = math.inf if deadline is None else deadline
            with anyio.CancelScope(deadline=self._sleeps_until):
                await self._sooner.wait()
            self._sooner = anyio.Event()
            with self.turn() as core:
                core.handle_timeout(anyio.current_time())

    def _drain(self) -> None:
        if self._draining:
            return  # a command's answer came at once: the drain below us will get to it
        self._draining = True
        try:
            while True:
                if command := self._core.next_command():
                    self._perform(command)
                elif event := self._core.next_event():
                    self._deliver(event)
                else:
                    break
        finally:
            self._draining = False
        self._settled()
        deadline = self._core.next_timeout()
        if deadline is not None and deadline < self._sleeps_until:
            self._sooner.set()
