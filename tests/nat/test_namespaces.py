"""What a run that was killed has left behind goes with the next."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.nat.namespaces import open_network
from tests.readme import ROOT

KILLED = """
import subprocess
from tests.nat.namespaces import open_network
with open_network() as network:
    host = network.host("left")
    host.names("127.0.0.1 nobody.test")
    with subprocess.Popen(host.command("sleep", "600")) as sleeper:
        print(host.name, sleeper.pid, flush=True)
"""


def test_leftovers_are_removed() -> None:
    with open_network():  # or it is skipped
        pass
    command = [sys.executable, "-c", KILLED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, encoding="utf-8") as run:
        assert run.stdout is not None
        name, sleeper = run.stdout.readline().split()
        run.send_signal(signal.SIGKILL)
    left = [Path("/run/netns", name), Path("/etc/netns", name), Path("/proc", sleeper)]
    assert all(path.exists() for path in left)
    with open_network():
        assert not any(path.exists() for path in left[:2])
    until = time.monotonic() + 10
    while is_running(sleeper):  # who is killed takes a moment
        assert time.monotonic() < until
        time.sleep(0.01)


def test_hosts_go_with_the_block_though_it_failed() -> None:
    names: list[str] = []

    def fail() -> None:
        with open_network() as network:
            names.extend(network.host(name).name for name in ("one", "two"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(names) == 2
    assert not any(Path("/run/netns", name).exists() for name in names)


def is_running(pid: str) -> bool:
    """Not so when it only waits for its parent, init by now, to take notice."""
    try:
        status = Path("/proc", pid, "status").read_text()
    except FileNotFoundError:
        return False
    return "State:\tZ" not in status
