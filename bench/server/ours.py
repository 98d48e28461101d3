"""Our PeerServer, with room for any load: ``python -m bench.server.ours [--profile]``.

It prints its port, ends when stdin does, and then prints its profile.
"""

from __future__ import annotations

import json
import sys
from typing import Final

import trio

from bench.server.sampler import sampling
from peerjs_proto.server_io import ServerLimits
from peerjs_trio import open_server


async def main() -> None:
    async with open_server(concurrent_limit=MANY, alive_timeout=PATIENT, limits=_ROOM) as server:
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
    if "--profile" in sys.argv:
        with sampling() as profile:
            trio.run(main)
        print(json.dumps(profile))
    else:
        trio.run(main)
