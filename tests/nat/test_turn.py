"""Two hosts that reach a third one and not each other: TURN is all there is.

    alice  10.77.1.2 ---- 10.77.1.1  middle  10.77.2.1 ---- 10.77.2.2  bob
                            10.77.0.1: PeerServer and coturn

The middle forwards nothing, and neither end has a route to the other.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from peerjs_trio.rtc.choice import EngineName
from tests.nat.end import Terms
from tests.nat.namespaces import Host, Network
from tests.nat.town import SECRET, Outcome, meet, serve

V4 = "10.77.0.1"
V6 = "fd77::1"
RECEIVED = {"received": ["I am bob", True]}


@attrs.frozen
class Town:
    alice: Host
    bob: Host
    terms: Terms

    async def meet(self, **terms: Any) -> Outcome:
        """Alice dials Bob, both on these terms."""
        common = attrs.evolve(self.terms, **terms)
        hers, his = attrs.evolve(common, id="alice", dial="bob"), attrs.evolve(common, id="bob")
        return await meet(self.alice, hers, self.bob, his)

    @property
    def enough(self) -> float:
        """Seconds for a dial that must fail: wrtc's ICE fails after 16, aiortc's never so soon."""
        return 30 if self.terms.engine == "wrtc" else 10

    def no_way(self, why: str) -> dict[str, str]:
        """What a dial comes to without a path."""
        if self.terms.engine == "wrtc":
            text = f"ICE failed: no network path between the two sides works; {why}"
            return {"error": "NegotiationFailed", "text": f"could not connect to 'bob': {text}"}
        return {"error": "ConnectTimeout", "text": "no connection to 'bob' within 10 s"}


def lay_wires(network: Network) -> tuple[Host, Host, Host]:
    alice, middle, bob = map(network.host, ("alice", "middle", "bob"))
    for number, (host, end) in enumerate(((alice, "alice"), (bob, "bob")), 1):
        network.wire(host, "eth0", middle, end)
        for address, length, home in ((f"10.77.{number}.", 24, V4), (f"fd77:{number}::", 64, V6)):
            middle.address(end, f"{address}1/{length}")
            host.address("eth0", f"{address}2/{length}")
            host.ip(f"route add {home} via {address}1")
        host.names(f"{V6} middle.test")  # aiortc takes no IPv6 address in a URL
    for home in (f"{V4}/32", f"{V6}/128"):
        middle.address("lo", home)
    return alice, middle, bob


@pytest.fixture(params=[V4], ids=["IPv4"])
async def town(
    request: pytest.FixtureRequest, network: Network, engine: EngineName, tmp_path: Path
) -> AsyncIterator[Town]:
    alice, middle, bob = await trio.to_thread.run_sync(lay_wires, network)
    async with serve(middle, request.param, tmp_path) as url:
        yield Town(alice, bob, Terms("", url, engine, secret=SECRET))


def turn(host: str, port: int = 3478) -> str:
    return f"turn:{host}:{port}"


@pytest.mark.trio
@pytest.mark.parametrize("town", [V4, V6], ids=["IPv4", "IPv6"], indirect=True)
async def test_short_lived_credentials_bring_them_together(town: Town) -> None:
    host = "middle.test" if "[" in town.terms.server else V4
    outcome = await town.meet(turn=(turn(host),))
    assert outcome.news == RECEIVED, outcome


@pytest.mark.trio
async def test_without_turn_they_do_not_find_to_each_other(town: Town) -> None:
    outcome = await town.meet(connect_timeout=town.enough)
    assert outcome.news == town.no_way("no TURN server was given, which could relay")
    if town.terms.engine == "aiortc":
        why = r"no network path was found in \d+ s; no TURN server was given, which could relay"
        assert re.search(f"WARNING {why}", outcome.log)


@pytest.mark.trio
async def test_expired_credentials_do_not_help_and_are_named(town: Town) -> None:
    outcome = await town.meet(turn=(turn(V4),), ttl=-60, connect_timeout=town.enough)
    why = f"{turn(V4)} refuses the credentials: they have expired"
    assert outcome.news == town.no_way(why)
    assert f"WARNING {why}" in outcome.log


@pytest.mark.trio
async def test_nor_do_those_of_another_secret(town: Town) -> None:
    outcome = await town.meet(turn=(turn(V4),), secret="south", connect_timeout=5)
    assert outcome.news["error"] == "ConnectTimeout"
    assert f"WARNING {turn(V4)} refuses the credentials: passed over" in outcome.log
    assert "south" not in outcome.log


@pytest.mark.trio
async def test_a_live_server_behind_a_dead_one_does(town: Town) -> None:
    outcome = await town.meet(turn=(turn(V4, 9), turn(V4)))
    assert outcome.news == RECEIVED, outcome
    if town.terms.engine == "aiortc":  # wrtc takes them all, and says nothing of a silent one
        assert f"WARNING {turn(V4, 9)} does not answer: passed over" in outcome.log


@pytest.mark.trio
async def test_one_turn_server_on_either_side_is_enough(town: Town) -> None:
    hers = attrs.evolve(town.terms, id="alice", dial="bob", turn=(turn(V4),))
    his = attrs.evolve(town.terms, id="bob")
    outcome = await meet(town.alice, hers, town.bob, his)
    assert outcome.news == RECEIVED, outcome
