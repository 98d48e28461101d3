"""Questions of scale: what a peer costs, and how long a great many take to come back.

The second table is what the defaults of :class:`~peerjs_proto.backoff.Reconnect` are chosen from.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

import attrs

from peerjs_proto.backoff import Reconnect
from peerjs_proto.limits import Limits

from .herd import Door, Herd

__all__ = ["Recovery", "recover", "report"]

RATE: Final = 0.05
"Registrations a second, for each peer there is: 5,000 for 100,000. All are in after 20 s at best."

POLICIES: Final = (
    Reconnect(first=1, longest=30, jitter=0.0),
    Reconnect(first=1, longest=30, jitter=0.5),
    Reconnect(first=1, longest=30, jitter=1.0),
    Reconnect(first=0.5, longest=10, jitter=1.0),
    Reconnect(first=1, longest=10, jitter=1.0),
    Reconnect(first=2, longest=30, jitter=1.0),
    Reconnect(first=5, longest=30, jitter=1.0),
    Reconnect(first=1, longest=60, jitter=1.0),
)

CASES: Final = ((2.0, 4096), (2.0, 128), (60.0, 4096))
"Seconds the server is down, and the backlog of its door."


def report(count: int) -> None:
    """Print both tables."""
    gc.disable()  # it would go through millions of objects, again and again, for nothing
    costs(count)
    print()
    print(
        f"Back after a restart, at a server that registers {RATE * count:,.0f} a second; "
        f"{1 / RATE:.0f} s at best. Seconds from when it serves again."
    )
    print(Recovery.HEAD, flush=True)
    for down, backlog in CASES:
        for policy in POLICIES:
            gc.collect()
            print(recover(count, policy, down, backlog).row(), flush=True)


# --- what a peer costs ---------------------------------------------------------------------------


def costs(count: int) -> None:
    """Print messages and processor time per peer."""
    before = _resident()
    herd = Herd(count, seed=1, reconnect=Reconnect(), limits=Limits(), door=None)
    herd.clock.after(1.0, herd.sweep)
    print(f"{count:,} peers, one server. Per peer: messages with the server, CPU in the cores.")
    print(f"{'':<24} {'to server':>9} {'to peers':>9} {'peer µs':>9} {'server µs':>9}  wall s")
    for what, seconds in _phases(herd):
        marks = herd.to_server, herd.to_peers, herd.peer_seconds, herd.server_seconds
        began = time.perf_counter()
        herd.clock.run(herd.clock.now + seconds)
        sent, got = herd.to_server - marks[0], herd.to_peers - marks[1]
        peer, server = herd.peer_seconds - marks[2], herd.server_seconds - marks[3]
        print(
            f"{what:<24} {sent / count:9.2f} {got / count:9.2f} {peer / count * 1e6:9.1f} "
            f"{server / count * 1e6:9.1f} {time.perf_counter() - began:7.1f}",
            flush=True,
        )
    held = (_resident() - before) / count
    print(f"{held / 1024:.1f} KiB of memory for each, with its part of the server")


def _phases(herd: Herd) -> Iterator[tuple[str, float]]:
    """What is done, and for how long it is watched."""
    count = len(herd.members)
    herd.start(within=9.0)
    yield "registers", 10.0
    assert herd.server.statistics().clients == count
    yield "is there for a minute", 60.0
    for n, member in enumerate(herd.members):
        act = partial(herd.dial, member, f"p{(n + 1) % count}", f"dc_{n}")
        herd.clock.after(9.0 * n / count, act)
    yield "dials, and is dialled", 10.0


def _resident() -> int:
    """Bytes, at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# --- how long they take to come back -------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Recovery:
    """After one restart."""

    HEAD = (
        f"{'first':>5} {'longest':>7} {'jitter':>6} {'down s':>6} {'backlog':>7} | "
        f"{'half':>6} {'99 %':>6} {'all':>6} | {'attempts':>8} {'peak/s':>8} {'given up':>8} "
        f"{'wasted':>6}"
    )

    policy: Reconnect
    down: float
    backlog: int
    half: float
    most: float
    all: float
    attempts: float
    "For each peer."
    peak: int
    "Attempts in the busiest second."
    given_up: float
    "For each peer, because the server did not answer in time."
    wasted: float
    "For each peer: work that the server did for somebody who had given up."

    def row(self) -> str:
        """For a table under ``HEAD``."""
        policy = self.policy
        return (
            f"{policy.first:5g} {policy.longest:7g} {policy.jitter:6g} {self.down:6g} "
            f"{self.backlog:7} | {self.half:6.1f} {self.most:6.1f} {self.all:6.1f} | "
            f"{self.attempts:8.1f} {self.peak:8,} {self.given_up:8.2f} {self.wasted:6.2f}"
        )


def recover(count: int, policy: Reconnect, down: float, backlog: int) -> Recovery:
    """The server's process dies, and another serves after so many seconds."""
    # Heartbeats would cost time here and change nothing.
    limits = Limits(heartbeat_interval=1e6)
    door = Door(RATE * count, backlog)
    herd = Herd(count, seed=1, reconnect=policy, limits=limits, door=None)
    herd.start(within=9.0)
    herd.clock.run(30.0)
    assert herd.server.statistics().clients == count
    herd.opened_at.clear()
    herd.by_second.clear()
    herd.attempts = herd.given_up = herd.wasted = 0
    herd.door = door
    herd.crash()
    herd.clock.run(herd.clock.now + down)
    herd.come_up()
    back = herd.clock.now
    while len(herd.opened_at) < count:
        assert herd.clock.now < back + 3600
        herd.clock.run(herd.clock.now + 1.0)
    opened = sorted(herd.opened_at)
    return Recovery(
        policy=policy,
        down=down,
        backlog=backlog,
        half=opened[count // 2] - back,
        most=opened[count * 99 // 100] - back,
        all=opened[-1] - back,
        attempts=herd.attempts / count,
        peak=max(herd.by_second.values()),
        given_up=herd.given_up / count,
        wasted=herd.wasted / count,
    )
