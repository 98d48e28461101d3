"""The lifespan of an ASGI application: its startup before the first request, its shutdown."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio

from peerjs_trio.background import open_background
from peerjs_trio.http.bridge import AsgiApp

__all__ = ["open_lifespan"]

_SHUTDOWN: Final = 10.0
"Seconds for an application to shut down."

_log = logging.getLogger("peerjs_trio.http")


@asynccontextmanager
async def open_lifespan(app: AsgiApp) -> AsyncGenerator[dict[str, Any]]:
    """The application is started for the length of the block; the value is its ``state``.

    Raises RuntimeError where it says that it cannot start. One that knows no lifespan, and raises
    when it is asked, is used without.
    """
    state: dict[str, Any] = {}
    lifespan = _Lifespan()
    scope = {
        "type": "lifespan",
        "asgi": {"version": "3.0", "spec_version": "2.0"},
        "state": state,
    }
    async with open_background() as tasks:
        tasks.start_soon(lifespan.run, app, scope)
        try:
            await lifespan.started.wait()
            if lifespan.failure is not None:
                raise RuntimeError(f"the application did not start: {lifespan.failure}")
            yield state
        finally:
            with anyio.CancelScope(shield=True):
                await lifespan.stop()


class _Lifespan:
    def __init__(self) -> None:
        self.started = anyio.Event()
        self.failure: str | None = None
        self._shutting = anyio.Event()
        self._over = anyio.Event()
        self._shield = anyio.CancelScope(shield=True)
        self._asked = False
        self._is_up = False

    async def run(self, app: AsgiApp, scope: dict[str, Any]) -> None:
        try:
            # Whoever cancels the block around us still wants the shutdown.
            with self._shield:
                await app(scope, self._receive, self._send)
        except Exception:
            if self._is_up:
                _log.exception("the application's lifespan has failed")
            else:
                _log.debug("the application has no lifespan", exc_info=True)
        finally:
            self.started.set()
            self._over.set()

    async def stop(self) -> None:
        """Shut it down, or cancel it where that takes too long."""
        self._shutting.set()
        if self._is_up:
            with anyio.move_on_after(_SHUTDOWN):
                await self._over.wait()
        self._shield.cancel()

    async def _receive(self) -> MutableMapping[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self._shutting.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        match message["type"]:
            case "lifespan.startup.complete":
                self._is_up = True
            case "lifespan.startup.failed":
                self.failure = message.get("message") or "it does not say why"
            case "lifespan.shutdown.failed":
                _log.error("the application's shutdown has failed: %s", message.get("message"))
            case "lifespan.shutdown.complete":
                self._over.set()
        self.started.set()
