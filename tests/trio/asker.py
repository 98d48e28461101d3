"""What aiortc's sessions ask of STUN and TURN servers, without aiortc."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from peerjs_trio.guest import GuestLoop, open_guest_loop
from peerjs_trio.rtc.engine import IceServer
from peerjs_trio.rtc.ice_servers import IceServers
from peerjs_trio.rtc.troubles import IceTroubles
from tests.trio.sides import LIMIT, open_files

__all__ = ["Asker", "asker", "warnings"]


class Asker:
    """An :class:`IceServers` in its guest loop."""

    def __init__(self, guest: GuestLoop) -> None:
        self._guest = guest
        self._servers = IceServers(IceTroubles())

    async def usable(self, *servers: IceServer) -> list[IceServer]:
        with trio.fail_after(LIMIT):
            return await self._guest.run(self._servers.usable, servers)

    async def prepare(self, *servers: IceServer) -> None:
        self._guest.call(self._servers.prepare, servers)

    async def close(self) -> None:
        with trio.fail_after(LIMIT):
            await self._guest.run(self._servers.aclose)


@asynccontextmanager
async def asker() -> AsyncIterator[Asker]:
    files = open_files()
    async with open_guest_loop() as guest:
        asker = Asker(guest)
        yield asker
        await asker.close()
    assert open_files() == files


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log was told so far."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
