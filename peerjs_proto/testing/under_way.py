"""What is under way in a :class:`~peerjs_proto.testing.world.World`, and what can befall it."""

from __future__ import annotations

from collections.abc import Callable

import attrs

__all__ = ["Lane", "Step", "UnderWay"]


@attrs.frozen(eq=False)
class Step:
    """One thing under way."""

    serial: int
    "Counts up over all of a world: its age."
    act: Callable[[], object]
    signal: bool = False
    "Whether it is a signaling message."
    last: bool = False
    "Whether it stays behind the others even where no order is kept."


@attrs.define(eq=False)
class Lane:
    """Where things are under way one behind the other, or, without order, side by side."""

    ordered: bool = True
    steps: list[Step] = attrs.field(factory=list)

    def next(self) -> list[Step]:
        """Those that may arrive next."""
        if self.ordered:
            return self.steps[:1]
        return [step for step in self.steps if not step.last] or self.steps[:1]


@attrs.define(eq=False)
class UnderWay:
    """All lanes. A ``choice`` is any number from 0 on, taken modulo how much there is."""

    lanes: list[Lane] = attrs.field(factory=list, kw_only=True)
    _steps: int = attrs.field(default=0, init=False)

    def lane(self, *, ordered: bool = True) -> Lane:
        """A new way for things to be on."""
        self.lanes.append(lane := Lane(ordered))
        return lane

    def later(
        self, lane: Lane, act: Callable[[], object], *, signal: bool = False, last: bool = False
    ) -> None:
        """Something sets out on a lane; see :class:`Step`."""
        self._steps += 1
        lane.steps.append(Step(self._steps, act, signal, last))

    def step(self, choice: int = 0) -> bool:
        """Carry one thing across, the oldest for 0; False if nothing is under way."""
        possible = [(step, lane) for lane in self.lanes for step in lane.next()]
        if not possible:
            return False
        possible.sort(key=lambda pair: pair[0].serial)
        step, lane = possible[choice % len(possible)]
        lane.steps.remove(step)
        step.act()
        return True

    def settle(self) -> None:
        """Carry everything across, and what comes of it."""
        for _ in range(100_000):
            if not self.step():
                return
        raise AssertionError("the world does not come to rest")

    def lose(self, choice: int = 0) -> bool:
        """A signaling message never arrives. False, here and below: there was none."""
        found = self._signal(choice)
        if found is not None:
            lane, step = found
            lane.steps.remove(step)
        return found is not None

    def repeat(self, choice: int = 0) -> bool:
        """A signaling message arrives twice, the second time behind all others."""
        found = self._signal(choice)
        if found is not None:
            lane, step = found
            self.later(lane, step.act, signal=True)
        return found is not None

    def put_off(self, choice: int = 0) -> bool:
        """A signaling message falls behind all others on its way."""
        found = self._signal(choice)
        if found is not None:
            lane, step = found
            lane.steps.remove(step)
            self.later(lane, step.act, signal=True)
        return found is not None

    def _signal(self, choice: int) -> tuple[Lane, Step] | None:
        """The chosen signaling message and where it is; None if there is none."""
        signals = [(lane, step) for lane in self.lanes for step in lane.steps if step.signal]
        return signals[choice % len(signals)] if signals else None
