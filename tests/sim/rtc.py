"""A simulated WebRTC engine: descriptions, candidates, a path that is found, a channel, its end.

Two ends know each other by the names in their descriptions. A path is found where the network has
one and at least one end knows an address of the other. When it breaks, each end fails for itself
once it has heard nothing for a while; an end that is closed says goodbye, if the path holds.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from peerjs_proto.serializer import Frame

from .clock import Timer
from .network import Stream

if TYPE_CHECKING:
    from .peers import SimPeer
    from .simulation import Simulation

__all__ = ["SILENCE", "Engine", "Rtc"]

ROOM: Final = 8
"Frames a channel takes before it is full."

MAX_MESSAGE_SIZE: Final = 262_144
"Bytes in one frame, as browsers allow."

SILENCE: Final = 30.0
"Seconds without a word of the far side until an end takes the path for broken; aiortc's."


@attrs.define(eq=False)
class Rtc:
    """One end of an RTCPeerConnection."""

    peer: SimPeer
    life: int
    "Of the peer's process."
    number: int
    name: str
    ordered: bool
    heard_of: set[str] = attrs.field(factory=set)
    "Names of ends whose addresses it was told."
    far: Rtc | None = None
    "The end whose description it was given."
    out: Stream | None = None
    "Its direction of the channel, once there is a path."
    up: bool = False
    closing: bool = False
    "Its channel sends no more; what it sent is still to arrive."
    drained: bool = False
    "And that has arrived."
    ended: bool = False
    "Closed, failed, or gone with its process."
    lapse: Timer | None = None
    "When it takes the path for broken."

    @property
    def other(self) -> Rtc | None:
        """The other end, if each has the other's description."""
        return self.far if self.far is not None and self.far.far is self else None

    @property
    def knows_far(self) -> bool:
        """Whether it has an address of the other end."""
        return self.far is not None and self.far.name in self.heard_of


class Engine:
    """All ends of all peers."""

    def __init__(self, sim: Simulation) -> None:
        self.fails = 0.0
        "How likely the library cannot make an offer or an answer."
        self._sim = sim
        self._ends: dict[str, Rtc] = {}
        "Those not ended, by name."
        self._made = 0
        sim.network.changed.append(self._look_at_paths)

    def __len__(self) -> int:
        return len(self._ends)

    # --- what the cores ask for -----------------------------------------------------------

    def offer(self, peer: SimPeer, number: int, ordered: bool) -> Rtc:
        """Make an end, and an offer."""
        rtc = self._end(peer, number, ordered)
        self._describe(rtc, "offer", lambda sdp: peer.core.offer_made(number, sdp))
        return rtc

    def answer(self, peer: SimPeer, number: int, offer: str) -> Rtc:
        """Make an end for an offer, and an answer."""
        name, _, whole = offer.removeprefix("offer ").partition(" ")
        far = self._ends.get(name)
        rtc = self._end(peer, number, far.ordered if far is not None else True)
        self._give(rtc, name, whole)
        self._describe(rtc, "answer", lambda sdp: peer.core.answer_made(number, sdp))
        return rtc

    def apply(self, rtc: Rtc, answer: str) -> None:
        """An offerer's end is given the answer."""
        name, _, whole = answer.removeprefix("answer ").partition(" ")
        self._give(rtc, name, whole)
        self._sim.clock.after(0.0, partial(self._seek_path, rtc))

    def add_candidate(self, rtc: Rtc, candidate: Any) -> None:
        """An end is told an address of the other."""
        rtc.heard_of.add(candidate["candidate"].split()[-1])

    def pump(self, rtc: Rtc) -> None:
        """Take frames for as long as there is room."""
        if rtc.out is None or not rtc.up or rtc.closing or rtc.ended:
            return
        while rtc.out.under_way < ROOM:
            frame = rtc.peer.core.next_frame(rtc.number)
            if frame is None:
                break
            rtc.out.send(partial(self._arrive, rtc, frame))

    def close_channel(self, rtc: Rtc) -> None:
        """Close it behind all that was sent."""
        if rtc.closing or rtc.ended or rtc.out is None:
            return
        rtc.closing = True
        self._drain(rtc)

    def close(self, rtc: Rtc) -> None:
        """End it, and say so to the far side if there is a way."""
        if rtc.ended:
            return
        self._finish(rtc)
        other = rtc.other
        if rtc.out is None or other is None:
            return
        if self._sim.random.random() < 0.5:
            rtc.out.lose()
        goodbye = Stream(self._sim.network, rtc.peer.host, other.peer.host)
        if self._sim.network.reaches(rtc.peer.host, other.peer.host):
            goodbye.send(partial(self._hear_goodbye, other, rtc.out))
        self._look_at(other)

    def vanish(self, rtc: Rtc) -> None:
        """It is gone with its process, without a word; what was lost is not sent again."""
        if not rtc.ended:
            self._finish(rtc)
            if rtc.out is not None:
                rtc.out.lose()
            if rtc.other is not None:
                self._look_at(rtc.other)

    def fail(self, rtc: Rtc | None, reason: str) -> None:
        """The library gives up."""
        if rtc is not None and not rtc.ended:
            self._finish(rtc)
            self._tell(rtc, "rtc failed", lambda: rtc.peer.core.rtc_failed(rtc.number, reason))
            if rtc.other is not None:
                self._look_at(rtc.other)

    def links(self) -> list[Rtc]:
        """One end of each path that stands; the offerer's or the answerer's."""
        return [end for end in self._ends.values() if end.up and _first(end)]

    # --- coming to be ---------------------------------------------------------------------

    def _end(self, peer: SimPeer, number: int, ordered: bool) -> Rtc:
        self._made += 1
        rtc = Rtc(peer, peer.life, number, f"rtc{self._made}", ordered)
        self._ends[rtc.name] = rtc
        return rtc

    def _give(self, rtc: Rtc, name: str, whole: str) -> None:
        """The far side's description, and with it the time in which there must be a path."""
        rtc.far = self._ends.get(name)
        if whole:
            rtc.heard_of.add(name)
        wait = 5 + 25 * self._sim.random.random()
        rtc.lapse = self._sim.clock.after(wait, partial(self.fail, rtc, "no path was found"))

    def _describe(self, rtc: Rtc, kind: str, made: Any) -> None:
        """Complete at once, or with candidates that are told one by one."""
        random, clock = self._sim.random, self._sim.clock
        delay = 0.01 + 0.3 * random.random()
        if random.random() < self.fails:
            self._sim.befall(rtc.peer.host, "engine failure")
            clock.after(delay, partial(self.fail, rtc, "the library could not make it"))
            return
        trickles = random.random() < 0.5
        sdp = f"{kind} {rtc.name}{'' if trickles else ' whole'}"
        for n in range(random.randrange(1, 4) if trickles else 0):
            init = {"candidate": f"candidate {n} {rtc.name}", "sdpMid": "0", "sdpMLineIndex": 0}
            found = partial(rtc.peer.core.candidate_found, rtc.number, init)
            clock.after(0.5 * random.random(), partial(self._tell, rtc, "candidate found", found))
        clock.after(delay, partial(self._tell, rtc, f"{kind} made", partial(made, sdp)))

    def _seek_path(self, rtc: Rtc) -> None:
        """Connectivity checks, until there is a path or the end gives up."""
        if rtc.ended or rtc.up:
            return
        other = rtc.other
        network, clock = self._sim.network, self._sim.clock
        if (
            other is None
            or other.ended
            or not network.reaches(rtc.peer.host, other.peer.host)
            or not (rtc.knows_far or other.knows_far)
        ):
            clock.after(0.5, partial(self._seek_path, rtc))
            return
        for near, far in ((rtc, other), (other, rtc)):
            near.out = Stream(network, near.peer.host, far.peer.host, ordered=near.ordered)
        for end in (rtc, other):
            trips = 4 * network.latency(rtc.peer.host, other.peer.host)
            clock.after(trips, partial(self._open, end))

    def _open(self, rtc: Rtc) -> None:
        if rtc.ended or rtc.up:
            return
        rtc.up = True
        if rtc.lapse is not None:
            rtc.lapse.cancel()
            rtc.lapse = None

        def opened() -> None:
            rtc.peer.core.channel_opened(rtc.number, MAX_MESSAGE_SIZE)
            self.pump(rtc)

        self._tell(rtc, "channel opened", opened)
        self._look_at(rtc)

    # --- what passes ----------------------------------------------------------------------

    def _arrive(self, rtc: Rtc, frame: Frame) -> None:
        far = rtc.other
        if far is not None:
            core = far.peer
            self._tell(far, None, lambda: core.core.receive_frame(far.number, frame, core.now))
        if rtc.closing:
            self._drain(rtc)
        else:
            self._tell(rtc, None, lambda: self.pump(rtc))

    def _drain(self, rtc: Rtc) -> None:
        """RFC 8831, section 6.7: each side closes its direction; closed is it when both are."""
        if rtc.out is not None and not (rtc.out.under_way or rtc.drained or rtc.ended):
            rtc.out.send(partial(self._drained, rtc))

    def _drained(self, rtc: Rtc) -> None:
        rtc.drained = True
        far = rtc.other
        if far is None or far.ended:
            return
        self.close_channel(far)
        for end in (rtc, far) if far.drained else ():
            self._closed(end)

    def _hear_goodbye(self, rtc: Rtc, from_far: Stream) -> None:
        from_far.lose()
        self._closed(rtc)

    def _closed(self, rtc: Rtc) -> None:
        if not rtc.ended:
            self._finish(rtc)
            self._tell(rtc, "channel closed", lambda: rtc.peer.core.channel_closed(rtc.number))

    # --- whether the path holds -----------------------------------------------------------

    def _look_at_paths(self) -> None:
        for end in list(self._ends.values()):
            self._look_at(end)

    def _look_at(self, rtc: Rtc) -> None:
        """Start to count the seconds of silence, or stop it."""
        other = rtc.other
        if rtc.ended or not rtc.up or other is None:
            return
        holds = not other.ended and self._sim.network.reaches(rtc.peer.host, other.peer.host)
        if holds and rtc.lapse is not None:
            rtc.lapse.cancel()
            rtc.lapse = None
        elif not holds and rtc.lapse is None:
            wait = SILENCE * (0.9 + 0.2 * self._sim.random.random())
            rtc.lapse = self._sim.clock.after(wait, partial(self.fail, rtc, "consent expired"))

    # --- inside ---------------------------------------------------------------------------

    def _finish(self, rtc: Rtc) -> None:
        rtc.ended, rtc.up = True, False
        if rtc.lapse is not None:
            rtc.lapse.cancel()
        del self._ends[rtc.name]

    def _tell(self, rtc: Rtc, what: str | None, act: Any) -> None:
        """Unless the core has closed it by the time its process gets to know."""

        def told() -> None:
            if rtc.peer.rtcs.get(rtc.number) is rtc:
                if what is not None:
                    self._sim.write(rtc.peer.host, f"< {what} {rtc.number}")
                act()

        rtc.peer.tell(rtc.life, told)


def _first(rtc: Rtc) -> bool:
    return rtc.other is not None and rtc.name < rtc.other.name
