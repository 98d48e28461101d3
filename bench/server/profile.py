"""Where the CPU of our PeerServer goes while it relays."""

from __future__ import annotations

from typing import Final

from bench.server.relaying import CLIENTS, UNDER_WAY
from bench.server.rig import AT_ONCE, run_rig
from bench.table import Table

__all__ = ["measure"]

_LEAST: Final = 0.01
"Shares below are put together."


def measure(rounds: int, *, quick: bool = False) -> Table:
    with run_rig("ours", "--profile") as rig:
        rig.ask("open", count=CLIENTS, at_once=AT_ONCE)
        rig.rest(0.5)
        relayed = [
            rig.ask("relay", seconds=0.5 if quick else 1.0, under_way=UNDER_WAY)
            for _ in range(rounds)
        ]
        profile = rig.server.ended()
    cost = sum(job.cpu for job in relayed) / sum(job.found["messages"] for job in relayed) * 1e6
    kernel = profile.pop("kernel")
    parts = {part: share for part, share in profile.items() if share >= _LEAST}
    parts["all the rest"] = 1 - sum(parts.values())
    rows: list[list[str | float]] = [
        [part, share * 100, share * cost] for part, share in parts.items()
    ]
    return Table(
        f"of the CPU that our server takes for relaying OFFERs of 2 KB, {CLIENTS} clients",
        ["part", "% of CPU", "µs a message"],
        rows,
        f"{kernel:.0%} are the kernel's, most of them in recv() and send(), which count by "
        "themselves.",
    )
