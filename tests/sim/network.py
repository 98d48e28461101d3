"""The network between hosts: how long a packet takes, and who cannot reach whom.

What runs over it keeps its promises, as TCP and SCTP do: lost packets are sent again, so loss is
delay, and a partition holds everything up until it heals, or until somebody gives up. Messages
themselves get lost, repeated and out of order where a real service does that: at its relay, in
:mod:`tests.sim.servers`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Final

from .clock import Act, Clock

__all__ = ["Network", "Stream"]

RETRANSMISSION: Final = 0.2
"Seconds until a lost packet is sent again, the least that TCP and SCTP wait."


class Network:
    """All paths. Hosts are names."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self.clock, self.random = clock, random
        self.slow: dict[str, float] = {}
        "By how much packets of a host take longer."
        self.lossy: dict[str, float] = {}
        "What part of its packets gets lost."
        self.changed: list[Callable[[], None]] = []
        "Told when a partition has come or gone."
        self.retransmissions = 0
        self._distance: dict[str, float] = {}
        self._cuts: dict[int, frozenset[str]] = {}
        self._cut_number = 0
        self._holding: dict[Stream, None] = {}

    def add(self, host: str) -> None:
        """A new host, near or far."""
        self._distance[host] = self.random.choice((0.001, 0.01, 0.03, 0.1))

    def latency(self, source: str, target: str) -> float:
        """Seconds the next packet takes."""
        random = self.random.random
        least = self._distance[source] + self._distance[target]
        delay = least * (1 + 0.3 * random())
        if self.slow:
            delay *= max(self.slow.get(source, 1.0), self.slow.get(target, 1.0))
        if self.lossy:
            loss = max(self.lossy.get(source, 0.0), self.lossy.get(target, 0.0))
            again = RETRANSMISSION
            while again < 5 and random() < loss:
                self.retransmissions += 1
                delay += again
                again *= 2
        return delay

    # --- partitions -----------------------------------------------------------------------

    def reaches(self, one: str, other: str) -> bool:
        """Whether packets pass between two hosts."""
        return not self._cuts or all(
            (one in side) == (other in side) for side in self._cuts.values()
        )

    def cut(self, side: Iterable[str]) -> int:
        """Nothing passes between these hosts and all others; the number of the partition."""
        self._cut_number += 1
        self._cuts[self._cut_number] = frozenset(side)
        self._tell()
        return self._cut_number

    def heal(self, number: int) -> None:
        """End a partition. What it held up is sent again soon."""
        if self._cuts.pop(number, None) is None:
            return
        self._tell()
        holding, self._holding = self._holding, {}
        for stream in holding:
            stream.resend()

    def heal_all(self) -> None:
        """No partition is left, and all hosts are as fast and as good as ever."""
        for number in list(self._cuts):
            self.heal(number)
        self.slow.clear()
        self.lossy.clear()

    def hold(self, stream: Stream) -> None:
        """Something on this stream waits for a partition to heal."""
        self._holding[stream] = None

    def _tell(self) -> None:
        for changed in self.changed:
            changed()


class Stream:
    """One direction of a connection: nothing is lost on it until it is cut."""

    def __init__(self, network: Network, source: str, target: str, *, ordered: bool = True) -> None:
        self.under_way = 0
        "How much was sent and has not arrived."
        self._network, self._source, self._target = network, source, target
        self._ordered = ordered
        self._life = 0
        self._last = 0.0
        self._held: deque[Act] = deque()
        self._dead = False

    def send(self, act: Act) -> None:
        """Something sets out; ``act`` is its arrival."""
        if self._dead:
            return
        clock = self._network.clock
        when = clock.now + self._network.latency(self._source, self._target)
        if self._ordered:
            self._last = when = max(when, self._last)
        self.under_way += 1
        clock.at(when, partial(self._arrive, act, self._life))

    def cut(self) -> None:
        """What is under way is lost, and all that is sent from here on."""
        self.lose()
        self._dead = True

    def lose(self) -> None:
        """What is under way is lost."""
        self._life += 1
        self._held.clear()
        self.under_way = 0

    def resend(self) -> None:
        """The partition has healed."""
        wait = RETRANSMISSION * (0.25 + 5 * self._network.random.random())
        self._network.clock.after(wait, partial(self._deliver_held, self._life))

    def _arrive(self, act: Act, life: int) -> None:
        if life != self._life:
            return
        reaches = self._network.reaches(self._source, self._target)
        if not reaches:
            self._network.hold(self)
        if not reaches or (self._ordered and self._held):
            self._held.append(act)
        else:
            self.under_way -= 1
            act()

    def _deliver_held(self, life: int) -> None:
        if not self._ordered:
            rest = list(self._held)
            self._network.random.shuffle(rest)
            self._held = deque(rest)
        while life == self._life and self._held:
            if not self._network.reaches(self._source, self._target):
                self._network.hold(self)
                return
            self.under_way -= 1
            self._held.popleft()()
