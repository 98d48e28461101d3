"""A peerjs.js Peer in a Chromium tab, with the manners of a Python one (page/lab.js)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
import attrs

from tests.interop.chromium import Browser
from tests.interop.devtools import Page, open_page
from tests.interop.values import UNDEFINED, Digest, Made, Numbered, decode, encode

__all__ = ["Collected", "Handle", "Lab", "Line", "address", "open_lab"]


@asynccontextmanager
async def open_lab(browser: Browser, site: str) -> AsyncIterator[Lab]:
    """A tab with our page in it, and no Peer yet."""
    async with open_page(browser, site) as page:
        yield Lab(page)


@attrs.frozen
class Lab:
    """One page, at most one Peer at a time."""

    page: Page

    async def open(self, server: str, *, id: str | None = None, key: str = "peerjs") -> str:
        """Make the Peer and wait until the server has it; a failure is a JavaScriptError."""
        opened: str = await self.page.call("lab.open", id, address(server) | {"key": key})
        return opened

    async def start(self, server: str, *, id: str | None = None, **options: Any) -> None:
        """Make the Peer, and no more; :meth:`heard` tells what comes of it."""
        await self.page.call("lab.start", id, address(server) | options)

    async def heard(self, what: str, *, within: float) -> str | None:
        """Wait for an event of the Peer: its detail, such as an error's type, or the empty string.

        None if there is none in so many seconds.
        """
        return await _heard(self.page, None, what, within)

    async def dial(self, remote: str) -> Handle:
        """Dial, and do not wait."""
        return Handle(self.page, await self.page.call("lab.dial", remote, {}))

    async def connect(
        self,
        remote: str,
        *,
        label: str | None = None,
        metadata: Any = UNDEFINED,
        serialization: str | None = None,
        reliable: bool | None = None,
    ) -> Line:
        """Dial, and wait until open. What is left out is left to peerjs.js."""
        given = {"label": label, "serialization": serialization, "reliable": reliable}
        options = {name: value for name, value in given.items() if value is not None}
        options["metadata"] = encode(metadata)
        return Line.of(self.page, await self.page.call("lab.connect", remote, options))

    async def incoming(self) -> Line:
        """The next connection somebody else dialled, once it is open."""
        return Line.of(self.page, await self.page.call("lab.incoming"))

    async def errors(self) -> list[str]:
        """The types of the PeerJS errors so far, of the Peer and of its connections."""
        return [error["type"] for error in await self.page.call("lab.errors")]

    async def disconnect(self) -> None:
        await self.page.call("lab.disconnect")

    async def reconnect(self) -> str:
        id: str = await self.page.call("lab.reconnect")
        return id

    async def destroy(self) -> None:
        await self.page.call("lab.destroy")


@attrs.frozen
class Handle:
    """A data connection of the page's, open or not."""

    page: Page = attrs.field(repr=False)
    handle: int

    async def heard(self, what: str, *, within: float) -> str | None:
        """As :meth:`Lab.heard`, of this connection."""
        return await _heard(self.page, self.handle, what, within)

    async def ice_is(self, state: str, *, within: float) -> bool:
        """Wait until peerjs.js tells of this state of ICE; False if it tells nothing more."""
        while (told := await self.heard("iceStateChanged", within=within)) is not None:
            if told == state:
                return True
        return False


@attrs.frozen
class Line(Handle):
    """The page's end of a data connection that was open."""

    peer: str
    label: str
    metadata: Any
    serialization: str
    reliable: bool
    connection_id: str

    @classmethod
    def of(cls, page: Page, told: dict[str, Any]) -> Line:
        metadata = decode(told.pop("metadata"))
        return cls(page, metadata=metadata, connection_id=told.pop("connectionId"), **told)

    async def send(self, value: Any) -> None:
        """Send; a value that peerjs.js refuses is a JavaScriptError with its type."""
        await self.page.call("lab.send", self.handle, encode(value))

    async def send_made(self, made: Made) -> None:
        await self.page.call("lab.sendMade", self.handle, attrs.asdict(made))

    async def receive(self) -> Any:
        """The next value, however long ago it came; EndOfStream after the last.

        Cancelled, it may take a value with it: the page still waits for one.
        """
        told = await self.page.call("lab.receive", self.handle)
        if "closed" in told:
            raise anyio.EndOfStream
        return decode(told["value"])

    async def receive_digest(self) -> Digest:
        """The same, for a text or bytes too big to look at."""
        told = await self.page.call("lab.receiveDigest", self.handle)
        if "closed" in told:
            raise anyio.EndOfStream
        return Digest(**told["digest"])

    async def burst(self, count: int, kind: Numbered) -> None:
        """Send that many numbered messages, as fast as the page can."""
        await self.page.call("lab.burst", self.handle, count, kind)

    async def collect(self, count: int, kind: Numbered) -> Collected:
        """Receive that many, or what comes before the end."""
        told = await self.page.call("lab.collect", self.handle, count, kind)
        return Collected(
            told["received"], told["distinct"], told["inOrder"], told["strangers"][:10]
        )

    async def close(self, *, flush: bool = False) -> None:
        await self.page.call("lab.close", self.handle, {"flush": flush})

    async def closed(self) -> None:
        """Wait until peerjs.js says ``close``."""
        await self.page.call("lab.closed", self.handle)

    async def is_open(self) -> bool:
        answer: bool = await self.page.call("lab.isOpen", self.handle)
        return answer


@attrs.frozen
class Collected:
    """What came of a burst."""

    received: int
    distinct: int
    in_order: bool
    strangers: list[str]
    "Some of what nobody sent, as tagged JSON."

    @classmethod
    def perfect(cls, count: int) -> Collected:
        """All of it, once, in order."""
        return cls(count, count, True, [])


def address(server: str) -> dict[str, Any]:
    """Of a PeerServer's URL, as peerjs.js's Peer takes it."""
    url = urlsplit(server)
    secure = url.scheme == "https"
    return {"host": url.hostname, "port": url.port, "path": url.path, "secure": secure}


async def _heard(page: Page, handle: int | None, what: str, within: float) -> str | None:
    news = await page.call("lab.heard", handle, what, within)
    return None if news is None else news["detail"] or ""
