"""STUN and TURN servers that are passed over: which, why, and what the log says of them."""

from __future__ import annotations

import logging
import math

import pytest
import trio

from peerjs_trio.rtc import ice_servers
from peerjs_trio.rtc.engine import IceServer
from tests.trio.asker import asker, warnings
from tests.trio.ice import PASSWORD, USER, Coturn, closed_port, udp_server
from tests.trio.sides import LIMIT

# --- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["nonsense", "stun:", "https://example.org", "stun:x:y", "turn"])
@pytest.mark.trio
async def test_a_url_that_is_none_is_an_error_and_nobody_is_asked(url: str) -> None:
    async with udp_server() as server, asker() as ask:
        with pytest.raises(ValueError, match="malformed"):
            await ask.usable(server.stun, IceServer(url))
        with pytest.raises(ValueError, match="malformed"):
            await ask.usable(IceServer([str(server.stun.urls), url]))
        assert server.requests == 0


@pytest.mark.trio
async def test_what_cannot_be_used_is_named_once(
    endless_grace: None, caplog: pytest.LogCaptureFixture
) -> None:
    dead = IceServer([f"stun:127.0.0.1:{closed_port()}", f"turn:127.0.0.1:{closed_port()}"])
    urls = ["stuns:127.0.0.1", "turns:127.0.0.1?transport=udp", "turn:[::1]"]
    never = IceServer(urls, "user", "hunter2")
    async with udp_server(math.inf) as live, asker() as ask:
        for _ in range(2):
            assert await ask.usable(dead, never) == []
        for _ in range(2):
            assert await ask.usable(dead, live.turn) == [live.turn]
    assert warnings(caplog) == [
        "stuns:127.0.0.1 is of a kind that aiortc cannot use: passed over",
        "turns:127.0.0.1?transport=udp is of a kind that aiortc cannot use: passed over",
        "turn:[::1] is of a kind that aiortc cannot use: passed over",
        f"{dead.urls[0]} does not answer: passed over",
        f"{dead.urls[1]} does not answer: passed over",
    ]
    assert "hunter2" not in caplog.text


@pytest.mark.trio
async def test_what_has_not_answered_yet_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ice_servers, "GRACE", 0)
    async with udp_server() as slow, asker() as ask:
        assert await ask.usable(slow.stun) == []
    assert warnings(caplog) == [f"{slow.stun.urls} has not answered yet: passed over"]


@pytest.mark.trio
async def test_what_is_not_needed_is_named_once_and_is_no_warning(
    endless_grace: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "peerjs_trio")
    async with udp_server(math.inf) as one, udp_server(math.inf) as two, asker() as ask:
        for _ in range(2):
            await ask.usable(one.turn, two.turn, two.stun)
    assert [r.getMessage() for r in caplog.records] == [
        f"aiortc uses {one.turn.urls} and none of these: {two.turn.urls}"
    ]
    assert not warnings(caplog)


@pytest.mark.trio
async def test_there_is_an_end_to_the_list(
    endless_grace: None, caplog: pytest.LogCaptureFixture
) -> None:
    dead = IceServer([f"stun:127.0.0.1:{closed_port()}"] * ice_servers.MAX_SERVERS)
    async with udp_server(math.inf) as live, asker() as ask:
        assert await ask.usable(dead, live.stun) == []
        assert not live.requests
    assert f"{live.stun.urls} stands behind 32 others: passed over" in warnings(caplog)


# --- credentials -----------------------------------------------------------------------------


@pytest.mark.trio
async def test_one_that_refuses_the_credentials_is_passed_over(
    endless_grace: None, coturn: Coturn, caplog: pytest.LogCaptureFixture
) -> None:
    urls = "turn:127.0.0.1:{port}", "turn:127.0.0.1:{port}?transport=tcp"
    good, _ = (coturn.server(url).urls[0] for url in urls)
    tcp = f"{good}?transport=tcp"
    wrong = IceServer(tcp, "user", "wrong")
    async with asker() as ask:
        assert await ask.usable(wrong, IceServer(good)) == []
        assert await ask.usable(IceServer(good, "1700000000:user", "hunter2")) == []
        assert await ask.usable(wrong, coturn.server(good)) == [IceServer(good, USER, PASSWORD)]
    assert set(warnings(caplog)) == {
        f"{tcp} refuses the credentials: passed over",
        f"{good} wants credentials, and none were given: passed over",
        f"{good} refuses the credentials: they have expired: passed over",
    }
    assert "hunter2" not in caplog.text


@pytest.mark.trio
async def test_fresh_credentials_are_shown_at_once_though_old_ones_were_refused(
    endless_grace: None, coturn: Coturn
) -> None:
    url = f"turn:127.0.0.1:{coturn.port}"
    async with asker() as ask:
        assert await ask.usable(IceServer(url, USER, "old")) == []
        fresh = IceServer(url, USER, PASSWORD)
        assert await ask.usable(fresh) == [fresh]


@pytest.mark.trio
async def test_a_slow_server_is_trusted_with_fresh_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ice_servers, "GRACE", 0)
    async with udp_server() as slow, asker() as ask:
        assert await ask.usable(slow.turn) == []
        await slow.asked(2)
        slow.answers = math.inf
        with trio.fail_after(LIMIT):
            while await ask.usable(slow.turn) != [slow.turn]:
                await trio.lowlevel.checkpoint()
        await slow.asked(slow.requests)
        fresh = IceServer(slow.turn.urls, "another", "hunter2")
        with trio.fail_after(LIMIT):
            while await ask.usable(fresh) != [fresh]:
                await trio.lowlevel.checkpoint()
