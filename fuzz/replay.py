"""Inputs into a target without a fuzzer: ``python -m fuzz.replay TARGET FILE...``"""

from __future__ import annotations

import sys
from pathlib import Path

from . import Skipped, load


def main() -> None:
    """Says nothing where the invariant holds; ends with the traceback where it does not."""
    if len(sys.argv) < 3:
        sys.exit(f"{__doc__}")
    try:
        target = load(sys.argv[1])
    except (Skipped, ValueError) as error:
        sys.exit(str(error))
    for path in sys.argv[2:]:
        target.check(Path(path).read_bytes())


if __name__ == "__main__":
    main()
