"""Two peers that talk all the time, while their server is killed again and again."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import count
from typing import Any, Final

import attrs
import trio

from peerjs_trio import DataConnection, Peer, PeerError, Session, open_peer
from peerjs_trio.rtc.choice import EngineName
from tests.interop.faults.killable import Killable, open_killable
from tests.soak.answering import answer_all, forget_reports
from tests.soak.meter import Bounds, Sample, Series

__all__ = ["OUTAGE_BOUNDS", "Tally", "soak_outages"]

OUTAGE_BOUNDS: Final = Bounds(traced=50, resident=2048)
"For each second."

_DOWN: Final = 1.0
"Seconds the server is away."

_RECOVERY: Final = 60.0
"Seconds until both must be registered again."

_PACE: Final = 0.005
"Seconds between messages."

_EACH: Final = 50
"Messages on each connection but the one that lasts."


@attrs.define
class Tally:
    """What was done."""

    kills: int = 0
    registrations: int = 0
    "By both, after a loss."
    connections: int = 0
    "Opened, used and closed beside the one that lasts."
    failed_dials: list[str] = attrs.Factory(list)
    "Why. The server was away for too long for them."
    messages: int = 0
    "Received, each one once and in order."
    slowest_recovery: float = 0.0
    "Seconds from the server's return until both were registered."


async def soak_outages(
    engine: EngineName,
    *,
    kills: int,
    every: float,
    report: Callable[[Sample, Tally], None] = lambda sample, tally: None,
    **options: Any,
) -> tuple[Series, Tally]:
    """So many kills, ``every`` so many seconds; a sample at first and after each.

    ``options`` are those of both peers.

    Raises AssertionError for a message that is lost, doubled or out of order, and TooSlowError for
    a peer that does not come back.
    """
    series = Series(first=2)
    tally = Tally()
    tracemalloc.start()
    try:
        async with (
            open_killable("ours") as server,
            open_peer("alice", server=server.url, engine=engine, **options) as alice,
            open_peer("bob", server=server.url, engine=engine, **options) as bob,
            trio.open_nursery() as nursery,
        ):
            begin = trio.current_time()
            lasting = await alice.connect("bob", redial=True)
            for source, sink in _both_ways(lasting, await anext(bob.incoming_connections())):
                nursery.start_soon(_send, source)
                nursery.start_soon(_receive, sink, tally)
            quiet = trio.Lock()
            nursery.start_soon(answer_all, bob, nursery)
            nursery.start_soon(_dial, alice, quiet, tally)
            nursery.start_soon(forget_reports, alice)
            nursery.start_soon(forget_reports, bob)
            for kill in range(kills + 1):
                if kill:
                    await trio.sleep(every)
                    await _kill(server, (alice, bob), tally)
                async with quiet:
                    sample = await series.take(trio.current_time() - begin)
                report(sample, tally)
            assert lasting.is_open
            nursery.cancel_scope.cancel()
    finally:
        tracemalloc.stop()
    return series, tally


async def _kill(server: Killable, peers: tuple[Peer, ...], tally: Tally) -> None:
    await server.kill()
    tally.kills += 1
    for peer in peers:
        await _reach(peer, Session.WAITING)
    await trio.sleep(_DOWN)
    await server.start()
    begin = trio.current_time()
    for peer in peers:
        await _reach(peer, Session.OPEN)
        tally.registrations += 1
    tally.slowest_recovery = max(tally.slowest_recovery, trio.current_time() - begin)


async def _reach(peer: Peer, wanted: Session) -> None:
    with trio.fail_after(_RECOVERY):
        async for state in peer.states():
            if state is wanted:
                return


async def _send(connection: DataConnection) -> None:
    for number in count():
        await connection.send(number)
        await trio.sleep(_PACE)


async def _receive(connection: DataConnection, tally: Tally) -> None:
    for number in count():
        assert await connection.receive() == number
        tally.messages += 1


async def _dial(caller: Peer, quiet: trio.Lock, tally: Tally) -> None:
    while True:
        async with quiet:
            try:
                connection = await caller.connect("bob", reliable=True)
            except PeerError as error:
                tally.failed_dials.append(type(error).__name__)
                continue
            for number in range(_EACH):
                await connection.send(number)
            for number in range(_EACH):
                assert await connection.receive() == number
                tally.messages += 1
            await connection.aclose()
            tally.connections += 1
        await trio.sleep(_PACE)


def _both_ways(
    here: DataConnection, there: DataConnection
) -> tuple[tuple[DataConnection, DataConnection], ...]:
    return (here, there), (there, here)
