"""What is wrong with STUN and TURN servers: said once in the log, and where no path is found."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from typing import Final

from peerjs_trio.rtc.engine import IceServer

__all__ = ["BAD_CREDENTIALS", "SILENT", "IceTroubles", "failure", "refusal"]

_log = logging.getLogger("peerjs_trio")

SILENT: Final = "does not answer"

BAD_CREDENTIALS: Final = frozenset({401, 403, 431, 441})
"Error codes for who is not let in: RFC 8656, section 19, and RFC 8489, section 14.8."

_ERRORS: Final = {
    437: "allocation mismatch",
    440: "address family not supported",
    442: "unsupported transport protocol",
    486: "allocation quota reached",
    508: "insufficient capacity",
}
"Their names in RFC 8656, section 19: a server's own text might be another one each time."

_EXPIRY: Final = re.compile(r"(\d{9,11})(?::|\Z)")
"How a short-lived user name begins: with the seconds since 1970 at which it expires."


class IceTroubles:
    """What one engine has found out. Servers are named by their URLs, which bear no secret."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()

    def add(self, url: str, what: str) -> None:
        """``what`` is wrong with it: a warning, unless the log has that already."""
        self._now[url] = what
        if (url, what) not in self._told:
            self._told.add((url, what))
            _log.warning("%s %s: passed over", url, what)

    def forget(self, url: str) -> None:
        """All is well with it now."""
        self._now.pop(url, None)

    def after_no_path(self, servers: Sequence[IceServer]) -> str:
        """What may be the reason why two sides did not find to each other; for people."""
        urls = [url for server in servers for url in server.all_urls]
        reasons = [f"{url} {self._now[url]}" for url in urls if url in self._now]
        if not any(url.startswith("turn") for url in urls):
            reasons.append("no TURN server was given, which could relay")
        return "".join(f"; {reason}" for reason in reasons)


def failure(code: int) -> str:
    """Words for a server that is there, and answers with an error that is not of credentials."""
    return f"answers {code}, {_ERRORS[code]}" if code in _ERRORS else f"answers {code}"


def refusal(server: IceServer) -> str:
    """Words for a TURN server that does not take the credentials."""
    if server.username is None or server.credential is None:
        return "wants credentials, and none were given"
    expiry = _EXPIRY.match(server.username)
    if expiry is not None and int(expiry[1]) < time.time():
        return "refuses the credentials: they have expired"
    return "refuses the credentials"
