"""The request that curl's options stand for."""

from __future__ import annotations

import argparse
import math
import os
import stat
import sys
from pathlib import PurePath
from typing import Final
from urllib.parse import quote

import httpx
import trio

from peerjs_trio.cli import version
from peerjs_trio.cli.peer_options import OptionError

from .progress import Progress

__all__ = ["InputError", "add_request_options", "build_request"]

_PART: Final = 65_536

_STDIN: Final = 0

_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class InputError(Exception):
    """The file to send cannot be read."""


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """Add what :func:`build_request` reads."""
    request = parser.add_argument_group("the request")
    request.add_argument(
        "-X", "--request", metavar="METHOD", help="GET, or what the other options mean"
    )
    request.add_argument(
        "-I", "--head", action="store_true", help="HEAD: the response's head alone"
    )
    request.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="HEADER",
        help='"Name: value"; "Name:" leaves out one that we would send, "Name;" has no value',
    )
    request.add_argument(
        "-d",
        "--data",
        action=_Data,
        metavar="DATA",
        help="POST this form; @FILE reads it from there without its line ends, @- from standard "
        "input; several are joined by &",
    )
    request.add_argument(
        "--data-binary", action=_Data, metavar="DATA", help="the same, with its line ends"
    )
    request.add_argument(
        "--data-raw", action=_Data, metavar="DATA", help="the same, where @ is an @"
    )
    request.add_argument(
        "-T",
        "--upload-file",
        metavar="FILE",
        help="PUT this file, - for standard input, as it is read; its name is added to a PATH that "
        "ends with /",
    )


def build_request(args: argparse.Namespace, progress: Progress) -> httpx.Request:
    """What is to be sent; the files of ``--data`` are read.

    Raises:
        OptionError: options that do not fit together.
        InputError: a file cannot be read.
    """
    path = args.path if args.path.startswith("/") else f"/{args.path}"
    if sum((bool(args.data), args.upload_file is not None, args.head)) > 1:
        raise OptionError("-d, -T and -I are three different requests")
    headers = [("accept", "*/*"), ("user-agent", f"peerjs-sansio/{version()}")]
    content: bytes | _Upload | None = None
    method = "HEAD" if args.head else "GET"
    if args.data:
        method, content = "POST", b"&".join(_read(kind, text) for kind, text in args.data)
        headers.append(("content-type", "application/x-www-form-urlencoded"))
    if args.upload_file is not None:
        size = None if args.upload_file == "-" else _size(args.upload_file)
        method, content = "PUT", _Upload(args.upload_file, size, progress)
        if args.upload_file != "-" and path.endswith("/"):
            path += quote(PurePath(args.upload_file).name)
        if size is not None:
            headers.append(("content-length", str(size)))
    target = quote(path.partition("#")[0], safe=_VISIBLE)
    return httpx.Request(
        args.request or method,
        "http://peer/",
        headers=_with(headers, args.header),
        content=content,
        extensions={"target": target.encode()},
    )


class _Data(argparse.Action):
    """Keeps the order of ``-d`` and its kin."""

    def __init__(self, option_strings: list[str], dest: str, **options: object) -> None:
        super().__init__(option_strings, "data", **options)  # type: ignore[arg-type]

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        kind = "--data" if option_string == "-d" else option_string
        namespace.data = [*(namespace.data or []), (kind, values)]


def _read(kind: str, text: str) -> bytes:
    if kind == "--data-raw" or not text.startswith("@"):
        return text.encode()
    try:
        if text == "@-":
            data = sys.stdin.buffer.read()
        else:
            with open(text[1:], "rb") as file:
                data = file.read()
    except OSError as error:
        raise InputError(f"{text[1:]}: {error.strerror}") from error
    return data if kind == "--data-binary" else data.translate(None, b"\r\n\0")


def _with(headers: list[tuple[str, str]], given: list[str]) -> list[tuple[bytes, bytes]]:
    """Ours, in whose place those of ``-H`` stand."""
    own: list[tuple[str, str]] = []
    names: set[str] = set()
    for text in given:
        name, colon, value = text.partition(":")
        if not colon and text.endswith(";"):
            name, value = text[:-1], ""
        elif not colon:
            raise OptionError(f'-H {text!r}: "Name: value" is expected')
        elif not value.strip():
            names.add(name.lower())
            continue
        names.add(name.lower())
        own.append((name, value.strip()))
    kept = [pair for pair in headers if pair[0] not in names]
    return [(name.encode(), value.encode()) for name, value in kept + own]


def _size(path: str) -> int | None:
    """Of a file that does not grow while it is read."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    return found.st_size if stat.S_ISREG(found.st_mode) else None


class _Upload:
    """A file's parts, read in a thread: a pipe can make wait for long."""

    def __init__(self, path: str, size: int | None, progress: Progress) -> None:
        self._path = path
        self._left = math.inf if size is None else size
        self._progress = progress
        progress.expect(size)
        try:
            self._file = _STDIN if path == "-" else os.open(path, os.O_RDONLY)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error

    def __aiter__(self) -> _Upload:
        return self

    async def __anext__(self) -> bytes:
        # What has been added to it since we said how long it is, is left out.
        count = int(min(_PART, self._left))
        try:
            part = await trio.to_thread.run_sync(os.read, self._file, count, abandon_on_cancel=True)
        except OSError as error:
            raise InputError(f"{self._path}: {error.strerror}") from error
        if not part:
            raise StopAsyncIteration
        self._left -= len(part)
        self._progress.add(len(part))
        return part
