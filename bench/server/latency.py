"""How long an OFFER of 2 KB takes through a server that gets 1,000 a second."""

from __future__ import annotations

from typing import Final

from bench.server.relaying import CLIENTS
from bench.server.rig import KINDS, Rig, run_rigs
from bench.server.turns import Figures, in_turns
from bench.table import Table

__all__ = ["measure"]

_RATE: Final = 1000.0


def measure(rounds: int, *, quick: bool = False) -> Table:
    seconds = 0.2 if quick else 3.0

    def sample(rig: Rig) -> Figures:
        paced = rig.ask("pace", seconds=seconds, rate=_RATE)
        taken, lags = sorted(paced.found["taken"]), sorted(paced.found["lags"])
        return {
            "p50": taken[len(taken) // 2] * 1e3,
            "p99": taken[len(taken) * 99 // 100] * 1e3,
            "cpu": paced.cpu / len(taken) * 1e6,
            "late": lags[len(lags) * 99 // 100] * 1e3,
            "load": paced.load_share * 100,
        }

    with run_rigs(clients=CLIENTS, rest=0.1 if quick else 1.0) as rigs:
        taken = in_turns(rigs, rounds, sample)
    rows: list[list[str | float]] = [
        [
            kind,
            *(part for name in ("p50", "p99", "cpu") for part in taken[kind][name]),
            taken[kind]["load"].value,
            taken[kind]["late"].value,
        ]
        for kind in KINDS
    ]
    return Table(
        f"OFFERs of 2 KB between random pairs of {CLIENTS} clients, {_RATE:,.0f} a second at "
        "random times: ms from sending to hearing",
        [
            *("server", "p50", "× npm's p50", "p99", "× npm's p99"),
            *("µs of CPU a message", "× npm's", "load, % of a core", "load late, p99"),
        ],
        rows,
        "Each is sent by itself, so a server wakes for every one. The last column is how much\n"
        "later than planned the load sends, in ms; it is not part of the times.",
    )
