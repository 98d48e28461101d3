"""What the demo prints: one line a step, in columns; colour where a person looks."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from platform import python_version
from typing import TYPE_CHECKING, Final, TextIO

from peerjs_trio.cli import version

if TYPE_CHECKING:
    from .exchange import Exchange

__all__ = ["Report", "Stopwatch", "size"]

_BOLD: Final = "1"
_DIM: Final = "2"
_RED: Final = "1;31"
_GREEN: Final = "32"

_NAME_WIDTH: Final = 11
_TEXT_WIDTH: Final = 66


class Stopwatch:
    """Seconds between one look and the next."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def lap(self) -> float:
        """Since the last lap, or the beginning."""
        before, self._start = self._start, time.perf_counter()
        return self._start - before


class Report:
    """Prints, and remembers whether all went well."""

    def __init__(self, out: TextIO) -> None:
        if isinstance(out, io.TextIOWrapper):
            # Visitors' text may hold what this terminal has no letters for.
            out.reconfigure(errors="backslashreplace")
        self._out = out
        self._colour = (
            out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )
        self._total = Stopwatch()
        self._passed = True
        self._values = 0

    def begin(self, url: str) -> None:
        """The server is up."""
        self._print(self._paint(f"peerjs-sansio {version()}, Python {python_version()}", _BOLD))
        self._print()
        self.step("server", url)

    def step(self, name: str, text: str, took: float | None = None, *, passed: bool = True) -> None:
        """One thing done, and how long it took."""
        self._passed = self._passed and passed
        mark = self._paint("    ok", _GREEN) if passed else self._paint("FAILED", _RED)
        time = "" if took is None else self._paint(f"{_seconds(took):>9}", _DIM)
        self._print(f"{mark}  {name:{_NAME_WIDTH}} {text:{_TEXT_WIDTH}} {time}".rstrip())

    def exchange(self, outcome: Exchange) -> None:
        """What came of one serialization."""
        self._values += outcome.values
        if outcome.opened is None:
            text = "no connection"
        else:
            text = f"connected in {_seconds(outcome.opened)}; {outcome.values} values each way, "
            text += size(outcome.bytes)
            if outcome.bytes >= 2**20:
                text += f" ({size(int(outcome.bytes / outcome.took))}/s)"
        self.step(outcome.serialization, text, outcome.took, passed=not outcome.faults)
        for fault in outcome.faults:
            self.note(fault)

    def note(self, text: str) -> None:
        """More about the step before."""
        self._print(f"{'':8}{text}")

    def sum_up(self) -> bool:
        """Whether all went well."""
        took = _seconds(self._total.lap())
        self._print()
        if self._passed:
            self._print(f"All {self._values} values came back equal. {took} in all.")
        else:
            self._print(self._paint(f"Not everything went well. {took} in all.", _RED))
        return self._passed

    def invite(self, addresses: Sequence[tuple[str, str]]) -> None:
        """Where the page is, and from where."""
        self._print()
        for url, place in addresses:
            self._print(f"Open {self._paint(url, _BOLD)} in a browser{place}.")
        self._print("Type to the Python peer there, or send it a file. Ctrl-C ends the demo.")
        self._print()

    def news(self, who: str, what: str) -> None:
        """Something a visitor did."""
        now = time.strftime("%H:%M:%S")
        self._print(f"{self._paint(now, _DIM)}  {who}  {what}")

    def end(self) -> None:
        """After Ctrl-C, with everything closed."""
        self._print()
        self._print("Goodbye.")

    def _paint(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._colour else text

    def _print(self, line: str = "") -> None:
        print(line, file=self._out, flush=True)


def size(count: int) -> str:
    """Bytes, as a person says it."""
    if count < 1024:
        return f"{count} bytes"
    if count < 1024 * 1024:
        return f"{count / 1024:.1f} KiB"
    return f"{count / 1024 / 1024:.1f} MiB"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
