"""A device behind a home router, with a REST API and a live page: see README.md beside this.

python examples/edge_device/device.py --serve
"""

from __future__ import annotations

import argparse
import json
import random
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.routing import Route

import peerjs_trio
from peerjs_trio.http import serve
from peerjs_trio.page import page_modules
from peerjs_trio.pairing import Pair, Pairings, offer_pairing, stay_reachable
from peerjs_trio.rooms import open_room

HERE = Path(__file__).parent
CDN = re.compile(r"https://cdn\.jsdelivr\.net/npm/([\w/@]+)@[\d.]+/")


# --- the device: any web application will do ------------------------------------------------------


class Greenhouse:
    """Stands for a sensor and a heater."""

    def __init__(self) -> None:
        self.celsius = 18.0
        self.target = 20.0

    def read(self) -> dict[str, float]:
        self.celsius += (self.target - self.celsius) / 4 + random.uniform(-0.1, 0.1)
        return {"celsius": round(self.celsius, 1), "target": self.target}


greenhouse = Greenhouse()


async def reading(request: Request) -> JSONResponse:
    return JSONResponse(greenhouse.read())


async def live(request: Request) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        while True:
            yield f"data: {json.dumps(greenhouse.read())}\n\n"
            await anyio.sleep(1)

    return StreamingResponse(events(), media_type="text/event-stream")


async def target(request: Request) -> JSONResponse:
    wanted = (await request.json()).get("celsius")
    if not isinstance(wanted, int | float) or not 5 <= wanted <= 35:
        return JSONResponse({"error": "a target is 5 to 35 degrees"}, status_code=400)
    greenhouse.target = float(wanted)
    return JSONResponse({"target": greenhouse.target})


async def panel(request: Request) -> FileResponse:
    return FileResponse(HERE / "panel.js", media_type="text/javascript")


api = Starlette(
    routes=[
        Route("/api/reading", reading),
        Route("/api/live", live),
        Route("/api/target", target, methods=["PUT"]),
        Route("/panel.js", panel),
    ]
)


# --- the way to it --------------------------------------------------------------------------------


async def run(server: str, pairings: Pairings) -> None:
    """Be found, be paired with, and answer those who are."""

    def show_code(code: str) -> None:
        print(f"{pairings.name} ({pairings.tag}): the code is {code}", flush=True)

    def paired(pair: Pair) -> None:
        print("Paired with", pair.name, flush=True)

    async def work(peer: peerjs_trio.Peer) -> None:
        print("On", server, "as", peer.id, flush=True)
        async with open_room(peer), trio.open_nursery() as nursery:
            nursery.start_soon(pair_on, peer)
            await serve(peer, api, pairings=pairings)

    async def pair_on(peer: peerjs_trio.Peer) -> None:
        await offer_pairing(peer, pairings, show_code=show_code, paired=paired)

    await stay_reachable(pairings, work, server=server)


def page(modules: Path | None) -> dict[str, peerjs_trio.HttpReply]:
    """The web page, for the PeerServer: any web server can have it."""
    html = (HERE / "web" / "index.html").read_text("utf-8")
    routes = page_modules()
    if modules is not None:
        html = CDN.sub(r"/npm/\1/", html)
        wanted = ("peerjs/dist/peerjs.min.js", "@noble/*/*.js", "@noble/*/*/*.js")
        for file in (file for pattern in wanted for file in modules.glob(pattern)):
            path = f"/npm/{file.relative_to(modules).as_posix()}"
            routes[path] = peerjs_trio.HttpReply(200, file.read_bytes(), "text/javascript")
    script = (HERE / "web" / "page.js").read_bytes()
    return routes | {
        "/": peerjs_trio.HttpReply(200, html.encode(), "text/html; charset=utf-8"),
        "/page.js": peerjs_trio.HttpReply(200, script, "text/javascript; charset=utf-8"),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--server", help="a PeerServer with rooms: peerjs serve --rooms")
    where.add_argument("--serve", action="store_true", help="run one here, with the page")
    parser.add_argument("--port", type=int, default=9000, help="of --serve")
    parser.add_argument("--name", default="Greenhouse", help="of the device, for people")
    parser.add_argument("--pairings", type=Path, help="file that remembers who is paired")
    parser.add_argument("--modules", type=Path, help="folder with the page's npm packages")
    args = parser.parse_args()
    pairings = Pairings.open(args.pairings, name=args.name)
    async with peerjs_trio.stop_on_signal():
        if args.server:
            await run(args.server, pairings)
        else:
            async with peerjs_trio.open_server(
                port=args.port,
                rooms="network",
                room_secret=secrets.token_bytes(16),
                routes=page(args.modules),
            ) as server:
                print("Open", server.url, flush=True)
                await run(server.url, pairings)


if __name__ == "__main__":
    trio.run(main)
