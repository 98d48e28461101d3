"""Two ends of a WebRTC connection, for the tests of an engine."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from peerjs_trio.rtc.aiortc import open_aiortc_engine
from peerjs_trio.rtc.engine import EngineFactory, Frame, IceServer, RtcConnection, RtcEngine
from peerjs_trio.rtc.wrtc import open_wrtc_engine

__all__ = [
    "ENGINES",
    "Rewrite",
    "Side",
    "connect",
    "files_are_closed",
    "introduce",
    "open_files",
    "pair",
]

ENGINES: Final[Mapping[str, EngineFactory]] = {
    "aiortc-stepped": partial(open_aiortc_engine, form="stepped"),
    "aiortc-thread": partial(open_aiortc_engine, form="thread"),
    "wrtc-stepped": partial(open_wrtc_engine, form="stepped"),
    "wrtc-thread": partial(open_wrtc_engine, form="thread"),
}
"""Every engine in every form of the guest loop."""

LIMIT = 60
"Seconds after which something will never happen."


@attrs.define(eq=False)
class Side:
    """One end of a connection: a sink that remembers what it was told."""

    connection: RtcConnection = attrs.field(init=False)
    sdp: str | None = None
    max_message_size: int | None = None
    candidates: list[Mapping[str, Any]] = attrs.Factory(list)
    "Those that came one by one, and where they go to."
    far: Side | None = None
    passes: Callable[[Mapping[str, Any]], bool] = lambda candidate: True
    frames: list[Frame] = attrs.Factory(list)
    rooms: int = 0
    ends: list[str] = attrs.Factory(list)
    "The terminal reports: never more than one."
    threads: set[threading.Thread] = attrs.Factory(set)
    _news: trio.Event = attrs.Factory(trio.Event)

    @classmethod
    def on(cls, engine: RtcEngine, ice_servers: Sequence[IceServer] = ()) -> Side:
        side = cls()
        side.connection = engine.open(side, ice_servers)
        return side

    def offer_made(self, sdp: str) -> None:
        self.sdp = sdp
        self._told()

    def answer_made(self, sdp: str) -> None:
        self.sdp = sdp
        self._told()

    def candidate_found(self, candidate: Mapping[str, Any]) -> None:
        self.candidates.append(candidate)
        if self.far is not None and self.passes(candidate):
            self.far.connection.add_candidate(candidate)
        self._told()

    def channel_opened(self, max_message_size: int) -> None:
        assert self.max_message_size is None
        self.max_message_size = max_message_size
        self._told()

    def frames_received(self, frames: Sequence[Frame]) -> None:
        assert self.max_message_size is not None, "a frame before the channel is open"
        assert frames
        self.frames += frames
        self._told()

    def room_made(self) -> None:
        self.rooms += 1
        self._told()

    def channel_closed(self) -> None:
        self.ends.append("closed")
        self._told()

    def failed(self, reason: str) -> None:
        self.ends.append(f"failed: {reason}")
        self._told()

    def _told(self) -> None:
        self.threads.add(threading.current_thread())
        self._news.set()
        self._news = trio.Event()

    async def until(self, ready: Callable[[Side], object]) -> None:
        with trio.fail_after(LIMIT):
            while not ready(self):
                await self._news.wait()

    async def description(self) -> str:
        await self.until(lambda side: side.sdp or side.ends)
        assert self.sdp is not None, self.ends
        return self.sdp

    async def open(self) -> None:
        await self.until(lambda side: side.max_message_size or side.ends)
        assert self.max_message_size is not None, self.ends

    async def end(self) -> str:
        await self.until(lambda side: side.ends)
        return self.ends[-1]

    async def send_all(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            await self.until(lambda side: side.connection.room > 0)
            self.connection.send(frame)


def introduce(alice: Side, bob: Side) -> None:
    """Candidates of the one reach the other: those to come, and those there are."""
    for here, there in ((alice, bob), (bob, alice)):
        here.far = there
        for candidate in filter(here.passes, here.candidates):
            there.connection.add_candidate(candidate)


Rewrite = Callable[[str], str]


def unchanged(sdp: str) -> str:
    return sdp


async def connect(
    alice: Side,
    bob: Side,
    *,
    label: str = "label",
    ordered: bool = True,
    offer: Rewrite = unchanged,
    answer: Rewrite = unchanged,
) -> None:
    """Alice calls Bob; both are open afterwards."""
    introduce(alice, bob)
    alice.connection.make_offer(label, ordered=ordered)
    bob.connection.make_answer(offer(await alice.description()))
    alice.connection.apply_answer(answer(await bob.description()))
    await alice.open()
    await bob.open()


@asynccontextmanager
async def pair(engine: EngineFactory, *, ordered: bool = True) -> AsyncIterator[tuple[Side, Side]]:
    """Two engines with an open connection between them."""
    async with engine() as hers, engine() as his:
        alice, bob = Side.on(hers), Side.on(his)
        await connect(alice, bob, ordered=ordered)
        yield alice, bob
        assert len(alice.ends) <= 1
        assert len(bob.ends) <= 1


def open_files() -> list[str]:
    """What this process holds open, in no order; empty where that cannot be known."""
    files = []
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            files.append(re.sub(r":\[\d+\]", "", str(entry.readlink())))
        except OSError:  # the one that lists the others
            continue
    return sorted(files)


async def files_in_use(engine: EngineFactory) -> Counter[str]:
    """What is open now, and what a library opens once for all."""
    async with pair(engine):
        pass
    return Counter(open_files())


async def files_are_closed(before: Counter[str]) -> None:
    """Waits until there are no more than before: libwebrtc's threads take a moment."""
    with trio.fail_after(5):
        while not Counter(open_files()) <= before:  # noqa: ASYNC110 - nothing announces it
            await trio.sleep(0.01)
