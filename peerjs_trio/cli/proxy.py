"""``peerjs proxy``: peers use an HTTP API that this machine can reach, and nothing else of it."""

from __future__ import annotations

import argparse
import logging
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from peerjs_proto.errors import LocalProtocolError, PeerError
from peerjs_proto.proofs import ENOUGH
from peerjs_trio.cli.argument_types import seconds
from peerjs_trio.cli.peer_options import (
    SECRET_VARIABLE,
    OptionError,
    add_peer_options,
    open_peer_from,
    pairings_from,
    peer_arguments_from,
    secret_from,
)
from peerjs_trio.http import serve
from peerjs_trio.http.upstream import Upstream, UpstreamLimits
from peerjs_trio.observe import log_to_stderr
from peerjs_trio.peer import Peer
from peerjs_trio.signals import stop_on_signal

if TYPE_CHECKING:
    from peerjs_trio.pairing import Pairings

    _SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_parser", "run"]

_log: Final = logging.getLogger("peerjs_trio.http")

_LOOK_TIMEOUT: Final = 2.0
"Seconds for a first look whether anybody listens at the target."

_WHO: Final = f"""\
say who may use it:
  --secret-file FILE  whoever has the secret in it, or in the variable {SECRET_VARIABLE}
  --pairings FILE     whoever is paired with this machine: "peerjs pair"
  --ambianic          whoever knows the id: ambianic's pages cannot prove anything
python -c "import secrets; print(secrets.token_urlsafe())" makes a secret"""

_NO_USE: Final = f"""\
--ambianic lets in whoever knows the id, so a secret or pairings would keep nobody out: leave out
one or the other (--secret-file, the variable {SECRET_VARIABLE}, --pairings)"""


def add_parser(subparsers: _SubParsers) -> None:
    """Add the command's own arguments; :func:`run` takes what they parse to."""
    parser = subparsers.add_parser(
        "proxy",
        help="let peers use an HTTP API of this machine, and nothing else",
        description=(
            "Be a peer that answers HTTP requests and WebSockets by asking the server at one URL. "
            "Nothing outside of that URL can be reached. Who may use it has to prove that: by a "
            "shared secret, or by being paired."
        ),
    )
    parser.add_argument(
        "--target",
        required=True,
        metavar="URL",
        help='what is served: http://127.0.0.1:8778/api/ makes "/x" of a peer "/api/x" there',
    )
    parser.add_argument(
        "--ca-file", metavar="FILE", help="PEM of who is trusted for an https target"
    )
    parser.add_argument(
        "--ambianic",
        action="store_true",
        help="serve ambianic's pages. They can prove nothing: whoever knows the id gets in",
    )
    add_peer_options(parser)
    limits = parser.add_argument_group("limits")
    for name, help in _LIMITS.items():
        default = getattr(UpstreamLimits(), name)
        limits.add_argument(
            f"--{name.replace('_', '-')}",
            type=seconds if name.endswith("timeout") else _count,
            default=default,
            metavar="SECONDS" if name.endswith("timeout") else "NUMBER",
            help=f"{help} (default: %(default)s)",
        )
    parser.add_argument(
        "--log-level",
        default="info",
        choices=("debug", "info", "warning", "error"),
        help="of the lines on standard error (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """The exit status: 0 when told to stop, 1 if it went wrong, 2 for arguments that are none."""
    try:
        proxy = _Proxy.of(args)
    except (LocalProtocolError, OptionError, OSError) as error:
        print(f"peerjs proxy: {error}", file=sys.stderr)
        return 2
    log_to_stderr("text", args.log_level)
    failures: list[Exception] = []
    try:
        trio.run(proxy.run)
    except* PeerError as group:
        failures = _leaves(group)
    for failure in failures:
        print(f"peerjs proxy: {failure}", file=sys.stderr)
    if any(isinstance(failure, LocalProtocolError) for failure in failures):
        return 2
    return 1 if failures else 0


def _leaves(group: ExceptionGroup[PeerError]) -> list[Exception]:
    leaves = list[Exception]()
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, ExceptionGroup) else [error]
    return leaves


@attrs.frozen
class _Proxy:
    """What is to be done."""

    args: argparse.Namespace
    app: Upstream
    secret: str | None = attrs.field(repr=False)
    pairings: Pairings | None

    @classmethod
    def of(cls, args: argparse.Namespace) -> _Proxy:
        secret, file = secret_from(args), pairings_from(args)
        if secret is None and file is None and not args.ambianic:
            raise OptionError(_WHO)
        if args.ambianic and (secret is not None or file is not None):
            raise OptionError(_NO_USE)
        if secret is not None and len(secret) < ENOUGH:
            raise OptionError(f"the secret has fewer than {ENOUGH} characters")
        limits = {name: getattr(args, name) for name in _LIMITS}
        limits["response_bytes"] = limits["response_bytes"] or None
        app = Upstream(args.target, limits=UpstreamLimits(**limits), ca_file=args.ca_file)
        if file is None:
            return cls(args, app, secret, None)
        from peerjs_trio.pairing import Pairings

        return cls(args, app, secret, Pairings.open(file))

    async def run(self) -> None:
        """Until told to stop."""
        async with stop_on_signal(), self.app, trio.open_nursery() as nursery:
            await self._look()
            if self.args.id is not None or self.pairings is None:
                nursery.start_soon(self._serve_under_the_id)
            if self.pairings is not None:
                from peerjs_trio.pairing import stay_reachable

                options = peer_arguments_from(self.args)
                del options["id"]  # theirs is made of the pairing, and changes with the month
                nursery.start_soon(partial(stay_reachable, self.pairings, self._serve, **options))

    async def _serve_under_the_id(self) -> None:
        async with open_peer_from(self.args) as peer:
            await self._serve(peer)

    async def _serve(self, peer: Peer) -> None:
        self._greet(peer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell_states, peer)
            await serve(
                peer,
                self.app,
                secret=self.secret,
                pairings=self.pairings,
                authorize=_anybody if self.args.ambianic else None,
            )

    async def _look(self) -> None:
        """Whether anybody listens: it may well come later."""
        fence, answers = self.app.fence, False
        with trio.move_on_after(_LOOK_TIMEOUT):
            try:
                await (await trio.open_tcp_stream(fence.host, fence.port)).aclose()
                answers = True
            except OSError:
                pass
        if not answers:
            _log.warning("nobody listens at %s yet: peers are answered 502", fence.url)

    def _greet(self, peer: Peer) -> None:
        whom = []
        if self.secret is not None:
            where = self.args.secret_file or f"the variable {SECRET_VARIABLE}"
            whom.append(f"whoever has the secret in {where}")
        if self.pairings is not None:
            count = len(self.pairings.pairs)
            whom.append(f'whoever is paired with "{self.pairings.name}": {count} now')
        if self.args.ambianic:
            whom.append("whoever knows this id, as ambianic's pages do")
        print(
            f'Peer "{peer.id}" serves {self.app.base_url}  (Ctrl-C stops it)',
            *(f"  to {who}" for who in whom),
            f"  try it:  peerjs fetch {peer.id} /",
            sep="\n",
            flush=True,
        )


async def _tell_states(peer: Peer) -> None:
    """What becomes of the peer at its server, after the first word."""
    states = aiter(peer.states())
    await anext(states)
    async for state in states:
        _log.info("%s at the PeerServer: %s", peer.id, state.name.lower())


def _anybody(id: str, metadata: Any, request: Any) -> bool:
    return True


def _count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return count


_LIMITS: Final = {
    "requests": "requests at once, of all peers together",
    "websockets": "WebSockets at once",
    "request_bytes": "bytes of one request",
    "response_bytes": "bytes of one response; 0 for no end",
    "message_bytes": "bytes of one WebSocket message",
    "connect_timeout": "seconds to connect to the target",
    "head_timeout": "seconds until the target answers",
    "part_timeout": "seconds between two parts of a body, whoever is waited for",
}
