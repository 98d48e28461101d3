"""The two PeerServers as one type, and a raw client for either: WebSocket and HTTP, no more."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, Literal, Protocol
from urllib.parse import urlencode, urlsplit

import attrs
import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from tests.interop.websocket import hang_up, open_websocket

__all__ = [
    "Client",
    "Reply",
    "Server",
    "StartServer",
    "WhichServer",
    "fence",
    "open_client",
    "request",
]

WhichServer = Literal["npm", "ours"]

_PATIENCE: Final = 10.0
"Seconds for any answer. The slowest, EXPIRE, takes 6.0."


class Server(Protocol):
    @property
    def url(self) -> str:
        """Its base, path included."""
        ...


class StartServer(Protocol):
    """Starts a PeerServer on a free port of 127.0.0.1; times are in seconds."""

    def __call__(
        self,
        *,
        path: str = "/",
        key: str = "peerjs",
        allow_discovery: bool = False,
        alive_timeout: float = 60.0,
        expire_timeout: float = 5.0,
        concurrent_limit: int = 5000,
        cors: Sequence[str] | None = None,
        generate_client_id: Callable[[], str] | None = None,
    ) -> AbstractAsyncContextManager[Server]: ...


@asynccontextmanager
async def open_client(
    server: Server,
    id: str | None,
    *,
    token: str | None = "token",
    key: str | None = "peerjs",
    more: str = "",
) -> AsyncIterator[Client]:
    """A client's WebSocket; None leaves a parameter out, ``more`` is put behind them."""
    given = {"key": key, "id": id, "token": token}
    query = urlencode({name: value for name, value in given.items() if value is not None}) + more
    url = f"{server.url.replace('http', 'ws', 1)}peerjs?{query}"
    async with open_websocket(url) as socket:
        yield Client(socket, no_status=getattr(server, "no_status", 1005))


@attrs.frozen
class Client:
    _socket: WebSocketConnection
    no_status: int = 1005
    "What a close without a status is here. ASGI has none, and so it is 1000 there."

    async def send(self, message: str | bytes | dict[str, Any], *, or_closed: bool = False) -> None:
        """Text, binary, or a value as JSON; ``or_closed`` if the server may have closed."""
        whole = json.dumps(message) if isinstance(message, dict) else message
        with suppress(*[ConnectionClosed] if or_closed else []):
            await self._socket.send_message(whole)

    async def receive(self) -> Any:
        with trio.fail_after(_PATIENCE):
            return json.loads(await self._socket.get_message())

    async def close_code(self) -> int | None:
        """Wait for the server to close; nothing else may come first."""
        with pytest.raises(ConnectionClosed) as closed:
            raise AssertionError(f"not closed, but sent {await self.receive()}")
        reason = closed.value.reason
        return None if reason is None else int(reason.code)

    async def hang_up(self) -> bool:
        """Close; whether the server answered that as it should."""
        return await hang_up(self._socket)


async def fence(client: Client, id: str, *, opens: bool = False) -> None:
    """Everything the client sent is done with, and nothing has come that was not asked for.

    ``opens`` if an OPEN comes first.
    """
    if opens:
        assert await client.receive() == {"type": "OPEN"}
    await client.send({"type": "OFFER", "dst": id, "payload": "fence"})
    arrived = {"type": "OFFER", "src": id, "dst": id, "payload": "fence"}
    assert await client.receive() == arrived


@attrs.frozen
class Reply:
    status: int
    headers: dict[str, str]
    "Names in lower case."
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")


async def request(
    server: Server, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> Reply:
    """One HTTP request; ``path`` goes to the end of the server's URL as it is."""
    return await trio.to_thread.run_sync(_request, server.url + path, method, headers or {})


def _request(url: str, method: str, headers: dict[str, str]) -> Reply:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_PATIENCE)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", headers=headers)
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, names, response.read())
    finally:
        connection.close()
