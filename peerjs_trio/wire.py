"""A TCP socket for a server of many: it never waits, and has no task of its own.

trio's streams make a writer wait for a slow reader. A server that relays must not: one client's
message would hang on another's network. Here what cannot be sent at once goes to a bounded
backlog, and a socket whose backlog is full, or stands still, is closed.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

import attrs
import trio

from .poller import Poller
from .timers import Timers
from .tls_layer import TlsFault, TlsLayer

__all__ = ["Shared", "Wire", "bind", "listen", "reachable"]

_READ_BYTES: Final = 64 * 1024
"Read at once; also what one client can make the others wait for."

_ACCEPT_BACKLOG: Final = 1024
"Connections the kernel keeps for us: every peer comes back at once when a server restarts."

_log: Final = logging.getLogger("peerjs.server")


@attrs.define(eq=False)
class Shared:
    """What all wires of a server have in common."""

    poller: Poller
    timers: Timers
    backlog_bytes: int
    "Unsent bytes at which a wire is closed."
    send_timeout: float
    "Seconds without progress after which it is closed."
    buffer: memoryview = attrs.field(factory=lambda: memoryview(bytearray(_READ_BYTES)), repr=False)
    "Every read goes here first, so that a client takes no more memory than what it sent."


class Wire(ABC):
    """One connected socket. What is made of it derives from it, and hears of what comes."""

    __slots__ = (
        *("_backlog", "_closed", "_finishing", "_keeps_open", "_kept", "_key", "_reads"),
        *("_shared", "_sock", "_tls"),
    )

    def __init__(self, sock: socket.socket, shared: Shared, tls: TlsLayer | None = None) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._shared = shared
        self._key = 2 * sock.fileno()  # of our timers: this one and the next
        self._tls = tls
        self._closed = False
        self._reads = True
        self._kept: bytearray | None = None  # to be sent when others have been read
        self._backlog: bytearray | None = None
        self._finishing = False
        self._keeps_open = False
        shared.poller.watch(sock, self)

    # --- for who derives from it ----------------------------------------------------------------

    @abstractmethod
    def received(self, data: bytes) -> None:
        """Some bytes came."""

    @abstractmethod
    def end_received(self) -> None:
        """The far side has nothing more to say. It may still read."""

    @abstractmethod
    def drained(self) -> None:
        """What was in the backlog is sent."""

    @abstractmethod
    def ended(self) -> None:
        """It is closed, whoever did it."""

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def is_sending(self) -> bool:
        """Whether there is a backlog."""
        return self._backlog is not None

    # --- out ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send now, or as soon as the far side has room. Without effect on a closed wire."""
        if self._closed or self._finishing:
            return
        if self._kept is not None:
            self._kept += data
            if len(self._kept) >= _READ_BYTES:
                self._flush()
        elif self._shared.poller.postpone(self._flush):
            self._kept = bytearray(data)
        else:
            self._encrypt(data)

    def finish(self, grace: float, *, answered: bool = False) -> None:
        """Close in order, within ``grace`` seconds: send what is left, and let it be read.

        A socket closed with unread bytes in it makes TCP throw away what it had yet to deliver,
        so this reads until the far side closes too; unless it has ``answered``, and so has
        nothing more to say.
        """
        if self._closed or self._finishing:
            return
        self._flush()
        if self._tls is not None:
            self._write(self._tls.close())
        self._finishing = True
        self._keeps_open = not answered
        self.set_timer(grace, self.close)
        if self._backlog is None:
            self._all_sent()

    def close(self) -> None:
        """Close at once. Legal more than once."""
        if self._closed:
            return
        self._closed = True
        self._backlog = self._kept = None
        self._shared.timers.cancel(self._key)
        self._shared.timers.cancel(self._key + 1)
        self._shared.poller.forget(self._sock)
        self._sock.close()
        self.ended()

    # --- in -------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Leave it unread for now; TCP makes the far side wait."""
        self._reads = False
        self._want()

    def resume(self) -> None:
        self._reads = True
        self._want()

    def set_timer(self, delay: float, callback: Callable[[], None]) -> None:
        """Call this in so many seconds, unless another is set, or it is closed."""
        if not self._closed:
            self._shared.timers.set(self._key, delay, callback)

    def cancel_timer(self) -> None:
        self._shared.timers.cancel(self._key)

    # --- what the poller calls ------------------------------------------------------------------

    def readable(self) -> None:
        try:
            buffer = self._shared.buffer
            count = self._sock.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        if count and self._finishing:
            return  # it is too late for that
        try:
            if count == 0:
                self._end_came()
            elif self._tls is None:
                self.received(buffer[:count].tobytes())
            else:
                self._decrypt(self._tls, buffer[:count])
        except Exception:
            # An error of ours must not end everybody's server.
            _log.exception("a connection is closed by an error of the server's own")
            self.close()

    def writable(self) -> None:
        backlog = self._backlog
        if backlog is None:
            return
        sent = self._try_send(backlog[:_READ_BYTES])
        if self._closed:
            return
        del backlog[:sent]
        if backlog:
            self._shared.timers.set(self._key + 1, self._shared.send_timeout, self.close)
            return
        self._backlog = None
        self._shared.timers.cancel(self._key + 1)
        self._want()
        if self._finishing:
            self._all_sent()
        else:
            self.drained()

    def _end_came(self) -> None:
        if self._finishing:
            self._keeps_open = False
            if self._backlog is None:
                self.close()
            else:
                self.pause()
        else:
            self._reads = False  # an end can be read for ever
            self.end_received()
            self._want()

    def _decrypt(self, tls: TlsLayer, data: memoryview) -> None:
        try:
            plain, is_end = tls.decrypt(data)
        except TlsFault as fault:
            self._write(fault.alert)
            self.close()
            return
        if answer := tls.outgoing():
            self._write(answer)
        if plain and not self._closed:
            self.received(plain)
        if is_end and not self._closed:
            self._end_came()

    def _flush(self) -> None:
        kept, self._kept = self._kept, None
        if kept and not self._closed:
            self._encrypt(kept)

    def _encrypt(self, data: bytes | bytearray) -> None:
        try:
            self._write(data if self._tls is None else self._tls.encrypt(data))
        except TlsFault:
            self.close()

    def _write(self, data: bytes | bytearray) -> None:
        if not data or self._closed:
            return
        if self._backlog is not None:
            # Whatever it is, one message has room; it is the next that may have none.
            if len(self._backlog) + len(data) > self._shared.backlog_bytes:
                self.close()
            else:
                self._backlog += data
            return
        sent = self._try_send(data)
        if sent < len(data) and not self._closed:
            self._backlog = bytearray(memoryview(data)[sent:])
            self._shared.timers.set(self._key + 1, self._shared.send_timeout, self.close)
            self._want()

    def _try_send(self, data: bytes | bytearray) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.close()
            return 0

    def _all_sent(self) -> None:
        if not self._keeps_open:
            self.close()
            return
        with contextlib.suppress(OSError):  # the far side was faster
            self._sock.shutdown(socket.SHUT_WR)
        self.resume()

    def _want(self) -> None:
        if not self._closed:
            writes = self._backlog is not None
            self._shared.poller.want(self._sock, reads=self._reads, writes=writes)


async def listen(host: str, port: int) -> socket.socket:
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
    return bind(found[0][0], found[0][4])


def bind(family: int, address: tuple[Any, ...], *, reuse_port: bool = False) -> socket.socket:
    """The same for an address that has been looked up; others may share it if they all say so."""
    everywhere = address[0] == "::"
    if everywhere and not socket.has_dualstack_ipv6():
        family, address, everywhere = socket.AF_INET, ("0.0.0.0", address[1]), False
    sock = socket.create_server(
        address,
        family=family,
        backlog=_ACCEPT_BACKLOG,
        dualstack_ipv6=everywhere,
        reuse_port=reuse_port,
    )
    sock.setblocking(False)
    # Those it accepts inherit it: a message is one write, and none waits for the next.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def reachable(listener: socket.socket) -> str:
    """Host and port, as in a URL, where this machine reaches a listener."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"  # all addresses: "::" has IPv4 as well
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
