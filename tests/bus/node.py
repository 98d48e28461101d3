"""A server on a bus, as a process: ``python -m tests.bus.node URL NAME LEASE``; prints its port."""

from __future__ import annotations

import sys

import trio

from peerjs_trio.bus import RedisBus
from peerjs_trio.server import open_server
from peerjs_trio.signals import stop_on_signal


async def main(*arguments: str) -> None:
    url, name, lease = arguments
    bus = RedisBus(url, name=name, lease=float(lease))
    async with stop_on_signal(), open_server(bus=bus, expire_timeout=2.0) as server:
        print(server.port, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
