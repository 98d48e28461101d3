"""Hubs on a bus, with clients that are no sockets, on trio and on asyncio."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from peerjs_proto.server import ServerProtocol
from peerjs_trio.bus import RedisBus
from peerjs_trio.hub import Hub
from tests.proto.server_clients import message, target

__all__ = ["Client", "new_name", "open_hub", "until"]

_names = itertools.count()


def new_name() -> str:
    """Of a bus that nobody else is on."""
    return f"bus{next(_names)}"


class Client:
    """An outlet, and what came out of it."""

    def __init__(self, hub: Hub, id: str) -> None:
        self.id = id
        self.texts: list[dict[str, Any]] = []
        self.is_closed = False
        self.handle = 0
        self._hub = hub

    @property
    def types(self) -> list[str]:
        return [text["type"] for text in self.texts]

    def send_text(self, text: str) -> None:
        self.texts.append(json.loads(text))

    def close_websocket(self, code: int | None, reason: str) -> None:
        self.is_closed = True

    def ping(self) -> None:
        pass

    def send(self, type: str, dst: str, payload: Any = None) -> None:
        self._hub.receive(self.handle, [message(type, dst, payload)])

    def leave(self) -> None:
        self._hub.gone(self.handle)


class BusHub(Hub):
    """A hub whose clients are registered in one call."""

    async def join(self, id: str, token: str = "secret") -> Client:
        client = Client(self, id)
        client.handle = await self.register(target(id, token), {}, "", client)
        return client


@asynccontextmanager
async def open_hub(url: str, name: str, **options: Any) -> AsyncIterator[BusHub]:
    hub = BusHub(ServerProtocol(**options), bus=RedisBus(url, name=name))
    async with hub.running():
        yield hub


async def until(condition: Callable[[], bool], *, within: float = 10.0) -> None:
    with anyio.fail_after(within):
        while not condition():  # noqa: ASYNC110 - there is no event for what Redis has done
            await anyio.sleep(0.005)
