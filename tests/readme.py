"""The code in README.md and in docs/, so that tests can run it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

__all__ = ["README", "ROOT", "Block", "blocks"]

ROOT: Final = Path(__file__).parent.parent
README: Final = ROOT / "README.md"

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$\n*(?:^```text\n(.*?)^```$)?", re.M | re.S)


@attrs.frozen
class Block:
    """A fenced block, and what a ``text`` block right behind it says it prints."""

    language: str
    line: int
    "Where its code begins."
    code: str = attrs.field(repr=False)
    output: str | None = attrs.field(repr=False)


def blocks(language: str, page: Path = README) -> Iterator[Block]:
    """All in one language, from the top."""
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        if match[1] == language:
            line = text.count("\n", 0, match.start(2)) + 1
            yield Block(match[1], line, match[2], match[3])
