"""``peerjs serve``: a PeerServer, until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

import trio

from peerjs_proto.endpoint import DEFAULT_KEY
from peerjs_proto.errors import LocalProtocolError
from peerjs_trio.cli import port
from peerjs_trio.server import PeerServer, open_server
from peerjs_trio.signals import stop_on_signal

if TYPE_CHECKING:
    _SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_parser", "run"]


def add_parser(subparsers: _SubParsers) -> None:
    """Add the command's own arguments; :func:`run` takes what they parse to."""
    parser = subparsers.add_parser(
        "serve",
        help="run a PeerServer",
        description="Run a PeerServer, for peers in pages and in Python, until Ctrl-C.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    # A PeerServer is there for peers on other machines: all addresses and port 9000, as with
    # npm's peerjs. Who only wants to try says --host 127.0.0.1.
    parser.add_argument("--host", default="::", help="address to listen on; :: is all of them")
    parser.add_argument("--port", type=port, default=9000, help="port; 0 takes a free one")
    parser.add_argument("--path", default="/", help="path everything is under")
    parser.add_argument("--key", default=DEFAULT_KEY, help="key clients must present")
    parser.add_argument(
        "--allow-discovery", action="store_true", help="let anyone list the ids of all peers"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; the exit status: 0, or 1 when the server cannot start."""
    try:
        trio.run(_serve, args)
    except KeyboardInterrupt:
        pass  # before our own handler was in place
    except OSError as error:
        print(f"peerjs serve: {error.strerror or error}", file=sys.stderr)
        return 1
    except LocalProtocolError as error:
        print(f"peerjs serve: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(args: argparse.Namespace) -> None:
    async with (
        stop_on_signal(),
        open_server(
            args.host,
            args.port,
            path=args.path,
            key=args.key,
            allow_discovery=args.allow_discovery,
        ) as server,
    ):
        print(_greeting(server, args), flush=True)
        await trio.sleep_forever()


def _greeting(server: PeerServer, args: argparse.Namespace) -> str:
    """Where it is, and how a page gets there."""
    options = {"host": server.host, "port": server.port, "path": server.path, "key": args.key}
    return (
        f"PeerServer at {server.url}  (Ctrl-C stops it)\n"
        f"  in a page:  new Peer({json.dumps(options)})\n"
        f'  in Python:  open_peer(server="{server.url}"{_key_argument(args.key)})'
    )


def _key_argument(key: str) -> str:
    return "" if key == DEFAULT_KEY else f", key={json.dumps(key)}"
