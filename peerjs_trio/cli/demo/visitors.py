"""The Python peer behind the demo's page: it answers messages and takes files.

A page sends ``{"say": text, "number": n}``, or ``{"file": name, "size": n}`` and then the file
as bytes, in pieces. It gets ``{"answer": text, "number": n}``, for each piece ``{"received": n}``
and after the last ``{"file": name, "size": n, "sha256": hex}``; for anything else
``{"problem": text}``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from platform import python_version
from typing import Any, TypeAlias

import attrs
import trio

from peerjs_proto.errors import PeerError
from peerjs_trio.connection import DataConnection
from peerjs_trio.peer import Peer

from .report import Stopwatch, size

__all__ = ["answer_visitors"]

_Tell: TypeAlias = Callable[[str, str], None]


async def answer_visitors(peer: Peer, tell: _Tell) -> None:
    """Answer whoever connects, for as long as the peer is there."""
    async with trio.open_nursery() as nursery:
        count = 0
        async for connection in peer.incoming_connections():
            count += 1
            nursery.start_soon(_answer, connection, f"visitor {count}", tell)


async def _answer(connection: DataConnection, who: str, tell: _Tell) -> None:
    visit = _Visit(who, tell)
    tell(who, "has come")
    try:
        async with connection:
            async for value in connection:
                await connection.send(visit.answer(value))
    except PeerError as error:  # gone, or a stranger whose serialization cannot hold the answer
        tell(who, f"is lost: {error}")
    else:
        tell(who, "has left")


@attrs.define
class _Visit:
    """One page, from its first value to its last."""

    _who: str
    _tell: _Tell
    _file: _Incoming | None = None

    def answer(self, value: Any) -> dict[str, Any]:
        match value:
            case {"say": str(text), "number": int(number)}:
                self._tell(self._who, f"says {_quoted(text)}")
                return {"answer": _reply_to(text), "number": number}
            case {"file": str(name), "size": int(total)} if total >= 0:
                self._file = _Incoming(name, total)
                return self._progress(self._file)
            case bytes(piece) if self._file is not None:
                self._file.add(piece)
                return self._progress(self._file)
        return {"problem": "I know messages and files, and that was neither."}

    def _progress(self, file: _Incoming) -> dict[str, Any]:
        if file.received < file.size:
            return {"received": file.received}
        self._file = None
        if file.received > file.size:
            return {"problem": "That was more than the file's size."}
        took = f"{file.watch.lap():.2f} s"
        self._tell(self._who, f"sends {_quoted(file.name)}, {size(file.size)}, in {took}")
        return {"file": file.name, "size": file.size, "sha256": file.digest.hexdigest()}


@attrs.define
class _Incoming:
    """A file on its way. Only its digest is kept."""

    name: str
    size: int
    received: int = 0
    digest: hashlib._Hash = attrs.field(factory=hashlib.sha256)
    watch: Stopwatch = attrs.field(factory=Stopwatch)

    def add(self, piece: bytes) -> None:
        self.received += len(piece)
        self.digest.update(piece)


def _reply_to(text: str) -> str:
    count = f"{len(text)} character{'' if len(text) == 1 else 's'}"
    return f"Hello from Python {python_version()}! You wrote “{text}”, {count}."


def _quoted(text: str) -> str:
    """Short, and with nothing in it that a terminal would obey."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
