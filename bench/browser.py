"""Pages with npm's peerjs.js in Chromium, and Python: both ways, and each with its like."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

import trio

from bench.ends import ping, serve_far, upload
from bench.engines import EngineName, engine_factory, engines
from bench.processes import serving, together
from bench.table import Table
from peerjs_trio import DataConnection, Peer, open_peer
from tests.interop.chromium import Browser, run_chromium
from tests.interop.devtools import Page, open_page
from tests.interop.npm import install_node_modules
from tests.interop.site import serve_site

__all__ = ["measure"]

_MIB: Final = 1 << 20
_MESSAGE: Final = 16 << 10
_VALUE: Final = _MIB
_PINGS: Final = 200
_PATIENCE: Final = 900.0

_NOTE: Final = """\
MiB/s of reliable connections, and how many times as fast that is as from page to page. first:
the first {total} MiB of a new connection, and raw: the second, in raw messages of 16 KiB; binary:
values of 1 MiB, on a connection that has been in use. ping is raw, 64 bytes. The one who dials
sends and takes the time, until the other says it has all. Medians of {rounds} rounds. A page's
clock has steps of 0.1 ms."""


class Line(Protocol):
    """An open connection, at the end of the one who dialled."""

    async def upload(self, size: int) -> float:
        """Send a sink as many bytes values as it counts to; seconds until it has them."""
        ...

    async def ping(self, times: int) -> Sequence[float]:
        """Round trips with an echo, in seconds."""
        ...

    async def close(self) -> None: ...


Dial = Callable[[str, dict[str, Any]], Awaitable[Line]]
"""Opens a connection, by serialization and metadata."""


def measure(rounds: int, *, quick: bool = False) -> Table:
    total = (2 if quick else 8) * _MIB
    with run_chromium() as chromium, serve_site(install_node_modules()) as site, serving() as url:
        found = trio.run(_measure, chromium, site, url, rounds, total)
    rows: list[list[str | float]] = []
    base: dict[str, float] = {}
    for what, taken in found.items():
        row: list[str | float] = [what]
        for kind in ("first", "raw", "binary"):
            speed = total / _MIB / median(taken[kind])
            row += [speed, speed / base.setdefault(kind, speed)]
        rows.append([*row, median(taken["ping"]) * 1e3])
    columns = [
        *("from, to", "first", "ratio of first", "raw", "ratio of raw"),
        *("binary", "ratio of binary", "ping p50, ms"),
    ]
    note = _NOTE.format(rounds=rounds, total=total // _MIB)
    return Table("pages and Python", columns, rows, note)


Found = dict[str, list[float]]
"""Seconds, by what took them."""


async def _measure(
    chromium: Browser, site: str, url: str, rounds: int, total: int
) -> dict[str, Found]:
    far: dict[EngineName, str] = {name: f"python-{name}" for name in engines()}
    jobs = [
        # From each of two: a connection a round, and two that stay.
        partial(serve_far, url, id, name, 2 * (rounds + 2), seconds=_PATIENCE)
        for name, id in far.items()
    ]
    with trio.fail_after(_PATIENCE):
        async with (
            _open_page_peer(chromium, site, url, "page-a") as page,
            _open_page_peer(chromium, site, url, "page-b"),
            trio.open_nursery() as nursery,
            AsyncExitStack() as stack,
        ):
            nursery.start_soon(trio.to_thread.run_sync, partial(together, *jobs))
            dials: dict[str, Dial] = {"page to page": partial(_dial_from_page, page, "page-b")}
            for name, id in far.items():
                peer = await stack.enter_async_context(
                    open_peer(server=url, engine=engine_factory(name))
                )
                dials[f"page to Python, {name}"] = partial(_dial_from_page, page, id)
                dials[f"Python to page, {name}"] = partial(_dial_from_python, peer, "page-b")
                dials[f"Python to Python, {name}"] = partial(_dial_from_python, peer, id)
            found = await _compare(dials, rounds, total)
            await page.run("bench.close()")  # its connections, and so those of far processes
    return found


async def _compare(dials: dict[str, Dial], rounds: int, total: int) -> dict[str, Found]:
    def sink(size: int) -> dict[str, Any]:
        return {"job": "sink", "count": total // size}

    found: dict[str, Found] = {
        what: {"first": [], "raw": [], "binary": [], "ping": []} for what in dials
    }
    lasting = {}
    for what, dial in dials.items():
        binary, echo = await dial("binary", sink(_VALUE)), await dial("raw", {"job": "echo"})
        await binary.upload(_VALUE)
        await echo.ping(_PINGS)
        lasting[what] = binary, echo
    for _ in range(rounds):
        for what, dial in dials.items():
            taken, (binary, echo) = found[what], lasting[what]
            raw = await dial("raw", sink(_MESSAGE))
            taken["first"].append(await raw.upload(_MESSAGE))
            taken["raw"].append(await raw.upload(_MESSAGE))
            await raw.close()
            taken["binary"].append(await binary.upload(_VALUE))
            taken["ping"].append(median(await echo.ping(_PINGS)))
    return found


@asynccontextmanager
async def _open_page_peer(chromium: Browser, site: str, url: str, id: str) -> AsyncIterator[Page]:
    async with open_page(chromium, site) as page:
        await page.allow_media()  # or it would name its addresses .local, for aiortc in vain
        await page.run(Path(__file__).with_name("page.js").read_text().rstrip().removesuffix(";"))
        server = urlsplit(url)
        options = {"host": server.hostname, "port": server.port, "path": server.path}
        await page.call("bench.open", id, options)
        yield page


class _PageLine(NamedTuple):
    """What bench/page.js does, on one of its connections."""

    page: Page
    handle: int

    async def upload(self, size: int) -> float:
        seconds: float = await self.page.call("bench.upload", self.handle, size)
        return seconds

    async def ping(self, times: int) -> Sequence[float]:
        trips: list[float] = await self.page.call("bench.ping", self.handle, times)
        return trips

    async def close(self) -> None:
        await self.page.call("bench.hangUp", self.handle)


async def _dial_from_page(
    page: Page, remote: str, serialization: str, metadata: dict[str, Any]
) -> Line:
    terms = {"serialization": serialization, "metadata": metadata, "reliable": True}
    return _PageLine(page, await page.call("bench.dial", remote, terms))


class _PythonLine(NamedTuple):
    connection: DataConnection

    async def upload(self, size: int) -> float:
        return await upload(self.connection, bytes(size))

    async def ping(self, times: int) -> Sequence[float]:
        return await ping(self.connection, times)

    async def close(self) -> None:
        await self.connection.aclose()


async def _dial_from_python(
    peer: Peer, remote: str, serialization: str, metadata: dict[str, Any]
) -> Line:
    return _PythonLine(
        await peer.connect(remote, serialization=serialization, metadata=metadata, reliable=True)
    )
