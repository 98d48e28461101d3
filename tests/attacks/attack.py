"""One attack on one server: what it gets, whom it disturbs, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

import attrs
import trio

from tests.attacks.target import Target
from tests.attacks.wire import Wire, frame, offer, open_client

__all__ = ["Attack", "Outcome", "strike"]

_EVERY: Final = 0.05
"Seconds between two messages of the bystanders."

_ENDED: Final = "ends the process"

_DEADLINE: Final = 60.0
"Seconds for any attack. The longest takes 10."


@attrs.frozen
class Attack:
    """A row of the table."""

    name: str
    run: Callable[[Target], Awaitable[str]]
    "Does it; what came of it, in a word or two."
    ours: str
    "What must come of it with our server; ``or`` where it depends on how bytes are cut."
    memory: int = 8
    "MiB our server may grow by at most. Python takes memory by the MiB, and not always the same."

    def faults(self, outcome: Outcome) -> list[str]:
        """What our server did that it must not do."""
        faults = []
        if outcome.verdict not in self.ours.split(" or "):
            faults.append(f"{self.name}: {outcome.verdict}, instead of {self.ours}")
        if outcome.slowest > 1.0:
            faults.append(f"{self.name}: bystanders waited for {outcome.slowest:.1f} s")
        if outcome.growth > self.memory:
            faults.append(f"{self.name}: {outcome.growth:.1f} MiB more than before")
        return faults


@attrs.frozen
class Outcome:
    """What happened."""

    verdict: str
    slowest: float
    "Seconds the slowest message between bystanders took meanwhile; infinite if one was lost."
    growth: float
    "MiB the server held more than before, at its worst."

    @property
    def has_ended(self) -> bool:
        """Whether the server is no more."""
        return self.verdict == _ENDED

    def __str__(self) -> str:
        if self.has_ended:
            return self.verdict
        slowest = "never" if self.slowest == inf else f"{self.slowest * 1000:.0f} ms"
        return f"{self.verdict}; {self.growth:.1f} MiB, bystanders {slowest}"


async def strike(attack: Attack, target: Target) -> Outcome:
    """Attack, while two others talk to each other. A server that has ended is a verdict too."""
    bystanders = _Bystanders()
    verdict = "no end"
    async with trio.open_nursery() as nursery:
        await nursery.start(bystanders.talk, target)
        target.forget_peak()
        before = target.resident()
        try:
            with trio.move_on_after(_DEADLINE):
                verdict = await attack.run(target)
        except* (OSError, AssertionError):
            verdict = "nobody answers"
        await bystanders.once_more(target)
        nursery.cancel_scope.cancel()
    if not target.is_alive():
        return Outcome(_ENDED, inf, 0.0)
    return Outcome(verdict, bystanders.slowest, max(0.0, target.peak() - before))


@attrs.define
class _Bystanders:
    """Two clients of good will, who go on whatever happens."""

    slowest: float = 0.0
    _sent: int = 0
    _arrived: int = 0

    async def talk(
        self, target: Target, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with (
            open_client(target, "bystander-1") as one,
            open_client(target, "bystander-2") as two,
        ):
            task_status.started()
            while True:
                began = trio.current_time()
                with trio.move_on_after(5) as patience:
                    for sender, receiver in ((one, two), (two, one)):
                        await self._say(sender, receiver)
                if patience.cancelled_caught:
                    self.slowest = inf
                    return
                self.slowest = max(self.slowest, trio.current_time() - began)
                self._arrived += 1
                await trio.sleep(_EVERY)

    async def once_more(self, target: Target) -> None:
        """Until they have talked again, or will never."""
        until = self._arrived + 2  # the one that is under way began before
        while True:
            if self._arrived >= until or self.slowest == inf or not target.is_alive():
                return
            await trio.sleep(0.02)

    async def _say(self, sender: Wire, receiver: Wire) -> None:
        self._sent += 1
        text = f"word {self._sent}"
        # npm counts heartbeats alone as a sign of life.
        await sender.send(frame(1, b'{"type":"HEARTBEAT"}'), offer(receiver.id, text))
        while (message := await receiver.message()) is not None:
            if message[0] == 1 and json.loads(message[1]).get("payload") == text:
                return
        await trio.sleep_forever()  # lost
