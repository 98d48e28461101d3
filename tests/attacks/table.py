"""All attacks, and what came of them as tables in docs/attacks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Final

from tests.attacks.attack import Attack, Outcome
from tests.attacks.floods import FLOODS
from tests.attacks.frames import FRAMES
from tests.attacks.requests import REQUESTS
from tests.attacks.target import KINDS, Kind
from tests.attacks.texts import TEXTS

__all__ = ["ATTACKS", "DOCUMENT", "read_tables", "write_tables"]

_SECTIONS: Final[Mapping[str, Sequence[Attack]]] = {
    "Frames": FRAMES,
    "Messages": TEXTS,
    "Requests": REQUESTS,
    "Too many, too much, too slow": FLOODS,
}

ATTACKS: Final = [attack for attacks in _SECTIONS.values() for attack in attacks]

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "attacks.md"

_COLUMNS: Final = "|".join(["---"] * (1 + 2 * len(KINDS)))


def write_tables(results: Mapping[str, Mapping[Kind, Outcome]]) -> None:
    """Put what came of attacks, by their names, into the document; other rows stay."""
    rows = read_tables() | {name: _row(name, outcomes) for name, outcomes in results.items()}
    sections = DOCUMENT.read_text("utf-8").split("\n## ")
    for n, section in enumerate(sections):
        title = section.partition("\n")[0]
        if title in _SECTIONS:
            head = section.partition(f"|{_COLUMNS}|\n")[0]
            table = [rows[attack.name] for attack in _SECTIONS[title] if attack.name in rows]
            sections[n] = "\n".join([f"{head}|{_COLUMNS}|", *table, ""])
    DOCUMENT.write_text("\n## ".join(sections), "utf-8")


def read_tables() -> dict[str, str]:
    """The rows of the document's tables, by the names of the attacks."""
    lines = [line for line in DOCUMENT.read_text("utf-8").split("\n") if line.startswith("| ")]
    return {name: line for line in lines if (name := line[2:].partition(" |")[0]) != "attack"}


def _row(name: str, outcomes: Mapping[Kind, Outcome]) -> str:
    cells = [name]
    for kind in KINDS:
        outcome = outcomes.get(kind)
        cells += ["", ""] if outcome is None else [_verdict(outcome), _memory(outcome)]
    return f"| {' | '.join(cells)} |"


def _memory(outcome: Outcome) -> str:
    return "" if outcome.has_ended else f"{outcome.growth:.0f}"


def _verdict(outcome: Outcome) -> str:
    if outcome.has_ended:
        return "**the process ends**"
    if outcome.slowest <= 1:
        return outcome.verdict
    wait = "nothing more" if outcome.slowest == inf else f"{outcome.slowest:.1f} s of nothing"
    return f"{outcome.verdict}; **for others {wait}**"
