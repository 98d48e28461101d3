"""Output: where the body of a response goes, without keeping the connection waiting."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, TypeVar

import trio

from peerjs_trio.cli.peer_options import OptionError

__all__ = ["Output", "OutputError"]


T = TypeVar("T")


class OutputError(Exception):
    """The output cannot be written."""


class Output:
    """A file, or standard output; written in a thread, as either may block."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Output:
        """As ``-o`` and ``-O`` say. Raises OptionError."""
        path: str | None = None if args.output == "-" else args.output
        if args.remote_name:
            name = args.path.partition("?")[0].rpartition("/")[2]
            if path is not None or not name or name in (".", "..") or "\\" in name:
                raise OptionError("-O needs a PATH that ends in a file's name, and no -o")
            path = name
        return cls(path)

    @property
    def is_shown(self) -> bool:
        """Whether it goes to the terminal itself."""
        return self._path is None and sys.stdout.isatty()

    async def __aenter__(self) -> Output:
        if self._path is not None:
            path = self._path
            self._file = await self._run(lambda: open(path, "wb"))  # noqa: SIM115 - below
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    async def write(self, data: bytes) -> None:
        """Write all of it. Raises OutputError."""
        file = sys.stdout.fileno() if self._file is None else self._file.fileno()

        def write() -> None:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file, rest) :]

        await self._run(write)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            # A pipe whose reader has stopped must not keep the program from ending.
            return await trio.to_thread.run_sync(work, abandon_on_cancel=True)
        except OSError as error:
            raise OutputError(f"{self._path or 'standard output'}: {error.strerror}") from error
