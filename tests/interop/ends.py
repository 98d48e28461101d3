"""A Python peer and a page, registered with one server, and connections between the two.

Both ends of a connection have the same manners (``send``, ``receive``, EndOfStream), so a test
can say ``for here, there in both_ways(ends)`` and mean either direction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import attrs

from peerjs_trio import DataConnection, Peer, open_peer
from tests.interop.chromium import Browser
from tests.interop.lab import Lab, Line, open_lab
from tests.interop.servers import Server

__all__ = ["DIALLERS", "Dialler", "Pair", "both_ways", "open_pair"]

Dialler = Literal["page", "python"]
DIALLERS: Final[tuple[Dialler, ...]] = ("page", "python")

Ends = tuple[Line, DataConnection]


@attrs.frozen
class Pair:
    """``page`` and ``python`` are also their ids."""

    server: Server
    page: Lab
    python: Peer

    async def connect(self, dialler: Dialler, **options: Any) -> Ends:
        """One connection: the page's end, and Python's."""
        if dialler == "page":
            line = await self.page.connect("python", **options)
            return line, await anext(self.python.incoming_connections())
        connection = await self.python.connect("page", **options)
        return await self.page.incoming(), connection


@asynccontextmanager
async def open_pair(
    server: Server, browser: Browser, site: str, **options: Any
) -> AsyncIterator[Pair]:
    """``options`` are the Python peer's."""
    async with (
        open_lab(browser, site) as page,
        open_peer("python", server=server.url, **options) as python,
    ):
        await page.open(server.url, id="page")
        yield Pair(server, page, python)


def both_ways(ends: Ends) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """(sender, receiver), from the page and to it."""
    line, connection = ends
    return (line, connection), (connection, line)
