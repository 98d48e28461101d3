"""``nox -s soak``: as long as you like. Prints samples; exits with 1 where something grows."""

from __future__ import annotations

import argparse
import sys
from functools import partial

import trio

from peerjs_trio.rtc.choice import EngineName
from tests.soak.connects import CONNECT_BOUNDS, soak_connects
from tests.soak.meter import Bounds, Sample, Series
from tests.soak.outages import OUTAGE_BOUNDS, Tally, soak_outages

_ENGINES: tuple[EngineName, ...] = ("aiortc", "wrtc")


def main() -> int:
    """Both soaks, for each engine; 0 skips one of them."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--engine", choices=_ENGINES, action="append", help="these alone")
    parser.add_argument("--connects", type=int, default=1000, help="connects and closes")
    parser.add_argument("--blocks", type=int, default=20, help="samples of them")
    parser.add_argument("--minutes", type=float, default=30, help="of traffic between outages")
    parser.add_argument("--every", type=float, default=20, help="seconds between outages")
    args = parser.parse_args()
    good = True
    for engine in args.engine or _ENGINES:
        if args.connects:
            print(f"\n{args.connects} connects and closes, {engine}")
            run = partial(soak_connects, engine, args.connects, blocks=args.blocks)
            good &= _passes(trio.run(partial(run, report=_show)), CONNECT_BOUNDS)
        if args.minutes:
            print(f"\n{args.minutes:g} minutes, the server killed every {args.every:g} s, {engine}")
            kills = round(args.minutes * 60 / args.every)
            work = partial(soak_outages, engine, kills=kills, every=args.every)
            series, tally = trio.run(partial(work, report=_show_both))
            print(tally)
            good &= _passes(series, OUTAGE_BOUNDS)
    return 0 if good else 1


def _show(sample: Sample) -> None:
    print(sample, flush=True)


def _show_both(sample: Sample, tally: Tally) -> None:
    print(sample, tally, flush=True)


def _passes(series: Series, bounds: Bounds) -> bool:
    print(series.table())
    faults = series.faults(bounds)
    print("\n".join(faults) or "nothing grows", flush=True)
    return not faults


if __name__ == "__main__":
    sys.exit(main())
