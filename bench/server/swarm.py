"""Many clients of one PeerServer: sockets and frames, and as little as can be around them.

What this costs must be less than what it asks of a server, so it knows no library: an epoll, sends
that never wait, and frames that were made before.
"""

from __future__ import annotations

import random
import select
import socket
import time
from itertools import cycle, islice
from typing import Any, Final

from bench.server.traffic import (
    CLOSE,
    HEARTBEAT,
    NUMBER,
    OPENED,
    handshake,
    ids,
    offer,
    pong,
    take_frames,
)

__all__ = ["PATIENCE", "Swarm"]

PATIENCE: Final = 10.0
"Seconds without a word from the server, after which it counts as broken."

_NO_PORT_YET: Final = 24
"IP_BIND_ADDRESS_NO_PORT: the port is chosen when it connects, so that both ends count."


class _Client:
    """One socket."""

    __slots__ = ("id", "recv", "rest", "send", "sock")

    def __init__(self, sock: socket.socket, id: str) -> None:
        self.id = id
        self.sock = sock
        self.send = sock.send
        self.recv = sock.recv
        self.rest = b""


class Swarm:
    """Clients that are registered until they are closed."""

    def __init__(self, ports: list[int], seed: int) -> None:
        """Clients are shared out among the servers at these ports, one after the other."""
        self._ports = cycle(ports)
        self._ids = ids(seed)
        self._rng = random.Random(seed)
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}

    def open(self, count: int, at_once: int, sources: int = 0) -> dict[str, Any]:
        """Register so many more, ``at_once`` under way, from so many addresses of loopback."""
        opening: set[int] = set()
        left = count
        begin = time.perf_counter()
        while left or opening:
            while left and len(opening) < at_once:
                source = f"127.0.0.{2 + left % sources}" if sources else ""
                opening.add(self._dial(next(self._ids), next(self._ports), source))
                left -= 1
            for fd in self._wait(PATIENCE):
                client = self._clients[fd]
                if fd not in opening:
                    self._hear(client)
                    continue
                data = client.recv(4096)
                assert data, f"refused: {client.rest!r}"
                client.rest += data
                if client.rest.endswith(OPENED):
                    client.rest = b""
                    opening.remove(fd)
        return {"seconds": time.perf_counter() - begin}

    def close(self, at_once: int) -> dict[str, Any]:
        """Take leave of the server, and wait for it to close TCP; of all clients."""
        left = list(self._clients.values())
        closing = 0
        begin = time.perf_counter()
        while self._clients:
            while left and closing < at_once:
                left.pop().send(CLOSE)
                closing += 1
            for fd in self._wait(PATIENCE):
                client = self._clients[fd]
                try:
                    data = client.recv(4096)
                except ConnectionResetError:
                    data = b""
                if not data:
                    client.sock.close()
                    del self._clients[fd]
                    closing -= 1
        return {"seconds": time.perf_counter() - begin}

    def relay(self, seconds: float, under_way: int) -> dict[str, Any]:
        """OFFERs between random pairs, as fast as the server goes with so many of them on it."""
        clients = list(self._clients.values())
        frames = {client.id: offer(client.id) for client in clients}
        pairs = (self._rng.sample(clients, 2) for _ in range(5000))
        jobs = cycle([(src.send, frames[dst.id]) for src, dst in pairs])
        heard = sent = 0
        due = under_way
        begin = time.perf_counter()
        while due or heard < sent:
            for send, frame in islice(jobs, due):
                send(frame)
            sent += due
            due = sum(len(self._hear(self._clients[fd])) for fd in self._wait(PATIENCE))
            heard += due
            if time.perf_counter() >= begin + seconds:
                due = 0
        return {"seconds": time.perf_counter() - begin, "messages": heard}

    def pace(self, seconds: float, rate: float) -> dict[str, Any]:
        """OFFERs between random pairs at random times, so many a second; how long they take."""
        count = round(seconds * rate)
        clients = list(self._clients.values())
        pairs = [self._rng.sample(clients, 2) for _ in range(count)]
        frames = [offer(dst.id, number) for number, (_, dst) in enumerate(pairs)]
        sent = [0.0] * count
        taken: list[float] = []
        lags: list[float] = []
        begin = time.perf_counter()
        due = begin + self._rng.expovariate(rate)
        number = 0
        while len(taken) < count:
            now = time.perf_counter()
            while number < count and now >= due:
                sent[number] = time.perf_counter()
                pairs[number][0].send(frames[number])
                lags.append(sent[number] - due)
                number += 1
                due += self._rng.expovariate(rate)
                now = time.perf_counter()
            for fd in self._wait(due - now if number < count else PATIENCE):
                client = self._clients[fd]
                for message in self._hear(client):
                    now = time.perf_counter()
                    at = message.index(NUMBER) + len(NUMBER)
                    which = int(message[at : at + 11])
                    assert pairs[which][1] is client, "a message went to the wrong client"
                    taken.append(now - sent[which])
        return {"seconds": time.perf_counter() - begin, "taken": taken, "lags": lags}

    def beat(self, seconds: float, interval: float) -> dict[str, Any]:
        """HEARTBEATs of all clients, evenly spread; how late the last of them was."""
        clients = list(self._clients.values())
        begin = time.perf_counter()
        number, worst = 0, 0.0
        while (now := time.perf_counter()) < begin + seconds:
            due = begin + number * interval / len(clients)
            if now >= due:
                clients[number % len(clients)].send(HEARTBEAT)
                worst = max(worst, now - due)
                number += 1
            else:
                for fd in self._wait(due - now):
                    self._hear(self._clients[fd])
        return {"seconds": time.perf_counter() - begin, "messages": number, "late": worst}

    def _dial(self, id: str, port: int, source: str) -> int:
        # Blocking: the kernel at the other end answers by itself, as long as its backlog has room.
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as browsers do
        if source:
            sock.setsockopt(socket.SOL_IP, _NO_PORT_YET, 1)
            sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        sock.send(handshake(port, id))
        sock.setblocking(False)
        self._clients[sock.fileno()] = _Client(sock, id)
        self._poll.register(sock, select.EPOLLIN)
        return sock.fileno()

    def _wait(self, seconds: float) -> list[int]:
        """Those that have something to read."""
        if seconds < PATIENCE:  # an epoll by itself counts in milliseconds
            ready, _, _ = select.select([self._poll], [], [], max(0.0, seconds))
            return [fd for fd, _ in self._poll.poll(0)] if ready else []
        found = self._poll.poll(seconds)
        assert found, "the server says nothing"
        return [fd for fd, _ in found]

    def _hear(self, client: _Client) -> list[bytes]:
        """The messages that came. A server that closes a client is broken."""
        chunk = client.recv(65536)
        assert chunk, "the server closed a connection"
        frames, client.rest = take_frames(client.rest + chunk)
        messages: list[bytes] = []
        for opcode, payload in frames:
            if opcode == 0x9:
                client.send(pong(payload))
            else:
                assert opcode == 0x1, (opcode, payload)
                messages.append(payload)
        return messages
