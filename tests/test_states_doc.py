"""docs/states.md is made from the tables, and fresh."""

from __future__ import annotations

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "docs" / "make_states.py"


def test_the_page_is_fresh() -> None:
    assert runpy.run_path(str(SCRIPT))["main"](["--check"]) == 0, "run: nox -s states"
