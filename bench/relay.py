"""A slow and lossy path: a UDP relay on this machine that delays and drops.

Two ends that know nothing but the relay's two addresses meet there. It learns theirs from what
they send: each end's first address counts.
"""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["Relay", "own_host", "relaying"]

_QUEUE: Final = 4096
"Packets under way; what comes above is dropped."

_BUFFER: Final = 4 << 20
"Bytes a socket may hold: the relay's own slowness must not be taken for loss."

_BATCH: Final = 64
"Packets taken from one socket before the other has its turn."

_PACKET: Final = 1 << 16
"Bytes at most."

Address = tuple[str, int]


class Relay:
    """Made by :func:`relaying`."""

    def __init__(self, delay: float, loss: float, seed: int) -> None:
        host = own_host()
        self._sockets = [_open_socket(host), _open_socket(host)]
        self.addresses: tuple[Address, Address] = (
            self._sockets[0].getsockname(),
            self._sockets[1].getsockname(),
        )
        "Where the one end finds the other, and the other the one."
        self.relayed = self.lost = self.overflowed = 0
        "Packets."
        self._delay = delay
        self._loss = loss
        self._random = random.Random(seed)
        self._ends: list[Address | None] = [None, None]
        self._queue: deque[tuple[float, int, bytes]] = deque()
        "When to send, from which socket, what. The delay is one, so the order is that of time."

    def run(self, stop: socket.socket) -> None:
        """Relay until there is something to read from ``stop``."""
        while True:
            wait = max(0.0, self._queue[0][0] - time.perf_counter()) if self._queue else None
            ready, _, _ = select.select([*self._sockets, stop], [], [], wait)
            if stop in ready:
                return
            for side, sock in enumerate(self._sockets):
                if sock in ready:
                    self._take(side, sock)
            self._send()

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()

    def _take(self, side: int, sock: socket.socket) -> None:
        due = time.perf_counter() + self._delay
        for _ in range(_BATCH):
            try:
                packet, sender = sock.recvfrom(_PACKET)
            except BlockingIOError:
                return
            self._ends[side] = self._ends[side] or sender
            if sender != self._ends[side]:
                continue
            if self._random.random() < self._loss:
                self.lost += 1
            elif len(self._queue) >= _QUEUE:
                self.overflowed += 1
            else:
                self._queue.append((due, 1 - side, packet))

    def _send(self) -> None:
        now = time.perf_counter()
        while self._queue and self._queue[0][0] <= now:
            _, side, packet = self._queue.popleft()
            end = self._ends[side]
            if end is None:
                continue  # it has not said a word yet; whoever sends will try again
            try:
                self._sockets[side].sendto(packet, end)
                self.relayed += 1
            except (BlockingIOError, ConnectionRefusedError):
                self.overflowed += 1


@contextmanager
def relaying(*, delay: float, loss: float, seed: int) -> Iterator[Relay]:
    """Relay in a thread: ``delay`` seconds each way, ``loss`` of 1 drops everything."""
    relay = Relay(delay, loss, seed)
    stop, stopped = socket.socketpair()
    thread = threading.Thread(target=relay.run, args=(stopped,), name="bench relay")
    thread.start()
    try:
        yield relay
    finally:
        stop.send(b"stop")
        thread.join()
        relay.close()
        stop.close()
        stopped.close()


def _open_socket(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    sock.setblocking(False)
    sock.bind((host, 0))
    return sock


def own_host() -> str:
    """This machine's own address: engines use no loopback. Nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.1", 9))  # RFC 5737: nobody's
        host: str = sock.getsockname()[0]
        return host
