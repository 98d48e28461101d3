"""What docs/api/http.md says: its program prints what stands below it."""

from __future__ import annotations

from typing import Final

import pytest

from tests.readme import ROOT, blocks

PAGE: Final = ROOT / "docs" / "api" / "http.md"


def test_the_program_prints_what_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("python", PAGE)
    code = compile("\n" * (block.line - 1) + block.code, PAGE, "exec")
    exec(code, {"__name__": "__main__"})
    assert capsys.readouterr().out == block.output
