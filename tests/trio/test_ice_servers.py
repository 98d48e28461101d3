"""Which STUN and TURN servers a connection is given, and how long it waits for them.

What counts are not seconds, but what happens before what: a limit that must not be reached is
set to infinity, so that a test in which it is waited for never ends.
"""

from __future__ import annotations

import math
import socket

import pytest
import trio

from peerjs_trio.rtc import ice_servers
from peerjs_trio.rtc.engine import IceServer
from tests.trio.asker import asker
from tests.trio.ice import Coturn, closed_port, udp_server
from tests.trio.sides import LIMIT

# --- who is chosen ---------------------------------------------------------------------------


@pytest.mark.trio
async def test_no_servers_no_question() -> None:
    async with asker() as ask:
        assert await ask.usable() == []


@pytest.mark.trio
async def test_one_of_each_kind_is_chosen(endless_grace: None) -> None:
    async with udp_server(math.inf) as one, udp_server(math.inf) as two, asker() as ask:
        assert await ask.usable(one.stun, one.turn, two.turn, two.stun) == [one.stun, one.turn]
        assert await ask.usable(two.turn, one.stun) == [one.stun, two.turn]


@pytest.mark.trio
async def test_who_was_asked_beforehand_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, endless_patience: None
) -> None:
    """The grace is counted from the question, not from the first connection."""
    async with udp_server() as dead, asker() as ask:
        await ask.prepare(dead.stun, dead.turn)
        await dead.asked(2)
        monkeypatch.setattr(ice_servers, "GRACE", 0)
        assert await ask.usable(dead.stun, dead.turn) == []


@pytest.mark.trio
async def test_nonsense_beforehand_is_left_to_the_connection() -> None:
    async with asker() as ask:
        await ask.prepare(IceServer("nonsense"))
        with pytest.raises(ValueError, match="malformed uri"):
            await ask.usable(IceServer("nonsense"))


@pytest.mark.trio
async def test_urls_share_the_credentials_of_their_server(endless_grace: None) -> None:
    async with udp_server(math.inf) as live, asker() as ask:
        urls = [f"turn:127.0.0.1:{port}" for port in (closed_port(), live.port)]
        assert await ask.usable(IceServer(urls, "user", "hunter2")) == [live.turn]


@pytest.mark.trio
async def test_the_callers_order_counts_not_the_speed(endless_grace: None) -> None:
    async with udp_server() as slow, udp_server(math.inf) as quick, asker() as ask:

        async def wake() -> None:
            await quick.asked()
            await slow.asked(2)
            slow.answers = math.inf

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wake)
            assert await ask.usable(slow.stun, quick.stun) == [slow.stun]


@pytest.mark.trio
async def test_nobody_waits_for_what_stands_behind_the_chosen_one(
    endless_grace: None, endless_patience: None
) -> None:
    async with udp_server() as dead, udp_server(math.inf) as live, asker() as ask:
        assert await ask.usable(live.stun, dead.stun) == [live.stun]


# --- who is dead -----------------------------------------------------------------------------


@pytest.mark.trio
async def test_the_first_that_answers_stands_in_for_a_silent_one(endless_patience: None) -> None:
    async with udp_server() as dead, udp_server(math.inf) as live, asker() as ask:
        assert await ask.usable(dead.stun, live.stun) == [live.stun]
        assert await ask.usable(dead.turn, live.turn) == [live.turn]
        assert dead.requests >= 2


def test_the_grace_is_short() -> None:
    assert 0.2 <= ice_servers.GRACE <= 0.4


@pytest.mark.trio
async def test_a_closed_port_is_known_at_once(endless_grace: None, endless_patience: None) -> None:
    tcp = closed_port(socket.SOCK_STREAM)
    urls = [f"turn:127.0.0.1:{tcp}?transport=tcp", f"turns:127.0.0.1:{tcp}"]
    urls += [f"stun:127.0.0.1:{closed_port()}", f"turn:127.0.0.1:{closed_port()}"]
    async with asker() as ask:
        assert await ask.usable(IceServer(urls, "user", "hunter2")) == []


@pytest.mark.parametrize("host", ["x" * 64, "127.0.0.1:65536", "a..b"])
@pytest.mark.trio
async def test_a_server_that_cannot_be_asked_is_dead(
    endless_grace: None, endless_patience: None, host: str
) -> None:
    urls = [f"stun:{host}", f"turn:{host}", f"turn:{host}?transport=tcp"]
    async with asker() as ask:
        assert await ask.usable(IceServer(urls)) == []


@pytest.mark.trio
async def test_an_echo_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice_servers, "GRACE", 0)
    async with udp_server(echo=True) as echo, asker() as ask:
        assert await ask.usable(echo.stun) == []
        await echo.asked(3)
        assert await ask.usable(echo.stun) == []


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x01\x13short"])
@pytest.mark.parametrize("scheme", ["turn", "turns"])
@pytest.mark.trio
async def test_a_stream_of_something_else_is_no_answer(
    endless_grace: None, endless_patience: None, reply: bytes, scheme: str
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(reply)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        port = listener.socket.getsockname()[1]
        async with asker() as ask:
            assert await ask.usable(IceServer(f"{scheme}:127.0.0.1:{port}?transport=tcp")) == []
        nursery.cancel_scope.cancel()


# --- what is remembered ----------------------------------------------------------------------


@pytest.mark.trio
async def test_a_known_server_is_not_asked_again_at_once(endless_grace: None) -> None:
    async with udp_server(1) as live, asker() as ask:
        for _ in range(3):
            assert await ask.usable(live.stun) == [live.stun]
        assert live.requests == 1


@pytest.mark.trio
async def test_one_question_serves_all_who_wait(endless_grace: None) -> None:
    async with udp_server(1) as live, asker() as ask:

        async def wait() -> None:
            assert await ask.usable(live.stun) == [live.stun]

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(wait)
        assert live.requests == 1


@pytest.mark.trio
async def test_a_late_answer_serves_later_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice_servers, "GRACE", 0)
    async with udp_server() as slow, asker() as ask:
        assert await ask.usable(slow.stun) == []
        slow.answers = math.inf
        monkeypatch.setattr(ice_servers, "GRACE", math.inf)
        assert await ask.usable(slow.stun) == [slow.stun]


@pytest.mark.trio
async def test_a_dead_server_is_asked_again_and_nobody_waits_for_it(
    endless_grace: None, endless_patience: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice_servers, "AGAIN", 0)
    port = closed_port()
    async with asker() as ask:
        async with udp_server(port=port) as server:
            pass
        assert await ask.usable(server.stun) == []
        async with udp_server(port=port) as server:
            assert await ask.usable(server.stun) == []
            await server.asked()
            server.answers = math.inf
            with trio.fail_after(LIMIT):
                while not await ask.usable(server.stun):
                    await trio.lowlevel.checkpoint()


@pytest.mark.trio
async def test_a_live_server_that_dies_is_found_out(
    endless_grace: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice_servers, "AGAIN", 0)
    monkeypatch.setattr(ice_servers, "PATIENCE", 0.01)
    async with udp_server(1) as server, asker() as ask:
        assert await ask.usable(server.stun) == [server.stun]
        with trio.fail_after(LIMIT):
            while await ask.usable(server.stun):
                await trio.lowlevel.checkpoint()


@pytest.mark.trio
async def test_what_is_too_old_is_asked_and_waited_for(
    endless_grace: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice_servers, "AGAIN", 0)
    monkeypatch.setattr(ice_servers, "MEMORY", 0)
    port = closed_port()
    async with asker() as ask:
        assert await ask.usable(IceServer(f"stun:127.0.0.1:{port}")) == []
        async with udp_server(math.inf, port=port) as server:
            assert await ask.usable(server.stun) == [server.stun]
            assert await ask.usable(server.turn) == [server.turn]
            assert await ask.usable(server.stun) == [server.stun]
            assert server.requests == 4  # a TURN server is asked twice


@pytest.mark.trio
async def test_a_slow_server_is_trusted_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds in ("GRACE", "AGAIN", "MEMORY"):
        monkeypatch.setattr(ice_servers, seconds, 0)
    async with udp_server() as slow, asker() as ask:
        assert await ask.usable(slow.stun) == []
        await slow.asked(2)
        slow.answers = math.inf
        with trio.fail_after(LIMIT):
            while await ask.usable(slow.stun) != [slow.stun]:
                await trio.lowlevel.checkpoint()
        assert await ask.usable(slow.stun) == [slow.stun]


# --- the end ---------------------------------------------------------------------------------


@pytest.mark.trio
async def test_closing_ends_every_question(endless_patience: None) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        port = deaf.getsockname()[1]
        urls = [f"turn:127.0.0.1:{port}?transport=tcp", f"turns:127.0.0.1:{port}"]
        async with udp_server() as dead, asker() as ask:
            assert await ask.usable(dead.stun, dead.turn, IceServer(urls, "user", "hunter2")) == []
            await ask.close()
            await ask.close()


@pytest.mark.trio
async def test_who_gives_up_waiting_does_not_stop_the_question(
    endless_grace: None, endless_patience: None
) -> None:
    async with udp_server() as slow, asker() as ask:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask.usable, slow.stun)
            await slow.asked()
            nursery.cancel_scope.cancel()
        slow.answers = math.inf
        assert await ask.usable(slow.stun) == [slow.stun]


# --- a real server ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "stun:127.0.0.1:{port}",
        "turn:127.0.0.1:{port}",
        "turn:127.0.0.1:{port}?transport=tcp",
        "turns:127.0.0.1:{tls_port}",
    ],
)
@pytest.mark.trio
async def test_coturn_answers(
    endless_grace: None, coturn: Coturn, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(coturn.certificate))
    server = coturn.server(url)
    async with asker() as ask:
        (usable,) = await ask.usable(server)
    assert [usable.urls] == server.urls


@pytest.mark.trio
async def test_a_certificate_that_is_not_trusted_is_no_answer(
    endless_grace: None, coturn: Coturn
) -> None:
    async with asker() as ask:
        assert await ask.usable(coturn.server("turns:127.0.0.1:{tls_port}")) == []
