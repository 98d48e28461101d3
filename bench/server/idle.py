"""What clients cost that are there and do nothing but send HEARTBEATs."""

from __future__ import annotations

import resource
from functools import partial
from typing import Final

from bench.server.rig import AT_ONCE, run_rig
from bench.server.turns import Figures, in_turns
from bench.table import Table

__all__ = ["measure"]

_SOME: Final = 5_000
_MANY: Final = 20_000
_INTERVAL: Final = 5.0
"Seconds between the heartbeats of peerjs.js."
_SOURCES: Final = 8
"Addresses that they come from: one has some 28,000 ports, of which many may be in use."
_FILES: Final = 100
"That a server has open beside its clients' sockets, at most."


def measure(rounds: int, *, quick: bool = False) -> Table:
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # which our processes inherit
    counts = (10, 20) if quick else (_SOME, min(_MANY, files - _FILES))
    rounds = min(rounds, _ROUNDS)
    seconds = 0.2 if quick else _INTERVAL
    kinds = {kind: kind for kind in ("ours", "npm")}
    taken = [
        in_turns(kinds, rounds, partial(_sample, count=count, seconds=seconds), warm_up=0)
        for count in counts
    ]
    rows: list[list[str | float]] = [
        [
            *(kind, count, figures["each"].value, figures["each"].ratio),
            *(figures["empty"].value, figures["full"].value),
            *(figures["beats"].value, figures["beats"].ratio, figures["load"].value),
        ]
        for count, by_kind in zip(counts, taken, strict=True)
        for kind, figures in by_kind.items()
    ]
    limit = f" No more than {counts[-1]:,}: a process here may have {files:,} files."
    return Table(
        f"clients of one process that send a HEARTBEAT every {_INTERVAL:.0f} s and nothing else",
        [
            *("server", "clients", "KiB each", "× npm's"),
            *("MiB without", "MiB with", "% of a core", "× npm's %", "load, % of a core"),
        ],
        rows,
        f"Memory is PSS, after two rounds of heartbeats; {rounds} servers of each kind."
        + (limit if counts[-1] < _MANY and not quick else ""),
    )


_ROUNDS: Final = 3
"Each takes a fresh server, and half a minute."


def _sample(kind: str, *, count: int, seconds: float) -> Figures:
    with run_rig(kind) as rig:
        rig.rest(seconds)
        empty = rig.server.pss()
        rig.ask("open", count=count, at_once=AT_ONCE, sources=_SOURCES)
        rig.ask("beat", seconds=seconds, interval=_INTERVAL)
        beats = rig.ask("beat", seconds=seconds, interval=_INTERVAL)
        full = rig.server.pss()
    return {
        "empty": empty,
        "full": full,
        "each": (full - empty) * 1024 / count,
        "beats": beats.share * 100,
        "load": beats.load_share * 100,
    }
