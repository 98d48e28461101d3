"""``python -m tests.sim [--seeds N] [--first K] [--jobs J]``: run seeds, and say what came of them.

``--replay SEED`` shows the whole trace of one, ``--scale`` answers questions of scale
(:mod:`tests.sim.scale`). Ends with 1 where an invariant was broken.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from . import scale
from .scenario import Result, run
from .tally import Tally


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="Simulate peers.")
    parser.add_argument("--seeds", type=int, default=200, help="how many; 200")
    parser.add_argument("--first", type=int, default=0, help="the first of them; 0")
    parser.add_argument("--jobs", type=int, default=1, help="processes; 1")
    parser.add_argument("--replay", type=int, metavar="SEED", help="show the trace of one")
    parser.add_argument("--scale", action="store_true", help="many peers on one server")
    parser.add_argument("--peers", type=int, default=100_000, help="for --scale; 100000")
    asked = parser.parse_args()
    if asked.scale:
        scale.report(asked.peers)
    elif asked.replay is not None:
        sys.exit(not sound(run(asked.replay, show=print), lines=0))
    else:
        sys.exit(not run_all(range(asked.first, asked.first + asked.seeds), asked.jobs))


def run_all(seeds: range, jobs: int) -> bool:
    """Whether all invariants held in all of them."""
    began, shown = time.monotonic(), 0.0
    tally, broken = Tally(), []
    for done, result in enumerate(results(seeds, jobs), 1):
        tally.add(result.tally)
        if not sound(result, lines=30):
            broken.append(result.seed)
        passed = time.monotonic() - began
        if passed - shown >= 10:
            shown = passed
            print(f"{done} of {len(seeds)} seeds, {passed:.0f} s", flush=True)
    print(tally.text())
    print(f"{time.monotonic() - began:.0f} s;", f"broken: {broken}" if broken else "all hold")
    return not broken


def results(seeds: Iterable[int], jobs: int) -> Iterator[Result]:
    """In the order of the seeds."""
    if jobs == 1:
        yield from map(run, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run, seeds, chunksize=5)


def sound(result: Result, lines: int) -> bool:
    """Say so if not, with the last lines of the trace, and how to see all of it."""
    if result.violation is None:
        return True
    for line in result.last[-lines:] if lines else ():
        print(line)
    print(f"seed {result.seed}: BROKEN: {result.violation}")
    print(f"To see it again: nox -s sim -- --replay {result.seed}", flush=True)
    return False


if __name__ == "__main__":
    main()
