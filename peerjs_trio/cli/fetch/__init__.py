"""``peerjs fetch``: one request to another peer's HTTP, as curl would make it."""

from __future__ import annotations

import argparse
import math
import sys
import textwrap
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import httpx
import trio

from peerjs_trio.cli.argument_types import seconds
from peerjs_trio.cli.peer_options import OptionError
from peerjs_trio.cli.remote import (
    FAILURES,
    STATUSES,
    add_remote_options,
    open_remote,
    status_of,
)
from peerjs_trio.signals import stop_on_signal

from .output import Output, OutputError
from .progress import Progress
from .request import InputError, add_request_options, build_request

if TYPE_CHECKING:
    _SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["EXPECTED", "add_parser", "prepare", "run", "tell"]

EXPECTED: Final = (*FAILURES, InputError, OutputError, trio.TooSlowError)
"""What can go wrong."""

_HTTP_ERROR: Final = 22
_UNWRITTEN: Final = 23
_UNREAD: Final = 26
_LATE: Final = 28

_STATUSES: Final = {
    0: "there was a response",
    **STATUSES,
    _HTTP_ERROR: "with -f: the status of the response is 400 or more",
    _UNWRITTEN: "the output cannot be written",
    _UNREAD: "the file to send cannot be read",
    130: "interrupted",
}


def add_parser(subparsers: _SubParsers) -> None:
    """Add the command's own arguments; :func:`run` takes what they parse to."""
    statuses = "\n".join(f"  {status:3}  {words}" for status, words in sorted(_STATUSES.items()))
    parser = subparsers.add_parser(
        "fetch",
        help="ask another peer's HTTP for something, as curl does",
        description=textwrap.fill(
            "Send one HTTP request to another peer, and write the body of the response to standard "
            "output. Options are curl's. Redirects are not followed: the place that a response "
            "names may be none of the peer's."
        ),
        epilog=f"exit status, as curl's where it has one:\n{statuses}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_request_options(parser)
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--output", metavar="FILE", help="write the body there")
    output.add_argument(
        "-O",
        "--remote-name",
        action="store_true",
        help="write the body to a file here, of the last name in PATH",
    )
    output.add_argument(
        "-i", "--include", action="store_true", help="write the response's head as well"
    )
    output.add_argument(
        "-f", "--fail", action="store_true", help="write nothing of a response of 400 or more"
    )
    output.add_argument("-s", "--silent", action="store_true", help="no progress, no errors")
    parser.add_argument(
        "--max-time", type=seconds, metavar="SECONDS", help="for everything (default: no limit)"
    )
    parser.add_argument("-L", "--location", action="store_true", help=argparse.SUPPRESS)
    add_remote_options(parser)
    parser.add_argument("path", metavar="PATH", help='path and query: "/readings?last=1"')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """The exit status, as the help lists them."""
    try:
        fetch = prepare(args)
        return trio.run(fetch)
    except KeyboardInterrupt:
        return 130  # before our own handler was in place
    except EXPECTED as error:
        return tell(args, error)


def prepare(args: argparse.Namespace) -> Callable[[], Awaitable[int]]:
    """Read what there is to send; what returns asks for it. Both raise :data:`EXPECTED`."""
    if args.location:
        raise OptionError("-L: redirects are not followed; ask for the new path, if it is one")
    progress = Progress(sys.stderr, wanted=not args.silent)
    request, output = build_request(args, progress), Output.of(args)

    async def fetch() -> int:
        status = 0
        async with stop_on_signal() as stop:
            with progress, trio.fail_after(math.inf if args.max_time is None else args.max_time):
                status = await _fetch(args, request, output, progress)
        return 128 + stop.signal if stop.signal else status

    return fetch


def tell(args: argparse.Namespace, error: Exception) -> int:
    """Say what went wrong, unless nobody wants to hear it; the exit status."""
    match error:
        case OutputError():
            return _say(args, str(error), _UNWRITTEN)
        case InputError():
            return _say(args, str(error), _UNREAD)
        case trio.TooSlowError():
            return _say(args, f"it took more than {args.max_time:g} s", _LATE)
    return _say(args, str(error), status_of(error))


async def _fetch(
    args: argparse.Namespace, request: httpx.Request, output: Output, progress: Progress
) -> int:
    async with open_remote(args) as transport:
        response = await transport.handle_async_request(request)
        try:
            if args.fail and response.is_error:
                words = f"the status of the response is {response.status_code}"
                return _say(args, words, _HTTP_ERROR)
            await _write(args, response, output, progress)
        finally:
            await response.aclose()
    return 0


async def _write(
    args: argparse.Namespace, response: httpx.Response, output: Output, progress: Progress
) -> None:
    if output.is_shown:
        progress.hide()
    progress.expect(_length(response))
    assert isinstance(response.stream, httpx.AsyncByteStream), "our transport's"
    async with output:
        if args.include or args.head:
            await output.write(_head(response))
        async for part in response.stream:
            await output.write(part)
            progress.add(len(part))


def _head(response: httpx.Response) -> bytes:
    """As HTTP/1.1 would have it."""
    first = f"HTTP/1.1 {response.status_code} {response.reason_phrase}".rstrip().encode()
    lines = [first, *(name + b": " + value for name, value in response.headers.raw)]
    return b"\r\n".join([*lines, b"", b""])


def _length(response: httpx.Response) -> int | None:
    length = response.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _say(args: argparse.Namespace, words: str, status: int) -> int:
    if not args.silent:
        print(f"peerjs fetch: {words}", file=sys.stderr)
    return status
