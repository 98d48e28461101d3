"""A TCP socket for a server of many: one task reads it, anybody writes to it and nobody waits.

trio's streams make a writer wait for a slow reader. A server that relays must not: one client's
message would hang on another's network. Here what cannot be sent at once goes to a bounded
backlog, and a socket whose backlog is full, or stands still, is closed.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import Final

import anyio.abc
import trio

__all__ = ["Wire", "listen", "reachable"]

_READ_BYTES: Final = 64 * 1024
"Read at once; also what one client can make the others wait for."

_ACCEPT_BACKLOG: Final = 1024
"Connections the kernel keeps for us: every peer comes back at once when a server restarts."


class Wire:
    """One connected socket."""

    def __init__(
        self,
        sock: socket.socket,
        tasks: anyio.abc.TaskGroup,
        *,
        backlog_bytes: int,
        send_timeout: float,
    ) -> None:
        """
        Args:
            tasks: Where a backlog is sent from, while there is one.
            backlog_bytes: Unsent bytes at which the socket is closed.
            send_timeout: Seconds without progress after which it is closed.
        """
        sock.setblocking(False)
        self._sock = sock
        self._tasks = tasks
        self._backlog_bytes = backlog_bytes
        self._send_timeout = send_timeout
        self._closed = False
        self._backlog = bytearray()
        self._drained: trio.Event | None = None  # while there is a backlog

    async def receive(self) -> bytes:
        """Some bytes; none at the end, whoever made it."""
        while not self._closed:
            # Waiting first also lets the other clients' tasks run, whatever this one sends.
            try:
                await trio.lowlevel.wait_readable(self._sock)
                return self._sock.recv(_READ_BYTES)
            except (BlockingIOError, InterruptedError):
                continue
            except (OSError, trio.ClosedResourceError):
                break
        return b""

    def send(self, data: bytes) -> None:
        """Send now, or as soon as the far side has room. Without effect on a closed wire."""
        if self._closed or not data:
            return
        if self._drained is not None:
            # Whatever it is, one message has room; it is the next that may have none.
            if len(self._backlog) + len(data) > self._backlog_bytes:
                self.close()
            else:
                self._backlog += data
            return
        sent = self._try_send(data)
        if sent < len(data) and not self._closed:
            self._backlog += memoryview(data)[sent:]
            self._drained = trio.Event()
            self._tasks.start_soon(self._send_backlog)

    async def drain(self) -> None:
        """Wait until nothing is left to send, or the wire is closed."""
        if self._drained is not None:
            await self._drained.wait()

    async def finish(self, grace: float, *, answered: bool = False) -> None:
        """Close in order, within ``grace`` seconds: send what is left, and let it be read.

        A socket closed with unread bytes in it makes TCP throw away what it had yet to deliver,
        so this reads until the far side closes too; unless it has ``answered``, and so has
        nothing more to say.
        """
        with trio.move_on_after(grace):
            await self.drain()
            if not self._closed and not answered:
                with contextlib.suppress(OSError):  # the far side was faster
                    self._sock.shutdown(socket.SHUT_WR)
                while await self.receive():
                    pass
        self.close()

    def close(self) -> None:
        """Close at once; :meth:`receive` ends. Legal more than once."""
        if self._closed:
            return
        self._closed = True
        self._backlog.clear()
        if self._drained is not None:
            self._drained.set()
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()

    async def _send_backlog(self) -> None:
        while self._backlog:
            with trio.move_on_after(self._send_timeout) as scope:
                scope.shield = True  # what was accepted is sent, or the wire is closed
                try:
                    await trio.lowlevel.wait_writable(self._sock)
                except trio.ClosedResourceError:
                    return
            if scope.cancelled_caught:  # it stands still
                self.close()
                return
            sent = self._try_send(bytes(self._backlog[:_READ_BYTES]))
            del self._backlog[:sent]
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    def _try_send(self, data: bytes) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.close()
            return 0


async def listen(host: str, port: int) -> trio.SocketListener:
    """A listener on the first address of ``host``.

    ``"::"`` is every address, IPv4 as well, as in Node; where IPv6 is missing, IPv4 alone.
    Raises OSError, whose text names the address: in use, not ours, not to be resolved.
    """
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise OSError(error.errno, f"{error.strerror}: {host!r}") from None
    family, _, _, _, address = found[0]
    everywhere = address[0] == "::"
    if everywhere and not socket.has_dualstack_ipv6():
        family, address, everywhere = socket.AF_INET, ("0.0.0.0", port), False
    sock = socket.create_server(
        address, family=family, backlog=_ACCEPT_BACKLOG, dualstack_ipv6=everywhere
    )
    sock.setblocking(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def reachable(listener: trio.SocketListener) -> str:
    """Host and port, as in a URL, where this machine reaches a listener."""
    host, port = listener.socket.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"  # all addresses: "::" has IPv4 as well
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
