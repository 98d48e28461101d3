"""``peerjs pair``: two machines get to know each other by a code, once."""

from __future__ import annotations

import argparse
import sys
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import trio

from peerjs_proto.errors import LocalProtocolError, PeerError, Unauthorized
from peerjs_trio.cli.peer_options import (
    OptionError,
    add_peer_options,
    open_peer_from,
    pairings_from,
)
from peerjs_trio.pairing import Pair, Pairings
from peerjs_trio.pairing.contact import Device, discover, offer_pairing, pair_with
from peerjs_trio.peer import Peer
from peerjs_trio.rooms import open_room
from peerjs_trio.signals import stop_on_signal

if TYPE_CHECKING:
    _SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_parser", "run"]

_ATTEMPTS = 3
"Codes that may be typed before the command gives up."


def add_parser(subparsers: _SubParsers) -> None:
    """Add the command's own arguments; :func:`run` takes what they parse to."""
    parser = subparsers.add_parser(
        "pair",
        help="get to know a device, or let others know this one, by a code",
        description=(
            "Pair with a device that shows a code: from then on both know each other, whatever "
            "server is between them. Without an id, look for devices on the same network."
        ),
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("peer", nargs="?", metavar="PEER_ID", help="the device's id")
    what.add_argument("--show", action="store_true", help="be the device: show a code, and wait")
    what.add_argument("--list", action="store_true", help="show whom we are paired with")
    what.add_argument("--forget", metavar="NAME", help="be paired with that one no longer")
    parser.add_argument("--name", help="what others call this machine (default: as before)")
    add_peer_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """The exit status: 0 if all went well, 1 if not, 2 for arguments that are none."""
    try:
        pairings = Pairings.open(pairings_from(args), name=args.name)
        if args.list:
            _list(pairings)
            return 0
        if args.forget is not None:
            pairings.forget(args.forget)
            print(f'"{args.forget}" is forgotten.')
            return 0
        return trio.run(partial(_meet, args, pairings))
    except (LocalProtocolError, OptionError, OSError) as error:
        return _complain(error, 2)
    except PeerError as error:
        return _complain(error, 1)


def _complain(error: Exception, status: int) -> int:
    print(f"peerjs pair: {error}", file=sys.stderr)
    return status


def _list(pairings: Pairings) -> None:
    print(f'This is "{pairings.name}", {pairings.tag}.')
    for pair in pairings.pairs:
        seen = datetime.fromtimestamp(pair.seen).strftime("%Y-%m-%d")
        which = f"a device, {pair.tag}" if pair.is_device else "may use this device"
        print(f'  "{pair.name}", {which}, last seen {seen}')


async def _meet(args: argparse.Namespace, pairings: Pairings) -> int:
    """The exit status; whoever interrupts it does not want anything more."""
    status = 1
    async with stop_on_signal():
        # What it raises comes out as it is, whatever nurseries are in between.
        try:
            async with open_peer_from(args) as peer:
                if args.show:
                    status = await _show(peer, pairings)
                else:
                    status = await _find(peer, args.peer, pairings)
        except* PeerError as group:
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            status = _complain(Exception(str(error)), 1)
    return status


# --- the device ------------------------------------------------------------------------------


async def _show(peer: Peer, pairings: Pairings) -> int:
    met: list[Pair] = []
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(open_room(peer))
        except PeerError as error:
            print(f"Others cannot look for this device: {error}", file=sys.stderr)
        await _offer(peer, pairings, met)
    for pair in met:
        print(f'Paired with "{pair.name}".')
    return 0 if met else 1


async def _offer(peer: Peer, pairings: Pairings, met: list[Pair]) -> None:
    """Show codes until somebody has typed one."""
    print(
        f'This is "{pairings.name}", {pairings.tag}.  (Ctrl-C stops it)',
        f"On the other machine:  peerjs pair {peer.id}",
        sep="\n",
        flush=True,
    )
    async with trio.open_nursery() as nursery:

        def paired(pair: Pair) -> None:
            met.append(pair)
            nursery.cancel_scope.cancel()

        await offer_pairing(peer, pairings, show_code=_show_code, paired=paired)


def _show_code(code: str) -> None:
    print(f"Code: {code[:3]} {code[3:]}  (for one pairing, within 10 minutes)", flush=True)


# --- the other side --------------------------------------------------------------------------


async def _find(peer: Peer, remote_id: str | None, pairings: Pairings) -> int:
    if remote_id is None:
        remote_id = await _choose(peer)
        if remote_id is None:
            return 1
    for left in reversed(range(_ATTEMPTS)):
        try:
            pair = await pair_with(peer, remote_id, pairings, ask_code=_ask_code)
        except (Unauthorized, LocalProtocolError) as error:
            _complain(error, 1)
            if not left:
                return 1
            continue
        print(f'Paired with "{pair.name}", {pair.tag}.')
        return 0
    raise AssertionError("the last attempt returns")


async def _choose(peer: Peer) -> str | None:
    """The id of one of the devices around, if there are any."""
    async with open_room(peer) as room:
        others = [id for id in await room.members() if id != peer.id]
        found = list((await discover(peer, others)).items())
    if not found:
        print('No device on this network offers pairing: "peerjs pair --show" there does.')
        return None
    for number, (id, device) in enumerate(found, 1):
        print(f'{number:3}  "{device.name}", {device.tag}   {id}')
    while True:
        answer = await _ask(f"Which one? 1 to {len(found)}: ")
        if answer.isdecimal() and 0 < int(answer) <= len(found):
            return found[int(answer) - 1][0]


async def _ask_code(device: Device) -> str:
    return await _ask(f'The code that "{device.name}", {device.tag}, shows: ')


async def _ask(question: str) -> str:
    """A line from the terminal; at its end there is nobody to ask."""
    try:
        answer = await trio.to_thread.run_sync(input, question, abandon_on_cancel=True)
    except EOFError:
        raise PeerError("nobody answers here") from None
    return answer.strip()
