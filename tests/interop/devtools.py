"""One tab, driven over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/).

Every tab has a WebSocket of its own and a browser context of its own: tabs share no process,
so one can be killed alone, and closing the socket throws the tab away whatever happened.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn

import attrs
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from tests.interop.background import open_background
from tests.interop.chromium import Browser
from tests.interop.websocket import open_websocket

__all__ = ["JavaScriptError", "Page", "PageGone", "open_page"]

_PATIENCE: Final = 60.0
"""Seconds until any wait on a page fails: what is lost must fail a test, not hang the run.

Nothing that does happen takes so long: a page gives up a dead peer after 16 s.
"""


class JavaScriptError(Exception):
    """Something was thrown, or a promise rejected, in the page."""

    def __init__(self, type: str, message: str, stack: str = "") -> None:
        super().__init__(f"{type}: {message}\n{stack}".rstrip())
        self.type = type
        "Of a PeerJS error, its type; of another, the name of its class."
        self.message = message


class PageGone(Exception):
    """The page was closed, crashed, or left for another URL while we waited for it."""


class DevToolsError(Exception):
    """The browser refused a command."""


@asynccontextmanager
async def open_page(browser: Browser, url: str) -> AsyncIterator[Page]:
    """A new tab at ``url``; errors that nobody in the page caught fail the block at its end."""
    browser.check()
    async with (
        open_websocket(browser.devtools) as socket,
        open_background() as nursery,
    ):
        page = Page(browser, socket)
        nursery.start_soon(page._listen)
        await page._create()
        await page.navigate(url)
        yield page
        if page.errors:
            raise AssertionError("uncaught in the page:\n" + "\n".join(page.errors))


@attrs.define(eq=False)
class Page:
    """A tab. Every wait on it ends in :class:`PageGone` where the tab does."""

    _browser: Browser
    _socket: WebSocketConnection
    errors: list[str] = attrs.field(factory=list, init=False)
    "What nobody in the page caught. Clear it where a test expects some."
    _target: str = attrs.field(default="", init=False)
    _session: str = attrs.field(default="", init=False)
    _count: int = attrs.field(default=0, init=False)
    _replies: dict[int, trio.MemorySendChannel[dict[str, Any]]] = attrs.field(
        factory=dict, init=False
    )
    _loaded: dict[str, trio.Event] = attrs.field(
        factory=lambda: defaultdict(trio.Event), init=False
    )
    _gone: trio.Event = attrs.field(factory=trio.Event, init=False)
    _epitaph: str = attrs.field(default="", init=False)

    # --- what tests call ------------------------------------------------------------------

    async def run(self, script: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        return await self.call(f"() => ({script})")

    async def call(self, function: str, *args: Any) -> Any:
        """Call a JavaScript function with JSON values; its promise's value comes back as JSON.

        Cancelled, it stops waiting; the page does not know, and goes on.
        """
        # Everything crosses as JSON text: written as source, an object with the key __proto__
        # would lose it, and an error must be taken apart while it is an object.
        script = f"""(async () => {{
            try {{
                const args = JSON.parse({json.dumps(json.dumps(args))});
                return JSON.stringify({{ value: await ({function})(...args) }});
            }} catch (error) {{
                const {{ name, type = name, message = String(error), stack = "" }} = error;
                return JSON.stringify({{ error: [type, message, stack] }});
            }}
        }})()"""
        options = {"expression": script, "awaitPromise": True, "returnByValue": True}
        with trio.fail_after(_PATIENCE):
            answer = await self._command("Runtime.evaluate", options)
        if "exceptionDetails" in answer:
            raise JavaScriptError("SyntaxError", _describe(answer["exceptionDetails"]))
        outcome = json.loads(answer["result"]["value"])
        if "error" in outcome:
            raise JavaScriptError(*outcome["error"])
        return outcome.get("value")

    async def navigate(self, url: str) -> None:
        """Go elsewhere, and wait until everything there has loaded."""
        with trio.fail_after(_PATIENCE):
            answer = await self._command("Page.navigate", {"url": url})
            if "errorText" in answer:
                raise DevToolsError(f"{url}: {answer['errorText']}")
            await self._unless_gone(self._loaded[answer["loaderId"]])

    async def close(self) -> None:
        """Close the tab, as its user would."""
        await self._send("Page.close")
        await self._gone.wait()

    async def kill(self) -> None:
        """Crash the tab's process: no farewell to anyone."""
        await self._send("Page.crash")
        await self._gone.wait()

    async def allow_media(self) -> None:
        """Let the page use the (fake) camera and microphone, and so show its real addresses."""
        permissions = {"permissions": ["audioCapture", "videoCapture"]}
        await self._command("Browser.grantPermissions", permissions)

    async def collect_garbage(self) -> None:
        """Throw away all that the page can reach no more."""
        await self._command("HeapProfiler.collectGarbage")

    # --- the protocol ---------------------------------------------------------------------

    async def _create(self) -> None:
        # The context goes, and the tab with it, when our socket closes.
        context = await self._command("Target.createBrowserContext", {"disposeOnDetach": True})
        target = {"url": "about:blank", "browserContextId": context["browserContextId"]}
        self._target = (await self._command("Target.createTarget", target))["targetId"]
        attach = {"targetId": self._target, "flatten": True}
        self._session = (await self._command("Target.attachToTarget", attach))["sessionId"]
        await self._command("Page.enable")
        await self._command("Page.setLifecycleEventsEnabled", {"enabled": True})
        await self._command("Runtime.enable")
        await self._command("Inspector.enable")

    async def _command(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        give, take = trio.open_memory_channel[dict[str, Any]](1)
        number = await self._send(method, params, give)
        try:
            reply = await take.receive()
        except trio.EndOfChannel:
            self._raise_gone()
        finally:
            self._replies.pop(number, None)
        if "error" in reply:
            message = reply["error"]["message"]
            # What Chromium says of a script whose page is left under its feet.
            if "navigated or closed" in message or "context was destroyed" in message:
                raise PageGone(message)
            raise DevToolsError(f"{method}: {message}")
        return reply["result"]

    async def _send(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        answer_to: trio.MemorySendChannel[dict[str, Any]] | None = None,
    ) -> int:
        if self._gone.is_set():
            self._raise_gone()
        self._count += 1
        number = self._count
        if answer_to is not None:
            self._replies[number] = answer_to
        command = {"id": number, "method": method, "params": params or {}}
        if self._session:
            command["sessionId"] = self._session
        try:
            await self._socket.send_message(json.dumps(command))
        except ConnectionClosed:
            self._bury("the browser closed the connection")
            self._raise_gone()
        return number

    async def _listen(self) -> None:
        try:
            while True:
                message = json.loads(await self._socket.get_message())
                if "id" in message:
                    if answer_to := self._replies.get(message["id"]):
                        answer_to.send_nowait(message)
                else:
                    self._on_event(message["method"], message["params"])
        except ConnectionClosed:
            self._bury("the browser closed the connection")

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Page.lifecycleEvent" if params["name"] == "load":
                self._loaded[params["loaderId"]].set()
            case "Runtime.exceptionThrown":
                self.errors.append(_describe(params["exceptionDetails"]))
            case "Inspector.targetCrashed":
                self._bury("its process died")
            case "Target.detachedFromTarget":
                self._bury("it was closed")

    # --- the end --------------------------------------------------------------------------

    def _bury(self, epitaph: str) -> None:
        if not self._gone.is_set():
            self._epitaph = epitaph
            self._gone.set()
        for answer_to in self._replies.values():
            answer_to.close()

    def _raise_gone(self) -> NoReturn:
        self._browser.check()
        raise PageGone(self._epitaph)

    async def _unless_gone(self, event: trio.Event) -> None:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await self._gone.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await event.wait()
            nursery.cancel_scope.cancel()
        if not event.is_set():
            self._raise_gone()


def _describe(details: Mapping[str, Any]) -> str:
    exception = details.get("exception", {})
    return str(exception.get("description") or exception.get("value") or details["text"])
