"""Mounted in Starlette, whose lifespan runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tests.asgi.apps.peers import app as peers


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with peers.running():
        yield


async def other(request: Request) -> PlainTextResponse:
    return PlainTextResponse("the host's own")


app = Starlette(routes=[Route("/other", other), Mount("/chat", peers)], lifespan=lifespan)
