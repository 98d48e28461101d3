"""Our PeerServer, with room for any load: ``python -m bench.server.ours``.

It prints its port, ends when stdin does, and then, with ``--profile``, prints that. With
``--redis URL`` it is one of several.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from typing import Final

import trio

from bench.server.sampler import sampling
from peerjs_proto.server_io import ServerLimits
from peerjs_trio import open_server


async def main(redis: str | None, name: str) -> None:
    bus = None
    if redis is not None:
        from peerjs_trio.bus import RedisBus  # late: it would be in everybody's memory

        bus = RedisBus(redis, name=name)
    async with open_server(
        concurrent_limit=MANY,
        alive_timeout=PATIENT,
        limits=_ROOM,
        bus=bus,
    ) as server:
        print(server.port, flush=True)
        await trio.lowlevel.wait_readable(sys.stdin)


MANY: Final = 10_000_000
"Clients that no server is to refuse."

PATIENT: Final = 3600.0
"Seconds without HEARTBEATs, in which a client is not dropped: npm's counts nothing else."

# All clients have one address. The rules stay in force, and are kept account of; nobody meets one.
_ROOM: Final = ServerLimits(
    sockets=MANY,
    connections_per_network=MANY,
    messages_per_second=MANY,
    message_burst=MANY,
    messages_per_second_from_network=MANY,
    message_burst_from_network=MANY,
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--redis", metavar="URL")
    parser.add_argument("--name", default="default", help="of those that are one, on that Redis")
    options = parser.parse_args()
    with sampling() if options.profile else nullcontext() as profile:
        trio.run(main, options.redis, options.name)
    if options.profile:
        print(json.dumps(profile))
