"""Two hosts on one wire, and no way to the internet: a server is announced, and peers find it.

    alice 192.168.7.1, fd07::1 ---- bob 192.168.7.2, fd07::2

Peers have the ICE servers they have where nothing is said.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.interop.background import open_background
from tests.nat.end import Terms
from tests.nat.namespaces import Host, Network
from tests.nat.test_doctor import doctor
from tests.nat.town import first_line, meet, start

pytest.importorskip("zeroconf", reason="the local network needs the extra lan")

ALICE, BOB = Terms("alice", "lan", ice=False, dial="bob"), Terms("bob", "lan", ice=False)


def lay_wire(network: Network) -> tuple[Host, Host]:
    alice, bob = network.host("alice"), network.host("bob")
    network.wire(alice, "eth0", bob, "eth0")
    return alice, bob


@asynccontextmanager
async def serving(host: Host, *options: str) -> AsyncIterator[None]:
    command = [sys.executable, "-m", "peerjs_trio", "serve", "--port", "9000", "--lan", *options]
    async with open_background() as tasks:
        await first_line(await start(tasks, host, command))
        yield


@pytest.mark.trio
async def test_peers_meet_without_internet(network: Network) -> None:
    alice, bob = await trio.to_thread.run_sync(lay_wire, network)
    for number, host in enumerate((alice, bob), 1):
        host.address("eth0", f"192.168.7.{number}/24")
        host.address("eth0", f"fd07::{number}/64")
    async with serving(alice):
        outcome = await meet(alice, ALICE, bob, BOB)
    assert outcome.news == {"received": ["I am bob", True]}


@pytest.mark.trio
async def test_link_local_addresses_are_enough(network: Network) -> None:
    alice, bob = await trio.to_thread.run_sync(lay_wire, network)
    for number, host in enumerate((alice, bob), 1):
        host.address("eth0", f"fe80::{number}/64")
    async with serving(alice, "--lan-name", "camera", "--path", "/app"):
        _, found = await doctor(bob, ["--server", "lan"])
    assert re.fullmatch(r"http://\[fe80::[0-9a-f:]+%\w+\]:9000/app/", found["http"]["facts"]["url"])
    assert found["websocket"]["verdict"] == "ok"
    assert not {"stun", "turn"} & found.keys()
