"""Servers and the load, each in a process of its own, and what they use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.server.ours import MANY, PATIENT
from tests.interop.npm import install_node_modules
from tests.interop.npm_peer import SCRIPT

__all__ = ["AT_ONCE", "KINDS", "Rig", "Sample", "Server", "cpu_of", "run_rig", "run_rigs"]

KINDS: Final = ("ours", "npm", "sink")

AT_ONCE: Final = 32
"Registrations under way."

_AT_REST: Final = 0.5
"Seconds that a server gets to end what it was about, before it counts as idle."


class Server:
    """A running one."""

    def __init__(self, kind: str, process: subprocess.Popen[str], port: int) -> None:
        self.kind = kind
        self.port = port
        self.pid = process.pid
        self._process = process

    def cpu(self) -> float:
        """See :func:`cpu_of`."""
        return cpu_of(self.pid)

    def pss(self) -> float:
        """Its memory, in MiB."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(rollup.partition("\nPss:")[2].split()[0]) / 1024

    def ended(self) -> Any:
        """Have it end, and say what it has found out."""
        said, _ = self._process.communicate()
        return json.loads(said)


def cpu_of(pid: int) -> float:
    """Seconds that a process has used so far, all its threads and the kernel's work for it."""
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK)


_CPU_CLOCK: Final = 2
"CPUCLOCK_SCHED: what clock_getcpuclockid(3) makes of a pid, exact to the nanosecond."


class Sample(NamedTuple):
    """A job of the load, and what it took of both."""

    found: dict[str, Any]
    cpu: float
    "Seconds of the servers', those that they use when idle taken off."
    share: float
    "Of a core, of the servers."
    load_share: float
    "Of a core, of the load."


class Rig:
    """A server, or several as one, and a load of its own."""

    def __init__(self, servers: Sequence[Server], load: subprocess.Popen[str]) -> None:
        self.server = servers[0]
        self._servers = servers
        self._load = load
        self._idle = 0.0

    def rest(self, seconds: float) -> float:
        """Let the server be idle; the seconds of CPU it used a second, all samples' from now on."""
        time.sleep(_AT_REST)
        before, begin = self._cpu(), time.perf_counter()
        time.sleep(seconds)
        self._idle = (self._cpu() - before) / (time.perf_counter() - begin)
        return self._idle

    def ask(self, job: str, **arguments: Any) -> Sample:
        """Have the load do something."""
        assert self._load.stdin is not None
        assert self._load.stdout is not None
        before, begin = self._cpu(), time.perf_counter()
        self._load.stdin.write(json.dumps([job, arguments]) + "\n")
        self._load.stdin.flush()
        line = self._load.stdout.readline()
        seconds = time.perf_counter() - begin
        cpu = self._cpu() - before
        assert line, "the load ended; what it said stands above"
        found = json.loads(line)
        return Sample(found, cpu - self._idle * seconds, cpu / seconds, found["cpu"] / seconds)

    def _cpu(self) -> float:
        return sum(server.cpu() for server in self._servers)


@contextmanager
def run_rigs(*, clients: int, rest: float) -> Iterator[dict[str, Rig]]:
    """One of each of the :data:`KINDS`, by name; with clients, and seconds of rest, first."""
    with ExitStack() as stack:
        rigs = {kind: stack.enter_context(run_rig(kind)) for kind in KINDS}
        for rig in rigs.values():
            rig.ask("open", count=clients, at_once=AT_ONCE)
            rig.rest(rest)
        yield rigs


@contextmanager
def run_rig(kind: str, *arguments: str, count: int = 1) -> Iterator[Rig]:
    """A server of one of the :data:`KINDS`, or several."""
    with ExitStack() as stack:
        servers = [stack.enter_context(_start_server(kind, *arguments)) for _ in range(count)]
        ports = [str(server.port) for server in servers]
        load = stack.enter_context(_start([sys.executable, "-m", "bench.server.load", *ports]))
        yield Rig(servers, load)


@contextmanager
def _start_server(kind: str, *arguments: str) -> Iterator[Server]:
    """Its process; gone at the end of the block."""
    environment = dict(os.environ)
    if kind == "npm":
        environment["NODE_PATH"] = str(install_node_modules())
        options = {"concurrent_limit": MANY, "alive_timeout": PATIENT * 1000}
        command = ["node", str(SCRIPT), "peer", json.dumps(options)]
    else:
        command = [sys.executable, "-m", f"bench.server.{kind}", *arguments]
    with _start(command, environment) as process:
        assert process.stdout is not None
        yield Server(kind, process, int(process.stdout.readline()))


@contextmanager
def _start(
    command: Sequence[str], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Each of them ends when its stdin does."""
    with subprocess.Popen(
        command,
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


_ROOT: Final = Path(__file__).parents[2]
