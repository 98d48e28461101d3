"""One peer, as a program for a host of its own: ``python -m tests.nat.end TERMS``.

TERMS are :class:`Terms` as JSON. It says what happens in lines of JSON: ``{"registered": id}``,
and who dials ``{"received": …}`` or ``{"error": …}``. Who does not dial answers until its
standard input ends.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

import attrs
import trio

import peerjs_trio

MEGABYTE = bytes(range(256)) * 4096


@attrs.frozen
class Terms:
    id: str
    server: str
    engine: Any = "aiortc"
    dial: str | None = None
    turn: tuple[str, ...] = ()
    stun: tuple[str, ...] = ()
    ice: bool = True
    "False: ICE servers are those that a peer has where nothing is said."
    secret: str = ""
    ttl: float = 60.0
    "Seconds that credentials last; negative ones have expired."
    connect_timeout: float = 60.0

    def ice_servers(self) -> list[peerjs_trio.IceServer]:
        """Asked for each connection."""
        servers = [peerjs_trio.IceServer(url) for url in self.stun]
        for url in self.turn:
            now = time.time() + min(0, self.ttl)
            servers.append(
                peerjs_trio.IceServer.short_lived(
                    url, secret=self.secret, name=self.id, ttl=max(0, self.ttl), now=now
                )
            )
        return servers


async def main(terms: Terms) -> None:
    limits = peerjs_trio.Limits(connect_timeout=terms.connect_timeout)
    async with (
        peerjs_trio.open_peer(
            terms.id,
            server=terms.server,
            engine=terms.engine,
            ice_servers=terms.ice_servers if terms.ice else None,
            limits=limits,
        ) as peer,
        trio.open_nursery() as nursery,
    ):
        say(registered=peer.id)
        if terms.dial is not None:
            await dial(peer, terms.dial)
        else:
            nursery.start_soon(answer, peer)
            await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


async def dial(peer: peerjs_trio.Peer, remote: str) -> None:
    try:
        async with await peer.connect(remote, reliable=True) as connection:
            await connection.send(["hello", MEGABYTE])
            greeting = await connection.receive()
            echo = await connection.receive()
            say(received=[greeting, echo == ["hello", MEGABYTE]])
    except peerjs_trio.PeerError as error:
        say(error=type(error).__name__, text=str(error))


async def answer(peer: peerjs_trio.Peer) -> None:
    async for connection in peer.incoming_connections():
        await connection.send(f"I am {peer.id}")
        async for value in connection:
            await connection.send(value)


def say(**news: Any) -> None:
    print(json.dumps(news), flush=True)


if __name__ == "__main__":
    logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
    logging.getLogger("peerjs_trio").setLevel(logging.INFO)
    trio.run(main, Terms(**json.loads(sys.argv[1])))
