"""``peerjs doctor``: what works between here, a PeerServer, and STUN and TURN servers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import trio

from peerjs_proto.endpoint import CLOUD, DEFAULT_KEY, LAN, Endpoint
from peerjs_proto.errors import InvalidId, ServerUnavailable
from peerjs_trio.cli.peer_options import add_ice_options, ice_servers_from
from peerjs_trio.peer import DEFAULT_ICE_SERVERS
from peerjs_trio.rtc.engine import IceServer
from peerjs_trio.rtc.probe import Target, targets

from .finding import Finding, Report, Tell
from .ice import check_ice
from .machine import check_machine
from .server import check_server

if TYPE_CHECKING:
    _SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_parser", "run"]

_INTERRUPTED = 130

_Check: TypeAlias = Callable[[Tell], Awaitable[None]]


def add_parser(subparsers: _SubParsers) -> None:
    """Add the command's own arguments; :func:`run` takes what they parse to."""
    parser = subparsers.add_parser(
        "doctor",
        help="find out why a connection does not work: server, STUN, TURN, network",
        description=(
            "Check a PeerServer, STUN and TURN servers, and this machine's network; say what was "
            "found and what to do about it. The exit status is 0 if all is well, 1 if not."
        ),
    )
    parser.add_argument(
        "--server",
        default=CLOUD,
        help="URL of a PeerServer, or lan for one that the network announces (default: PeerJS's)",
    )
    parser.add_argument("--key", default=DEFAULT_KEY, help="its key (default: %(default)s)")
    add_ice_options(parser, secret="--secret")
    parser.add_argument(
        "--timeout", type=_seconds, default=5.0, help="seconds for one answer (default: 5)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, in the end")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """The exit status: 0 if all is well, 1 if not, 2 for arguments that are none."""
    try:
        endpoint = _endpoint(args.server, args.key, args.timeout)
        asked = targets(_ice_servers(args, endpoint))
    except (InvalidId, ValueError) as error:
        print(f"peerjs doctor: {error}", file=sys.stderr)
        return 2
    except (ImportError, ServerUnavailable) as error:
        print(f"peerjs doctor: {error}", file=sys.stderr)
        return 1
    report = Report(sys.stdout, as_json=args.json)
    try:
        trio.run(_examine, endpoint, asked, args.timeout, report)
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0 if report.sum_up() else 1


def _endpoint(server: str, key: str, patience: float) -> Endpoint:
    """Raises ServerUnavailable, and ImportError without zeroconf, for ``lan``; and InvalidId."""
    if server != LAN:
        return Endpoint.parse(server, key)
    from peerjs_trio.lan.find import find_servers  # zeroconf is an extra

    first, *_ = trio.run(partial(find_servers, timeout=patience))
    return Endpoint.parse(first.url, key)


async def _examine(
    endpoint: Endpoint, asked: Sequence[Target], patience: float, report: Report
) -> None:
    check_machine(report.add)
    checks: list[_Check] = [
        partial(check_server, endpoint, patience),
        partial(check_ice, asked, patience),
    ]
    # They run at the same time, and are told one after the other.
    async with trio.open_nursery() as nursery:
        outlets = []
        for check in checks:
            inlet, outlet = trio.open_memory_channel[Finding](float("inf"))
            nursery.start_soon(_carry_out, check, inlet)
            outlets.append(outlet)
        for outlet in outlets:
            async for finding in outlet:
                report.add(finding)


async def _carry_out(check: _Check, inlet: trio.MemorySendChannel[Finding]) -> None:
    with inlet:
        await check(inlet.send_nowait)


def _ice_servers(args: argparse.Namespace, endpoint: Endpoint) -> Sequence[IceServer]:
    given = ice_servers_from(args)
    if given is None:
        return () if endpoint.is_local else DEFAULT_ICE_SERVERS
    return given


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 600:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds: up to 600")
    return seconds
