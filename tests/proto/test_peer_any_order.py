"""PeerProtocol in a world that may do anything: every input, in every order.

Two cores are given the same: one is drained after each input, the other now and then. What they
say in the end is the same, and whatever it is keeps the promises of the contract.
"""

from __future__ import annotations

import json
from typing import Any

import attrs
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from peerjs_proto import commands, events, messages
from peerjs_proto.backoff import Reconnect
from peerjs_proto.errors import ConnectionClosed, Disconnected, LocalProtocolError
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.states import SESSION_TRANSITIONS, Session
from peerjs_proto.testing.frames import chunked, frames, hostile_frames
from peerjs_proto.testing.operations import Operation, peer_operations
from peerjs_proto.testing.world import ENDPOINT

LIMITS = Limits(
    connections=4,
    pending_connections=2,
    early_candidates=2,
    early_connections=2,
    partial_messages=2,
    ring_timeout=40.0,
    dials=2,
)
# Bounds of what a dial may take, from the docstrings of connect and call.
PATIENCE = {
    "connect": LIMITS.connect_timeout,
    "call": LIMITS.ring_timeout + LIMITS.connect_timeout,
}
# What may be refused. Everything else comes from outside, and is not to raise.
MISUSE = (LocalProtocolError, ConnectionClosed, Disconnected)
APPLICATION = {"start", "reconnect", "move", "connect", "call", "accept", "send"}

Offered = events.DataConnectionOffered | events.MediaConnectionOffered
Opened = events.DataConnectionOpened | events.MediaConnectionOpened
Closed = events.DataConnectionClosed | events.MediaConnectionClosed
PEERS = st.sampled_from(["bob", "carol"])
CONNECTION_IDS = st.sampled_from(["dc_1", "dc_2", "mc_1"])


class Drained:
    """A core and all it has said."""

    def __init__(self) -> None:
        self.core = PeerProtocol(
            [ENDPOINT, ENDPOINT],
            token="t",
            limits=LIMITS,
            media=True,
            reconnect=Reconnect(attempts=3),
            random=lambda: 0.5,
        )
        self.commands: list[commands.Command] = []
        self.events: list[events.Event] = []

    def drain(self) -> None:
        self.commands += iter(self.core.next_command, None)
        self.events += iter(self.core.next_event, None)
        assert self.core.next_command() is None
        assert self.core.next_event() is None

    def said(self) -> list[str]:
        """For comparing: errors are equal if they say the same, and NaN is NaN."""
        return [repr(attrs.asdict(one, recurse=False)) for one in (*self.commands, *self.events)]


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.eager, self.lazy = Drained(), Drained()
        self.answered = 0
        self.session = Session.NEW
        self.dials: dict[int, tuple[str, float]] = {}
        self.shut = False

    @initialize(online=st.booleans())
    def begin(self, online: bool) -> None:
        if online:
            self.come_online(ready=True)

    # --- every input there is -------------------------------------------------------------

    @rule(operation=peer_operations())
    def anything(self, operation: Operation) -> None:
        self.do(operation)

    def do(self, operation: Operation) -> Any:
        note(f"{operation} at {self.now}")
        results: list[tuple[Any, str | None]] = []
        refusals = MISUSE if operation.method in APPLICATION else ()
        for one in (self.lazy, self.eager):
            try:
                results.append((operation.do(one.core, self.now), None))
            except refusals as error:
                results.append((None, str(error)))
        assert results[0] == results[1]
        silent = self.shut
        heard = len(self.eager.commands), len(self.eager.events)
        self.eager.drain()
        if results[0][1] is not None:
            assert heard == (len(self.eager.commands), len(self.eager.events)), "no side effect"
        if silent:
            assert heard == (len(self.eager.commands), len(self.eager.events)), "closed for good"
        if operation.method in PATIENCE and results[0][1] is None:
            self.dials[results[0][0]] = operation.method, self.now
        if operation.method == "handle_timeout":
            self.look_at_deadlines()
        self.shut |= operation.method == "shut_down"
        return results[0][0]

    def look_at_deadlines(self) -> None:
        due = self.eager.core.next_timeout()
        assert due is None or due > self.now, "it would wake for ever"
        answered = {e.connection for e in self.eager.events if isinstance(e, Opened | Closed)}
        for number, (method, since) in self.dials.items():
            if self.now >= since + PATIENCE[method]:
                assert number in answered, "a dial has an answer in time"

    # --- what leads somewhere -------------------------------------------------------------

    def call(self, method: str, *arguments: Any, timed: bool = False, **options: Any) -> Any:
        return self.do(Operation(method, arguments, options, timed))

    def hear(self, type: str, **members: Any) -> None:
        self.call("receive_text", json.dumps({"type": type, **members}), timed=True)

    @precondition(lambda self: self.session is not Session.OPEN)
    @rule(ready=st.booleans())
    def come_online(self, ready: bool) -> None:
        if self.session is Session.NEW:
            self.call("start", timed=True)
        if ready:
            self.answer_commands(9)
            self.hear("OPEN")

    @precondition(lambda self: self.answered < len(self.eager.commands))
    @rule(count=st.integers(1, 9))
    def answer_commands(self, count: int) -> None:
        """As a runtime would."""
        while count and self.answered < len(self.eager.commands):
            command = self.eager.commands[self.answered]
            self.answered += 1
            count -= 1
            match command:
                case commands.FetchId():
                    self.call("receive_http", 200, b"alice", timed=True)
                case commands.OpenSocket():
                    self.call("socket_opened", timed=True)
                case commands.MakeOffer(number) | commands.MakeMediaOffer(number):
                    self.call("offer_made", number, "an offer")
                case commands.MakeAnswer(number) | commands.MakeMediaAnswer(number):
                    self.call("answer_made", number, "an answer")
                    self.come_up(number)
                case commands.ApplyAnswer(number):
                    self.come_up(number)
                case commands.SendText(text):
                    self.answer_offer(messages.decode(text))
                case commands.FramesReady(number) if count % 2:
                    while self.call("next_frame", number) is not None:
                        pass
                case commands.CloseChannel(number):
                    self.call("channel_closed", number)

    def come_up(self, number: int) -> None:
        self.call("channel_opened", number, 1000)
        self.call("media_connected", number)

    def answer_offer(self, offer: messages.Message) -> None:
        if isinstance(offer, messages.Offer):
            answer = messages.Answer(
                src=offer.dst, kind=offer.kind, connection_id=offer.connection_id, sdp="theirs"
            )
            self.call("receive_text", messages.encode(answer), timed=True)

    @rule(
        src=PEERS,
        connection_id=CONNECTION_IDS,
        kind=st.sampled_from(["data", "media"]),
        serialization=st.sampled_from(["binary", "json", "raw"]),
        reliable=st.booleans(),
        accept=st.booleans(),
    )
    def be_offered(
        self,
        src: str,
        connection_id: str,
        kind: str,
        serialization: str,
        reliable: bool,
        accept: bool,
    ) -> None:
        offer = messages.Offer(
            src=src,
            kind=kind,
            connection_id=connection_id,
            sdp="theirs",
            serialization=serialization,
            reliable=reliable,
        )
        before = len(self.eager.events)
        self.call("receive_text", messages.encode(offer), timed=True)
        for event in self.eager.events[before:]:
            if isinstance(event, Offered) and accept:
                self.call("accept", event.connection, timed=True)

    @precondition(lambda self: self.open())
    @rule(data=st.data(), flush=st.booleans())
    def close(self, data: st.DataObject, flush: bool) -> None:
        number = data.draw(st.sampled_from(self.open()))
        self.call("close", number, timed=True, flush=flush)

    @precondition(lambda self: self.open())
    @rule(
        data=st.data(),
        sent=st.lists(frames() | hostile_frames(), max_size=3) | chunked().map(lambda c: c[1]),
    )
    def receive(self, data: st.DataObject, sent: list[Any]) -> None:
        number = data.draw(st.sampled_from(self.open()))
        for frame in sent:
            self.call("receive_frame", number, frame, timed=True)

    @rule(seconds=st.sampled_from([0.1, 0.25, 3.0, 10.0, 20.0, 61.0]), wake=st.booleans())
    def time_passes(self, seconds: float, wake: bool) -> None:
        """Woken or not: too late is no misuse."""
        self.now += seconds
        if wake:
            self.call("handle_timeout", timed=True)

    @rule()
    def drain_the_other(self) -> None:
        self.lazy.drain()
        assert self.lazy.said() == self.eager.said()

    def open(self) -> list[int]:
        ended = {e.connection for e in self.eager.events if isinstance(e, Closed)}
        opened = [e.connection for e in self.eager.events if isinstance(e, Opened)]
        return [number for number in opened if number not in ended]

    # --- what always holds ----------------------------------------------------------------

    @invariant()
    def the_session_moves_along_its_table(self) -> None:
        reachable = {self.session}
        while True:
            more = reachable | {s for r in reachable for s in SESSION_TRANSITIONS[r].values()}
            if more == reachable:
                break
            reachable = more
        assert self.eager.core.session in reachable
        self.session = self.eager.core.session

    @invariant()
    def a_connection_lives_once(self) -> None:
        """Offered or dialled, then perhaps open, then ended, and nothing after that."""
        born, opened, ended = {*self.dials}, set[int](), set[int]()
        for event in self.eager.events:
            number = getattr(event, "connection", None)
            if number is None:
                continue
            assert number not in ended, event
            if isinstance(event, Offered):
                assert number not in born
                born.add(number)
            assert number in born, event
            if isinstance(event, Opened):
                assert number not in opened
                opened.add(number)
            elif isinstance(event, Closed):
                ended.add(number)
                if number in self.dials and number not in opened:
                    assert event.error is not None, "a dial that fails has a reason"
            elif not isinstance(event, Offered):
                assert number in opened, event
        assert len(born - ended) <= LIMITS.connections
        assert len(born - {*self.dials} - opened - ended) <= LIMITS.pending_connections

    @invariant()
    def nothing_is_asked_of_what_was_closed(self) -> None:
        closed: set[int] = set()
        for command in self.eager.commands:
            number = getattr(command, "connection", None)
            if isinstance(command, commands.MakeOffer | commands.MakeAnswer):
                closed.discard(command.connection)  # redialled: another RTCPeerConnection
            assert number is None or number not in closed, command
            if isinstance(command, commands.CloseRtc):
                closed.add(command.connection)

    def teardown(self) -> None:
        self.call("shut_down")
        self.lazy.drain()
        assert self.lazy.said() == self.eager.said()
        assert self.eager.core.session is Session.CLOSED
        assert self.eager.core.next_timeout() is None
        ended = [e.connection for e in self.eager.events if isinstance(e, Closed)]
        offered = [e.connection for e in self.eager.events if isinstance(e, Offered)]
        assert sorted(ended) == sorted([*self.dials, *offered]), "each has ended, once"


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
