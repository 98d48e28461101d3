"""docs/server-differences.md is what the tests against both servers show, no more and no less."""

from __future__ import annotations

from pathlib import Path

from tests.interop import differences

TESTS = Path(__file__).parent / "interop"


def test_the_document_is_made_from_the_table() -> None:
    said = differences.DOCUMENT.read_text("utf-8")
    assert said == differences.document(), "python -m tests.interop.differences"


def test_every_difference_is_shown_by_a_test() -> None:
    tests = "".join(path.read_text("utf-8") for path in TESTS.glob("test_*.py"))
    names = [name for name, value in vars(differences).items() if isinstance(value, differences.By)]
    assert len(names) == len(list(differences.differences())) > 5
    for name in names:
        assert f"{name}.of(which)" in tests, name
