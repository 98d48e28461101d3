"""OFFERs of 2 KB, relayed between 200 clients as fast as the server goes."""

from __future__ import annotations

from typing import Final

from bench.server.rig import KINDS, Rig, run_rigs
from bench.server.turns import Figures, each, in_turns
from bench.table import Table

__all__ = ["CLIENTS", "UNDER_WAY", "measure"]

CLIENTS: Final = 200
UNDER_WAY: Final = 64
"Messages that the server has, or that are on their way. With 8 both take a fifth more."


def measure(rounds: int, *, quick: bool = False) -> Table:
    seconds = 0.1 if quick else 1.0

    def sample(rig: Rig) -> Figures:
        relayed = rig.ask("relay", seconds=seconds, under_way=UNDER_WAY)
        return each(relayed, relayed.found["messages"])

    with run_rigs(clients=CLIENTS, rest=0.1 if quick else 1.0) as rigs:
        taken = in_turns(rigs, rounds, sample)
    rows: list[list[str | float]] = [
        [
            kind,
            *taken[kind]["cpu"],
            *taken[kind]["a second"],
            taken[kind]["server"].value,
            taken[kind]["load"].value,
        ]
        for kind in KINDS
    ]
    return Table(
        f"OFFERs of 2 KB relayed between random pairs of {CLIENTS} clients, {UNDER_WAY} under way",
        [
            *("server", "µs of CPU a message", "× npm's", "a second", "× npm's a second"),
            *("server, % of a core", "load, % of a core"),
        ],
        rows,
        "npm is peer 1.0.2 on Node 20. CPU is the server's, of all its threads and the kernel.\n"
        "The sink passes frames on without reading them: it shows what the load by itself can do.",
    )
