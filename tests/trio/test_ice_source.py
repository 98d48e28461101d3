"""STUN and TURN servers as an application gives them: credentials that expire, and functions."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from peerjs_trio.peer import Peer, open_peer
from peerjs_trio.rtc.engine import IceServer
from tests.trio.fakes import FakeEngine, FakeNetwork, open_fake_network, virtual_time

URL = "turn:turn.example.org"


# --- credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "username", "credential"),
    [
        # printf %s 1700086400:alice | openssl dgst -sha1 -hmac north -binary | base64
        ({"name": "alice"}, "1700086400:alice", "SXua5ne/+mDhiHTp0pQJzRO4ESg="),
        ({"ttl": 60.0}, "1700000060", "aqoYHq0SZvNMrBZ16421DRySfm0="),
        ({"ttl": 60.9, "secret": b"north"}, "1700000060", "aqoYHq0SZvNMrBZ16421DRySfm0="),
    ],
)
def test_credentials_that_expire(options: dict[str, Any], username: str, credential: str) -> None:
    server = IceServer.short_lived(URL, **{"secret": "north", "now": 1_700_000_000.0, **options})
    assert server == IceServer(URL, username, credential)
    assert credential not in repr(server)


def test_they_last_a_day_from_now() -> None:
    before = int(time.time())
    server = IceServer.short_lived([URL, URL], secret="north")
    assert server.username is not None
    assert before + 86400 <= int(server.username) <= time.time() + 86400
    assert server.all_urls == [URL, URL]


# --- a function ----------------------------------------------------------------------------------


class Source:
    """Another user name each time."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    def __call__(self) -> list[dict[str, str]]:
        if self.error is not None:
            raise self.error
        self.asked += 1
        return [{"urls": URL, "username": str(self.asked)}]


@asynccontextmanager
async def serving(network: FakeNetwork, engines: list[FakeEngine]) -> AsyncIterator[FakeEngine]:
    async with network.engine() as engine:
        engines.append(engine)
        yield engine


@pytest.fixture
async def network() -> AsyncIterator[FakeNetwork]:
    async with open_fake_network() as network:
        yield network


def join(
    network: FakeNetwork, id: str, engines: list[FakeEngine], **options: Any
) -> AbstractAsyncContextManager[Peer]:
    return open_peer(
        id,
        server="http://127.0.0.1:9000/",
        transport=network,
        engine=lambda: serving(network, engines),
        **options,
    )


@pytest.mark.trio(run=virtual_time)
async def test_a_function_is_asked_for_each_connection(network: FakeNetwork) -> None:
    engines: list[FakeEngine] = []
    async with (
        join(network, "alice", engines, ice_servers=Source()) as alice,
        join(network, "bob", engines),
    ):
        for _ in range(2):
            async with await alice.connect("bob"):
                pass
    hers, _ = engines
    assert hers.prepared == [IceServer(URL, "1")]
    assert hers.given == [[IceServer(URL, "2")], [IceServer(URL, "3")]]


@pytest.mark.trio(run=virtual_time)
async def test_one_that_raises_costs_the_servers_and_not_the_connection(
    network: FakeNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source()
    engines: list[FakeEngine] = []
    async with (
        join(network, "alice", engines, ice_servers=source) as alice,
        join(network, "bob", engines) as bob,
    ):
        source.error = KeyError("hunter2")
        async with await bob.connect("alice"):
            assert alice.is_open
    assert engines[0].given == [[]]
    assert "ice_servers raised KeyError: a connection has no STUN" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.trio(run=virtual_time)
async def test_one_that_raises_at_first_is_told(network: FakeNetwork) -> None:
    source = Source()
    source.error = KeyError("no such secret")
    with pytest.raises(KeyError, match="no such secret"):
        async with join(network, "alice", [], ice_servers=source):
            pytest.fail("opened")
