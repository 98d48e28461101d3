"""``python -m bench [TABLE ...]``, from the root of the repository. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Protocol

from bench import (
    binarypack,
    browser,
    connecting,
    goals,
    http,
    lossy,
    many,
    memory,
    ping,
    signaling,
    throughput,
)
from bench.measure import MIN_ROUNDS
from bench.server import idle, latency, nodes, profile, relaying, requests
from bench.table import Table


class Measure(Protocol):
    """What a module of one table has."""

    def __call__(self, rounds: int, *, quick: bool = False) -> Table:
        """``quick``: as little as shows that it works; the figures mean nothing."""
        ...


TABLES: Final[dict[str, Measure]] = {
    "binarypack": binarypack.measure,
    "signaling": signaling.measure,
    "throughput": throughput.measure,
    "ping": ping.measure,
    "connecting": connecting.measure,
    "many": many.measure,
    "memory": memory.measure,
    "browser": browser.measure,
    "lossy": lossy.measure,
    "http": http.measure,
    "server-relaying": relaying.measure,
    "server-latency": latency.measure,
    "server-requests": requests.measure,
    "server-idle": idle.measure,
    "server-nodes": nodes.measure,
    "server-profile": profile.measure,
}

ROUNDS: Final = {"throughput": 5, "browser": 5, "lossy": 5, "http": 5}
"""Of tables whose samples are long; the others have 9."""

LIBRARIES: Final = ("aiortc", "aioice", "wrtc", "trio", "anyio", "msgpack")
"""Their versions stand beside the results."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}")
    parser.add_argument("--rounds", type=int, help="of a measurement; the median counts")
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the results there; other tables stay"
    )
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"no table {', '.join(unknown)}; there are {', '.join(TABLES)}")
    if options.rounds is not None and options.rounds < MIN_ROUNDS:
        parser.error(f"a median of fewer than {MIN_ROUNDS} rounds says nothing")

    results: dict[str, Any] = {}
    if options.json and options.json.exists():
        results = json.loads(options.json.read_text())["tables"]
    for name in options.tables or TABLES:
        rounds = 1 if options.quick else options.rounds or ROUNDS.get(name, 9)
        table = TABLES[name](rounds, quick=options.quick)
        print(f"{name}: {table.title}\n\n{table.text()}\n", flush=True)
        results[name] = table.as_json()
        results["goals"] = goals.judge(results).as_json()
        if options.json:  # at once: a later table may fail
            options.json.write_text(json.dumps(about() | {"tables": results}, indent=1) + "\n")
    summary = goals.judge(results)
    if summary.rows:
        print(f"goals: {summary.title}\n\n{summary.text()}")


def about() -> dict[str, Any]:
    """What the figures depend on."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"python": python, "cpus": os.cpu_count(), "versions": versions}


if __name__ == "__main__":
    main()
