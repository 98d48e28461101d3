"""A client of ambianic's HTTP, as far as the bench needs one (docs/http-over-webrtc.md)."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from peerjs_trio import DataConnection, Peer

__all__ = ["Answer", "answer", "dial", "request"]


class Answer(NamedTuple):
    """What came of one request."""

    status: int
    content_type: str | None
    body: str | bytes
    busy: int
    "How often it was said before that the request is still under way."


async def dial(peer: Peer, remote_id: str, *, metadata: Any = None) -> DataConnection:
    """A connection for :func:`request`."""
    return await peer.connect(
        remote_id, label="http-proxy", serialization="raw", reliable=True, metadata=metadata
    )


async def request(connection: DataConnection, method: str, url: str, **members: Any) -> Answer:
    """Ask, and wait for the answer: one at a time. ``members``: ``json`` or ``data``."""
    await connection.send(json.dumps({"url": url, "method": method, **members}))
    return await answer(connection)


async def answer(connection: DataConnection) -> Answer:
    """The next answer."""
    busy = 0
    while (header := json.loads(await connection.receive()))["status"] == 202:
        busy += 1
    status = header["status"]
    body = b"" if status == 204 else await connection.receive()
    return Answer(status, header.get("content-type"), body, busy)
