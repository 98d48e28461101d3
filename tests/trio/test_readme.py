"""What README.md says: its programs print what stands below them, its tables are complete.

The programs of docs/http.md and docs/http-client.md as well.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import peerjs_trio
from tests.readme import README, ROOT, Block, blocks

PROGRAMS = list(blocks("python"))
ENDING = [
    pytest.param(page, block, id=f"{page.stem}-line{block.line}")
    for page in (README, ROOT / "docs" / "http.md", ROOT / "docs" / "http-client.md")
    for block in blocks("python", page)
    if block.output is not None
]


@pytest.mark.parametrize(("page", "block"), ENDING)
def test_a_program_prints_what_stands_below_it(
    page: Path, block: Block, capsys: pytest.CaptureFixture[str]
) -> None:
    # So many empty lines before it that a traceback has the page's line numbers.
    code = compile("\n" * (block.line - 1) + block.code, page, "exec")
    exec(code, {"__name__": "__main__"})
    assert capsys.readouterr().out == block.output


def test_all_programs_are_run_somewhere() -> None:
    # tests/interop/test_readme_page.py runs the one that serves a page.
    (other,) = (block for block in PROGRAMS if block.output is None)
    assert "page.html" in other.code


def test_the_table_of_errors_is_complete() -> None:
    table = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \|", README.read_text(encoding="utf-8"), re.M)
    family = {}
    for name in peerjs_trio.__all__:
        found = getattr(peerjs_trio, name)
        if isinstance(found, type) and issubclass(found, peerjs_trio.PeerError):
            family[name] = found.type
    del family["PeerError"]  # said above the table
    assert dict(table) == family


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https:)([^)]+)\)", README.read_text(encoding="utf-8"))
    assert links
    assert all((ROOT / link).exists() for link in links)
