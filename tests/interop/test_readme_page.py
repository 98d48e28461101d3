"""The README's page and the program beside it, as written, in Chromium."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import trio

from tests.interop.chromium import Browser
from tests.interop.devtools import open_page
from tests.readme import ROOT, blocks

pytestmark = [pytest.mark.trio, pytest.mark.browser]

_CDN = "https://unpkg.com/peerjs@1.5.5/"


async def test_the_page_and_the_program(browser: Browser, site: str, tmp_path: Path) -> None:
    (page,) = (block.code for block in blocks("html"))
    (program,) = (block.code for block in blocks("python") if "page.html" in block.code)
    assert _CDN in page
    (tmp_path / "page.html").write_text(page.replace(_CDN, f"{site}npm/peerjs/"))
    (tmp_path / "program.py").write_text(program)

    with _run(tmp_path / "program.py") as output, trio.fail_after(60):
        opened, _, url = output.readline().strip().partition(" ")
        assert opened == "Open"
        async with open_page(browser, url) as tab:
            said = await tab.run("""new Promise((resolve) => {
                const log = document.getElementById("log");
                const look = () => log.textContent && resolve(log.textContent);
                new MutationObserver(look).observe(log, { childList: true });
                look();
            })""")
    assert said == "Python has {'text': 'hello', 'bytes': b'\\x01\\x02\\x03'}\n"


@contextmanager
def _run(program: Path) -> Iterator[IO[str]]:
    """Its output, for the length of the block."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-u", program.name],
        cwd=program.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    with process:  # which closes the pipe, and waits
        try:
            assert process.stdout is not None
            yield process.stdout
        finally:
            process.terminate()
