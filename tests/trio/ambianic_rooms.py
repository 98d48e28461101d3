"""Rooms as ambianic-pnp 1.0.14 answers for them, beside a PeerServer of ours.

By the tables in docs/rooms.md: any room may be joined, everybody sees its members, and what is no
answer is a text or Express's page.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from peerjs_trio.websocket import WebSocketTransport

__all__ = ["AmbianicRooms", "serve_ambianic_rooms"]


class AmbianicRooms(WebSocketTransport):
    """The way to a PeerServer, with rooms elsewhere; only those of ``port`` on this machine."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def request(
        self, method: Literal["GET", "POST"], url: str, *, max_bytes: int
    ) -> tuple[int, bytes]:
        if "/room/" in url:
            url = urlsplit(url)._replace(netloc=f"127.0.0.1:{self._port}").geturl()
        return await super().request(method, url, max_bytes=max_bytes)


@contextmanager
def serve_ambianic_rooms(server: str, key: str) -> Iterator[AmbianicRooms]:
    """For the peers of a PeerServer, which must let everybody list them."""

    class Handler(_Handler):
        clients_url = f"{server}{key}/peers"
        rooms: dict[str, list[str]] = {}  # noqa: RUF012 - of this server, and so of this class

    Handler.key = key
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, name="rooms")
        thread.start()
        try:
            yield AmbianicRooms(http.server_port)
        finally:
            http.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    clients_url: str
    key: str
    rooms: dict[str, list[str]]

    def do_GET(self) -> None:
        self._answer(*self._act())

    do_POST = do_GET  # noqa: N815 - the name that http.server asks for

    def _act(self) -> tuple[int, object]:
        match [unquote(segment) for segment in self.path.split("?")[0].split("/")[-6:]]:
            case [key, id, _, "room", *_] | [_, key, id, _, "room", "id"]:
                if key != self.key:
                    return 401, "Invalid key provided"
                with urlopen(self.clients_url) as listed:
                    clients = json.load(listed)
                if id not in clients:
                    return 401, "Unauthorized"
            case _:
                return 404, f"<!DOCTYPE html>Cannot {self.command} {self.path}"
        return self._act_for(id, clients)

    def _act_for(self, id: str, clients: list[str]) -> tuple[int, object]:
        for members in self.rooms.values():  # those that are gone drop out, in time
            members[:] = [member for member in members if member in clients]
        match self.command, self.path.split("?")[0].split("/")[-3:]:
            case "GET", [_, "room", "id"]:
                return 200, {"roomId": "f0" * 20}
            case "POST", ["room", room, "join"]:
                members = self.rooms.setdefault(room, [])
                members += [id] * (id not in members)
                return 200, {"clientsIds": members}
            case "GET", ["room", room, "members"]:
                return 200, self.rooms.get(room, [])
            case "POST", ["room", room, "leave"]:
                members = self.rooms.get(room, [])
                was_in_room = id in members
                if was_in_room:
                    members.remove(id)
                return 200, {"wasInRoom": was_in_room}
        return 404, f"<!DOCTYPE html>Cannot {self.command} {self.path}"

    def _answer(self, status: int, body: object) -> None:
        kind = "text/html" if isinstance(body, str) else "application/json"
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not news."""
