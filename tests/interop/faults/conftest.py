"""``nox -s faults`` prints what was measured."""

from __future__ import annotations

import pytest

from tests.interop.faults.figures import FIGURES


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if not FIGURES or not config.getoption("--by-hand"):
        return
    terminalreporter.section("what users saw")
    for figure in FIGURES:
        after = "" if figure.seconds is None else f", after {figure.seconds:.2f} s"
        terminalreporter.write_line(f"{figure.fault} | {figure.who} | {figure.saw}{after}")
