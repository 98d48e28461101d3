"""How long we watch, a server that can be killed, and the figures that ``nox -s faults`` prints."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.interop.faults.figures import FIGURES
from tests.interop.faults.killable import Killable, open_killable
from tests.interop.servers import WhichServer


@pytest.fixture
def watching(pytestconfig: pytest.Config) -> float:
    """Seconds in which nothing must happen; by hand they are enough to believe it."""
    return 45.0 if pytestconfig.getoption("--by-hand") else 1.0


@pytest.fixture
async def killable(which: WhichServer, request: pytest.FixtureRequest) -> AsyncIterator[Killable]:
    """Each PeerServer in turn, in a process of its own."""
    packages = request.getfixturevalue("node_modules") if which == "npm" else None
    async with open_killable(which, packages) as server:
        yield server


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if not FIGURES or not config.getoption("--by-hand"):
        return
    terminalreporter.section("what users saw")
    for figure in FIGURES:
        after = "" if figure.seconds is None else f", after {figure.seconds:.2f} s"
        terminalreporter.write_line(f"{figure.fault} | {figure.who} | {figure.saw}{after}")
