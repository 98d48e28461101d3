"""One real Chromium for the whole pytest session: the process, and where it listens."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from tests.interop.programs import find_program

__all__ = ["Browser", "BrowserDied", "run_chromium"]

_START_TIMEOUT: Final = 60.0
_STOP_TIMEOUT: Final = 10.0

_FLAGS: Final = (
    "--headless",
    "--no-sandbox",  # it has none as root, which is what CI usually is
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Several tabs work at once and none of them is in front: no second-class timers.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    # Not --use-fake-ui-for-media-stream: a page that may use the camera shows its addresses, and
    # we want the .local candidates that most users' pages send (see Page.allow_media).
    "--use-fake-device-for-media-stream",
    "--remote-debugging-port=0",
)


class BrowserDied(Exception):
    """The browser's process is gone; the text has its last words."""


@attrs.frozen
class Browser:
    """A running Chromium."""

    process: subprocess.Popen[bytes]
    profile: Path
    devtools: str = ""
    "WebSocket URL of its DevTools protocol, browser level."

    def check(self) -> None:
        """Raise where the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise BrowserDied(f"chromium ended with code {code}:\n{self.last_words()}")

    def last_words(self) -> str:
        return "\n".join(_log(self.profile).read_text(errors="replace").splitlines()[-20:])


@contextmanager
def run_chromium() -> Iterator[Browser]:
    """Run Chromium, with a profile of its own, for the length of the block."""
    program = find_program("chromium", install="Debian: apt install chromium")
    # Its helpers may still write while they end, and what is left is in /tmp anyway.
    with tempfile.TemporaryDirectory(prefix="interop-", ignore_cleanup_errors=True) as directory:
        profile = Path(directory)
        command = [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        with _log(profile).open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield _wait_until_up(Browser(process, profile))
        finally:
            _stop(process)


def _wait_until_up(browser: Browser) -> Browser:
    # Chromium writes this file when it listens; it offers nothing one could block on.
    announcement = browser.profile / "DevToolsActivePort"
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline:
        browser.check()
        lines = announcement.read_text().splitlines() if announcement.exists() else []
        if len(lines) == 2:
            port, path = lines
            return attrs.evolve(browser, devtools=f"ws://127.0.0.1:{port}{path}")
        time.sleep(0.02)
    raise BrowserDied(f"chromium did not start in {_START_TIMEOUT} s:\n{browser.last_words()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _log(profile: Path) -> Path:
    return profile / "interop.log"
