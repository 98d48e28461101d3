"""What every command that is a peer is told: the server, the engine, ICE, and the secrets."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, get_args

from peerjs_proto.endpoint import CLOUD, DEFAULT_KEY
from peerjs_trio.peer import Peer, open_peer
from peerjs_trio.rtc.choice import DEFAULT_ENGINE, EngineName
from peerjs_trio.rtc.engine import IceServer

__all__ = [
    "SECRET_VARIABLE",
    "OptionError",
    "add_ice_options",
    "add_peer_options",
    "ice_servers_from",
    "open_peer_from",
    "pairings_from",
    "peer_arguments_from",
    "secret_from",
]

SECRET_VARIABLE: Final = "PEERJS_SECRET"
"""The shared secret, where no ``--secret-file`` is given: other users cannot read it there."""


class OptionError(ValueError):
    """What an option names does not hold what it should."""


def add_peer_options(parser: argparse.ArgumentParser) -> None:
    """Add what :func:`open_peer_from`, :func:`secret_from` and :func:`pairings_from` read."""
    peer = parser.add_argument_group("this peer")
    peer.add_argument(
        "--server",
        action="append",
        metavar="URL",
        help="URL of a PeerServer, or lan for one that the network announces; of several URLs, "
        "each given with --server, the next is tried where one is lost (default: PeerJS's)",
    )
    peer.add_argument("--key", default=DEFAULT_KEY, help="its key (default: %(default)s)")
    peer.add_argument("--id", help="our own id (default: one that the server chooses)")
    peer.add_argument(
        "--engine",
        default=DEFAULT_ENGINE,
        choices=get_args(EngineName),
        help="what does WebRTC (default: %(default)s); wrtc is fast and needs the extra fast",
    )
    add_ice_options(peer, secret="--ice-secret")
    proof = parser.add_argument_group("proof of who we are")
    proof.add_argument(
        "--secret-file",
        type=Path,
        metavar="FILE",
        help=f"holds the secret that both sides share (default: the variable {SECRET_VARIABLE})",
    )
    proof.add_argument(
        "--pairings",
        type=Path,
        metavar="FILE",
        help='holds those whom we know: "peerjs pair" makes it',
    )


def add_ice_options(parser: argparse._ActionsContainer, *, secret: str) -> None:
    """Add what :func:`ice_servers_from` reads; ``secret`` is the name of the option for it."""
    parser.add_argument(
        "--ice",
        action="append",
        default=[],
        metavar="URL",
        help="a STUN or TURN server, stun:HOST:PORT or turn:HOST:PORT?transport=tcp; may be given "
        "several times (default: PeerJS's, or none for a server nearby)",
    )
    parser.add_argument("--username", help="for the TURN servers")
    parser.add_argument("--credential", help="for the TURN servers")
    parser.add_argument(
        secret,
        dest="ice_secret",
        metavar="SECRET",
        help="makes credentials that expire, for --username if that is given",
    )


def open_peer_from(args: argparse.Namespace, **options: Any) -> AbstractAsyncContextManager[Peer]:
    """:func:`~peerjs_trio.open_peer` as the options say; raises what it raises.

    Args:
        options: Further arguments of it, and others in place of those that were given.
    """
    return open_peer(**{**peer_arguments_from(args), **options})


def peer_arguments_from(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of :func:`~peerjs_trio.open_peer` that the options stand for."""
    return {
        "id": args.id,
        "server": _one_or_several(args.server),
        "key": args.key,
        "engine": args.engine,
        "ice_servers": ice_servers_from(args),
    }


def ice_servers_from(args: argparse.Namespace) -> Sequence[IceServer] | None:
    """None where none was given: the defaults of :func:`~peerjs_trio.open_peer`."""
    if not args.ice:
        return None
    if args.ice_secret is not None:
        return [IceServer.short_lived(args.ice, secret=args.ice_secret, name=args.username or "")]
    return [IceServer(args.ice, args.username, args.credential)]


def secret_from(args: argparse.Namespace) -> str | None:
    """The secret in the file, else in the environment, without white space around it.

    Raises:
        OptionError: the file cannot be read, or holds none.
    """
    if args.secret_file is None:
        return os.environ.get(SECRET_VARIABLE, "").strip() or None
    try:
        secret = args.secret_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--secret-file: {error}") from error
    if not secret:
        raise OptionError(f"--secret-file: {args.secret_file} is empty")
    return str(secret)


def pairings_from(args: argparse.Namespace) -> Path | None:
    """The file of ``--pairings``."""
    file: Path | None = args.pairings
    return file


def _one_or_several(servers: list[str] | None) -> str | list[str]:
    match servers:
        case None | []:
            return CLOUD
        case [one]:
            return one
    return servers
