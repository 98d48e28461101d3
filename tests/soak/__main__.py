"""``nox -s soak``: as long as you like. Prints samples; exits with 1 where something grows."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import get_args

import trio

from peerjs_trio.rtc.choice import EngineName
from tests.soak.connects import BOUNDS, soak_connects
from tests.soak.meter import Sample


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--engine", choices=get_args(EngineName), default="aiortc")
    parser.add_argument("--connects", type=int, default=1000, help="connects and closes")
    parser.add_argument("--blocks", type=int, default=20, help="samples of them")
    args = parser.parse_args()
    series = trio.run(
        partial(soak_connects, args.engine, args.connects, blocks=args.blocks, report=_report)
    )
    print(series.table())
    faults = series.faults(BOUNDS)
    print(*faults, sep="\n")
    return 1 if faults else 0


def _report(sample: Sample) -> None:
    print(sample, flush=True)


if __name__ == "__main__":
    sys.exit(main())
