"""Guard: which requests a tunnel lets in, of all that any page in a browser can send to it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import h11

__all__ = ["LOCAL_NAMES", "Guard", "RefusedHere"]

LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
"""What this machine is called in its own browser."""

_AUTHORITY: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::[0-9]{1,5})?")


class RefusedHere(Exception):
    """A request that the tunnel answers by itself."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Guard:
    """The names by which a tunnel may be called.

    A page of another site reaches a local port in two ways: under a name of its own that DNS says
    is this machine (``Host`` has that name), or by naming this machine (``Origin`` has the page's).
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = {host.lower() for host in hosts}

    def target(self, request: h11.Request) -> bytes:
        """Path and query of a request that may pass; raises RefusedHere for others."""
        target = bytes(request.target)
        authorities = _values(request, b"host")
        if target.lower().startswith(b"http://"):
            # To a proxy, and then it counts (RFC 9112, section 3.2.2).
            authority, slash, path = target[len(b"http://") :].partition(b"/")
            authorities = [authority]
            target = slash + path or b"/"
        if not target.startswith(b"/"):
            raise RefusedHere(400, "this is no proxy, and * is no path")
        if len(authorities) != 1 or not self._knows(authorities[0]):
            raise RefusedHere(421, "the tunnel is not open under this name: see --allow-host")
        for origin in _values(request, b"origin"):
            if not self._knows(origin.partition(b"://")[2]):
                raise RefusedHere(403, "pages of other sites may not use the tunnel")
        return target

    def _knows(self, authority: bytes) -> bool:
        found = _AUTHORITY.fullmatch(authority)
        return found is not None and found[1].decode().lower() in self._hosts


def _values(request: h11.Request, name: bytes) -> list[bytes]:
    return [value for header, value in request.headers if header == name]
