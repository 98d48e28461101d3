"""Where our PeerServer differs from npm's on purpose: all of it, with the reasons.

``python -m tests.interop.differences`` puts it in docs/server-differences.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.interop.servers import WhichServer

__all__ = ["DOCUMENT", "By", "differences", "document"]


class By(NamedTuple):
    """What each does, in the tests' words."""

    what: str
    npm: Any
    ours: Any
    why: str

    def of(self, which: WhichServer) -> Any:
        return self.npm if which == "npm" else self.ours


# --- clients ---------------------------------------------------------------------------------

OPEN_AFTER_TAKEOVER = By(
    "OPEN for a client that comes back with its token, while its older socket is there",
    npm=False,
    ours=True,
    why="peerjs.js waits for it for ever: reconnecting users report it since 2014 (peerjs#224).",
)
OLD_SOCKET_AFTER_TAKEOVER = By(
    "its older socket then",
    npm="left open",
    ours="ID-TAKEN, close 1000",
    why="Nothing is ever sent to it again, and its client should know.",
)
BAD_ID = By(
    "an id that peerjs.js does not allow",
    npm="OPEN",
    ours="ERROR",
    why="peerjs.js refuses to dial it; a server that takes it has a peer nobody can reach.",
)
SIGN_OF_LIFE = By(
    "what keeps a client from being dropped as silent",
    npm="HEARTBEAT",
    ours="any message",
    why="Who speaks lives.",
)

# --- messages --------------------------------------------------------------------------------

AFTER_LEAVE = By(
    "a client after its LEAVE without `dst`",
    npm="goes on",
    ours="closed",
    why="LEAVE frees the id; whoever goes on would speak under an id that is another's.",
)
BAD_JSON = By(
    "a client after a message that is no JSON object",
    npm="deaf",
    ours="goes on",
    why="npm never reads another word of it, and embedded in a program it ends the process.",
)

# --- HTTP ------------------------------------------------------------------------------------

PEERS_WITH_ANOTHER_KEY = By(
    "`GET /{key}/peers` with another key than the server's",
    npm=200,
    ours=401,
    why="The list of who is there is for those who may be there.",
)
CASE = By(
    "paths in upper case",
    npm=200,
    ours=404,
    why="Paths are what they are (RFC 3986, 6.2.2.1); no client writes them so.",
)
CORS_METHODS = By(
    "`Access-Control-Allow-Methods`",
    npm="GET,HEAD,PUT,PATCH,POST,DELETE",
    ours="GET,HEAD",
    why="Those that exist; POST where there are rooms.",
)
NOT_FOUND_TYPE = By(
    "the content type of a 404",
    npm="text/html; charset=utf-8",
    ours="text/plain; charset=utf-8",
    why="Express repeats the path in a page of its own.",
)


def differences() -> Iterator[By]:
    """All of them, in the order above."""
    return (value for value in globals().values() if isinstance(value, By))


DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "server-differences.md"

_HEAD: Final = """\
# Where the PeerServer differs from npm's

`peerjs serve` and `open_server` do what npm's peer 1.0.2 does, but for what is in this table. Every
row is a value in `tests/interop/differences.py`, from which this page is made, and the tests that
use it run against both servers, so what is said of npm's is so. What else ours has, npm's has not;
what both do when they are meant harm is in [Attacks](attacks.md).

| | npm | ours | why |
|---|---|---|---|
"""


def document() -> str:
    """The page."""
    return _HEAD + "".join(
        f"| {row.what} | {_said(row.npm)} | {_said(row.ours)} | {row.why} |\n"
        for row in differences()
    )


def _said(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.exit(DOCUMENT.write_text(document(), "utf-8") == 0)
