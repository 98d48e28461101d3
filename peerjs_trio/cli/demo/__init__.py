"""``peerjs demo``: two Python peers exchange values, then a page talks to a third."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, get_args

import trio

from peerjs_proto.errors import PeerError
from peerjs_trio.cli import port
from peerjs_trio.http import serve
from peerjs_trio.peer import Peer, open_peer
from peerjs_trio.rtc.choice import DEFAULT_ENGINE, EngineName, engine_named
from peerjs_trio.server import open_server
from peerjs_trio.signals import stop_on_signal

from .exchange import SERIALIZATIONS, exchange
from .hello import hello_app
from .page import PYTHON_PEER, addresses, fetch_page, network_address, page_routes, peerjs_source
from .report import Report, Stopwatch
from .visitors import answer_visitors

if TYPE_CHECKING:
    _SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_parser", "run"]

_INTERRUPTED = 130


def add_parser(subparsers: _SubParsers) -> None:
    """Add the command's own arguments; :func:`run` takes what they parse to."""
    parser = subparsers.add_parser(
        "demo",
        help="see it work",
        description=(
            "Start a PeerServer, let two Python peers exchange values in every serialization, "
            "and serve a page that talks to a Python peer, until Ctrl-C."
        ),
        epilog=(
            "The page takes peerjs.js from the file that the variable PEERJS_JS names, else from "
            "node_modules here or in a directory above, else from unpkg.com."
        ),
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="only check: do not wait for visitors; exit 0 if all came back equal, else 1",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s); 0.0.0.0 lets other machines in",
    )
    parser.add_argument(
        "--port", type=port, default=0, help="port to listen on (default: one that is free)"
    )
    parser.add_argument(
        "--engine",
        default=DEFAULT_ENGINE,
        choices=get_args(EngineName),
        help="what does WebRTC (default: %(default)s); wrtc is fast and needs the extra fast",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """The exit status: 0 if every exchange came back equal, 1 if not, 130 if interrupted."""
    report = Report(sys.stdout)
    try:
        engine_named(args.engine)  # now, and not when half of it has been shown
        return trio.run(_until_signal, args, report)
    except KeyboardInterrupt:
        return _INTERRUPTED  # before our own handler was in place
    except ModuleNotFoundError as error:
        print(f"peerjs demo: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"peerjs demo: {error.strerror or error}", file=sys.stderr)
        return 1


async def _until_signal(args: argparse.Namespace, report: Report) -> int:
    status = _INTERRUPTED
    async with (
        stop_on_signal(),
        open_server(args.host, args.port, routes=page_routes()) as server,
    ):
        report.begin(server.url)
        status = 0 if await _show(server.url, args.engine, report) else 1
        if not args.check:
            await _receive_visitors(server.url, args, report)
    if not args.check:
        report.end()
    return status


async def _show(url: str, engine: EngineName, report: Report) -> bool:
    """Everything that needs no visitor; whether all of it went well."""
    watch = Stopwatch()
    try:
        async with (
            open_peer("alice", server=url, ice_servers=(), engine=engine) as alice,
            open_peer("bob", server=url, ice_servers=(), engine=engine) as bob,
        ):
            report.step("peers", f"{alice.id} and {bob.id} are registered", watch.lap())
            for serialization in SERIALIZATIONS:
                outcome = await exchange(alice, bob, serialization)
                report.exchange(outcome)
                if outcome.opened is None:
                    if network_address() is None:
                        report.note("WebRTC needs a network interface besides loopback.")
                    break  # as the others would end, each after a wait
    except PeerError as error:
        report.step("peers", f"{type(error).__name__}: {error}", watch.lap(), passed=False)
    watch.lap()
    fault = await fetch_page(url)
    text = fault or f"peerjs.js from {peerjs_source()}"
    report.step("page", text, watch.lap(), passed=not fault)
    return report.sum_up()


async def _receive_visitors(url: str, args: argparse.Namespace, report: Report) -> None:
    async with open_peer(PYTHON_PEER, server=url, ice_servers=(), engine=args.engine) as python:
        report.invite(addresses(url, args.host))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve_hello, python)
            await answer_visitors(python, report.news)
            nursery.cancel_scope.cancel()


async def _serve_hello(python: Peer) -> None:
    # Whoever can open the page may ask.
    await serve(python, hello_app, authorize=lambda peer, metadata, request: True)
