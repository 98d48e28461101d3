"""Beside Quart, which mounts nothing itself; hypercorn's dispatcher hands on the lifespan."""

from __future__ import annotations

from hypercorn.middleware import DispatcherMiddleware
from quart import Quart

from tests.asgi.apps.peers import app as peers

quart = Quart(__name__)


@quart.get("/other")
async def other() -> str:
    return "the host's own"


app = DispatcherMiddleware({"/chat": peers, "": quart})
