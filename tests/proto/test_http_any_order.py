"""HTTP over WebRTC in any order: what arrives is what was sent, and every stream ends once.

Hypothesis decides who asks, answers, sends, takes, closes and gives up, and what the channel
carries meanwhile, each way by itself. Nothing is lost on it, and it stalls as long as it likes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peerjs_proto.errors import ConnectionClosed, LocalProtocolError
from peerjs_proto.http import HttpProtocol
from peerjs_proto.http_io import (
    BodyNotNeeded,
    CloseReceived,
    DataReceived,
    Drained,
    Ended,
    Failed,
    GoingAway,
    HttpEvent,
    HttpLimits,
    MessageReceived,
    Ready,
    RequestHead,
    RequestReceived,
    ResponseHead,
    ResponseReceived,
)

from .http_pair import CREDIT, DATA, WEBSOCKET, HttpPair

CLIENT, SERVER = 0, 1
LIMITS = (
    HttpLimits(window=1100, frame_bytes=1024, message_bytes=2500, answers=60),
    HttpLimits(window=1500, frame_bytes=1100, message_bytes=3000, answers=60, streams=3),
)
COST = 32

SIDES = st.integers(0, 1)
SELDOM = st.sampled_from([False] * 7 + [True])
CHOICES = st.integers(0, 20)
SIZES = st.sampled_from([0, 1, 33, 500, 1000, 2500, 6000])
COUNTS = st.sampled_from([1, 2, 5, 50])


@attrs.define(eq=False)
class Talk:
    """One stream, as its two applications know it."""

    head: RequestHead
    said: tuple[bytearray, bytearray] = attrs.field(factory=lambda: (bytearray(), bytearray()))
    messages: tuple[list[Any], list[Any]] = attrs.field(factory=lambda: ([], []))
    heard: tuple[bytearray, bytearray] = attrs.field(factory=lambda: (bytearray(), bytearray()))
    got: tuple[list[Any], list[Any]] = attrs.field(factory=lambda: ([], []))
    said_end: list[bool] = attrs.field(factory=lambda: [False, False])
    heard_end: list[bool] = attrs.field(factory=lambda: [False, False])
    ends: tuple[list[str], list[str]] = attrs.field(factory=lambda: ([], []))
    "How it ended otherwise, on each side: once at most."
    untaken: tuple[deque[int], deque[int]] = attrs.field(factory=lambda: (deque(), deque()))
    credit: list[int] = attrs.field(factory=lambda: [LIMITS[1].window, LIMITS[0].window])
    "What each side may still send, as far as CREDIT has arrived."
    responded: ResponseHead | None = None

    def is_whole(self, side: int) -> bool:
        """Whether all that the other side has said is here."""
        other = 1 - side
        return self.heard[side] == self.said[other] and self.got[side] == self.messages[other]


class AnyOrder(RuleBasedStateMachine):
    """A client, a server, and a channel that carries when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.cores = [
            HttpProtocol(client=side == CLIENT, limits=LIMITS[side]) for side in (CLIENT, SERVER)
        ]
        self.pipes: list[deque[bytes]] = [deque(), deque()]
        "Frames under way, by who has sent them."
        self.talks: dict[int, Talk] = {}
        self.known: set[int] = set()
        "Streams that the server has heard of."
        self.leaving = False

    # --- what applications do ---------------------------------------------------------------

    @rule(method=st.sampled_from(["GET", "HEAD", "POST"]), end=st.booleans())
    def ask(self, method: str, end: bool) -> None:
        self.request(RequestHead(method, "/"), end)

    @precondition(lambda self: self.cores[CLIENT].can_request)
    @rule(end=SELDOM)
    def ask_for_a_websocket(self, end: bool) -> None:
        self.request(WEBSOCKET, end)

    def request(self, head: RequestHead, end: bool) -> None:
        can = self.cores[CLIENT].can_request
        number = self.call(CLIENT, lambda core: core.request(head, end=end))
        if number is None:
            assert not can or (head.websocket and end)
            return
        assert can
        talk = self.talks[number] = Talk(head)
        talk.said_end[CLIENT] = end

    @precondition(lambda self: self.known)
    @rule(choice=CHOICES, status=st.sampled_from([200, 200, 101, 204]), end=st.booleans())
    def respond(self, choice: int, status: int, end: bool) -> None:
        number, talk = self.pick(choice, {number: self.talks[number] for number in self.known})
        if status == 200 and talk.head.websocket:
            status, end = 101, False
        head = ResponseHead(status)
        if self.did(SERVER, lambda core: core.respond(number, head, end=end)):
            assert talk.responded is None
            talk.responded = head
            talk.said_end[SERVER] = end

    @precondition(lambda self: self.talks)
    @rule(side=SIDES, choice=CHOICES, size=SIZES, end=st.booleans())
    def send(self, side: int, choice: int, size: int, end: bool) -> None:
        number, talk = self.pick(choice)
        data = bytes([size % 251]) * size
        if self.did(side, lambda core: core.send(number, data, end=end)):
            assert not talk.said_end[side]
            talk.said[side].extend(data)
            talk.said_end[side] = end

    @precondition(lambda self: self.websockets())
    @rule(side=SIDES, choice=CHOICES, size=SIZES, text=st.booleans())
    def send_message(self, side: int, choice: int, size: int, text: bool) -> None:
        number, talk = self.pick(choice, self.websockets())
        value: str | bytes = "é" * (size // 2) if text else bytes(size)
        if self.did(side, lambda core: core.send_message(number, value)):
            talk.messages[side].append(value)

    @precondition(lambda self: self.websockets())
    @rule(side=SIDES, choice=CHOICES, code=st.sampled_from([1000, 4999, 999]))
    def close(self, side: int, choice: int, code: int) -> None:
        number, talk = self.pick(choice, self.websockets())
        if self.did(side, lambda core: core.close(number, code, "bye")):
            talk.said_end[side] = True

    @precondition(lambda self: self.talks)
    @rule(side=SIDES, choice=CHOICES, code=st.sampled_from([0, 1, 5]))
    def reset(self, side: int, choice: int, code: int) -> None:
        number, talk = self.pick(choice)
        under_way = not self.cores[side].is_over(number)
        assert self.did(side, lambda core: core.reset(number, code))
        if under_way:
            talk.ends[side].append("reset")
        assert self.cores[side].is_over(number)

    @precondition(lambda self: self.known)
    @rule(choice=CHOICES)
    def release(self, choice: int) -> None:
        number, talk = self.pick(choice)
        if number in self.known:
            if not self.cores[SERVER].is_over(number):
                talk.ends[SERVER].append("released")
            self.cores[SERVER].release(number)
            self.drain(SERVER)

    @precondition(lambda self: self.talks)
    @rule(side=SIDES, choice=CHOICES, count=COUNTS)
    def take(self, side: int, choice: int, count: int) -> None:
        number, talk = self.pick(choice)
        for _ in range(min(count, len(talk.untaken[side]))):
            cost = talk.untaken[side].popleft()
            assert self.did(side, partial(HttpProtocol.consumed, number=number, cost=cost))

    @precondition(lambda self: len(self.talks) > 3)
    @rule(side=SIDES)
    def go_away(self, side: int) -> None:
        self.leaving = True
        assert self.did(side, lambda core: core.go_away("bye"))

    # --- what the channel does --------------------------------------------------------------

    @rule(side=SIDES, count=COUNTS)
    def hand_out(self, side: int, count: int) -> None:
        core = self.cores[side]
        for _ in range(count):
            frame = core.next_frame()
            self.drain(side)
            if frame is None:
                return
            assert len(frame) <= LIMITS[1 - side].frame_bytes
            self.pipes[side].append(frame)
            if frame[0] == DATA:
                talk = self.talks[int.from_bytes(frame[1:5])]
                payload = frame[6:]
                talk.credit[side] -= COST + len(payload) if payload or not frame[5] & 1 else 0
                assert talk.credit[side] >= 0, "no more than there was credit for"

    @rule(side=SIDES, count=COUNTS)
    def deliver(self, side: int, count: int) -> None:
        """To this side, from the other."""
        for _ in range(min(count, len(self.pipes[1 - side]))):
            frame = self.pipes[1 - side].popleft()
            if frame[0] == CREDIT:
                talk = self.talks[int.from_bytes(frame[1:5])]
                talk.credit[side] += int.from_bytes(frame[5:])
            self.cores[side].receive_frame(frame)
            self.drain(side)

    @rule()
    def flow(self) -> None:
        for side in (CLIENT, SERVER) * 3:
            self.hand_out(side, 50)
            self.deliver(1 - side, 50)

    # --- what must hold ---------------------------------------------------------------------

    @invariant()
    def what_has_arrived_was_sent(self) -> None:
        for talk in self.talks.values():
            for side in (CLIENT, SERVER):
                other = 1 - side
                assert talk.said[other].startswith(talk.heard[side])
                assert talk.messages[other][: len(talk.got[side])] == talk.got[side]
                assert len(talk.ends[side]) <= 1
                if talk.heard_end[side]:
                    assert talk.said_end[other]
                    assert talk.heard[side] == talk.said[other]

    @invariant()
    def what_is_held_is_bounded(self) -> None:
        for side, core in enumerate(self.cores):
            limits = LIMITS[side]
            assert core.streams <= LIMITS[SERVER].streams
            for number, talk in self.talks.items():
                message = limits.message_bytes if self.is_websocket(talk) else 0
                stream = core._streams.get(number)
                partial = len(stream.inflow._partial) if stream else 0
                assert sum(talk.untaken[side]) + partial <= limits.window + message
            assert len(core._frames) <= limits.answers + 20

    def teardown(self) -> None:
        """When all take what comes, and the channel flows, all that is under way ends."""
        for _ in range(200):
            before = self.progress()
            for number, talk in self.talks.items():
                self.end(number, talk)
            for side in (CLIENT, SERVER):
                self.hand_out(side, 1000)
                self.deliver(1 - side, 1000)
            if self.progress() == before:
                break
        for number, talk in self.talks.items():
            assert self.cores[CLIENT].is_over(number)
            assert self.cores[SERVER].is_over(number)
            if talk.ends[CLIENT] in ([], ["BodyNotNeeded"]):
                assert talk.heard_end[CLIENT]
                assert talk.is_whole(CLIENT)
            # A server that answers first drops the rest, which may have been on its way in full.
            if talk.heard_end[SERVER]:
                assert talk.is_whole(SERVER)
        assert [core.streams for core in self.cores] == [0, 0]
        assert self.leaving or self.cores[CLIENT].can_request

    # --- inside -----------------------------------------------------------------------------

    def end(self, number: int, talk: Talk) -> None:
        """Bring it to an end in good order, as far as it is possible."""
        for side in (CLIENT, SERVER):
            self.take(side, self.choice(number, self.talks), 1000)
        if number in self.known and talk.responded is None:
            self.respond(self.choice(number, self.known), 403, True)
        for side in (CLIENT, SERVER):
            if talk.said_end[side]:
                continue
            if self.is_websocket(talk):
                if self.did(side, lambda core: core.close(number)):
                    talk.said_end[side] = True
            elif self.did(side, lambda core: core.send(number, b"", end=True)):
                talk.said_end[side] = True

    def progress(self) -> str:
        return repr((self.talks, self.known, self.pipes))

    def pick(self, choice: int, among: dict[int, Talk] | None = None) -> tuple[int, Talk]:
        found = list((self.talks if among is None else among).items())
        return found[-1 - choice % len(found)]

    def choice(self, number: int, among: Iterable[int]) -> int:
        return list(among)[::-1].index(number)

    def is_websocket(self, talk: Talk) -> bool:
        return talk.responded is not None and talk.responded.status == 101

    def websockets(self) -> dict[int, Talk]:
        return {number: talk for number, talk in self.talks.items() if self.is_websocket(talk)}

    def did(self, side: int, what: Callable[[HttpProtocol], object]) -> bool:
        return self.call(side, lambda core: (what(core),)) is not None

    def call(self, side: int, what: Callable[[HttpProtocol], Any]) -> Any:
        """What comes of it. What is refused changes nothing."""
        core = self.cores[side]
        before = repr(core.__dict__)
        try:
            done = what(core)
        except (LocalProtocolError, ConnectionClosed):
            assert repr(core.__dict__) == before
            return None
        self.drain(side)
        return done

    def drain(self, side: int) -> None:
        while (event := self.cores[side].next_event()) is not None:
            self.hear(side, event)

    def hear(self, side: int, event: HttpEvent) -> None:
        match event:
            case Failed():
                raise AssertionError(f"nobody has broken a rule: {event.error}")
            case Ready() | GoingAway():
                return
            case RequestReceived(number, head, ended):
                assert side == SERVER
                assert number not in self.known
                assert head == self.talks[number].head
                assert (
                    ended
                    == (self.talks[number].said_end[CLIENT] and not self.talks[number].said[CLIENT])
                    or not ended
                )
                self.known.add(number)
                self.talks[number].heard_end[SERVER] = ended
                return
        talk = self.talks[event.stream]
        if not isinstance(event, Drained):
            assert not talk.ends[side], "nothing comes of a stream that has ended"
        match event:
            case ResponseReceived(_, response, ended):
                assert side == CLIENT
                assert response == talk.responded
                talk.heard_end[CLIENT] = ended
            case DataReceived(_, data, cost, ended):
                assert not talk.heard_end[side]
                talk.heard[side].extend(data)
                talk.heard_end[side] = ended
                talk.untaken[side].append(cost)
            case MessageReceived(_, value, cost):
                talk.got[side].append(value)
                talk.untaken[side].append(cost)
            case CloseReceived() | BodyNotNeeded() | Ended():
                talk.ends[side].append(type(event).__name__)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=100, stateful_step_count=40)


# --- whose turn it is -------------------------------------------------------------------------


@given(
    huge=st.integers(1, 8),
    stuck=st.integers(0, 8),
    carried=st.integers(0, 30),
    size=st.integers(1, 900),
)
def test_no_stream_waits_for_more_than_one_frame_of_each_other(
    huge: int, stuck: int, carried: int, size: int
) -> None:
    pair = HttpPair(server=HttpLimits(window=50_000, frame_bytes=1024))
    numbers = [pair.ask("POST", end=False) for _ in range(huge + stuck + 1)]
    *others, mine = numbers
    for number in others:
        pair.client.send(number, bytes(300_000 if number <= huge else 60_000))
    for _ in range(carried):
        pair.carry(pair.client)
        for event in pair.told(pair.server, DataReceived):
            if event.stream <= huge:
                pair.server.consumed(event.stream, event.cost)
        pair.events[pair.server].clear()
        while pair.carry(pair.server):
            pass
    pair.client.send(mine, bytes(size))
    for _ in range(huge + stuck + 1):
        pair.carry(pair.client)
    assert any(event.stream == mine for event in pair.told(pair.server, DataReceived))
