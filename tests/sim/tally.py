"""What a run amounts to, in numbers; those of many runs can be added."""

from __future__ import annotations

from collections import Counter

import attrs

__all__ = ["Tally"]


@attrs.define
class Tally:
    """Of one run, or of many."""

    runs: int = 0
    events: int = 0
    "How much has happened, by the clock's count."
    seconds: float = 0.0
    "Of simulated time."
    peers: int = 0
    faults: Counter[str] = attrs.field(factory=Counter)
    "How often each kind really befell somebody."
    dials: Counter[str] = attrs.field(factory=Counter)
    "By outcome."
    counts: Counter[str] = attrs.field(factory=Counter)
    "Everything else worth counting."

    def add(self, other: Tally) -> None:
        """Those of another run."""
        self.runs += other.runs
        self.events += other.events
        self.seconds += other.seconds
        self.peers += other.peers
        self.faults.update(other.faults)
        self.dials.update(other.dials)
        self.counts.update(other.counts)

    def text(self) -> str:
        """For people."""
        return "\n".join(
            (
                f"{self.runs} seeds, {self.peers} peers, {self.events:,} events, "
                f"{self.seconds / 3600:.1f} simulated hours",
                f"faults: {_listed(self.faults)}",
                f"dials:  {_listed(self.dials)}",
                f"also:   {_listed(self.counts)}",
            )
        )


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counter.items())) or "none"
