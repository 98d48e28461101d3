"""A page with peer-fetch.js (page/http.js), and a Python peer that serves :class:`App` to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from peerjs_trio import open_peer, open_server
from peerjs_trio.http import serve
from peerjs_trio.rtc.choice import EngineName
from tests.interop.background import open_background
from tests.interop.chromium import Browser
from tests.interop.devtools import Page, open_page
from tests.interop.http_app import App
from tests.interop.lab import address

__all__ = ["Web", "open_web"]


@attrs.frozen
class Web:
    """Both ends."""

    page: Page
    app: App
    serving: trio.CancelScope
    "Cancelled, the server leaves."

    async def run(self, function: str, *args: Any) -> Any:
        """Call a JavaScript function in the page: it finds ``http`` there."""
        return await self.page.call(function, *args)

    async def wait_for(self, event: str) -> None:
        """Until the application has noted it."""
        with trio.fail_after(10):
            await self.app.events[event].wait()

    def allow(self, event: str) -> None:
        """Let the application go on."""
        self.app.events[event].set()


@asynccontextmanager
async def open_web(
    browser: Browser,
    site: str,
    *,
    folder: str = "peerjs",
    engine: EngineName = "wrtc",
) -> AsyncIterator[Web]:
    """Opened, connected and ready; ``folder`` is npm's name of the peerjs in the page."""
    app = App()
    async with (
        open_server() as server,
        open_peer("python", server=server.url, engine=engine) as python,
        open_page(browser, f"{site}http.html?peerjs={folder}") as page,
        open_background() as tasks,
    ):
        scope = trio.CancelScope()

        async def answer() -> None:
            with scope:
                await serve(python, app, authorize=lambda *asked: True)

        tasks.start_soon(answer)
        await page.call("http.open", address(server.url))
        yield Web(page, app, scope)
