"""examples/edge_device, as its owner meets it: the page finds the device, pairs, and reads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trio

from tests.examples import run_file
from tests.interop.chromium import Browser
from tests.interop.devtools import Page, open_page
from tests.interop.npm import install_node_modules

pytestmark = [pytest.mark.trio, pytest.mark.browser]


async def until(page: Page, selector: str, pattern: str) -> str:
    """Wait for an element to say this."""
    words = f"document.querySelector({selector!r})?.textContent ?? ''"
    with trio.move_on_after(30):
        while True:
            text = str(await page.run(words))
            if re.search(pattern, text):
                return text
            await trio.sleep(0.05)
    raise AssertionError(f"{selector} never said {pattern}: {await page.run(SHOWN)}")


SHOWN = "document.body.innerText"


async def test_it_is_found_paired_read_and_set(browser: Browser, tmp_path: Path) -> None:
    pairings = tmp_path / "pairings" / "device.json"
    modules = str(install_node_modules())
    options = ["--serve", "--port", "0", "--name", "Greenhouse", "--modules", modules]
    options += ["--pairings", str(pairings)]
    async with run_file("edge_device/device.py", *options, strict=False) as program:
        url = await program.says(r"Open (\S+)")
        async with open_page(browser, url) as page:
            tag = await program.says(r"Greenhouse \((\w+)\): the code is")
            await until(page, "#found li", rf"Greenhouse \({tag}\)")
            await pair(page, "000000")
            await until(page, "#status", "code")
            assert "paired" not in await until(page, "#status", ".")
            code = await program.says(r"the code is (\d+)")
            await pair(page, code)
            await until(page, "#status", rf"Connected to Greenhouse \({tag}\)")
            await program.says(r"Paired with (\S+)")
            await set_target(page, 30)
            await until(page, "#answer", "Set to 30")
            await until(page, "#celsius", r"2[6-9]\.|30\.")  # live, one reading a second
            await set_target(page, 38)
            await until(page, "#answer", "5 to 35 degrees")
            # They know each other now.
            await page.navigate(url)
            await until(page, "#status", "Connected to Greenhouse")
            await until(page, "#celsius", r"\d")


async def pair(page: Page, code: str) -> None:
    await page.run(
        f"(document.querySelector('#found input').value = {code!r}, "
        "document.querySelector('#found button').click())"
    )


async def set_target(page: Page, celsius: int) -> None:
    await page.run(
        f"(document.querySelector('main input').value = {celsius}, "
        "document.querySelector('main button').click())"
    )
