"""Our PeerServer as a process of its own: ``python -m tests.attacks.serve LIMITS OPTIONS``.

Both are JSON objects: of :class:`~peerjs_proto.server_io.ServerLimits`, and of
:func:`~peerjs_trio.open_server`. Prints the server's URL.
"""

from __future__ import annotations

import json
import secrets
import sys

import trio

from peerjs_proto.server_io import ServerLimits
from peerjs_trio.server import open_server


async def serve(limits: str, options: str) -> None:
    """Until killed. It has rooms, which whoever is on this machine may use."""
    async with open_server(
        limits=ServerLimits(**json.loads(limits)),
        rooms="network",
        room_secret=secrets.token_bytes(32),
        **json.loads(options),
    ) as server:
        print(server.url, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(serve, sys.argv[1], sys.argv[2])
