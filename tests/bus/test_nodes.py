"""Three servers as processes, killed at random under load: no offer is lost in silence."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from .crowd import Crowd, Node, open_node
from .hubs import new_name
from .redis_server import RedisServer, redis_server

pytestmark = pytest.mark.trio

PEERS = 12
ABSENT = ["nobody", "noone"]


async def swarm(url: str, name: str, *, seed: int, kills: int) -> Crowd:
    """Let peers call each other while one node after the other is killed, and replaced."""
    chance = random.Random(seed)
    ids = [f"peer{number}" for number in range(PEERS)]
    nodes: list[Node] = []
    async with AsyncExitStack() as stack:

        async def add() -> None:
            nodes.append(await stack.enter_async_context(open_node(url, name, 4.0)))

        async with trio.open_nursery() as starting:
            for _ in range(3):
                starting.start_soon(add)
        crowd = Crowd(nodes, seed)
        async with trio.open_nursery() as nursery:
            for id in ids:
                others = [other for other in ids if other != id] + ABSENT
                nursery.start_soon(crowd.live, id, others)
            for _ in range(kills):
                await trio.sleep(chance.uniform(0.2, 1.0))
                node = nodes.pop(chance.randrange(len(nodes)))
                node.process.kill()
                await add()
            crowd.is_calling = False
            with trio.move_on_after(20):
                while crowd.pending:  # noqa: ASYNC110 - of what comes in by twelve sockets
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    return crowd


def check(crowd: Crowd, kills: int) -> None:
    assert not crowd.pending
    assert not crowd.refused
    assert crowd.delivered > 50 * kills
    assert crowd.expired
    assert crowd.lost_sockets >= kills


async def test_servers_that_are_killed(redis: RedisServer) -> None:
    check(await swarm(redis.url, new_name(), seed=6, kills=4), 4)


@pytest.mark.by_hand
@pytest.mark.parametrize("seed", range(5))
async def test_servers_that_are_killed_for_long(tmp_path: Path, seed: int) -> None:
    with redis_server(tmp_path / "redis") as redis:
        check(await swarm(redis.url, "x", seed=seed, kills=60), 60)
