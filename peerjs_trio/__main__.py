"""The ``peerjs`` command; ``python -m peerjs_trio`` is the same."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from .cli import version

__all__ = ["main"]

_COMMANDS = {
    "doctor": "find out why a connection does not work: server, STUN, TURN, network",
    "demo": "see it work: two Python peers, then a page in your browser",
    "serve": "run a PeerServer",
    "proxy": "let peers use an HTTP API of this machine, and nothing else",
    "pair": "get to know a device, or let others know this one, by a code",
    "fetch": "ask another peer's HTTP for something, as curl does",
    "tunnel": "open a local port that leads to another peer's HTTP",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 2 where it cannot be run as asked."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        parser = _parser(argv[0] if argv else "")
    except ImportError as error:
        missing = error.__cause__ if isinstance(error.__cause__, ImportError) else error
        if (missing.name or "").startswith("peerjs"):
            raise  # a fault of ours: no extra would mend it
        print(
            f"peerjs {argv[0]}: {missing}. Install what it needs with\n"
            '  python -m pip install "peerjs-sansio[cli]"',
            file=sys.stderr,
        )
        return 2
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    status: int = args.run(args)
    return status


def _parser(wanted: str) -> argparse.ArgumentParser:
    """All commands by name, and the arguments of the one that is wanted.

    The others' modules stay unloaded: help and errors need none of the extras.
    """
    parser = argparse.ArgumentParser(
        prog="peerjs",
        description="PeerJS for Python: data connections between Python programs and web pages.",
        epilog='"peerjs COMMAND --help" tells about one command.',
    )
    parser.add_argument("--version", action="version", version=f"peerjs-sansio {version()}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, summary in _COMMANDS.items():
        if name == wanted:
            importlib.import_module(f"peerjs_trio.cli.{name}").add_parser(commands)
        else:
            commands.add_parser(name, help=summary)
    return parser


if __name__ == "__main__":
    sys.exit(main())
