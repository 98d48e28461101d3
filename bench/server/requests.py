"""Clients that come and go, and requests for ids."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from bench.server.rig import AT_ONCE, KINDS, Rig, run_rigs
from bench.server.turns import Figure, Figures, each, in_turns
from bench.table import Table

__all__ = ["measure"]

_CONNECTIONS: Final = 16
"For requests."


def measure(rounds: int, *, quick: bool = False) -> Table:
    count = 20 if quick else 1000
    jobs: dict[str, Callable[[Rig], Figures]] = {
        "registered": partial(_register, count=count),
        "closed": partial(_close, count=count),
        "GET /peerjs/id, kept alive": partial(_ask, count=count * 2, keep_alive=True),
        "GET /peerjs/id, a connection each": partial(_ask, count=count, keep_alive=False),
    }

    def sample(rig: Rig) -> Figures:
        return {
            f"{job}/{name}": figure
            for job, take in jobs.items()
            for name, figure in take(rig).items()
        }

    with run_rigs(clients=0, rest=0.1 if quick else 1.0) as rigs:
        taken = in_turns(rigs, rounds, sample, warm_up=0 if quick else _WARM_UP)
    rows = [_row(job, kind, taken[kind]) for job in jobs for kind in KINDS]
    return Table(
        f"clients that register and close, {AT_ONCE} at once, and requests on {_CONNECTIONS} "
        "connections",
        [
            *("what", "server", "a second", "× npm's", "µs of CPU", "× npm's µs"),
            *("server, % of a core", "load, % of a core"),
        ],
        rows,
        f"A registration is TCP, WebSocket and OPEN; {count} are made, and then closed in order.\n"
        "The sink answers everything with the same bytes: it shows what the load by itself can do.",
    )


_WARM_UP: Final = 3
"Rounds until V8 has optimized all of it."


def _register(rig: Rig, *, count: int) -> Figures:
    return each(rig.ask("open", count=count, at_once=AT_ONCE), count)


def _close(rig: Rig, *, count: int) -> Figures:
    return each(rig.ask("close", at_once=AT_ONCE), count)


def _ask(rig: Rig, *, count: int, keep_alive: bool) -> Figures:
    return each(rig.ask("ids", count=count, at_once=_CONNECTIONS, keep_alive=keep_alive), count)


def _row(job: str, kind: str, taken: dict[str, Figure]) -> list[str | float]:
    rate, cpu = taken[f"{job}/a second"], taken[f"{job}/cpu"]
    return [job, kind, *rate, *cpu, taken[f"{job}/server"].value, taken[f"{job}/load"].value]
