"""Two servers that are one by a Redis, beside one alone."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.server.relaying import CLIENTS
from bench.server.rig import AT_ONCE, Rig, cpu_of, run_rig
from bench.server.turns import Figures, in_turns
from bench.table import Table
from tests.bus.redis_server import redis_server

__all__ = ["measure"]

_NODES: Final = 2
_UNDER_WAY: Final = 256
"Messages: more of them are what makes parcels larger, and each of them cheaper."
_PAIR: Final = "two on Redis"
_CROSSING: Final = 1 - 1 / _NODES
"The share of random pairs that are not on one node."


def measure(rounds: int, *, quick: bool = False) -> Table:
    seconds = 0.1 if quick else 1.0
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        redis = stack.enter_context(redis_server(Path(folder) / "redis"))
        rigs = {
            "one": stack.enter_context(run_rig("ours")),
            "one on Redis": stack.enter_context(run_rig("ours", "--redis", redis.url)),
        }
        # Beside the one that is alone on it, these have a name, and so a bus, of their own.
        pair = ("--redis", redis.url, "--name", "pair")
        rigs[_PAIR] = stack.enter_context(run_rig("ours", *pair, count=_NODES))
        for rig in rigs.values():
            rig.ask("open", count=CLIENTS, at_once=AT_ONCE)
            rig.rest(seconds)

        def sample(rig: Rig) -> Figures:
            before = cpu_of(redis.pid)
            relayed = rig.ask("relay", seconds=seconds, under_way=_UNDER_WAY)
            redis_cpu = cpu_of(redis.pid) - before
            count = relayed.found["messages"]
            return {
                "cpu": relayed.cpu / count * 1e6,
                "a second": count / relayed.found["seconds"],
                "redis": redis_cpu / count * 1e6,
                "servers": relayed.share * 100,
                "load": relayed.load_share * 100,
            }

        taken = in_turns(rigs, rounds, sample, beside="one")
    rows: list[list[str | float]] = [
        [
            *(name, figures["cpu"].value),
            (_NODES if name == _PAIR else 1) / figures["cpu"].ratio,
            *figures["a second"],
            *(figures[part].value for part in ("redis", "servers", "load")),
        ]
        for name, figures in taken.items()
    ]
    more = (taken[_PAIR]["cpu"].value - taken["one"]["cpu"].value) / _CROSSING
    redis_more = taken[_PAIR]["redis"].value / _CROSSING
    return Table(
        f"OFFERs of 2 KB between random pairs of {CLIENTS} clients: of two servers that are one by "
        "Redis, half of them cross",
        [
            *("servers", "µs of CPU a message", "capacity, × one", "a second", "× one's a second"),
            *("Redis, µs a message", "servers, % of a core", "load, % of a core"),
        ],
        rows,
        "Capacity is what as many cores as servers relay, by CPU a message, with Redis and the\n"
        "load elsewhere. A second: what this machine does, where all of them share its cores.\n"
        f"A message that crosses costs the servers {more:.0f} µs more, and Redis {redis_more:.0f}.",
    )
