"""docs/faults.md keeps its promise: each fault is shown by a test, and no test is left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.test_wire_spec import functions

TESTS: Final = Path(__file__).parent
DOCUMENT: Final = (TESTS.parent / "docs" / "faults.md").read_text("utf-8")
NAMED: Final = set(re.findall(r"`([\w/]+\.py)::(\w+)`", DOCUMENT))


def test_every_fault_names_a_test() -> None:
    rows = re.findall(r"^\| .* \|$", DOCUMENT.partition("## Nothing is left")[0], re.MULTILINE)
    faults = [row for row in rows if not row.startswith("| fault |")]
    assert len(faults) > 15
    assert all("::test_" in row for row in faults)


@pytest.mark.parametrize(("file", "function"), sorted(NAMED))
def test_the_tests_exist(file: str, function: str) -> None:
    assert function in functions(TESTS / file)


def test_no_test_of_a_fault_is_left_out() -> None:
    for path in (TESTS / "interop" / "faults").glob("test_*.py"):
        for name in functions(path):
            if name.startswith("test_"):
                assert (f"interop/faults/{path.name}", name) in NAMED
