"""The documents: what they link to is there, and each of them can be found.

Sphinx checks more (``nox -s docs``); this needs nothing installed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

DOCS: Final = Path(__file__).parent.parent / "docs"
PAGES: Final = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)


def name(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text("utf-8")):
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.is_file(), link
        assert not heading or heading in anchors(target), link


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = {"index.md"}
    for page in PAGES:
        for toctree in re.findall(
            r"^```\{toctree\}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S
        ):
            entries = [line for line in toctree.split("\n") if re.match(r"\w", line)]
            listed |= {name(page.parent / f"{entry}.md") for entry in entries}
    assert {name(page) for page in PAGES} == listed


def anchors(page: Path) -> set[str]:
    """What GitHub and MyST make of the headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
