"""Where a PeerServer is: its address, its key, and the rules for ids.

Sources: peerjs 1.5.5 ``lib/api.ts``, ``lib/socket.ts``, ``lib/utils/validateId.ts``;
peer 1.0.2 ``src/api``, ``src/services/webSocketServer``.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import attrs

from .addresses import network_of
from .errors import InvalidId

__all__ = ["CLOUD", "DEFAULT_KEY", "LAN", "PROTOCOL_VERSION", "Endpoint", "validate_id"]

CLOUD: Final = "https://0.peerjs.com/"
"The public PeerServer of the PeerJS project."

LAN: Final = "lan"
"In the place of a URL: whatever PeerServer announces itself on the local network."

DEFAULT_KEY: Final = "peerjs"

PROTOCOL_VERSION: Final = "1.5.5"
"What we tell servers as ``version``: the peerjs whose behaviour this is."

# The trailing \Z matters: $ would let a newline through.
_ID = re.compile(r"[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*\Z")

_SCHEMES: Final = {"http": False, "ws": False, "https": True, "wss": True}


def validate_id(id: str) -> str:
    """The id itself, if PeerJS allows it.

    Letters and digits, with single spaces, dashes or underscores between them.
    Raises :class:`~peerjs_proto.errors.InvalidId`.
    """
    if not isinstance(id, str) or not _ID.match(id):
        raise InvalidId(
            f"{id!r:.80} is not a valid PeerJS id: letters and digits, with single spaces, "
            "dashes or underscores between them"
        )
    return id


@attrs.frozen
class Endpoint:
    """One PeerServer, as :meth:`parse` reads it from a URL."""

    secure: bool
    "TLS, for HTTP and WebSocket alike."
    host: str
    "A name or an address; an IPv6 address without its brackets."
    port: int
    path: str = "/"
    "Begins and ends with a slash."
    key: str = DEFAULT_KEY
    "The API key; it is part of the HTTP paths."

    @classmethod
    def parse(cls, url: str, key: str = DEFAULT_KEY) -> Endpoint:
        """Read ``http``, ``https``, ``ws`` or ``wss`` URLs; port and path have defaults.

        Raises :class:`~peerjs_proto.errors.InvalidId` with what is wrong.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidId(f"{url!r} is not a PeerServer URL: {error}") from None
        if parts.scheme not in _SCHEMES or not host:
            raise InvalidId(f"{url!r} is not a PeerServer URL: http://host:port/path is expected")
        if parts.query or parts.fragment or parts.username is not None:
            raise InvalidId("a PeerServer URL has no query, fragment or user name")
        if not key:
            raise InvalidId("the key of a PeerServer cannot be empty")
        secure = _SCHEMES[parts.scheme]
        path = f"/{parts.path.strip('/')}/" if parts.path.strip("/") else "/"
        return cls(secure, host, port or (443 if secure else 80), path, key)

    @property
    def url(self) -> str:
        """The base URL, as :meth:`parse` takes it."""
        return f"{self._origin('http')}{self.path}"

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine or a private network, by the look of its host.

        Whoever reaches such a server is on the same network, or one that leads there.
        """
        host = self.host.rstrip(".")
        return network_of(host) == "private" or host == "localhost" or host.endswith(".local")

    def id_url(self) -> str:
        """GET gives a fresh id."""
        # peerjs adds a time and a random number against caches; ours asks with no-store.
        return f"{self.url}{quote(self.key, safe='')}/id?{urlencode({'version': PROTOCOL_VERSION})}"

    def peers_url(self) -> str:
        """GET lists the ids, where the server allows discovery."""
        return f"{self.url}{quote(self.key, safe='')}/peers"

    def room_url(self, id: str, token: str, *call: str) -> str:
        """Where a client with this id and token asks about rooms. Bears the token."""
        segments = (self.key, id, token, "room", *call)
        return self.url + "/".join(quote(segment, safe="") for segment in segments)

    def websocket_url(self, id: str, token: str) -> str:
        """Where to register as ``id``. Bears the token: not for logs."""
        query = {"key": self.key, "id": id, "token": token, "version": PROTOCOL_VERSION}
        # The segment is the word peerjs whatever the key is.
        return f"{self._origin('ws')}{self.path}peerjs?{urlencode(query, quote_via=quote)}"

    def _origin(self, scheme: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.secure else 80
        port = "" if self.port == default else f":{self.port}"
        return f"{scheme}{'s' if self.secure else ''}://{host}{port}"
