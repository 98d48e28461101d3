"""``python -m bench [TABLE ...] [--rounds N] [--json FILE]``, from the root of the repository."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import binarypack, signaling
from bench.measure import MIN_ROUNDS
from bench.table import Table

TABLES: Final[dict[str, Callable[[int], Table]]] = {
    "binarypack": binarypack.measure,
    "signaling": signaling.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}")
    parser.add_argument("--rounds", type=int, default=9, help="a measurement; the median counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"no table {', '.join(unknown)}; there are {', '.join(TABLES)}")
    if options.rounds < MIN_ROUNDS:
        parser.error(f"a median of fewer than {MIN_ROUNDS} rounds says nothing")

    results = {}
    for name in options.tables or TABLES:
        table = TABLES[name](options.rounds)
        print(f"{name}: {table.title}\n\n{table.text()}\n", flush=True)
        results[name] = table.as_json()
    if options.json:
        python = f"{platform.python_implementation()} {platform.python_version()}"
        options.json.write_text(json.dumps({"python": python, "tables": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
