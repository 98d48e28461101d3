"""Ends that know one address of each other: a relay's, and no path around it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from peerjs_trio.rtc.engine import EngineFactory, IceServer, RtcConnection, RtcEngine, RtcSink

__all__ = ["engine_via", "only_via"]


def only_via(sdp: str, address: tuple[str, int]) -> str:
    """A description whose side can be reached at one address alone."""
    bare = re.sub(r"^a=(candidate|end-of-candidates)\b.*\r?\n", "", sdp, flags=re.MULTILINE)
    host, port = address
    candidate = f"a=candidate:1 1 udp 2130706431 {host} {port} typ host"
    return f"{bare.rstrip()}\r\n{candidate}\r\na=end-of-candidates\r\n"


def engine_via(factory: EngineFactory, address: tuple[str, int]) -> EngineFactory:
    """The same engine; whatever far sides say, they are at that address."""

    @asynccontextmanager
    async def open_engine() -> AsyncIterator[RtcEngine]:
        async with factory() as engine:
            yield _EngineVia(engine, address)

    return open_engine


class _EngineVia:
    def __init__(self, engine: RtcEngine, address: tuple[str, int]) -> None:
        self._engine = engine
        self._address = address

    def prepare(self, ice_servers: Sequence[IceServer]) -> None:
        self._engine.prepare(ice_servers)

    def open(self, sink: RtcSink, ice_servers: Sequence[IceServer]) -> RtcConnection:
        connection = self._engine.open(sink, ice_servers)
        return cast(RtcConnection, _ConnectionVia(connection, self._address))


class _ConnectionVia:
    """A connection to which the far side's descriptions come changed."""

    def __init__(self, connection: RtcConnection, address: tuple[str, int]) -> None:
        self._connection = connection
        self._address = address

    def make_answer(self, offer: str) -> None:
        self._connection.make_answer(only_via(offer, self._address))

    def apply_answer(self, sdp: str) -> None:
        self._connection.apply_answer(only_via(sdp, self._address))

    def add_candidate(self, candidate: Mapping[str, Any]) -> None:
        """Ignored: it would be a way around."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
