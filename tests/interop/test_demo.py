"""The demo as a visitor meets it: the command in a process, its page in Chromium."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from tests.interop.chromium import Browser
from tests.interop.devtools import Page, open_page
from tests.readme import ROOT

pytestmark = [pytest.mark.trio, pytest.mark.browser]

_TIMEOUT: Final = 60.0


async def test_a_visitor_types_and_python_answers(demo: Demo, browser: Browser) -> None:
    async with _visit(demo, browser) as page:
        await _say(page, "<b>hello</b> & \U0001f40d")
        answer = await _until(page, "#log .python", "Hello from Python")
        assert "“<b>hello</b> & \U0001f40d”, 16 characters" in answer
        await _until(page, "#log .me", r"answered in \d+ ms")
        assert await page.run("document.querySelectorAll('#log b').length") == 0


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
async def test_a_visitor_sends_a_file(demo: Demo, browser: Browser, size: int) -> None:
    async with _visit(demo, browser) as page:
        await _send_file(page, "<i>photo</i>.jpg", size)
        answer = await _until(page, "#log .python", "SHA-256")
        assert "I have <i>photo</i>.jpg" in answer
        assert hashlib.sha256(b"x" * size).hexdigest() in answer
        assert "The page has the same SHA-256" in answer
        await _say(page, "and a word after it")
        await _until(page, "#log", "a word after it”")


async def test_a_visitor_asks_over_http(demo: Demo, browser: Browser) -> None:
    async with _visit(demo, browser) as page:
        for _ in range(2):
            await page.run('document.getElementById("fetch").click()')
        answer = await _until(page, "#log .python:nth-of-type(4)", "HTTP from Python")
        assert "by HTTP over WebRTC" in answer
        await _until(page, "#log .me", r"answered with 200 in \d+ ms")


async def test_from_another_machine(demo: Demo, browser: Browser) -> None:
    """There a page over http has no WebCrypto: Python's hash stands alone."""
    async with _visit(demo, browser, demo.elsewhere) as page:
        assert await page.run("crypto.subtle === undefined")
        await _send_file(page, "photo.jpg", 100_000)
        answer = await _until(page, "#log .python", "SHA-256")
        assert hashlib.sha256(b"x" * 100_000).hexdigest() in answer
        assert "could not compute its own" in answer


async def test_two_visitors(demo: Demo, browser: Browser) -> None:
    async with _visit(demo, browser) as one, _visit(demo, browser) as other:
        await _say(one, "from one")
        await _say(other, "from other")
        assert "from one" in await _until(one, "#log .python", "“from")
        assert "from other" in await _until(other, "#log .python", "“from")


async def test_what_the_page_does_not_say(demo: Demo, browser: Browser) -> None:
    """Values of other kinds are a problem in words, not the end."""
    async with _visit(demo, browser) as page:
        for value in ("5", "'text'", "{ file: 'a', size: -1 }", "new ArrayBuffer(3)"):
            await page.run(f"void conn.send({value})")
        await _until(page, "#log .trouble:nth-of-type(4)", "that was neither")
        await _say(page, "still there?")
        await _until(page, "#log .python", "still there?")


async def test_the_demo_ends_and_comes_back(browser: Browser, node_modules: Path) -> None:
    with _run_demo(node_modules) as demo:
        async with _visit(demo, browser) as page:
            demo.process.send_signal(signal.SIGINT)
            await _until(page, "#state[data-state=lost]", "demo|closed")
            rest, _ = await trio.to_thread.run_sync(demo.process.communicate)
            assert demo.process.returncode == 0, rest
            assert rest.endswith("\nGoodbye.\n")
            assert "visitor 1  has come" in rest

            await _reconnect(page)
            await _until(page, "#state[data-state=lost]", "cannot be reached")
            port = demo.here.rstrip("/").rpartition(":")[2]
            with _run_demo(node_modules, "--port", port):
                await _reconnect(page)
                await _until(page, "#state[data-state=connected]", "Connected")
                await _say(page, "welcome back")
                await _until(page, "#log .python", "welcome back")


# --- the command ---------------------------------------------------------------------------------


@attrs.frozen
class Demo:
    """A demo that waits for visitors."""

    process: subprocess.Popen[str]
    here: str
    elsewhere: str


@pytest.fixture(scope="module", params=["aiortc", "wrtc"])
def demo(node_modules: Path, request: pytest.FixtureRequest) -> Iterator[Demo]:
    with _run_demo(node_modules, "--engine", request.param) as demo:
        yield demo


@contextmanager
def _run_demo(node_modules: Path, *args: str) -> Iterator[Demo]:
    peerjs = node_modules / "peerjs" / "dist" / "peerjs.min.js"
    process = subprocess.Popen(
        [sys.executable, "-m", "peerjs_trio", "demo", "--host", "0.0.0.0", *args],
        env={**os.environ, "PEERJS_JS": str(peerjs), "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        cwd=ROOT,
    )
    with process:  # which closes the pipe, and waits
        try:
            yield _wait_until_open(process)
        finally:
            process.terminate()


def _wait_until_open(process: subprocess.Popen[str]) -> Demo:
    assert process.stdout is not None
    said, urls = "", []
    # Ends with the process at the latest, and everything the demo does has its own bound.
    for line in process.stdout:
        said += line
        urls += re.findall(r"Open (\S+) in a browser", line)
        if "Ctrl-C" in line:
            assert "FAILED" not in said
            assert f"peerjs.js from {os.sep}" in said
            return Demo(process, *urls)
    raise AssertionError(f"the demo did not start:\n{said}")


# --- the page ------------------------------------------------------------------------------------


@asynccontextmanager
async def _visit(demo: Demo, browser: Browser, url: str | None = None) -> AsyncIterator[Page]:
    with trio.fail_after(_TIMEOUT):
        async with open_page(browser, url or demo.here) as page:
            await _until(page, "#state[data-state=connected]", r"Connected to Python in \d+ ms")
            yield page


async def _until(page: Page, selector: str, pattern: str) -> str:
    """The text of the element that matches both, as soon as there is one."""
    function = """(selector, pattern) => new Promise((resolve) => {
        const look = () => {
            for (const { innerText } of document.querySelectorAll(selector)) {
                if (new RegExp(pattern, "u").test(innerText)) resolve(innerText);
            }
        };
        const everything = {
            subtree: true, childList: true, characterData: true, attributes: true,
        };
        new MutationObserver(look).observe(document, everything);
        look();
    })"""
    return str(await page.call(function, selector, pattern))


async def _say(page: Page, text: str) -> None:
    function = """(text) => {
        document.getElementById("text").value = text;
        document.getElementById("send").click();
    }"""
    await page.call(function, text)


async def _send_file(page: Page, name: str, size: int) -> None:
    function = """(name, size) => {
        const chosen = new DataTransfer();
        chosen.items.add(new File(["x".repeat(size)], name));
        const input = document.getElementById("file");
        input.files = chosen.files;
        input.dispatchEvent(new Event("change"));
    }"""
    await page.call(function, name, size)


async def _reconnect(page: Page) -> None:
    result: Any = await page.call("""() => {
        const button = document.getElementById("reconnect");
        button.click();
        return button.hidden;
    }""")
    assert result, "clicked, and still offered"
