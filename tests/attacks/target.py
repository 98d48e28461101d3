"""The servers that are attacked: each a process of its own, whose memory can be read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Literal

import attrs

from tests.interop.npm_peer import SCRIPT

__all__ = [
    "ALIVE_TIMEOUT",
    "EXPIRE_TIMEOUT",
    "HEAD_TIMEOUT",
    "KINDS",
    "Kind",
    "Target",
    "run_target",
]

Kind = Literal["ours", "npm", "npm, embedded"]
KINDS: Final[tuple[Kind, ...]] = ("ours", "npm", "npm, embedded")

ALIVE_TIMEOUT: Final = 3.0
EXPIRE_TIMEOUT: Final = 1.0
HEAD_TIMEOUT: Final = 2.0
"Seconds. Shorter than anybody's defaults, so that no attack must be watched for a minute."

_REPOSITORY: Final = Path(__file__).resolve().parents[2]


@attrs.define(eq=False)
class Target:
    """A PeerServer on 127.0.0.1, with nothing but defaults apart from the times above."""

    kind: Kind
    port: int
    _process: subprocess.Popen[str]
    _errors: IO[str]

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def complaints(self) -> str:
        """What it has written to stderr."""
        self._errors.seek(0)
        return self._errors.read()

    def resident(self) -> float:
        """MiB of memory it holds."""
        return self._memory("VmRSS")

    def peak(self) -> float:
        """MiB of memory it has held at most since :meth:`forget_peak`."""
        return self._memory("VmHWM")

    def forget_peak(self) -> None:
        (self._proc / "clear_refs").write_text("5")  # proc(5)

    @property
    def _proc(self) -> Path:
        return Path("/proc", str(self._process.pid))

    def _memory(self, name: str) -> float:
        # A process that has ended, and is not waited for yet, has no such line.
        found = re.search(rf"^{name}:\s+(\d+) kB", (self._proc / "status").read_text(), re.M)
        return int(found[1]) / 1024 if found else 0.0


@contextmanager
def run_target(kind: Kind, node_modules: Path | None) -> Iterator[Target]:
    """Start one, and kill it in the end.

    ``npm`` is npm peer 1.0.2 as its own command runs it, which survives exceptions that nobody
    catches; ``npm, embedded`` is the same package used as a library, without that.
    """
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            list(_ours() if kind == "ours" else _npm(kind)),
            cwd=_REPOSITORY,
            env=os.environ | {"NODE_PATH": str(node_modules or "")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert process.stdout is not None
            found = re.search(r"(\d+)/?$", process.stdout.readline())
            assert found, f"{kind} did not start"
            yield Target(kind, int(found[1]), process, errors)
        finally:
            process.kill()
            process.communicate()


def _ours() -> Sequence[str]:
    limits = {"head_timeout": HEAD_TIMEOUT, "send_timeout": HEAD_TIMEOUT}
    options = {"alive_timeout": ALIVE_TIMEOUT, "expire_timeout": EXPIRE_TIMEOUT}
    return sys.executable, "-m", "tests.attacks.serve", json.dumps(limits), json.dumps(options)


def _npm(kind: Kind) -> Sequence[str]:
    node = shutil.which("node")
    assert node is not None, "node is missing: install Node.js 20 or newer"
    options = {
        "alive_timeout": ALIVE_TIMEOUT * 1000,
        "expire_timeout": EXPIRE_TIMEOUT * 1000,
    }
    embedded = ["embedded"] if kind == "npm, embedded" else []
    return node, str(SCRIPT), "peer", json.dumps(options), *embedded
