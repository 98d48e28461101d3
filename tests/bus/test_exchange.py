"""The script on a real Redis, and the store that the tests of the core have instead: the same."""

from __future__ import annotations

from typing import Any

import anyio
import coredis
from hypothesis import given, settings
from hypothesis import strategies as st

from peerjs_trio.bus.redis import SCRIPT
from tests.proto.cluster_store import Store

from .hubs import new_name
from .redis_server import RedisServer

NODES = ["n1", "n2", "n3"]
names = st.sampled_from(["alice", "bob", "carol", "d d"])
nonces = st.sampled_from(["x", "y", "z"])
digests = st.sampled_from(["one", "two"])
flags = st.integers(0, 1)
rooms = st.sampled_from(["r1", "r2"])
texts = st.binary(max_size=20)

requests = st.one_of(
    st.tuples(st.just("tend")),
    st.tuples(st.just("claim"), names, nonces, digests, flags),
    st.tuples(st.just("release"), names, nonces),
    st.tuples(st.just("route"), names, names, st.sampled_from(["go", "wait", "never"]), texts),
    st.tuples(st.just("fetch"), names),
    st.tuples(st.just("forget"), names, st.integers(0, 6)),
    st.tuples(st.just("everybody")),
    st.tuples(
        *(st.just("room"), st.sampled_from(["id", "join", "members", "leave"])),
        *(names, digests, rooms, flags, st.integers(1, 2), st.integers(1, 2)),
    ),
)
# A lease of 0 ends at once, and what waits for 0 is due at once: no time need pass.
exchanges = st.tuples(
    st.sampled_from([(NODES[0], 10**7, 10**7), (NODES[1], 10**7, 10**7), (NODES[2], 0, 0)]),
    st.lists(requests, min_size=1, max_size=6),
)


@settings(max_examples=150)
@given(st.lists(exchanges, min_size=1, max_size=12))
def test_they_answer_the_same(
    redis: RedisServer, calls: list[tuple[tuple[str, int, int], list[tuple[Any, ...]]]]
) -> None:
    name, store = new_name(), Store()
    store.listening = set()

    async def main() -> None:
        async with coredis.Redis(unix_socket_path=str(redis.socket)) as client:
            for head, asked in calls:
                arguments: list[Any] = [*head, 3, 40, 2, 4, 60]
                for request in asked:
                    arguments += request
                replies = await client.eval(SCRIPT, keys=[f"{{{name}}}"], args=arguments)
                expected = store.exchange(arguments)
                assert isinstance(replies, list)
                for request, reply, other in zip(asked, replies, expected, strict=True):
                    assert settled(request, reply) == settled(request, other), request

    anyio.run(main)


def settled(request: tuple[Any, ...], reply: Any) -> Any:
    """Without an order that neither of them promises."""
    match request[0]:
        case "everybody":
            return sorted(reply)
        case "tend":
            return [*reply[:2], *sorted(reply[2:])]
    return reply
