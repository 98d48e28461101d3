"""What docs/testing.md says: its programs print what stands below them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.readme import ROOT, Block, blocks

DOCUMENT: Final = ROOT / "docs" / "testing.md"
PROGRAMS: Final = list(blocks("python", DOCUMENT))


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: f"line{block.line}")
def test_a_program_prints_what_stands_below_it(
    block: Block, capsys: pytest.CaptureFixture[str]
) -> None:
    # So many empty lines before it that a traceback has the document's line numbers.
    code = compile("\n" * (block.line - 1) + block.code, DOCUMENT, "exec")
    exec(code, {"__name__": "__main__"})
    assert capsys.readouterr().out == block.output


def test_its_tables_name_what_is_there() -> None:
    text = DOCUMENT.read_text("utf-8")
    public = ROOT / "peerjs_proto" / "testing"
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.M))
    assert named | {"under_way"} == {p.stem for p in public.glob("*.py") if p.stem[0] != "_"}
    files = re.findall(r"^\| `(\w+\.py)` \|", text, re.M)
    assert files
    assert all((Path(__file__).parent / file).exists() for file in files)
