"""The programs in examples/, run as a user runs them: each as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio

from tests.readme import ROOT

__all__ = ["EXAMPLES", "PATIENCE", "Program", "run", "run_file"]

EXAMPLES: Final = sorted(path.name for path in (ROOT / "examples").glob("embed_*.py"))

PATIENCE: Final = 60
"Seconds after which something will never happen."


class Program:
    """An example that runs."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.said = ""

    async def says(self, pattern: str) -> str:
        """Wait for it to print this; the group in it."""
        assert self.process.stdout is not None
        with trio.fail_after(PATIENCE):
            while not (found := re.search(pattern, self.said)):
                more = await self.process.stdout.receive_some()
                assert more, f"it ended, having said: {self.said}"
                self.said += more.decode()
        return found[1] if found.lastindex else found[0]

    async def ends(self) -> tuple[int, str]:
        """Its exit status, and what it has to say about errors."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        complaints = b""
        with trio.fail_after(PATIENCE):
            async for more in self.process.stdout:
                self.said += more.decode()
            async for more in self.process.stderr:
                complaints += more
            return await self.process.wait(), complaints.decode()


@asynccontextmanager
async def run(example: str, server: str, *arguments: str) -> AsyncIterator[Program]:
    """One of :data:`EXAMPLES`, with this server."""
    # Autobahn and Twisted have deprecations of their own; the others' warnings would be ours.
    async with run_file(
        example, "--server", server, *arguments, strict="twisted" not in example
    ) as program:
        yield program


@asynccontextmanager
async def run_file(example: str, *arguments: str, strict: bool = True) -> AsyncIterator[Program]:
    """A file of examples/. ``strict``: its warnings are errors."""
    options = ("-W", "error") if strict else ()
    command = [sys.executable, *options, f"examples/{example}", *arguments]
    start = partial(
        trio.run_process,
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(start)
        assert process.stdout is not None
        assert process.stderr is not None
        async with process.stdout, process.stderr:
            yield Program(process)
        nursery.cancel_scope.cancel()
