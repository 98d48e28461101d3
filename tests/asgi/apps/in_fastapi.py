"""Mounted in FastAPI, and nobody runs it: the clients' tasks do."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from tests.asgi.apps.peers import app as peers

app = FastAPI()


@app.get("/other", response_class=PlainTextResponse)
async def other() -> str:
    return "the host's own"


app.mount("/chat", peers)
