"""Who holds which id at one server, as its events tell: never two with different tokens."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from peerjs_proto import server_io

from .violation import Violation

__all__ = ["Registry"]


class Registry:
    """Of one life of a server's process."""

    def __init__(self, host: str) -> None:
        self.holders: dict[str, list[int]] = {}
        "Handles, by id."
        self._host = host
        self._tokens: dict[int, str] = {}

    def asks(self, handle: int, target: str) -> None:
        """A client wants to register."""
        self._tokens[handle] = parse_qs(urlsplit(target).query)["token"][0]

    def note(self, event: server_io.ServerEvent) -> None:
        """What became of it."""
        match event:
            case server_io.ClientRegistered(handle, id):
                holders = self.holders.setdefault(id, [])
                holders.append(handle)
                if len({self._tokens[holder] for holder in holders}) > 1:
                    raise Violation(f"an id is never held by two: {id!r} at {self._host}")
            case server_io.ClientGone(handle, id):
                holders = self.holders.get(id, [])
                if handle in holders:
                    holders.remove(handle)
                if not holders:
                    self.holders.pop(id, None)
                self._tokens.pop(handle, None)
            case server_io.ClientRefused(handle, _):
                self._tokens.pop(handle, None)
            case _:
                pass
