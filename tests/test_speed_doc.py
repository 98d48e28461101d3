"""docs/speed.md is made from docs/speed.json, and says why a goal is missed."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def test_the_page_is_fresh() -> None:
    main = runpy.run_path(str(DOCS / "make_speed.py"))["main"]
    assert main(["--check"]) == 0, "run: nox -s speed"


def test_every_plot_is_on_the_page() -> None:
    shown = set(re.findall(r"\]\(speed/([^)]+\.svg)\)", (DOCS / "speed.md").read_text("utf-8")))
    assert shown == {path.name for path in (DOCS / "speed").glob("*.svg")}
