"""``nox -s attacks``: each attack on each server, printed as they come.

After ``--``: parts of names, ``--server ours``, and ``--write`` for docs/attacks.md.
"""

from __future__ import annotations

import argparse
import sys

import trio

from tests.attacks.attack import Outcome, strike
from tests.attacks.table import ATTACKS, write_tables
from tests.attacks.target import KINDS, Kind, run_target
from tests.interop.npm import install_node_modules


def main() -> int:
    """The exit status: 0, or 1 if ours does not do as it must."""
    parser = argparse.ArgumentParser(prog="attacks", description=__doc__)
    parser.add_argument("names", nargs="*", help="those whose names have this in them")
    parser.add_argument("--server", choices=KINDS, action="append", help="these alone")
    parser.add_argument("--write", action="store_true", help="put the tables in docs/attacks.md")
    args = parser.parse_args()
    kinds: list[Kind] = args.server or list(KINDS)
    node_modules = None if kinds == ["ours"] else install_node_modules()
    faults, results = list[str](), dict[str, dict[Kind, Outcome]]()
    for attack in ATTACKS:
        if args.names and not any(name in attack.name for name in args.names):
            continue
        print(attack.name)
        results[attack.name] = {}
        for kind in kinds:
            with run_target(kind, node_modules) as target:
                outcome = trio.run(strike, attack, target)
            results[attack.name][kind] = outcome
            faults += attack.faults(outcome) if kind == "ours" else []
            print(f"    {kind:14} {outcome}", flush=True)
        if args.write:
            write_tables(results)
    print("\n".join(faults) or "ours did as it must")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
