"""Hubs on one Redis, on trio and on asyncio."""

from __future__ import annotations

import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from peerjs_proto.server_io import HttpRequest
from peerjs_trio.bus import RedisBus

from .hubs import new_name, open_hub, until
from .redis_server import RedisServer, redis_server


def run(backend: str, main: Callable[[], Awaitable[None]]) -> None:
    anyio.run(main, backend=backend)


def test_clients_of_two_hubs(redis: RedisServer, backend: str) -> None:
    name = new_name()

    async def main() -> None:
        async with open_hub(redis.url, name) as first, open_hub(redis.url, name) as second:
            assert first.healthy
            alice, bob = await first.join("alice"), await second.join("bob")
            alice.send("OFFER", "bob", {"text": "żółw 🐢"})
            alice.send("CANDIDATE", "bob")
            await until(lambda: len(bob.texts) == 3)
            assert bob.texts[1]["payload"] == {"text": "żółw 🐢"}
            assert bob.texts[1]["src"] == "alice"
            for number in range(500):
                bob.send("ANSWER", "alice", number)
            await until(lambda: len(alice.texts) == 501)
            assert [text["payload"] for text in alice.texts[1:]] == list(range(500))

    run(backend, main)


def test_who_comes_later(redis: RedisServer, backend: str) -> None:
    name = new_name()

    async def main() -> None:
        async with (
            open_hub(redis.url, name, expire_timeout=0.5) as first,
            open_hub(redis.url, name, expire_timeout=0.5) as second,
        ):
            alice, carol = await first.join("alice"), await second.join("carol")
            alice.send("OFFER", "bob")
            await until(lambda: redis.ask("exists", f"{{peerjs:{name}}}:wait:bob") == "1\n")
            bob = await second.join("bob")
            await until(lambda: bob.types == ["OPEN", "OFFER"])
            alice.send("OFFER", "dave")
            carol.send("OFFER", "dave")
            carol.send("CANDIDATE", "dave")
            await until(lambda: alice.types == carol.types == ["OPEN", "EXPIRE"])
            assert alice.texts[1] == {"type": "EXPIRE", "src": "dave", "dst": "alice"}
            await until(lambda: redis.ask("exists", f"{{peerjs:{name}}}:due") == "0\n")

    run(backend, main)


def test_an_id_on_two_hubs(redis: RedisServer, backend: str) -> None:
    name = new_name()

    async def main() -> None:
        async with open_hub(redis.url, name) as first, open_hub(redis.url, name) as second:
            alice = await first.join("alice")
            thief = await second.join("alice", "another")
            assert thief.types == ["ID-TAKEN"]
            assert thief.is_closed
            again = await second.join("alice")
            await until(lambda: alice.is_closed)
            assert alice.types == ["OPEN", "ID-TAKEN"]
            assert again.types == ["OPEN"]
            again.leave()
            await until(lambda: redis.ask("hlen", f"{{peerjs:{name}}}:ids") == "0\n")
            other = await first.join("alice", "another")
            assert other.types == ["OPEN"]

    run(backend, main)


def test_a_hub_that_ends_frees_its_ids(redis: RedisServer, backend: str) -> None:
    name = new_name()

    async def main() -> None:
        async with open_hub(redis.url, name) as first:
            async with open_hub(redis.url, name) as second:
                await second.join("bob")
            other = await first.join("bob", "another")
            assert other.types == ["OPEN"]

    run(backend, main)


def test_nobody_reads_a_token_in_redis(redis: RedisServer, tmp_path: Path) -> None:
    name = new_name()

    async def main() -> None:
        async with open_hub(redis.url, name) as hub:
            await hub.join("alice", "hush-hush")
            redis.ask("save")

    run("trio", main)
    files = [file for file in redis.socket.parent.iterdir() if file.is_file()]
    assert any(b"alice" in file.read_bytes() for file in files)
    assert not any(b"hush-hush" in file.read_bytes() for file in files)


async def get(hub: Any, target: str, method: str = "GET") -> Any:
    reply = await hub.respond(HttpRequest(method, target, {}), "192.0.2.7")
    return json.loads(reply.body) if reply.status == 200 else reply.status


def test_discovery_and_rooms(redis: RedisServer, backend: str) -> None:
    name = new_name()
    options: dict[str, Any] = {
        "allow_discovery": True,
        "rooms": "network",
        "room_secret": b"s" * 32,
    }

    async def main() -> None:
        async with (
            open_hub(redis.url, name, **options) as first,
            open_hub(redis.url, name, **options) as second,
        ):
            await first.join("alice")
            bob = await second.join("bob")
            assert sorted(await get(first, "/peerjs/peers")) == ["alice", "bob"]
            assert await get(first, "/wrong/peers") == 401
            room = (await get(first, "/peerjs/alice/secret/room/id"))["roomId"]
            # Whoever asks, on whichever server it is.
            join = f"/peerjs/alice/secret/room/{room}/join"
            assert await get(second, join, "POST") == {"clientsIds": ["alice"]}
            join = f"/peerjs/bob/secret/room/{room}/join"
            assert await get(first, join, "POST") == {"clientsIds": ["alice", "bob"]}
            assert await get(first, f"/peerjs/bob/wrong/room/{room}/members") == 401
            assert await get(first, f"/peerjs/carol/secret/room/{room}/members") == 401
            assert await get(first, f"/peerjs/alice/secret/room/{'0' * 40}/join", "POST") == 403
            bob.leave()
            members = f"/peerjs/alice/secret/room/{room}/members"
            await until(lambda: redis.ask("hlen", f"{{peerjs:{name}}}:ids") == "1\n")
            assert await get(first, members) == ["alice"]
            leave = f"/peerjs/alice/secret/room/{room}/leave"
            assert await get(first, leave, "POST") == {"wasInRoom": True}
            assert await get(first, leave, "POST") == {"wasInRoom": False}

    run(backend, main)


def test_redis_is_killed_and_restarted(tmp_path: Path, backend: str) -> None:
    async def main() -> None:
        with redis_server(tmp_path / "redis") as redis:
            async with (
                open_hub(redis.url, "x", expire_timeout=0.5) as first,
                open_hub(redis.url, "x", expire_timeout=0.5) as second,
            ):
                alice, bob = await first.join("alice"), await second.join("bob")
                alice.send("OFFER", "carol")  # waits in Redis
                await until(lambda: redis.ask("exists", "{peerjs:x}:wait:carol") == "1\n")
                redis.kill()
                await until(lambda: not first.healthy and not second.healthy)
                await until(lambda: alice.types == ["OPEN", "EXPIRE"])
                dave = await first.join("dave")
                dave.send("OFFER", "alice")
                assert alice.types == ["OPEN", "EXPIRE", "OFFER"]
                alice.send("OFFER", "bob")
                await until(lambda: alice.types[3:] == ["EXPIRE"])
                alice_of_second = await second.join("alice", "another")
                assert alice_of_second.types == ["OPEN"]
                redis.start()
                await until(lambda: first.healthy and second.healthy)
                await until(lambda: alice.is_closed or alice_of_second.is_closed)
                assert not (alice.is_closed and alice_of_second.is_closed)
                bob.send("OFFER", "dave")
                await until(lambda: dave.types == ["OPEN", "OFFER"])

    run(backend, main)


def test_redis_hangs(tmp_path: Path) -> None:
    async def main() -> None:
        with redis_server(tmp_path / "redis") as redis:
            async with open_hub(redis.url, "x") as first, open_hub(redis.url, "x") as second:
                alice, bob = await first.join("alice"), await second.join("bob")
                redis.send_signal(signal.SIGSTOP)
                await until(lambda: not first.healthy and not second.healthy)
                carol = await first.join("carol")
                carol.send("OFFER", "alice")
                assert alice.types == ["OPEN", "OFFER"]
                redis.send_signal(signal.SIGCONT)
                await until(lambda: first.healthy and second.healthy)
                bob.send("OFFER", "carol")
                await until(lambda: carol.types == ["OPEN", "OFFER"])

    run("trio", main)


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
def test_redis_ends_a_connection(redis: RedisServer, backend: str, kind: str) -> None:
    name = new_name()

    async def main() -> None:
        async with open_hub(redis.url, name) as first, open_hub(redis.url, name) as second:
            alice, bob = await first.join("alice"), await second.join("bob")
            for number in range(3):
                redis.ask("client", "kill", "type", kind)
                alice.send("OFFER", "bob", number)
                # It may come twice, and then the one before it last.
                await until(lambda: number in [text.get("payload") for text in bob.texts])  # noqa: B023
                await until(lambda: first.healthy and second.healthy)

    run(backend, main)


def test_leaving_while_redis_is_lost(redis: RedisServer, backend: str) -> None:
    async def main() -> None:
        for steps in range(40):
            async with open_hub(redis.url, new_name()) as hub:
                alice = await hub.join("alice")
                redis.ask("client", "kill", "type", "normal")
                alice.send("OFFER", "bob")
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()

    run(backend, main)


def test_a_hub_without_redis_is_there_all_the_same(tmp_path: Path, backend: str) -> None:
    async def main() -> None:
        async with open_hub(f"unix://{tmp_path}/nobody", "x") as hub:
            assert not hub.healthy
            alice, bob = await hub.join("alice"), await hub.join("bob")
            alice.send("OFFER", "bob")
            assert bob.types == ["OPEN", "OFFER"]
            health = await get(hub, "/healthz")
            assert health["bus"] == "out of reach"

    run(backend, main)


def test_a_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        options = ("--save", "", "--appendonly", "no", "--requirepass", "pa:ss/word")
        with redis_server(tmp_path / "redis", *options) as redis:
            url = f"unix://:pa%3Ass%2Fword@{redis.socket}"
            async with open_hub(url, "x") as hub:
                assert hub.healthy
            async with open_hub(url.replace("%2Fword", "%2Fwort"), "x") as hub:
                assert not hub.healthy
            assert "wor" not in repr(RedisBus(url)).replace(str(redis.socket), "")

    run("trio", main)
    assert "invalid username-password pair" in caplog.text
    assert "ss/wor" not in caplog.text
    assert "%2Fwor" not in caplog.text


@pytest.mark.parametrize("options", [{"name": ""}, {"name": "a}b"}, {"lease": 0.0}])
def test_what_a_bus_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="bus"):
        RedisBus("redis://127.0.0.1", **options)
