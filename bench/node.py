"""A Node process that runs npm's packages when told to."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.measure import Timer
from tests.interop.npm import install_node_modules

__all__ = ["Node", "run_node"]


class Node:
    """What npm's packages do there, as timers."""

    def __init__(self, process: subprocess.Popen[bytes], version: str) -> None:
        self.version = version
        self._process = process
        self._jobs = 0

    def timer(self, job: str, data: bytes) -> Timer:
        """The timer of one of the jobs in node.mjs, with ``data`` to do it on."""
        number = self._jobs
        self._jobs += 1
        name = job.encode()
        self._ask(len(name), name + len(data).to_bytes(4, "big") + data)
        return lambda times: self._ask(0, number.to_bytes(4, "big") + times.to_bytes(4, "big"))

    def _ask(self, first: int, rest: bytes) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(bytes([first]) + rest)
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "Node ended; what it said stands above"
        return float(answer)


@contextmanager
def run_node() -> Iterator[Node]:
    """One process for a whole table, as a page has one for all it sends and receives."""
    modules = install_node_modules()
    node = shutil.which("node")
    assert node is not None, "npm is there, and Node.js is not"
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    with subprocess.Popen(
        [node, _STACK, _SCRIPT, modules], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield Node(process, said.stdout.strip())
        assert process.stdin is not None
        process.stdin.close()


_SCRIPT: Final = Path(__file__).with_name("node.mjs")
_STACK: Final = "--stack-size=4000"
"KiB: peerjs-js-binarypack packs lists recursively, and 10,000 items end the usual stack."
