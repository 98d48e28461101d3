"""Two hosts, each behind a NAT of its own: STUN tells them where they are seen.

    alice 192.168.1.2 -- hers 192.0.2.11 --+-- middle 192.0.2.1: PeerServer and coturn
                                           |
    bob   192.168.2.2 -- his  192.0.2.12 --+

The NATs are Linux's own, by nftables: like a router at home they let nothing in that was not
called for. ``random`` gives every conversation another port, as some mobile networks do; then
an address learned from a STUN server is of no use to anybody else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from peerjs_trio.rtc.choice import EngineName
from tests.interop.programs import find_program
from tests.nat.end import Terms
from tests.nat.namespaces import Host, Network
from tests.nat.town import SECRET, TURN_PORT, meet, serve

MIDDLE = "192.0.2.1"
STUN = f"stun:{MIDDLE}:{TURN_PORT}"
TURN = f"turn:{MIDDLE}:{TURN_PORT}"

NAT = """
table ip nat {{
    chain out {{
        type nat hook postrouting priority srcnat;
        oifname "wan" masquerade {how}
    }}
}}
table ip filter {{
    chain input {{
        type filter hook input priority filter; policy drop;
        iifname "lan" accept
        ct state established,related accept
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        iifname "lan" accept
        ct state established,related accept
    }}
}}
"""


@attrs.frozen
class City:
    alice: Host
    bob: Host
    terms: Terms


def lay_wires(network: Network, how: str) -> tuple[Host, Host, Host]:
    nft = find_program("nft", install="Debian: apt install nftables")
    middle = network.host("middle")
    middle.ip("link add street type bridge")
    middle.ip("link set street up")
    middle.address("street", f"{MIDDLE}/24")
    # As on any server, what goes to a private address vanishes on the way. Where there is no
    # route at all, coturn ends the whole allocation at the first such datagram.
    network.wire(middle, "internet", network.host("world"), "eth0")
    middle.ip("link set internet arp off")
    middle.ip("route add default dev internet")
    ends = []
    for number, name in enumerate(("alice", "bob"), 1):
        host, router = network.host(name), network.host(f"nat-{name}")
        network.wire(host, "eth0", router, "lan")
        network.wire(router, "wan", middle, name)
        middle.ip(f"link set {name} master street")
        host.address("eth0", f"192.168.{number}.2/24")
        router.address("lan", f"192.168.{number}.1/24")
        router.address("wan", f"192.0.2.1{number}/24")
        host.ip(f"route add default via 192.168.{number}.1")
        router.run(nft, "-f", "-", text=NAT.format(how=how))
        router.forward(on=True)
        ends.append(host)
    return ends[0], middle, ends[1]


@pytest.fixture(params=[""], ids=["NAT"])
async def city(
    request: pytest.FixtureRequest, network: Network, engine: EngineName, tmp_path: Path
) -> AsyncIterator[City]:
    alice, middle, bob = await trio.to_thread.run_sync(lay_wires, network, request.param)
    async with serve(middle, MIDDLE, tmp_path) as url:
        yield City(alice, bob, Terms("", url, engine, secret=SECRET))


async def news(city: City, **terms: Any) -> dict[str, Any]:
    common = attrs.evolve(city.terms, **terms)
    hers, his = attrs.evolve(common, id="alice", dial="bob"), attrs.evolve(common, id="bob")
    return (await meet(city.alice, hers, city.bob, his)).news


@pytest.mark.trio
async def test_stun_leads_through_two_nats(city: City) -> None:
    assert await news(city, stun=(STUN,)) == {"received": ["I am bob", True]}


@pytest.mark.trio
async def test_without_it_they_stay_apart(city: City) -> None:
    assert (await news(city, connect_timeout=5))["error"] == "ConnectTimeout"


@pytest.mark.trio
@pytest.mark.parametrize("city", ["random"], indirect=True)
async def test_a_nat_that_changes_ports_needs_turn(city: City) -> None:
    assert (await news(city, stun=(STUN,), connect_timeout=5))["error"] == "ConnectTimeout"
    assert await news(city, stun=(STUN,), turn=(TURN,)) == {"received": ["I am bob", True]}
