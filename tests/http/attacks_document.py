"""docs/http-attacks.md has tables of the attacks; ``python -m`` this module writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.http.fence_attacks import SECTIONS, Attack
from tests.http.peer_attacks import PEER_SECTIONS, PeerAttack

__all__ = ["DOCUMENT", "with_tables"]

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "http-attacks.md"

_HEAD: Final = "| what is asked | what comes of it |\n|---|---|\n"


def with_tables(document: str) -> str:
    """The document with the tables as they must be; what is no table stays, and other sections."""
    tables: dict[str, Sequence[Attack | PeerAttack]] = {**SECTIONS, **PEER_SECTIONS}
    sections = document.split("\n## ")
    for n, section in enumerate(sections):
        title = section.partition("\n")[0]
        if title in tables:
            text = section.partition("\n| ")[0]
            rows = [f"| {attack.name} | {attack.fate} |\n" for attack in tables[title]]
            sections[n] = f"{text}\n{_HEAD}{''.join(rows)}"
    return "\n## ".join(sections)


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text("utf-8")), "utf-8")
