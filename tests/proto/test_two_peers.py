"""Two peers under arbitrary interleavings: what was sent arrives, and every end is an end.

Hypothesis decides who dials, sends, closes and flushes, what is carried on in between and in
which order, and what goes wrong: signaling lost, repeated or late, paths that break, a server
that goes away. Connection ids are few, so that offers meet (both dial at once) and replace.
"""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from peerjs_proto import events
from peerjs_proto.errors import (
    ConnectionClosed,
    Disconnected,
    LocalProtocolError,
    MessageTooBig,
    UnsupportedValue,
)
from peerjs_proto.limits import Limits
from peerjs_proto.states import Session
from peerjs_proto.testing.values import equal
from peerjs_proto.testing.world import Node, Rtc, World

LIMITS = Limits(ring_timeout=40.0)
LONGER_THAN_ANYTHING = 100.0

Offered = events.DataConnectionOffered | events.MediaConnectionOffered
Opened = events.DataConnectionOpened | events.MediaConnectionOpened
Closed = events.DataConnectionClosed | events.MediaConnectionClosed
SIDES = st.integers(0, 1)
IDS = st.sampled_from(["one", "two", "three", "four", "five"])
OFTEN = st.sampled_from([True] * 3 + [False])
SELDOM = st.sampled_from([False] * 9 + [True])
SERIALIZATIONS = st.sampled_from(["binary", "json", "raw"])
CHOICES = st.integers(0, 20)
VALUES = st.sampled_from([None, "short", {"a": [1.5, True]}, "long enough for chunks" * 2000])


@attrs.define(eq=False)
class End:
    """One side of a connection, and what it has done."""

    node: Node
    number: int
    connection_id: str
    serialization: str | None
    "None: media."
    dialled: bool
    sent: list[Any] = attrs.field(factory=list)
    closed: bool = False
    flushed: bool = False

    @property
    def received(self) -> list[Any]:
        return self.node.values(self.number)

    @property
    def ended(self) -> list[Closed]:
        return self.node.closed(self.number)


class TwoPeers(RuleBasedStateMachine):
    """What may befall two peers on a server that does its work."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.nodes = [self.world.node(id, LIMITS, media=True) for id in ("alice", "bob")]
        self.world.settle()
        self.ends: dict[tuple[str, int], End] = {}
        self.values = 0
        self.seen = [0, 0]
        self.broken = False

    @initialize(auto_accept=OFTEN)
    def begin(self, auto_accept: bool) -> None:
        self.world.auto_accept = auto_accept

    # --- what applications do -------------------------------------------------------------

    @rule(
        who=SIDES,
        connection_id=IDS,
        serialization=SERIALIZATIONS,
        reliable=st.booleans(),
        settled=OFTEN,
    )
    def dial(
        self, who: int, connection_id: str, serialization: str, reliable: bool, settled: bool
    ) -> None:
        node, peer = self.nodes[who], str(self.nodes[1 - who].core.id)
        try:
            number = node.core.connect(
                peer,
                connection_id=connection_id,
                now=self.world.now,
                serialization=serialization,
                reliable=reliable,
            )
        except Disconnected:
            assert node.core.session is not Session.OPEN
        except LocalProtocolError as refused:
            self.assert_in_use(node, connection_id, refused)
        else:
            self.add(End(node, number, connection_id, serialization, dialled=True))
            if settled:
                self.world.settle()

    @rule(who=SIDES, connection_id=IDS)
    def call(self, who: int, connection_id: str) -> None:
        node, peer = self.nodes[who], str(self.nodes[1 - who].core.id)
        try:
            number = node.core.call(peer, connection_id=connection_id, now=self.world.now)
        except Disconnected:
            assert node.core.session is not Session.OPEN
        except LocalProtocolError as refused:
            self.assert_in_use(node, connection_id, refused)
        else:
            self.add(End(node, number, connection_id, None, dialled=True))

    @rule(ids=st.tuples(IDS, IDS), serialization=SERIALIZATIONS, reliable=st.booleans())
    def dial_at_once(self, ids: tuple[str, str], serialization: str, reliable: bool) -> None:
        for who, connection_id in enumerate(ids):
            self.dial(who, connection_id, serialization, reliable, settled=False)

    @precondition(lambda self: self.undecided())
    @rule(choice=CHOICES, yes=st.booleans())
    def decide(self, choice: int, yes: bool) -> None:
        undecided = self.undecided()
        end = undecided[choice % len(undecided)]
        if yes:
            end.node.core.accept(end.number, self.world.now)
        else:
            end.closed = True
            end.node.core.close(end.number, self.world.now)
        end.node.drain()

    @precondition(lambda self: self.open())
    @rule(choice=CHOICES, value=VALUES, times=st.integers(1, 12))
    def send(self, choice: int, value: Any, times: int) -> None:
        ends = self.open()
        end = ends[choice % len(ends)]
        for _ in range(times):
            self.values += 1
            said = str(self.values) if end.serialization == "raw" else [self.values, value]
            try:
                end.node.core.send(end.number, said)
            except (ConnectionClosed, UnsupportedValue, MessageTooBig):
                break  # the first: not told yet, for it lingers
            end.sent.append(said)
        end.node.drain()

    @precondition(lambda self: self.ends)
    @rule(choice=CHOICES, flush=st.booleans())
    def close(self, choice: int, flush: bool) -> None:
        end = self.end(choice)
        end.flushed |= flush and not end.closed
        end.closed |= not flush
        end.node.core.close(end.number, self.world.now, flush=flush)
        end.node.drain()

    # --- what the world does --------------------------------------------------------------

    @rule(choices=st.lists(CHOICES, min_size=1, max_size=20))
    def carry(self, choices: list[int]) -> None:
        for choice in choices:
            self.world.step(choice)

    @rule()
    def settle(self) -> None:
        self.world.settle()

    @rule(seconds=st.sampled_from([0.1, 3.0, 30.0]), meanwhile=st.booleans())
    def time_passes(self, seconds: float, meanwhile: bool) -> None:
        (self.world.advance if meanwhile else self.world.wait)(seconds)

    @rule(choice=CHOICES, how=st.sampled_from(["lose", "repeat", "put_off"]))
    def disturb_signaling(self, choice: int, how: str) -> None:
        getattr(self.world, how)(choice)

    @rule(choice=CHOICES, really=SELDOM)
    def break_rtc(self, choice: int, really: bool) -> None:
        if really:
            self.broken |= self.world.break_rtc(choice)

    @rule(who=SIDES, really=SELDOM)
    def lose_server(self, who: int, really: bool) -> None:
        if really:
            self.world.lose_server(self.nodes[who])

    # --- what holds -----------------------------------------------------------------------

    @invariant()
    def an_end_is_told_once_and_is_final(self) -> None:
        for node in self.nodes:
            ended: set[int] = set()
            for event in node.events:
                number = getattr(event, "connection", None)
                assert number not in ended, event
                if number is not None and node.closed(number)[-1:] == [event]:
                    ended.add(number)

    @invariant()
    def only_what_comes_late_or_twice_is_refused(self) -> None:
        for node in self.nodes:
            for refused in node.told(events.SignalingRefused):
                assert refused.reason in (
                    "answers no offer of ours",
                    "offers a connection that is here",
                )

    @invariant()
    def what_arrives_was_sent_there(self) -> None:
        for sender, receiver, ordered in self.pairs():
            got = receiver.received
            if ordered:
                assert equal(sender.sent[: len(got)], got), "in order, nothing twice or left out"
            else:
                by_number = {number_of(value): value for value in sender.sent}
                assert len({number_of(value) for value in got}) == len(got), "nothing twice"
                assert all(equal(by_number[number_of(value)], value) for value in got)

    def teardown(self) -> None:
        self.world.advance(LONGER_THAN_ANYTHING)
        for end in self.all():
            if end.dialled:
                opened = {e.connection for e in end.node.events if isinstance(e, Opened)}
                assert end.number in opened or end.ended, "a dial has an answer"
        for sender, receiver, _ in self.pairs():
            failed = any(closed.error for end in (sender, receiver) for closed in end.ended)
            if failed or self.broken or sender.closed or receiver.closed:
                continue
            # Whoever flushes, and hears of no error, has been heard to the end.
            if sender.flushed or not receiver.flushed:
                assert equal(sender.sent, in_order(receiver)), "all of it"
        for node in self.nodes:
            node.core.shut_down()
            node.drain()
            assert node.core.next_timeout() is None
        self.world.settle()
        for end in self.all():
            assert len(end.ended) == 1, "each end, once"
        assert not any(node.rtcs for node in self.nodes)

    # --- who is there ---------------------------------------------------------------------

    def add(self, end: End) -> None:
        self.ends[str(end.node.core.id), end.number] = end
        end.node.drain()

    def all(self) -> list[End]:
        """Those dialled, and those offered up to now."""
        for who, node in enumerate(self.nodes):
            for event in node.events[self.seen[who] :]:
                if isinstance(event, Offered):
                    serialization = getattr(event, "serialization", None)
                    number, connection_id = event.connection, event.connection_id
                    end = End(node, number, connection_id, serialization, dialled=False)
                    self.ends[str(node.core.id), number] = end
            self.seen[who] = len(node.events)
        return list(self.ends.values())

    def end(self, choice: int) -> End:
        """Rather a young one: the old have ended."""
        ends = self.all()
        return ends[-1 - choice % min(len(ends), 4)]

    def open(self) -> list[End]:
        """Those on which one may send."""
        return [
            end
            for end in self.all()
            if events.DataConnectionOpened(end.number) in end.node.events
            and not (end.flushed or end.ended)
        ]

    def undecided(self) -> list[End]:
        if self.world.auto_accept:
            return []
        return [
            end
            for end in self.all()
            if not (end.dialled or end.ended or end.number in end.node.rtcs)
        ]

    def pairs(self) -> list[tuple[End, End, bool]]:
        """Sender and receiver of every channel that ever was, and whether it keeps order."""
        self.all()
        return [
            (self.of(rtc), self.of(rtc.far), rtc.ordered)
            for rtc in self.world.rtcs.values()
            if rtc.far is not None and not rtc.media
        ]

    def of(self, rtc: Rtc) -> End:
        return self.ends[str(rtc.node.core.id), rtc.number]

    def assert_in_use(self, node: Node, connection_id: str, refused: LocalProtocolError) -> None:
        assert "is in use" in str(refused)
        assert any(
            end.node is node and end.connection_id == connection_id and not end.ended
            for end in self.all()
        )


def number_of(value: Any) -> int:
    return int(value) if isinstance(value, str) else int(value[0])


def in_order(end: End) -> list[Any]:
    return sorted(end.received, key=number_of)


TestTwoPeers = TwoPeers.TestCase
TestTwoPeers.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
