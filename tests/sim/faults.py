"""What can go wrong, and a seeded schedule of it. Each fault has an end, and all have at last."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from peerjs_proto import keepalive

from .clock import Act
from .ledger import LARGE_FRAME
from .peers import SimPeer
from .rtc import Rtc
from .servers import Mode, SimServer
from .simulation import Simulation
from .violation import Violation

__all__ = ["KINDS", "Faults"]

KINDS: Final[tuple[str, ...]] = (
    "delay",
    "loss",
    "messages lost",
    "messages repeated",
    "messages out of order",
    "partition",
    "host alone",
    "server crash",
    "server's machine off",
    "server silent",
    "server mute",
    "server stopped",
    "server slow",
    "peer killed",
    "peer's machine off",
    "peer stopped",
    "peer's clock jumps",
    "server's clock jumps",
    "path breaks",
    "engine fails",
    "socket half-open",
    "socket breaks",
    "impostor",
)
"""All kinds. What relays do to a message, and engines to a connection, is counted as well."""


class Faults:
    """Of one run. ``impostor`` starts a peer that wants another's id; the run ends it."""

    def __init__(self, sim: Simulation, impostor: Callable[[SimPeer], SimPeer]) -> None:
        self._sim, self._impostor = sim, impostor
        self._ends: dict[int, Act] = {}
        self._number = 0
        self._impostors: list[SimPeer] = []

    def schedule(self, kinds: list[str], count: int, until: float) -> None:
        """So many of these kinds, at times up to then."""
        random = self._sim.random
        for _ in range(count):
            kind = random.choice(kinds)
            when = until * random.random()
            self._sim.clock.at(when, partial(self.inject, kind))

    def inject(self, kind: str) -> None:
        """One fault of a kind, now, to whom chance will have it."""
        random = self._sim.random
        server = random.choice(list(self._sim.servers.values()))
        peer = random.choice(self._sim.peers)
        host = random.choice((server.host, peer.host, peer.host, peer.host))
        match kind:
            case "delay" | "loss":
                self._weather(kind, host)
            case "messages lost" | "messages repeated" | "messages out of order":
                self._relay(kind, server)
            case "partition" | "host alone":
                self._partition(kind, host)
            case "server crash" | "server's machine off":
                self._crash(kind, server)
            case "server silent" | "server mute" | "server stopped":
                self._ail(kind, server)
            case "server slow":
                server.slowness = 0.2 * random.random() ** 2
                self._begin(server.host, kind, 40, partial(setattr, server, "slowness", 0.0))
            case "peer killed" | "peer's machine off":
                self._kill(kind, peer)
            case "peer stopped":
                if peer.runs and not peer.asleep:
                    peer.sleep()
                    self._begin(peer.host, kind, 40, peer.wake)
            case "peer's clock jumps":
                self._sim.befall(peer.host, kind)
                peer.jump(120 * random.random() ** 3)
            case "server's clock jumps":
                self._sim.befall(server.host, kind)
                server.jump(120 * random.random() ** 2)
            case "path breaks":
                self._break_path(kind)
            case "engine fails":
                self._sim.engine.fails = 0.2
                self._begin("", kind, 60, partial(setattr, self._sim.engine, "fails", 0.0))
            case "socket half-open" | "socket breaks":
                self._break_socket(kind, peer)
            case _:
                self._sim.befall(peer.host, kind)
                self._impostors.append(self._impostor(peer))

    def stop(self) -> None:
        """From now on nothing goes wrong any more, and what was broken is whole."""
        self._sim.write("", "! faults stop")
        ends, self._ends = self._ends, {}
        for end in ends.values():
            end()
        self._sim.network.heal_all()
        for peer in self._impostors:
            if peer.runs:
                peer.stop()

    # --- kinds ----------------------------------------------------------------------------

    def _weather(self, kind: str, host: str) -> None:
        network, random = self._sim.network, self._sim.random
        if kind == "delay":
            network.slow[host] = 2 + 30 * random.random()
            self._begin(host, kind, 40, lambda: network.slow.pop(host, None))
        else:
            network.lossy[host] = 0.05 + 0.5 * random.random()
            self._begin(host, kind, 40, lambda: network.lossy.pop(host, None))

    def _relay(self, kind: str, server: SimServer) -> None:
        trait = {
            "messages lost": "loses",
            "messages repeated": "repeats",
            "messages out of order": "disorders",
        }[kind]
        setattr(server, trait, 0.5 * self._sim.random.random())
        self._begin(server.host, kind, 60, partial(setattr, server, trait, 0.0))

    def _partition(self, kind: str, host: str) -> None:
        random, network = self._sim.random, self._sim.network
        hosts = [*self._sim.servers, *(peer.host for peer in self._sim.peers)]
        side = [host] if kind == "host alone" else random.sample(hosts, len(hosts) // 2)
        number = network.cut(side)
        self._begin(host, kind, 90, lambda: network.heal(number))

    def _crash(self, kind: str, server: SimServer) -> None:
        if server.mode is Mode.UP:
            server.crash(Mode.REFUSES if kind == "server crash" else Mode.GONE)
            self._begin(server.host, kind, 60, server.restart)

    def _ail(self, kind: str, server: SimServer) -> None:
        if server.mode is Mode.UP:
            server.mode = {
                "server silent": Mode.SILENT,
                "server mute": Mode.MUTE,
                "server stopped": Mode.FROZEN,
            }[kind]
            self._begin(server.host, kind, 60, server.restart)

    def _kill(self, kind: str, peer: SimPeer) -> None:
        if peer.runs:
            for rtc in peer.rtcs.values():
                if rtc.up and rtc.other is not None and rtc.other.up:
                    self._expect_to_be_missed(rtc.other)
            peer.die(machine_too=kind != "peer killed")
            self._begin(peer.host, kind, 40, lambda: None if peer.runs else peer.start())

    def _expect_to_be_missed(self, far: Rtc) -> None:
        """Their keep-alive tells the others in time that somebody is gone."""
        patience, clock, peer = far.peer.setup.limits.keep_alive, self._sim.clock, far.peer
        if patience is None:
            return
        killed = clock.now

        def look() -> None:
            same = peer.life == far.life and peer.runs
            if same and peer.disturbed < killed and peer.rtcs.get(far.number) is far:
                raise Violation(
                    f"who is killed is missed: {peer.host} has kept {far.number} for "
                    f"{clock.now - killed:g} s"
                )

        if not peer.asleep:
            end = peer.app.open_ends.get(far.number)
            if end is not None and end.serialization == "raw":
                patience += LARGE_FRAME / keepalive._SLOWEST  # one may just have been announced
            clock.after(patience + 0.5, look)

    def _break_path(self, kind: str) -> None:
        """Of a third of all connections: each end may know, or find out by itself."""
        random, engine = self._sim.random, self._sim.engine
        links = engine.links()
        for rtc in random.sample(links, (len(links) + 2) // 3):
            self._sim.befall(rtc.peer.host, kind)
            first, second = random.sample((rtc, rtc.other), 2)
            engine.fail(first, "the path broke")
            if random.random() < 0.5:
                engine.fail(second, "the path broke")

    def _break_socket(self, kind: str, peer: SimPeer) -> None:
        socket = peer.socket
        if socket is None or not socket.is_open or socket.broken:
            return
        self._sim.befall(peer.host, kind)
        if kind == "socket half-open":
            socket.break_silently()
        else:
            socket.server.hang_up(socket)
            socket.reset("connection reset")

    # --- inside ---------------------------------------------------------------------------

    def _begin(self, who: str, kind: str, longest: float, end: Act) -> None:
        """It lasts a while, rather a short one."""
        self._number += 1
        number = self._number
        self._ends[number] = end
        self._sim.befall(who, kind)
        lasts = 0.2 + longest * self._sim.random.random() ** 2
        self._sim.clock.after(lasts, partial(self._end, number, who, kind))

    def _end(self, number: int, who: str, kind: str) -> None:
        end = self._ends.pop(number, None)
        if end is not None:
            self._sim.write(who, f"! no more {kind}")
            end()
