"""A PeerServer announced by mDNS, and found: real sockets, and multicast that stays on loopback."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import trio

from peerjs_trio import (
    LanServer,
    LocalProtocolError,
    Reconnect,
    ServerUnavailable,
    Session,
    announce,
    find_servers,
    open_peer,
    open_server,
)
from peerjs_trio.server import PeerServer
from tests.trio.fakes import FakeEngine, FakeNetwork
from tests.trio.server_clients import until
from tests.trio.sides import files_are_closed, open_files
from tests.trio.test_reconnect import reach

zeroconf = pytest.importorskip("zeroconf", reason="the local network needs the extra lan")

from peerjs_trio.lan import announce as announcing  # noqa: E402 - it needs zeroconf
from peerjs_trio.lan import find as finding  # noqa: E402
from peerjs_trio.lan import mdns  # noqa: E402

pytestmark = pytest.mark.trio

KIND = f"_peerjs-{os.getpid()}._tcp.local."
"Of this run: others may be under way on this machine."

NONE_FOUND = r"no PeerServer .* within 0.5 s\. Is one announced .*5353.*guest Wi-Fi"


def open_on_loopback(links: object) -> Any:
    return zeroconf.Zeroconf(interfaces=["127.0.0.1"])


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said to the network that this machine happens to be on."""
    if not mdns.interfaces():
        pytest.skip("this machine has no address but loopback's, and that is never announced")
    monkeypatch.setattr(mdns, "_open", open_on_loopback)
    monkeypatch.setattr(announcing, "SERVICE", KIND)
    monkeypatch.setattr(finding, "SERVICE", KIND)
    monkeypatch.setattr(finding, "_SETTLE", 0.3)


def logged(caplog: pytest.LogCaptureFixture, event: str, times: int = 1) -> Callable[[], bool]:
    """Whether it is in the log of a server so often."""
    caplog.set_level(logging.INFO)
    return lambda: [getattr(r, "event", "") for r in caplog.records].count(event) >= times


# --- announced and found -------------------------------------------------------------------------


async def test_servers_are_found_for_as_long_as_they_are_announced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    is_announced = logged(caplog, "announced", times=2)
    async with open_server("::", path="/app") as server, open_server("::") as other:
        async with announce(server, name="Küche"), announce(other.port, name="Bath"):
            await until(is_announced)
            servers: list[LanServer] = []
            while len(servers) < 2:  # a machine that is busy may not hear both in time
                servers = await find_servers()
            bath, kitchen = servers
        assert (bath.name, kitchen.name) == ("Bath", "Küche")
        assert bath.url.endswith(f":{other.port}/")
        assert kitchen.url.endswith(f":{server.port}/app")
        with pytest.raises(ServerUnavailable, match=NONE_FOUND):
            await find_servers(timeout=0.5)


async def test_a_peer_opens_there_and_follows_a_server_that_moves() -> None:
    quick = Reconnect(first=0.05, longest=0.2)
    engine = FakeNetwork().engine

    async def serve(task_status: trio.TaskStatus[tuple[PeerServer, trio.CancelScope]]) -> None:
        async with open_server("::", key="ours") as server, announce(server):
            with trio.CancelScope() as scope:
                task_status.started((server, scope))
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        server, life = await nursery.start(serve)
        async with open_peer(
            "alice", server="lan", key="ours", reconnect=quick, engine=engine
        ) as alice:
            assert server.clients == 1
            made = alice._engine
            assert isinstance(made, FakeEngine)
            assert made.prepared == [], "STUN and TURN servers out there are of no use"
            life.cancel()
            await reach(alice, Session.WAITING)
            server, life = await nursery.start(serve)
            with trio.fail_after(30):
                await reach(alice, Session.OPEN)
            assert server.clients == 1
        life.cancel()


# --- what does not go --------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_server_for_this_machine_alone_is_not_announced(host: str) -> None:
    async with open_server(host) as server:
        with pytest.raises(LocalProtocolError, match="this machine alone can reach it"):
            async with announce(server):
                pytest.fail("to whom?")


@pytest.mark.parametrize(
    ("port", "options", "words"),
    [
        (0, {}, "no port"),
        (9000, {"name": ""}, "no name"),
        (9000, {"name": "a.b"}, "no name"),
        (9000, {"name": "a\nb"}, "no name"),
        (9000, {"name": "ü" * 31}, "no name"),
        (9000, {"path": "/a b"}, "path"),
        (9000, {"path": "/" + "x" * 200}, "path"),
    ],
)
async def test_what_cannot_be_announced(port: int, options: Any, words: str) -> None:
    with pytest.raises(LocalProtocolError, match=words):
        async with announce(port, **options):
            pytest.fail("announced")


async def test_without_a_network_it_waits_for_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    addresses = mdns.interfaces()
    present: list[tuple[mdns.Interface, ...]] = [()]
    monkeypatch.undo()
    monkeypatch.setattr(announcing, "SERVICE", KIND)
    monkeypatch.setattr(finding, "SERVICE", KIND)
    monkeypatch.setattr(announcing, "_LOOK_AGAIN", 0.02)
    monkeypatch.setattr(announcing, "interfaces", lambda: present[0])
    monkeypatch.setattr(finding, "interfaces", lambda: present[0])
    is_not_announced = logged(caplog, "not_announced")
    async with open_server("::") as server, announce(server, name="late"):
        await until(is_not_announced)
        with pytest.raises(ServerUnavailable, match="this machine is on no network"):
            await find_servers(timeout=5)
        monkeypatch.setattr(mdns, "_open", open_on_loopback)
        present[0] = addresses
        assert [server.name for server in await find_servers()] == ["late"]
        # And with other addresses it is announced anew.
        caplog.clear()
        present[0] = (mdns.Interface(1, (*addresses[0].addresses, "192.0.2.222")),)
        await until(logged(caplog, "announced"))
        assert "192.0.2.222" in caplog.text
    assert caplog.text.count("not_announced") == 0


# --- ill will --------------------------------------------------------------------------------


async def test_whatever_is_announced_only_what_answers_is_found() -> None:
    mine = mdns.interfaces()[0].addresses[0]
    core = await trio.to_thread.run_sync(open_on_loopback, ())

    def lie(name: str, port: int, address: str, properties: dict[str, str]) -> None:
        where = {"server": f"{name.split()[0]}.local.", "parsed_addresses": [address]}
        core.register_service(
            zeroconf.ServiceInfo(KIND, f"{name}.{KIND}", port, properties=properties, **where)
        )

    async with open_server("::") as server, trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, say_nonsense, 0)
        nonsense = listeners[0].socket.getsockname()[1]
        try:
            async with trio.open_nursery() as lying:
                for lies in [
                    ("loopback", server.port, "127.0.0.1", {}),
                    ("closed", 1, mine, {}),
                    ("nonsense", nonsense, mine, {}),
                    ("path", server.port, mine, {"path": "/ HTTP/1.1\r\nX: y"}),
                    ("version", server.port, mine, {"version": "2"}),
                    ("tls", server.port, mine, {"tls": "1"}),
                    ("port", 0, mine, {}),
                    ("lost", server.port, "fe80::1", {}),
                    ("true \u202eeurt", server.port, mine, {"unknown": "x"}),
                ]:
                    lying.start_soon(in_thread, lie, *lies)
            assert await find_servers() == [
                LanServer("true eurt", f"http://{mine}:{server.port}/"),
            ]
        finally:
            await trio.to_thread.run_sync(core.close)
            nursery.cancel_scope.cancel()


async def in_thread(work: Callable[..., None], *arguments: Any) -> None:
    await trio.to_thread.run_sync(work, *arguments)


async def say_nonsense(stream: trio.SocketStream) -> None:
    await stream.send_all(b"\0" * 100)


# --- what is left behind -----------------------------------------------------------------------


async def test_cancelled_on_the_way_nothing_stays_open() -> None:
    before = Counter(open_files())
    async with open_server("::") as server:
        with trio.move_on_after(0.3):
            async with announce(server):
                await find_servers(timeout=60)
                await trio.sleep_forever()
    await files_are_closed(before)


async def test_without_the_extra_it_says_which() -> None:
    script = (
        "import sys; sys.modules['zeroconf'] = None; import trio; from peerjs_trio import *\n"
        "async def main():\n"
        "    async with open_peer(server='lan'): pass\n"
        "trio.run(main)"
    )
    ended = await trio.run_process([sys.executable, "-c", script], capture_stderr=True, check=False)
    assert ended.returncode == 1
    assert b'the local network needs zeroconf: pip install "peerjs-sansio[lan]"' in ended.stderr
