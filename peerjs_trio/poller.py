"""Many sockets, and what to call when they can be read: one task for all of them.

A task for each client would cost several kilobytes, and two turns of trio's scheduler with two
system calls for each message. Here trio waits for one file descriptor, epoll's, and behind it is
every socket.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import anyio.abc
import trio

__all__ = ["EpollPoller", "Poller", "TaskPoller", "open_poller"]


class Watched(Protocol):
    """What a poller calls. Neither method raises, nor waits."""

    def readable(self) -> None:
        """There is something to read, or the end."""
        ...

    def writable(self) -> None:
        """There is room to write."""
        ...


class Poller(Protocol):
    def watch(self, sock: socket.socket, watched: Watched) -> None:
        """From now on tell this one whenever the socket can be read."""
        ...

    def want(self, sock: socket.socket, *, reads: bool, writes: bool) -> None:
        """Look for these from now on."""
        ...

    def forget(self, sock: socket.socket) -> None:
        """It is about to be closed."""
        ...

    def postpone(self, write: Callable[[], None]) -> bool:
        """Call it when all sockets that are ready have been read; False if that is now.

        What one socket is sent meanwhile then is one system call, and its reader wakes once.
        """
        ...

    async def run(self) -> None:
        """Until cancelled."""
        ...


def open_poller(tasks: anyio.abc.TaskGroup) -> Poller:
    """The best there is on this system."""
    return EpollPoller() if hasattr(select, "epoll") else TaskPoller(tasks)


class EpollPoller:
    """Linux."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self._postponed: list[Callable[[], None]] | None = None  # while sockets are read

    def watch(self, sock: socket.socket, watched: Watched) -> None:
        self._watched[sock.fileno()] = watched
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def want(self, sock: socket.socket, *, reads: bool, writes: bool) -> None:
        events = (select.EPOLLIN if reads else 0) | (select.EPOLLOUT if writes else 0)
        self._epoll.modify(sock.fileno(), events)

    def forget(self, sock: socket.socket) -> None:
        # Closing takes it out of epoll, without a system call for that.
        self._watched.pop(sock.fileno(), None)

    def postpone(self, write: Callable[[], None]) -> bool:
        if self._postponed is None:
            return False
        self._postponed.append(write)
        return True

    async def run(self) -> None:
        poll, watched = self._epoll.poll, self._watched
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                postponed: list[Callable[[], None]] = []
                self._postponed = postponed
                for fd, events in poll(0, _AT_ONCE):
                    # What came before it in this batch can have closed it.
                    if events & select.EPOLLOUT and fd in watched:
                        watched[fd].writable()
                    if events & ~select.EPOLLOUT and fd in watched:
                        watched[fd].readable()
                self._postponed = None
                for write in postponed:
                    write()
        finally:
            self._epoll.close()


class TaskPoller:
    """Any other system: a task for each socket and direction."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self._tasks = tasks
        self._watched: dict[socket.socket, Watched] = {}
        self._waiting: dict[tuple[socket.socket, str], trio.CancelScope] = {}

    def watch(self, sock: socket.socket, watched: Watched) -> None:
        self._watched[sock] = watched
        self.want(sock, reads=True, writes=False)

    def want(self, sock: socket.socket, *, reads: bool, writes: bool) -> None:
        watched = self._watched[sock]
        self._turn(reads, sock, "read", trio.lowlevel.wait_readable, watched.readable)
        self._turn(writes, sock, "write", trio.lowlevel.wait_writable, watched.writable)

    def forget(self, sock: socket.socket) -> None:
        if sock in self._watched:
            self.want(sock, reads=False, writes=False)
            del self._watched[sock]

    def postpone(self, write: Callable[[], None]) -> bool:
        return False

    async def run(self) -> None:
        await trio.sleep_forever()

    def _turn(
        self,
        on: bool,
        sock: socket.socket,
        way: str,
        wait: Callable[[socket.socket], Awaitable[None]],
        ready: Callable[[], None],
    ) -> None:
        if on and (sock, way) not in self._waiting:
            scope = self._waiting[sock, way] = trio.CancelScope()
            self._tasks.start_soon(self._wait, scope, sock, wait, ready)
        elif not on and (sock, way) in self._waiting:
            self._waiting.pop((sock, way)).cancel()

    async def _wait(
        self,
        scope: trio.CancelScope,
        sock: socket.socket,
        wait: Callable[[socket.socket], Awaitable[None]],
        ready: Callable[[], None],
    ) -> None:
        with scope:
            while not scope.cancel_called:
                await wait(sock)
                ready()


_AT_ONCE: Final = 256
"Sockets that are served before trio's other tasks have their turn."
