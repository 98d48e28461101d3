"""docs/wire.md keeps its promise: each rule has an id, a sentence, a source and tests."""

from __future__ import annotations

import ast
import re
from itertools import groupby
from pathlib import Path
from typing import Final

import attrs
import pytest

TESTS: Final = Path(__file__).parent
DOCUMENT: Final = (TESTS.parent / "docs" / "wire.md").read_text("utf-8")

NO_TEST: Final = "No test."
"What the document says of a rule that waits for one."


@attrs.frozen
class Rule:
    """One row in a table of rules."""

    id: str
    sentence: str
    source: str


def rules() -> list[Rule]:
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.*) \| (.*) \|$", DOCUMENT, re.M)
    return [Rule(*row) for row in rows]


def shown() -> dict[str, list[str]]:
    """By the rule they show: files under tests/, and functions in them."""
    rows = re.findall(r"^\| ([A-Z]-\d+) \| (.*) \|$", DOCUMENT, re.M)
    assert len(rows) == len(dict(rows))
    return {id: names.split("<br>") for id, names in rows}


RULES: Final = rules()
SHOWN: Final = shown()


def test_every_row_is_read() -> None:
    assert len(RULES) == DOCUMENT.count("\n| **") > 100
    assert [rule.id for rule in RULES] == list(SHOWN)


def test_ids_are_unique_and_in_sequence() -> None:
    for family, found in groupby(RULES, key=lambda rule: rule.id.split("-")[0]):
        ids = [rule.id for rule in found]
        assert ids == [f"{family}-{n + 1}" for n in range(len(ids))]
    families = [family for family, _ in groupby(RULES, key=lambda rule: rule.id.split("-")[0])]
    assert len(families) == len(set(families))
    assert families == re.findall(r"^\| \[([A-Z])\]\(#", DOCUMENT, re.M)


def test_rules_that_are_referred_to_exist() -> None:
    mentioned = set(re.findall(r"\b([A-Z]-\d+)\b", DOCUMENT))
    assert mentioned == {rule.id for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_a_sentence_with_a_source_and_tests(rule: Rule) -> None:
    assert rule.sentence.endswith((".", "`"))
    assert rule.source
    if SHOWN[rule.id] == [NO_TEST]:
        return
    for test in SHOWN[rule.id]:
        file, function = test.strip("`").split("::")
        assert function in functions(TESTS / file), test


def functions(path: Path) -> set[str]:
    """Names of the tests in a file."""
    body = ast.parse(path.read_text("utf-8")).body
    return {n.name for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
