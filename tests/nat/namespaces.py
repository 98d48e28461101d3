"""Hosts of our own on this machine: Linux network namespaces with wires between them.

Nothing of the machine's own network changes: each end of a wire lives in a namespace, and what
is left of a run that was killed is removed by the next.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs
import pytest

from tests.interop.programs import find_program

__all__ = ["Host", "Network", "open_network"]

_PREFIX: Final = "peerjs-test"
_NAMESPACES: Final = Path("/run/netns")
_FILES: Final = Path("/etc/netns")
"What ip-netns puts in the place of files in /etc, by namespace."


@attrs.frozen
class Host:
    """One namespace: loopback, and what wires it has been given."""

    name: str

    def command(self, *command: str) -> list[str]:
        """The same command, run on this host."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str, text: str | None = None) -> str:
        """Run it to its end; what it prints. Raises CalledProcessError."""
        return _run(*self.command(*command), text=text)

    def ip(self, arguments: str) -> None:
        """``ip`` on this host."""
        _run("ip", "-n", self.name, *arguments.split())

    def address(self, interface: str, address: str) -> None:
        """Give an interface one more; IPv6 at once, as there is nobody to ask about it."""
        self.ip(f"address add {address} dev {interface} {'nodad' if ':' in address else ''}")

    def names(self, hosts: str) -> None:
        """What its ``/etc/hosts`` says."""
        directory = _FILES / self.name
        directory.mkdir(parents=True)
        (directory / "hosts").write_text(f"{hosts}\n")

    def forward(self, *, on: bool) -> None:
        """Whether it is a router."""
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            self.run("tee", f"/proc/sys/net/{name}", text=str(int(on)))


class Network:
    """The hosts of one test."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []

    def host(self, name: str) -> Host:
        """A new one, which forwards nothing."""
        host = Host(f"{_PREFIX}-{os.getpid()}-{name}")
        _run("ip", "netns", "add", host.name)
        self.hosts.append(host)
        host.ip("link set lo up")
        host.forward(on=False)
        return host

    def wire(self, one: Host, end: str, other: Host, other_end: str) -> None:
        """Join two hosts; ``end`` and ``other_end`` are their interfaces' names."""
        one.ip(f"link add {end} type veth peer name {other_end} netns {other.name}")
        one.ip(f"link set {end} up")
        other.ip(f"link set {other_end} up")


@contextmanager
def open_network() -> Iterator[Network]:
    """Hosts for the length of the block. Skips the test where they cannot be made."""
    find_program("ip", install="Debian: apt install iproute2")
    if not _may_make_networks():
        pytest.skip("network namespaces are for root, and in a container only if it is privileged")
    _remove_leftovers()
    network = Network()
    try:
        yield network
    finally:
        for host in network.hosts:
            _remove(host.name)


def _may_make_networks() -> bool:
    """Whether we have CAP_NET_ADMIN and CAP_SYS_ADMIN, by their numbers in capability.h."""
    status = Path("/proc/self/status").read_text()
    match = re.search(r"^CapEff:\t(\w+)$", status, re.M)
    capabilities = int(match[1], 16) if match else 0
    return all(capabilities >> number & 1 for number in (12, 21))


def _remove_leftovers() -> None:
    """Those of runs that are no more."""
    for path in _NAMESPACES.glob(f"{_PREFIX}-*"):
        pid = path.name.split("-")[2]
        if not Path(f"/proc/{pid}").exists():
            _remove(path.name)


def _remove(name: str) -> None:
    """A namespace, its wires, and whoever still runs in it."""
    for pid in _run("ip", "netns", "pids", name).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    _run("ip", "netns", "delete", name)
    shutil.rmtree(_FILES / name, ignore_errors=True)


def _run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
