"""The same measured of every server, in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import NamedTuple, TypeAlias, TypeVar

from bench.server.rig import Sample

__all__ = ["Figure", "Figures", "each", "in_turns"]

Figures: TypeAlias = Mapping[str, float]
"""What a sample gave, by name."""

_Server = TypeVar("_Server")


class Figure(NamedTuple):
    """Of one server."""

    value: float
    "The median of all rounds."
    ratio: float
    "To the one that it stands beside: the median of the ratios of all rounds."


def in_turns(
    servers: Mapping[str, _Server],
    rounds: int,
    sample: Callable[[_Server], Figures],
    *,
    warm_up: int = 1,
    beside: str = "npm",
) -> dict[str, dict[str, Figure]]:
    """By kind of server, and name of figure.

    ``warm_up`` rounds do not count: V8 optimizes. Ratios are to the kind ``beside``.
    """
    for _ in range(warm_up):
        for server in servers.values():
            sample(server)
    taken: dict[str, list[Figures]] = {kind: [] for kind in servers}
    for _ in range(rounds):
        for kind, server in servers.items():
            taken[kind].append(sample(server))
    others = taken[beside]
    return {
        kind: {
            name: Figure(
                median(figures[name] for figures in ours),
                median(
                    figures[name] / other[name] if other[name] else 0.0
                    for figures, other in zip(ours, others, strict=True)
                ),
            )
            for name in ours[0]
        }
        for kind, ours in taken.items()
    }


def each(sample: Sample, count: int) -> Figures:
    """What one of so many cost: CPU in µs, how many a second, and % of a core in both."""
    return {
        "cpu": sample.cpu / count * 1e6,
        "a second": count / sample.found["seconds"],
        "server": sample.share * 100,
        "load": sample.load_share * 100,
    }
