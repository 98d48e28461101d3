"""The bus between PeerServers of several processes and machines: a Redis that all of them reach.

::

    async with open_server(port=9000, bus=RedisBus("redis://127.0.0.1:6379/0")) as server:
        ...

What it does is in docs/cluster.md.
"""

from __future__ import annotations

from .addresses import RedisAddress
from .redis import RedisBus

__all__ = ["RedisAddress", "RedisBus"]
