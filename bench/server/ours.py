"""Our PeerServer, with room for any load. It prints its port, and ends when stdin does."""

from __future__ import annotations

import sys

import trio

from peerjs_proto.server_io import ServerLimits
from peerjs_trio import open_server


async def main() -> None:
    limits = ServerLimits(sockets=100_000)
    async with open_server(concurrent_limit=100_000, limits=limits) as server:
        print(server.port, flush=True)
        await trio.lowlevel.wait_readable(sys.stdin)


if __name__ == "__main__":
    trio.run(main)
