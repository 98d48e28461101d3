"""TLS between a wire and what speaks over it, with no I/O of its own."""

from __future__ import annotations

import contextlib
import ssl

__all__ = ["TlsFault", "TlsLayer"]


class TlsFault(Exception):
    """The far side speaks no TLS that we take. ``alert`` tells it so."""

    def __init__(self, alert: bytes) -> None:
        super().__init__("the TLS of a connection failed")
        self.alert = alert


class TlsLayer:
    """One connection's."""

    __slots__ = ("_incoming", "_is_open", "_outgoing", "_pending", "_tls")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_open = False

    def decrypt(self, data: memoryview) -> tuple[bytes, bool]:
        """What these bytes say, and whether they say that nothing follows.

        Raises:
            TlsFault: they are no TLS, or not what was agreed.
        """
        self._incoming.write(data)
        plain = bytearray()
        try:
            if not self._is_open:
                self._tls.do_handshake()
                self._is_open = True
            while piece := self._tls.read(_PIECE):
                plain += piece
        except ssl.SSLWantReadError:
            return bytes(plain), False
        except ssl.SSLZeroReturnError:
            return bytes(plain), True
        except ssl.SSLError:
            raise TlsFault(self._outgoing.read()) from None
        return bytes(plain), True

    def encrypt(self, data: bytes | bytearray) -> bytes:
        """The same for the wire; nothing before the handshake, when nothing can be said.

        Raises:
            TlsFault: nothing can be said any more.
        """
        if not self._is_open:
            return b""
        try:
            self._tls.write(data)
        except ssl.SSLError:
            raise TlsFault(self._outgoing.read()) from None
        return self._outgoing.read()

    def outgoing(self) -> bytes:
        """What TLS itself has to say: its part of a handshake, mostly."""
        return self._outgoing.read()

    def close(self) -> bytes:
        """That nothing follows, for the wire."""
        if self._is_open:
            with contextlib.suppress(ssl.SSLError):  # the far side has yet to say the same
                self._tls.unwrap()
        return self._outgoing.read()


_PIECE = 64 * 1024
