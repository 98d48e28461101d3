"""STUN and TURN servers, dead and alive."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import trio

from peerjs_trio.rtc import ice_servers
from peerjs_trio.rtc.aiortc import open_aiortc_engine
from peerjs_trio.rtc.engine import EngineFactory, IceServer
from tests.trio.asker import warnings
from tests.trio.ice import Coturn, closed_port, udp_server
from tests.trio.sides import LIMIT, Side, connect

TURN_URLS = ["turn:127.0.0.1:{port}", "turn:127.0.0.1:{port}?transport=tcp"]


@pytest.fixture(params=["stepped", "thread"])
def aiortc(request: pytest.FixtureRequest) -> EngineFactory:
    """What it waits for, wrtc does not: that finds candidates while all else goes on."""
    return partial(open_aiortc_engine, form=request.param)


def types(sdp: str) -> set[str]:
    """The types of candidates in a description."""
    return set(re.findall(r"^a=candidate:.* typ (\w+)", sdp, re.MULTILINE))


def found(side: Side) -> set[str]:
    """The types of candidates it has told of."""
    assert side.sdp is not None
    apart = "".join(f"a={candidate['candidate']}\r\n" for candidate in side.candidates)
    return types(side.sdp + apart)


def relayed(sdp: str) -> str:
    """A description for those who reach us by the TURN server alone."""
    return re.sub(r"a=candidate:.* typ (?!relay).*\r\n", "", sdp)


def is_relayed(candidate: Mapping[str, Any]) -> bool:
    return " typ relay" in candidate["candidate"]


@pytest.mark.trio
async def test_dead_servers_do_not_keep_two_sides_apart(
    engine: EngineFactory, endless_patience: None
) -> None:
    async with udp_server() as dead, engine() as hers, engine() as his:
        servers = [dead.stun, dead.turn]
        alice, bob = Side.on(hers, servers), Side.on(his, servers)
        await connect(alice, bob)
        assert found(alice) == {"host"}
        alice.connection.send("hello")
        await bob.until(lambda side: side.frames)


@pytest.mark.trio
async def test_a_server_that_answers_late_serves_the_next_connection(
    aiortc: EngineFactory, endless_patience: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice_servers, "GRACE", 0)
    async with udp_server() as slow, aiortc() as ours:
        first = Side.on(ours, [slow.stun])
        first.connection.make_offer("label", ordered=True)
        assert types(await first.description()) == {"host"}
        slow.answers = math.inf
        monkeypatch.setattr(ice_servers, "GRACE", math.inf)
        second = Side.on(ours, [slow.stun])
        second.connection.make_offer("label", ordered=True)
        assert types(await second.description()) == {"host", "srflx"}


@pytest.mark.parametrize("url", TURN_URLS)
@pytest.mark.trio
async def test_a_live_turn_server_behind_a_dead_one_relays(
    engine: EngineFactory, endless_patience: None, coturn: Coturn, url: str
) -> None:
    async with udp_server() as dead, engine() as hers, engine() as his:
        servers = [dead.stun, dead.turn, coturn.server(url, "stun:127.0.0.1:{port}")]
        alice, bob = Side.on(hers, servers), Side.on(his, servers)
        alice.passes = bob.passes = is_relayed
        await connect(alice, bob, offer=relayed, answer=relayed)
        for side in (alice, bob):
            assert "relay" in found(side)
        alice.connection.send("hello")
        await bob.until(lambda side: side.frames)
        assert bob.frames == ["hello"]


@pytest.mark.trio
async def test_wrong_credentials_leave_the_other_candidates_and_are_told(
    engine: EngineFactory, coturn: Coturn, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"turn:127.0.0.1:{coturn.port}"
    async with engine() as hers, engine() as his:
        alice, bob = Side.on(hers, [IceServer(url, "user", "hunter3")]), Side.on(his)
        await connect(alice, bob)
        assert found(alice) == {"host"}
        said = f"{url} refuses the credentials: passed over"
        await told(caplog, said)
        assert warnings(caplog) == [said]
    assert "hunter3" not in caplog.text


@pytest.mark.trio
async def test_one_that_takes_the_credentials_and_lends_nothing_is_named(
    aiortc: EngineFactory, caplog: pytest.LogCaptureFixture
) -> None:
    async with udp_server(math.inf) as stingy, aiortc() as ours:
        alice = Side.on(ours, [stingy.turn])
        alice.connection.make_offer("label", ordered=True)
        assert types(await alice.description()) == {"host"}
    assert warnings(caplog) == [f"{stingy.turn.urls} gives no relay: passed over"]


@pytest.mark.trio
async def test_dead_servers_are_named_once(
    aiortc: EngineFactory, caplog: pytest.LogCaptureFixture
) -> None:
    dead = [f"stun:127.0.0.1:{closed_port()}", f"turn:127.0.0.1:{closed_port()}"]
    async with aiortc() as ours:
        for _ in range(2):
            side = Side.on(ours, [IceServer(dead, "user", "hunter2")])
            side.connection.make_offer("label", ordered=True)
            await side.description()
    assert warnings(caplog) == [f"{url} does not answer: passed over" for url in dead]
    assert "hunter2" not in caplog.text


async def told(caplog: pytest.LogCaptureFixture, warning: str) -> None:
    """Wait for it: wrtc gathers while all else goes on."""
    with trio.fail_after(LIMIT):
        while warning not in warnings(caplog):  # noqa: ASYNC110 - nothing announces it
            await trio.sleep(0.01)
