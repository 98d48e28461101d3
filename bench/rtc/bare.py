"""The bare engines on plain asyncio, as a program without us would use them.

The water marks are ours, so that what differs is the way to the channel and back.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from bench.rtc.line import Job, line_jobs

__all__ = ["BareLine", "open_bare"]

HIGH_WATER: Final = 1 << 20
LOW_WATER: Final = 1 << 18


class BareLine(ABC):
    """One RTCPeerConnection with one data channel; the engines' own words are in subclasses."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._drained = asyncio.Event()
        self._missing = 0
        "Messages until :meth:`receive` returns."
        self._echoes = 0
        "Messages until :meth:`echo` returns."
        self._all_here = asyncio.Event()
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._inbox: asyncio.Queue[Any] | None = None
        "There where a task waits for the messages."

    # --- the engine's words --------------------------------------------------------------

    @abstractmethod
    async def offer(self) -> str:
        """With every candidate in it."""

    @abstractmethod
    async def answer(self, offer: str) -> str:
        """The same."""

    @abstractmethod
    async def accept(self, answer: str) -> None: ...

    @abstractmethod
    async def close(self) -> None: ...

    @property
    @abstractmethod
    def buffered(self) -> int: ...

    @abstractmethod
    def put(self, message: bytes) -> None:
        """The channel's ``send``."""

    # --- its events ----------------------------------------------------------------------

    def on_open(self) -> None:
        self._opened.set()

    def on_low(self) -> None:
        self._drained.set()

    def on_message(self, message: Any) -> None:
        if self._inbox is not None:
            self._inbox.put_nowait(message)
        elif self._echoes:
            self._echoes -= 1
            self.put(message)
            if self._echoes == 0:
                self._all_here.set()
        elif self._pongs:
            self._pongs.popleft().set_result(None)
        else:
            self._missing -= 1
            if self._missing == 0:
                self._all_here.set()

    # --- a Line --------------------------------------------------------------------------

    async def opened(self) -> None:
        await self._opened.wait()

    async def send(self, size: int, count: int) -> None:
        message = bytes(size)
        for _ in range(count):
            if self.buffered >= HIGH_WATER:
                self._drained.clear()
                await self._drained.wait()
            self.put(message)

    async def receive(self, count: int) -> None:
        self._missing = count
        await self._until_all_here()

    async def ping(self, size: int, count: int) -> list[float]:
        message = bytes(size)
        taken = []
        loop = asyncio.get_running_loop()
        for _ in range(count):
            began = time.perf_counter()
            pong = loop.create_future()
            self._pongs.append(pong)
            self.put(message)
            await pong
            taken.append(time.perf_counter() - began)
        return taken

    async def echo(self, count: int) -> None:
        self._echoes = count
        await self._until_all_here()

    async def echo_awaiting(self, count: int) -> None:
        """The same by a task that awaits each message, as programs are written that read well."""
        self._inbox = asyncio.Queue()
        for _ in range(count):
            self.put(await self._inbox.get())
        self._inbox = None

    async def _until_all_here(self) -> None:
        self._all_here.clear()
        await self._all_here.wait()


@asynccontextmanager
async def open_bare(engine: str) -> AsyncIterator[dict[str, Job]]:
    """The jobs of a worker whose lines are a bare engine's: ``"aiortc"`` or ``"wrtc"``."""
    make = _line_class(engine)
    lines: dict[str, BareLine] = {}

    async with AsyncExitStack() as stack:

        async def offer(name: str) -> str:
            lines[name] = make()
            stack.push_async_callback(lines[name].close)
            return await lines[name].offer()

        async def answer(name: str, sdp: str) -> str:
            lines[name] = make()
            stack.push_async_callback(lines[name].close)
            return await lines[name].answer(sdp)

        async def accept(name: str, sdp: str) -> None:
            await lines[name].accept(sdp)

        async def opened(name: str) -> None:
            await lines[name].opened()

        async def echo_awaiting(name: str, count: int) -> None:
            await lines[name].echo_awaiting(count)

        jobs: dict[str, Job] = {"offer": offer, "answer": answer, "accept": accept}
        jobs["echo_awaiting"] = echo_awaiting
        yield {**jobs, "opened": opened, **line_jobs(lines)}


def _line_class(engine: str) -> type[BareLine]:
    # A worker loads the engine it needs; the other may be missing.
    if engine == "aiortc":
        from bench.rtc.bare_aiortc import AiortcLine

        return AiortcLine
    from bench.rtc.bare_wrtc import WrtcLine

    return WrtcLine
