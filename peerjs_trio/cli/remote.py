"""What the commands that use another peer have in common: who it is, the way there, and failure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from peerjs_proto import errors
from peerjs_proto.errors import LocalProtocolError
from peerjs_trio.cli.peer_options import (
    OptionError,
    add_peer_options,
    open_peer_from,
    pairings_from,
    secret_from,
)
from peerjs_trio.http import open_transport
from peerjs_trio.http.transport import PeerTransport
from peerjs_trio.pairing import Pair, Pairings, default_pairings_file

__all__ = ["FAILURES", "STATUSES", "add_remote_options", "complain", "open_remote", "status_of"]

FAILURES: Final = (errors.PeerError, httpx.TransportError, OptionError, ModuleNotFoundError)
"""What can go wrong on the way to another peer."""

STATUSES: Final = {
    2: "options that are none, or do not fit together",
    6: "there is no such peer at the PeerServer",
    7: "no connection, to the PeerServer or to the peer",
    28: "it took too long",
    56: "the connection was lost, or the request was broken off",
    67: "the peer wants another proof of who we are",
}
"""Exit statuses; curl's own numbers, where it has one for the same."""


def add_remote_options(parser: argparse.ArgumentParser) -> None:
    """Add what :func:`open_remote` reads."""
    parser.add_argument(
        "peer", metavar="PEER", help="id of the peer, or name of a device that we are paired with"
    )
    add_peer_options(parser)


@asynccontextmanager
async def open_remote(args: argparse.Namespace) -> AsyncGenerator[PeerTransport]:
    """Be a peer, and use the HTTP of the other. Raises one of :data:`FAILURES`."""
    secret = secret_from(args)
    pairings = _pairings(args)
    async with (
        open_peer_from(args) as peer,
        open_transport(
            peer, _remote(args.peer, pairings), secret=secret, pairings=pairings
        ) as transport,
    ):
        yield transport


def status_of(error: Exception) -> int:
    """One of :data:`STATUSES`."""
    match error:
        case LocalProtocolError() | httpx.LocalProtocolError():
            return 2
        case OptionError() | ModuleNotFoundError():
            return 2
        case errors.PeerUnavailable():
            return 6
        case errors.ConnectTimeout() | httpx.TimeoutException():
            return 28
        case errors.Unauthorized():
            return 67
        case httpx.ConnectError() | errors.PeerError():
            return 7
    return 56


def complain(command: str, error: Exception, *, silent: bool = False) -> int:
    """Say what went wrong, unless nobody wants to hear it; the exit status."""
    if not silent:
        print(f"peerjs {command}: {error}", file=sys.stderr)
    return status_of(error)


def _pairings(args: argparse.Namespace) -> Pairings | None:
    """Those that are named, else those that there are."""
    file = pairings_from(args)
    if file is None and not default_pairings_file().exists():
        return None
    return _opened(file)


def _opened(file: Path | None) -> Pairings:
    try:
        return Pairings.open(file)
    except OSError as error:
        raise OptionError(f"--pairings: {error}") from error


def _remote(name: str, pairings: Pairings | None) -> str | Pair:
    pairs = pairings.pairs if pairings else ()
    return next((pair for pair in pairs if name in (pair.name, pair.id)), name)
