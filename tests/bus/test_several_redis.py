"""A Redis that Sentinels watch over, and a Redis Cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import pytest

from tests.interop.programs import find_program

from .hubs import open_hub, until
from .redis_server import NOTHING_KEPT, RedisServer, free_port, redis_server


@contextmanager
def sentinel(folder: Path) -> Iterator[tuple[str, RedisServer, RedisServer]]:
    """The address of one Sentinel, a primary and its replica."""
    with ExitStack() as stack:
        primary = stack.enter_context(redis_server(folder / "primary", port=free_port()))
        options = (*NOTHING_KEPT, "--replicaof", "127.0.0.1", str(primary.port))
        replica = stack.enter_context(redis_server(folder / "replica", *options, port=free_port()))
        configuration = folder / "sentinel.conf"
        configuration.write_text(
            f"sentinel monitor main 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 2000\n"
        )
        port = free_port()
        stack.enter_context(
            redis_server(folder / "sentinel", str(configuration), "--sentinel", port=port)
        )
        yield f"redis+sentinel://127.0.0.1:{port}/main/0", primary, replica


def test_a_primary_that_dies_is_followed_by_its_replica(tmp_path: Path, backend: str) -> None:
    async def main() -> None:
        with sentinel(tmp_path) as (url, primary, replica):
            await until(lambda: "master_link_status:up" in replica.ask("info", "replication"))
            async with open_hub(url, "x") as first, open_hub(url, "x") as second:
                assert first.healthy
                assert second.healthy
                alice, bob = await first.join("alice"), await second.join("bob")
                alice.send("OFFER", "bob")
                await until(lambda: bob.types == ["OPEN", "OFFER"])
                primary.kill()
                await until(lambda: not first.healthy and not second.healthy)
                await until(lambda: first.healthy and second.healthy, within=30.0)
                alice.send("OFFER", "bob")
                await until(lambda: bob.types == ["OPEN", "OFFER", "OFFER"])

    anyio.run(main, backend=backend)


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[RedisServer]]]:
    """The address of a Cluster of three."""
    with ExitStack() as stack:
        options = (*NOTHING_KEPT, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        servers = [
            stack.enter_context(redis_server(folder / str(n), *options, port=free_port()))
            for n in range(3)
        ]
        hosts = [f"127.0.0.1:{server.port}" for server in servers]
        program = find_program("redis-cli", install="Debian has it in the package redis-tools")
        subprocess.run(
            [program, "--cluster", "create", *hosts, "--cluster-yes"],
            check=True,
            capture_output=True,
            timeout=60,
        )
        yield f"redis+cluster://{','.join(hosts)}", servers


def test_a_cluster(tmp_path: Path) -> None:
    async def main() -> None:
        with cluster(tmp_path) as (url, servers):
            for server in servers:
                await until(lambda: "cluster_state:ok" in server.ask("cluster", "info"))  # noqa: B023
            for backend in ["trio", "asyncio"]:
                await anyio.to_thread.run_sync(
                    lambda: anyio.run(on_a_cluster, url, backend, backend=backend)  # noqa: B023
                )

    anyio.run(main)


async def on_a_cluster(url: str, name: str) -> None:
    async with (
        open_hub(url, name, expire_timeout=0.5) as first,
        open_hub(url, name, expire_timeout=0.5) as second,
    ):
        assert first.healthy
        assert second.healthy
        alice, bob = await first.join("alice"), await second.join("bob")
        alice.send("OFFER", "bob")
        await until(lambda: bob.types == ["OPEN", "OFFER"])
        alice.send("OFFER", "carol")
        await until(lambda: alice.types == ["OPEN", "EXPIRE"])
        assert (await second.join("alice", "another")).types == ["ID-TAKEN"]


@pytest.mark.parametrize(
    "url", ["redis+sentinel://127.0.0.1:1/main", "redis+cluster://127.0.0.1:1"]
)
def test_nobody_there(url: str, backend: str) -> None:
    async def main() -> None:
        async with open_hub(url, "x") as hub:
            assert not hub.healthy

    anyio.run(main, backend=backend)
