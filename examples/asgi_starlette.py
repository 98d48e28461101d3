"""A PeerServer beside a REST API, in one Starlette application.

    uvicorn --app-dir examples asgi_starlette:app

The API decides who may be there: ``POST /api/members/alice`` answers with a token, and alice
registers with that and no other. ``GET /api/members`` says who is online. In a page:

    const { token } = await (await fetch("/api/members/alice", { method: "POST" })).json();
    const peer = new Peer("alice", { host: "127.0.0.1", port: 8000, path: "/peers", token });
"""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from peerjs_trio.asgi import PeerServer

tokens: dict[str, str] = {}


async def join(request: Request) -> JSONResponse:
    name = request.path_params["name"]
    if name in tokens:
        return JSONResponse({"error": f"{name} has joined already"}, status_code=409)
    tokens[name] = secrets.token_urlsafe()
    return JSONResponse({"token": tokens[name]}, status_code=201)


async def members(request: Request) -> JSONResponse:
    online = set(peers.hub.core.ids())
    return JSONResponse({name: name in online for name in tokens})


async def authorize(id: str, token: str, key: str, headers: Mapping[str, str]) -> bool:
    return secrets.compare_digest(tokens.get(id, "").encode(), token.encode())


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with peers.running():
        yield


peers = PeerServer(authorize=authorize)
app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/api/members", members),
        Route("/api/members/{name}", join, methods=["POST"]),
        Mount("/peers", peers),
    ],
)
