"""Tables of results: for people, and for programs."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Table"]


class Table(NamedTuple):
    """What one module of the bench found out."""

    title: str
    columns: list[str]
    "The first names the row; the others are numbers."
    rows: list[list[str | float]]
    note: str = ""

    def text(self) -> str:
        """Columns under each other, and the note."""
        lines = [self.columns, *([_cell(value) for value in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = [
            "  ".join(
                cell.rjust(width) if at else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        return "\n".join([*texts, *([f"\n{self.note}"] if self.note else [])])

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return self._asdict()


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"
