"""Mounted in Litestar, whose lifespan runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, MediaType, asgi, get

from tests.asgi.apps.peers import app as peers


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    async with peers.running():
        yield


@get("/other", media_type=MediaType.TEXT)
async def other() -> str:
    return "the host's own"


app = Litestar([other, asgi("/chat", is_mount=True, copy_scope=False)(peers)], lifespan=[lifespan])
