"""Tables of results: for people, and for programs."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Table"]


class Table(NamedTuple):
    """What one module of the bench found out."""

    title: str
    columns: list[str]
    rows: list[list[str | float]]
    "Words that name the row, then numbers."
    note: str = ""

    def text(self) -> str:
        """Columns under each other, and the note."""
        lines = [self.columns, *([_cell(value) for value in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        left = [
            all(isinstance(cell, str) for cell in cells) for cells in zip(*self.rows, strict=True)
        ]
        texts = [
            "  ".join(
                cell.ljust(width) if is_word else cell.rjust(width)
                for cell, width, is_word in zip(line, widths, left, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([*texts, *([f"\n{self.note}"] if self.note else [])])

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return self._asdict()


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"
