"""One run: a seed says who is there, what they do and what befalls them; nothing else does.

Peers come, dial and send while things go wrong. Then faults stop: all who should be registered
are in time, and dials succeed. Then all shut down, and nothing is left.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

import attrs

from peerjs_proto.backoff import Reconnect, Redial
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import ServerLimits
from peerjs_proto.states import Session

from . import inside
from .applications import Application, Habits
from .faults import KINDS, Faults
from .peers import Setup, SimPeer
from .rtc import SILENCE, Engine
from .servers import ALIVE_TIMEOUT, SimServer
from .simulation import Simulation
from .sockets import PING_INTERVAL, PING_TIMEOUT
from .tally import Tally
from .violation import Violation

__all__ = ["Result", "run"]

LATENCIES: Final = 10.0
"Seconds for a few trips through the network, and a turn of the server's."


@attrs.frozen
class Result:
    """What a run came to."""

    seed: int
    violation: str | None
    "None: every invariant held."
    tally: Tally
    hash: str
    "Of the whole trace."
    last: tuple[str, ...]
    "The trace's last lines."


def run(
    seed: int,
    *,
    peer_core: type[PeerProtocol] = PeerProtocol,
    server_core: type[ServerProtocol] = ServerProtocol,
    kinds: tuple[str, ...] | None = None,
    show: Callable[[str], object] | None = None,
) -> Result:
    """Run one seed.

    Args:
        peer_core: In place of the real one, to see what the simulation finds.
        server_core: The same.
        kinds: Of faults; None lets the seed choose.
        show: Gets every line of the trace.
    """
    sim = Simulation(seed, peer_core=peer_core, server_core=server_core, show=show)
    violation = None
    try:
        _Scenario(sim, kinds).play()
    except Violation as found:
        violation = str(found)
    except Exception:
        violation = f"no exception comes out of a core:\n{traceback.format_exc()}"
    sim.tally.events, sim.tally.seconds = sim.clock.happened, sim.clock.now
    sim.tally.peers = len(sim.peers)
    sim.tally.counts["lines of trace"] = sim.trace.lines
    return Result(seed, violation, sim.tally, sim.trace.hash, tuple(sim.trace.last))


class _Scenario:
    def __init__(self, sim: Simulation, kinds: tuple[str, ...] | None) -> None:
        self._sim, self._random = sim, sim.random
        sim.engine = Engine(sim)
        random = sim.random
        self._faulty = random.uniform(20, 180)
        "Seconds in which things go wrong."
        self._limits = _limits(random)
        self._redial = Redial(timeout=random.choice((20.0, 60.0)))
        chosen = list(KINDS) if kinds is None else list(kinds)
        if kinds is None and random.random() < 0.5:
            chosen = [*random.sample(chosen, 3), "path breaks"]
        self._kinds = chosen
        for n in range(random.choice((1, 1, 2, 3))):
            host = f"server-{n}"
            sim.servers[host] = SimServer(sim, host, _server_limits(random))
        for n in range(_how_many(random)):
            sim.peers.append(self._peer(f"peer-{n}", f"p{n}" if random.random() < 0.9 else None))
        self._faults = Faults(sim, self._impostor)

    # --- who is there ---------------------------------------------------------------------

    def _peer(self, host: str, id: str | None) -> SimPeer:
        random = self._random
        servers = list(self._sim.servers.values())
        reconnect = None
        if random.random() < 0.9:
            reconnect = Reconnect(
                first=random.choice((0.2, 1.0)),
                longest=random.choice((5.0, 30.0)),
                jitter=random.choice((0.0, 0.5, 1.0)),
                attempts=random.choice((None, None, None, 3)),
            )
        setup = Setup(
            id=id,
            servers=tuple(servers[: random.randrange(1, len(servers) + 1)]),
            limits=self._limits,
            reconnect=reconnect,
            keeps_token=random.random() < 0.7,
        )
        peer = SimPeer(self._sim, host, setup)
        Application(self._sim, peer, Habits(again=random.random() < 0.9))
        return peer

    def _impostor(self, victim: SimPeer) -> SimPeer:
        """Another program that wants the same id."""
        peer = self._peer(f"other-{len(self._sim.peers)}", victim.setup.id)
        self._sim.peers.append(peer)
        peer.start()
        return peer

    # --- what happens ---------------------------------------------------------------------

    def play(self) -> None:
        sim, random, clock = self._sim, self._random, self._sim.clock
        own = list(sim.peers)
        for peer in own:
            clock.at(2 * random.random(), peer.start)
        for _ in range(3 * len(own)):
            clock.at(self._faulty * random.random(), partial(self._dial, own))
        for _ in range(len(own) // 4):
            clock.at(self._faulty * random.random(), partial(self._leave, own))
        count = random.randrange(6 + len(own))
        self._faults.schedule(self._kinds, count, self._faulty)
        clock.run(self._faulty)
        self._faults.stop()
        own = [peer for peer in own if peer.app.habits.again]
        self._recover(own)
        for peer in sim.peers:
            peer.app.settle_down()
        self._resume()
        clock.run(clock.now + LATENCIES)
        self._check_paths()
        self._dial_in_peace(own)
        self._end()

    def _dial(self, among: list[SimPeer]) -> None:
        """Somebody dials somebody; rarely one who is not there."""
        random = self._random
        caller = random.choice(among)
        if not caller.runs or caller.asleep:
            return
        callee = random.choice(among)
        known = callee.core.id if callee.life else callee.setup.id
        far_id = "nobody" if known is None or random.random() < 0.05 else known
        caller.app.dial(
            far_id,
            reliable=random.random() < 0.6,
            serialization=random.choice(("binary", "json", "raw")),
            redial=self._redial if random.random() < 0.4 else None,
        )

    def _leave(self, among: list[SimPeer]) -> None:
        """Somebody goes off the server, and comes back in a while."""
        peer = self._random.choice(among)
        if peer.runs and not peer.asleep:
            peer.do(peer.app.leave)

    def _recover(self, peers: list[SimPeer]) -> None:
        """All of them are registered within the stated time."""
        clock = self._sim.clock
        bounds = {peer.host: clock.now + recovery_time(peer.setup) for peer in peers}
        while away := [peer for peer in peers if not is_registered(peer)]:
            for peer in away:
                if clock.now > bounds[peer.host]:
                    raise Violation(
                        "after faults stop, everyone is registered within the stated time: "
                        f"{peer.host} ({peer.setup.id}) is {peer.core.session.value} after "
                        f"{recovery_time(peer.setup):g} s"
                    )
            clock.run(clock.now + 1.0)
        self._sim.write("", "all are registered")

    def _resume(self) -> None:
        """No connection waits for a path for ever, nor believes in one that is gone."""
        clock = self._sim.clock
        patience = max(self._redial.timeout, self._limits.redial_timeout)
        bound = clock.now + SILENCE + patience + LATENCIES
        clock.run(clock.now + 1.2 * SILENCE)
        while waiting := [p for p in self._sim.peers if p.runs and p.app.is_interrupted]:
            if clock.now > bound:
                raise Violation(
                    f"who redials is resumed or given up within {patience:g} s: {waiting[0].host}"
                )
            clock.run(clock.now + 1.0)

    def _check_paths(self) -> None:
        """Where a path stands, all that was sent on it has arrived."""
        for peer in self._sim.peers:
            for number, end in peer.app.open_ends.items() if peer.runs else ():
                rtc = peer.rtcs.get(number)
                if rtc is None or not rtc.up or rtc.other is None or not rtc.other.up:
                    raise Violation(f"no connection outlives its far side: {end.key}")
                far = rtc.other.peer.app.open_ends.get(rtc.other.number)
                if far is not None:
                    self._sim.ledger.check_whole(end)

    def _dial_in_peace(self, peers: list[SimPeer]) -> None:
        """When nothing is wrong, dials succeed."""
        clock = self._sim.clock
        for peer in self._sim.peers:
            peer.app.close_all()
        clock.run(clock.now + LATENCIES)
        dials = []
        some = self._random.sample(peers, min(10, len(peers)))
        for caller, callee in zip(some[::2], some[1::2], strict=False):
            if _meet(caller, callee) and callee.core.id is not None:
                callee.app.habits = Habits(accepts=1.0)
                dial = caller.app.dial(callee.core.id, reliable=True, serialization="binary")
                dials.append(dial)
        clock.run(clock.now + self._limits.connect_timeout)
        for end in dials:
            if end is None or not end.opened:
                why = "refused at once" if end is None else f"{end.key}: {end.error!r}"
                raise Violation(f"when nothing is wrong, dials succeed: {why}")

    def _end(self) -> None:
        """All shut down; then there is nothing."""
        sim, clock = self._sim, self._sim.clock
        for peer in sim.peers:
            if peer.runs:
                clock.after(2 * self._random.random(), partial(peer.do, peer.stop))
        clock.run(clock.now + 2 + ALIVE_TIMEOUT + LATENCIES)
        sim.ledger.check_flushed()
        for end in sim.ledger.ends.values():
            if not (end.ended or end.closed):
                raise Violation(f"every connection ends, and says so: {end.key}")
        for server in sim.servers.values():
            inside.check_server_empty(server.host, server.core)
            if server.sockets or server.registry.holders:
                raise Violation(f"nothing is left after the end: sockets at {server.host}")
        if len(sim.engine) or clock.waiting:
            raise Violation(
                f"nothing is left after the end: {len(sim.engine)} RTCPeerConnections, "
                f"{clock.waiting} things to happen"
            )


def recovery_time(setup: Setup) -> float:
    """Seconds until a peer is registered again once nothing is wrong, at most.

    It finds out that its socket is dead; an attempt may be on its way to nowhere; then it waits
    its longest, and comes as a server has just forgotten another who had its id.
    """
    policy = setup.reconnect
    waits = 5.0 if policy is None else policy.longest + 5.0
    found_out = PING_INTERVAL + PING_TIMEOUT
    return found_out + setup.limits.server_timeout + ALIVE_TIMEOUT + 1 + waits + LATENCIES


def is_registered(peer: SimPeer) -> bool:
    """Both sides say so."""
    socket = peer.socket
    if not peer.runs or peer.core.session is not Session.OPEN or socket is None:
        return False
    if socket.broken or not socket.is_open or socket.server_life != socket.server.life:
        return False
    assert peer.core.id is not None
    return socket.server.registry.holders.get(peer.core.id) == [socket.handle]


def _meet(one: SimPeer, other: SimPeer) -> bool:
    """Whether they are at the same server."""
    assert one.socket is not None
    assert other.socket is not None
    return one.socket.server is other.socket.server


def _how_many(random: Random) -> int:
    """Few in most runs, hundreds in some."""
    chance = random.random()
    if chance < 0.85:
        return random.randrange(3, 25)
    return random.randrange(25, 80) if chance < 0.98 else 300


def _limits(random: Random) -> Limits:
    """Mostly the defaults; at times so tight that they are reached."""
    if random.random() < 0.8:
        return Limits()
    return Limits(
        connections=random.randrange(2, 12),
        dials=random.randrange(1, 3),
        keep_alive=random.choice((None, 1.0, 4.5)),
        redial_timeout=random.choice((10.0, 60.0)),
        redial_bytes=random.randrange(1, 100_000),
        pending_connections=random.randrange(1, 4),
        early_connections=random.randrange(1, 4),
        early_candidates=random.randrange(1, 4),
        connect_timeout=random.uniform(10, 20),
    )


def _server_limits(random: Random) -> ServerLimits:
    if random.random() < 0.8:
        return ServerLimits()
    return ServerLimits(
        waiting_destinations=2, waiting_messages=4, waiting_messages_in_all=6, waiting_bytes=2000
    )
