"""What an application says of STUN and TURN servers: a list, or a function that makes one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from .rtc.engine import IceServer

__all__ = ["IceServersInit", "IceSource"]

_Servers: TypeAlias = Sequence[IceServer | Mapping[str, Any]]

IceServersInit: TypeAlias = _Servers | Callable[[], _Servers]
"""IceServer, or RTCIceServer's words; a function is asked anew for each connection."""

_log = logging.getLogger("peerjs_trio")


class IceSource:
    """The servers for each connection. Raises TypeError for what is no server."""

    def __init__(self, given: IceServersInit) -> None:
        self._ask: Callable[[], _Servers]
        if callable(given):
            self._ask = given
        else:
            servers = _as_servers(given)
            self._ask = lambda: servers

    def ask(self) -> list[IceServer]:
        """Raises what the application's function raises."""
        return _as_servers(self._ask())

    def ask_again(self) -> list[IceServer]:
        """For one more connection, which may be a stranger's: no error of a function gets out.

        It is logged, and the connection has no servers.
        """
        try:
            return self.ask()
        except Exception as error:  # its text may hold a secret
            name = type(error).__name__
            _log.error("ice_servers raised %s: a connection has no STUN and TURN servers", name)
            return []


def _as_servers(servers: _Servers) -> list[IceServer]:
    return [s if isinstance(s, IceServer) else IceServer(**s) for s in servers]
