"""``peerjs tunnel``: a local port that any browser or curl can use, and that leads to a peer."""

from __future__ import annotations

import argparse
import sys
import textwrap
from typing import TYPE_CHECKING, Final

import trio

from peerjs_trio.cli.argument_types import seconds
from peerjs_trio.cli.remote import (
    FAILURES,
    STATUSES,
    add_remote_options,
    complain,
    open_remote,
)
from peerjs_trio.http.tunnel import LOCAL_NAMES, TunnelLimits, serve_tunnel
from peerjs_trio.observe import log_to_stderr
from peerjs_trio.signals import stop_on_signal

if TYPE_CHECKING:
    _SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_parser", "run"]

_STATUSES: Final = {
    0: "told to stop, by Ctrl-C or SIGTERM",
    1: "the local port cannot be opened",
    **STATUSES,
}


def add_parser(subparsers: _SubParsers) -> None:
    """Add the command's own arguments; :func:`run` takes what they parse to."""
    statuses = "\n".join(f"  {status:3}  {words}" for status, words in sorted(_STATUSES.items()))
    parser = subparsers.add_parser(
        "tunnel",
        help="open a local port that leads to another peer's HTTP",
        description=textwrap.fill(
            "Open a local port: what a browser, curl or any program asks there is answered by "
            "another peer, WebSockets too, until Ctrl-C. Whoever can reach the port can use the "
            "peer; pages of other sites cannot."
        ),
        epilog=f"exit status:\n{statuses}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--listen",
        type=_address,
        default=("127.0.0.1", 8080),
        metavar="HOST:PORT",
        help="where; port 0 is one that is free (default: 127.0.0.1:8080)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name, without a port, that browsers may know this machine by; may be given "
        f"several times (besides {', '.join(LOCAL_NAMES)} and that of --listen)",
    )
    parser.add_argument(
        "--connections",
        type=_count,
        default=TunnelLimits().connections,
        metavar="NUMBER",
        help="local connections at once (default: %(default)s)",
    )
    parser.add_argument(
        "--peer-timeout",
        type=seconds,
        default=TunnelLimits().peer_timeout,
        metavar="SECONDS",
        help="for the peer to begin a response, and to go on with it (default: %(default)g)",
    )
    parser.add_argument(
        "--log-level",
        default="warning",
        choices=("debug", "info", "warning", "error"),
        help="of the lines on standard error (default: %(default)s)",
    )
    add_remote_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """The exit status, as the help lists them."""
    log_to_stderr("text", args.log_level)
    try:
        return trio.run(_serve_until_signal, args)
    except KeyboardInterrupt:
        return 0  # before our own handler was in place


async def _serve_until_signal(args: argparse.Namespace) -> int:
    async with stop_on_signal():
        try:
            listeners = await _listen(*args.listen)
        except OSError as error:
            print(f"peerjs tunnel: {error.strerror or error}", file=sys.stderr)
            return 1
        try:
            async with open_remote(args) as transport:
                host = args.listen[0]
                names = [*LOCAL_NAMES, *args.allow_host, f"[{host}]" if ":" in host else host]
                limits = TunnelLimits(connections=args.connections, peer_timeout=args.peer_timeout)
                _greet(args, listeners)
                await serve_tunnel(transport, listeners, hosts=names, limits=limits)
        except FAILURES as error:
            return complain("tunnel", error)
        finally:
            for listener in listeners:
                listener.socket.close()
    return 0


async def _listen(host: str, port: int) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise OSError(error.errno, f"{host}:{port}: {error.strerror or error}") from error


def _greet(args: argparse.Namespace, listeners: list[trio.SocketListener]) -> None:
    host, port = listeners[0].socket.getsockname()[:2]
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    print(f"http://{place}/ leads to {args.peer}  (Ctrl-C stops it)", flush=True)


def _address(text: str) -> tuple[str, int]:
    host, _, number = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not number.isascii() or not number.isdigit() or int(number) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT")
    return host, int(number)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return count
