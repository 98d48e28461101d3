"""The ways to ask for something by HTTP that the HTTP table compares."""

from __future__ import annotations

import time
from typing import Protocol

import httpx
import trio

from bench.ambianic_client import request
from peerjs_trio import DataConnection

__all__ = ["AmbianicWay", "HttpxWay", "Way"]


class Way(Protocol):
    """One of them."""

    carries_all: bool
    "Whether a response of any size comes through."

    at_once: int
    "How many requests may be under way; more can only wait."

    async def get(self, path: str) -> int:
        """Bytes of the response's body, when all of it is there."""
        ...

    async def first_byte(self, path: str) -> float:
        """Seconds until there is something of the response's body."""
        ...


class HttpxWay:
    """httpx, whatever its transport is."""

    carries_all = True
    at_once = 100

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def get(self, path: str) -> int:
        response = await self._client.get(path)
        return len(response.raise_for_status().content)

    async def first_byte(self, path: str) -> float:
        began = time.perf_counter()
        async with self._client.stream("GET", path) as response:
            parts = response.aiter_raw()
            await anext(parts)
            taken = time.perf_counter() - began
            async for _ in parts:
                pass
        return taken


class AmbianicWay:
    """Ambianic's protocol.

    ``look`` and ``pause`` are seconds: how often its client looks whether the answer has come, and
    how long it rests before the next request. With 0 it is as fast as the protocol allows.
    """

    carries_all = False
    at_once = 1

    def __init__(
        self, connection: DataConnection, *, look: float = 0.0, pause: float = 0.0
    ) -> None:
        self._connection = connection
        self._look = look
        self._pause = pause

    async def get(self, path: str) -> int:
        began = trio.current_time()
        answer = await request(self._connection, "GET", path)
        assert answer.status == 200
        if self._look:
            await trio.sleep(self._look - (trio.current_time() - began) % self._look)
            await trio.sleep(self._pause)
        return len(answer.body)

    async def first_byte(self, path: str) -> float:
        began = time.perf_counter()
        await self.get(path)  # the first comes with the last
        return time.perf_counter() - began
