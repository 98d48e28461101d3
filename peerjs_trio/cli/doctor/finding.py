"""What the doctor finds, and how it is told: a line each as it comes, or JSON in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Literal, TextIO, TypeAlias

import attrs

__all__ = ["Finding", "Report", "Tell", "milliseconds"]

_MARKS: Final = {"ok": "    ok", "note": "  note", "wrong": " WRONG"}
_WIDTH: Final = 10


@attrs.frozen
class Finding:
    """One thing that was looked at."""

    check: str
    verdict: Literal["ok", "note", "wrong"]
    "``note`` is worth a look, and may be as it should."
    text: str
    advice: str = ""
    "What to do about it."
    facts: dict[str, Any] = attrs.Factory(dict)
    "The same for programs; their names are kept."


Tell: TypeAlias = Callable[[Finding], None]
"""Takes findings as they are made."""


class Report:
    """Prints, and remembers whether anything is wrong."""

    def __init__(self, out: TextIO, *, as_json: bool) -> None:
        self._out = out
        self._as_json = as_json
        self._findings: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """One more."""
        self._findings.append(finding)
        if not self._as_json:
            self._print(f"{_MARKS[finding.verdict]}  {finding.check:{_WIDTH}} {finding.text}")
            if finding.advice:
                self._print(f"{'':{8 + _WIDTH}} {finding.advice}")

    def sum_up(self) -> bool:
        """Whether all is well."""
        wrong = [finding for finding in self._findings if finding.verdict == "wrong"]
        if self._as_json:
            findings = [attrs.asdict(finding) for finding in self._findings]
            self._print(json.dumps({"well": not wrong, "findings": findings}, indent=2))
        else:
            checks = ", ".join(dict.fromkeys(finding.check for finding in wrong))
            self._print()
            self._print(f"Something is wrong: {checks}." if wrong else "All is well.")
        return not wrong

    def _print(self, line: str = "") -> None:
        print(line, file=self._out, flush=True)


def milliseconds(seconds: float) -> str:
    """As a person says it."""
    return f"{seconds * 1000:.0f} ms"
