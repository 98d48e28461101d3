"""``GET /peerjs/id``, from many connections at once."""

from __future__ import annotations

import select
import socket
import time
from typing import Any, Final

from bench.server.swarm import PATIENCE
from bench.server.traffic import get_id

__all__ = ["ask_for_ids"]

_ID_LENGTH: Final = 36


def ask_for_ids(port: int, count: int, at_once: int, *, keep_alive: bool) -> dict[str, Any]:
    """So many requests, ``at_once`` under way, on as many connections or on one each."""
    request = get_id(port, last=not keep_alive)
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    heard: dict[int, bytes] = {}

    def ask() -> None:
        sock = socket.create_connection(("127.0.0.1", port))
        sock.send(request)
        sock.setblocking(False)
        sockets[sock.fileno()] = sock
        heard[sock.fileno()] = b""
        poll.register(sock, select.EPOLLIN)

    asked = answered = 0
    begin = time.perf_counter()
    while answered < count:
        while asked < count and len(sockets) < at_once:
            ask()
            asked += 1
        found = poll.poll(PATIENCE)
        assert found, "the server says nothing"
        for fd, _ in found:
            sock = sockets[fd]
            data = sock.recv(4096)
            if keep_alive:
                heard[fd] += data
                if not _is_whole(heard[fd]):
                    continue
                heard[fd] = b""
                answered += 1
                if asked < count:
                    sock.send(request)
                    asked += 1
            elif data:
                heard[fd] += data
            else:
                assert _is_whole(heard[fd]), heard[fd]
                sock.close()
                del sockets[fd]
                answered += 1
    seconds = time.perf_counter() - begin
    for sock in sockets.values():
        sock.close()
    return {"seconds": seconds, "messages": count}


def _is_whole(answer: bytes) -> bool:
    """Whether an id is there, behind an empty line."""
    assert answer.startswith(b"HTTP/1.1 200 "[: len(answer)]), answer
    return len(answer) == answer.find(b"\r\n\r\n") + 4 + _ID_LENGTH
