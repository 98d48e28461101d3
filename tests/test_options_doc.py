"""docs/server-options.md is made from the table of options, and fresh."""

from __future__ import annotations

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "docs" / "make_options.py"


def test_the_page_is_fresh() -> None:
    assert runpy.run_path(str(SCRIPT))["main"](["--check"]) == 0, "run: nox -s options"
