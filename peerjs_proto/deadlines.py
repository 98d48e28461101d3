"""When each of many is due: whoever is next is known at once, whichever of them changes."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

__all__ = ["Deadlines"]


class Deadlines:
    """One deadline a key, or none."""

    def __init__(self) -> None:
        self._due: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []
        "Every deadline in ``_due``, and some that are no longer: those are passed over."

    def __len__(self) -> int:
        return len(self._due)

    def set(self, key: int, deadline: float | None) -> None:
        """Change the deadline of ``key``; None: it has none."""
        if deadline is None:
            self._due.pop(key, None)
        elif self._due.get(key) != deadline:
            self._due[key] = deadline
            heappush(self._heap, (deadline, key))
            if len(self._heap) > 2 * len(self._due) + 16:
                self._heap = [(due, key) for key, due in self._due.items()]
                heapify(self._heap)

    @property
    def next(self) -> float | None:
        """The earliest; None if there is none."""
        heap = self._heap
        while heap and self._due.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def take(self, now: float) -> list[int]:
        """The keys whose deadline has come, the earliest first; they have none any more."""
        taken = []
        while (first := self.next) is not None and first <= now:
            _, key = heappop(self._heap)
            del self._due[key]
            taken.append(key)
        return taken
