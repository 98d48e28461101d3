"""What an application decides in a PeerServer, and what it does about its clients' networks."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
import trustme
from trio_websocket import open_websocket_url

from peerjs_proto.addresses import Proxies
from peerjs_proto.server_io import ServerLimits
from peerjs_trio.poller import TaskPoller
from peerjs_trio.server import PeerServer, open_server
from peerjs_trio.tls import Certificates
from tests.trio.certificates import Files, write
from tests.trio.server_clients import (
    fetch,
    frame,
    handshake,
    open_client,
    open_raw,
    open_tcp,
    until,
)

pytestmark = pytest.mark.trio

OPEN = {"type": "OPEN"}
UNAUTHORIZED = {"type": "ERROR", "payload": {"msg": "Unauthorized"}}


# --- who may come --------------------------------------------------------------------------------


async def test_authorize_decides_who_may_register() -> None:
    asked: list[tuple[str, str, str, str]] = []

    async def authorize(id: str, token: str, key: str, headers: Mapping[str, str]) -> bool:
        asked.append((id, token, key, headers["host"]))
        await trio.lowlevel.checkpoint()
        return id == "alice"

    async with open_server(authorize=authorize) as server, open_client(server, "alice") as alice:
        assert await alice.receive() == OPEN
        await alice.send("OFFER", "alice")
        assert (await alice.receive())["src"] == "alice"
        async with open_client(server, "bob", token="his") as bob:
            assert await bob.receive() == UNAUTHORIZED
            assert (await bob.closed())[0] == 1005
        async with open_client(server, "no id!") as nobody:
            assert (await nobody.receive())["type"] == "ERROR"
    assert [call[:3] for call in asked] == [
        ("alice", "secret", "peerjs"),
        ("bob", "his", "peerjs"),
    ]


async def test_what_a_client_says_before_it_is_on_is_not_lost() -> None:
    decided = trio.Event()

    async def authorize(id: str, token: str, key: str, headers: Mapping[str, str]) -> bool:
        await decided.wait()
        return True

    async with open_server(authorize=authorize) as server, trio.open_nursery() as nursery:
        offer = frame(1, b'{"type":"OFFER","dst":"alice"}')

        async def client() -> None:
            async with open_raw(server, "alice", behind=offer) as alice:
                assert (await alice.receive())["src"] == "alice"

        nursery.start_soon(client)
        async with open_tcp(server) as impatient:  # one that leaves meanwhile
            await impatient.send_all(handshake("bob"))
        await trio.testing.wait_all_tasks_blocked()
        decided.set()
    assert server.clients == 0


async def test_a_hook_that_raises_refuses(caplog: pytest.LogCaptureFixture) -> None:
    async def authorize(id: str, token: str, key: str, headers: Mapping[str, str]) -> bool:
        if id == "bob":
            raise ZeroDivisionError
        return True

    def may_offer(src: str, dst: str) -> bool:
        raise ZeroDivisionError

    caplog.set_level(logging.CRITICAL + 1, "peerjs.server")
    async with (
        open_server(authorize=authorize, may_offer=may_offer) as server,
        open_client(server, "alice") as alice,
        open_client(server, "bob") as bob,
    ):
        assert await alice.receive() == OPEN
        assert await bob.receive() == UNAUTHORIZED
        await alice.send("OFFER", "carol")
        assert (await alice.receive())["type"] == "EXPIRE"


async def test_ids_of_ones_own_making() -> None:
    ids = iter(["alice", "otter", "badger"])
    async with (
        open_server(generate_client_id=lambda: next(ids)) as server,
        open_raw(server, "alice"),
        open_tcp(server) as stream,
    ):
        get = "GET /peerjs/id HTTP/1.1\r\nHost: x\r\n\r\n"
        assert (await fetch(stream, get)).body == b"otter"  # alice is taken
        assert (await fetch(stream, get)).body == b"badger"


async def test_a_generator_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    def raising() -> str:
        raise ZeroDivisionError

    caplog.set_level(logging.CRITICAL + 1, "peerjs.server")
    get = b"GET /peerjs/id HTTP/1.1\r\nHost: x\r\n\r\n"
    async with open_server(generate_client_id=raising) as server, open_tcp(server) as stream:
        # So many that the later ones are answered by a timer.
        await stream.send_all(get * 100)
        received = b""
        with trio.fail_after(10):
            while received.count(b"HTTP/1.1 500 ") < 100:
                received += await stream.receive_some()
        async with open_client(server, "alice") as alice:
            assert await alice.receive() == OPEN


# --- networks ------------------------------------------------------------------------------------


def forwarded(id: str, address: str) -> bytes:
    return handshake(id).replace(b"\r\n", b"\r\nX-Forwarded-For: %s\r\n" % address.encode(), 1)


async def first_frame(stream: trio.SocketStream) -> bytes:
    received = b""
    with trio.fail_after(10):
        while b"\r\n\r\n" not in received or received.endswith(b"\r\n\r\n"):
            received += await stream.receive_some()
    return received.partition(b"\r\n\r\n")[2]


async def test_clients_behind_a_proxy_are_counted_by_their_own_addresses() -> None:
    limits = ServerLimits(connections_per_network=1)
    async with (
        open_server(limits=limits, proxied=Proxies.parse("true")) as server,
        open_tcp(server) as one,
        open_tcp(server) as two,
        open_tcp(server) as three,
    ):
        for stream, id, address, heard in (
            (one, "one", "203.0.113.1", b"OPEN"),
            (two, "two", "203.0.113.1", b"Too many"),
            (three, "three", "203.0.113.2", b"OPEN"),
        ):
            await stream.send_all(forwarded(id, address))
            assert heard in await first_frame(stream)


async def test_nobody_is_believed_who_is_no_proxy() -> None:
    limits = ServerLimits(connections_per_network=1)
    async with open_server(limits=limits) as server, open_tcp(server) as a, open_tcp(server) as b:
        for id, stream in (("one", a), ("two", b)):
            await stream.send_all(forwarded(id, "203.0.113.1"))
            assert b"OPEN" in await first_frame(stream)


# --- time ----------------------------------------------------------------------------------------


async def test_who_is_too_fast_is_read_slower_and_loses_nothing() -> None:
    limits = ServerLimits(messages_per_second=200.0, message_burst=5)
    async with open_server(limits=limits) as server, open_raw(server, "alice") as alice:
        began = trio.current_time()
        offers = [b'{"type":"OFFER","dst":"alice","payload":%d}' % n for n in range(50)]
        for offer in offers:
            await alice.send(frame(1, offer))
        assert [(await alice.receive())["payload"] for _ in offers] == list(range(50))
        await alice.send(frame(1, b'{"type":"OFFER","dst":"alice","payload":50}'))
        assert (await alice.receive())["payload"] == 50
        assert trio.current_time() - began > 0.2  # 51 of them, 5 at once: never below


async def test_the_silent_are_pinged_and_their_answer_counts() -> None:
    limits = ServerLimits(ping_interval=0.05)
    async with (
        open_server(limits=limits, alive_timeout=0.5) as server,
        open_raw(server, "alice") as alice,
        open_raw(server, "mute") as mute,
    ):
        ended = None
        while ended is None:
            received = await mute.receive_frame()
            assert received is not None
            ended = received if received[0] == 8 else None
            assert await alice.receive_frame() == (9, b"")
            await alice.send(frame(10))
        await alice.send(frame(1, b'{"type":"OFFER","dst":"alice"}'))
        while (received := await alice.receive_frame()) == (9, b""):
            pass
        assert received is not None
        assert received[0] == 1


# --- other sockets -------------------------------------------------------------------------------


async def test_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    files = Files(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")
    write(files, authority)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with open_server(certificates=Certificates(*files)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        url = f"wss://localhost:{server.port}/peerjs?key=peerjs&token=t&id="
        async with (
            open_tcp(server) as plain,
            open_websocket_url(url + "alice", ssl_context=trusting) as alice,
            open_websocket_url(url + "bob", ssl_context=trusting) as bob,
        ):
            assert "OPEN" in str(await alice.get_message())
            assert "OPEN" in str(await bob.get_message())
            large = "x" * 200_000
            await alice.send_message('{"type":"OFFER","dst":"bob","payload":"%s"}' % large)  # noqa: UP031
            with trio.fail_after(10):
                assert large in str(await bob.get_message())
            # Who speaks no TLS is told so, in TLS, and that is all.
            await plain.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with trio.fail_after(10):
                while await plain.receive_some():
                    pass
            await alice.send_message('{"type":"OFFER","dst":"bob"}')
            assert "alice" in str(await bob.get_message())
    assert server.clients == 0


async def test_without_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peerjs_trio.server.open_poller", TaskPoller)
    with trio.fail_after(10):
        async with (
            open_server(limits=ServerLimits(messages_per_second=500.0, message_burst=2)) as server,
            open_client(server, "alice") as alice,
        ):
            assert await alice.receive() == OPEN
            async with open_raw(server, "slow") as slow:
                for n in range(20):
                    await alice.send("OFFER", "slow", "x" * 200_000)
                    await alice.send("OFFER", "alice", n)
                    assert (await alice.receive())["payload"] == n
                for _ in range(20):
                    assert len((await slow.receive())["payload"]) == 200_000
            await until(lambda: server.clients == 1)
    assert isinstance(server, PeerServer)
