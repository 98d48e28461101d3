"""HTTP over WebRTC with a far side that sends anything, in any order, and reads when it likes.

Nothing is raised, what is held stays bounded, every stream ends once, and the end is an end.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

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

from .http_pair import (
    CLOSE,
    END,
    GOAWAY,
    HELLO,
    MORE,
    REQUEST,
    RESET,
    RESPONSE,
    TEXT,
    coded,
    credit,
    data,
    frame,
    head,
    hello,
)

LIMITS = HttpLimits(
    window=1100, frame_bytes=1024, message_bytes=2000, headers=2, answers=8, streams=3
)

Step = Callable[["Watched"], None]


@attrs.define(eq=False)
class Watched:
    """A core between an application and a far side, neither of which keeps to anything."""

    core: HttpProtocol
    requested: set[int] = attrs.field(factory=set)
    ended: set[int] = attrs.field(factory=set)
    untaken: dict[int, int] = attrs.field(factory=dict)
    own_words: int = 0
    "RESETs and GOAWAYs that the application asked for."
    failed: bool = False

    def hear(self, frame: str | bytes) -> None:
        self.core.receive_frame(frame)
        self.look()

    def call(self, what: Callable[[HttpProtocol], Any]) -> None:
        with suppress(LocalProtocolError, ConnectionClosed):
            what(self.core)
        self.look()

    # --- its application ---

    def request(self, end: bool, websocket: bool) -> None:
        asked = RequestHead("GET", "/", websocket=websocket)
        self.call(lambda core: self.requested.add(core.request(asked, end=end)))
        self.call(HttpProtocol.next_frame)

    def respond(self, choice: int) -> None:
        """To whoever has waited longest."""
        streams = self.core._streams.items()
        number, stream = next((each for each in streams if not each[1].responded), (0, None))
        websocket = stream is not None and stream.head.websocket and choice > 1
        response, end = ResponseHead(101 if websocket else 200), not websocket and choice > 3
        self.call(lambda core: core.respond(number, response, end=end))

    def take(self) -> None:
        while self.untaken:
            number, cost = self.untaken.popitem()
            self.call(partial(HttpProtocol.consumed, number=number, cost=cost))

    def reset(self, number: int) -> None:
        self.own_words += 2  # release resets as well
        self.call(lambda core: core.reset(number))

    def read(self, count: int) -> None:
        for _ in range(count):
            self.call(HttpProtocol.next_frame)

    # --- what must hold ---

    def look(self) -> None:
        while (event := self.core.next_event()) is not None:
            self.told(event)
        core = self.core
        assert core.streams <= (LIMITS.streams if not core._client else 4)
        assert len(core._streams) <= 2 * LIMITS.streams
        assert len(core._frames) <= LIMITS.answers + 2 * LIMITS.streams + self.own_words + 2
        assert max(len(core._owing), len(core._turns), len(core._requests)) <= core.streams
        for number in self.requested:
            stream = core._streams.get(number)
            partial = len(stream.inflow._partial) if stream else 0
            held = self.untaken.get(number, 0) + partial
            assert held <= LIMITS.window + LIMITS.message_bytes
        if self.failed:
            assert core.is_leaving
            assert core.streams == 0
            assert len(core._frames) <= 1

    def told(self, event: HttpEvent) -> None:
        assert not self.failed, "nothing comes of a connection that has failed"
        match event:
            case Failed():
                self.failed = True
                return
            case Ready() | GoingAway():
                return
            case RequestReceived(number):
                assert number not in self.requested
                self.requested.add(number)
                return
        number = event.stream
        assert isinstance(event, Drained) or number not in self.ended
        match event:
            case DataReceived(_, _, cost) | MessageReceived(_, _, cost):
                self.untaken[number] = self.untaken.get(number, 0) + cost
            case ResponseReceived():
                assert self.core._client
            case BodyNotNeeded() | CloseReceived() | Ended():
                self.ended.add(number)


# --- the far side, as long as it keeps to the rules -----------------------------------------------


def far_request(members: dict[str, Any], end: bool) -> Step:
    def step(watched: Watched) -> None:
        if not watched.core._client:
            watched.hear(head(REQUEST, watched.core._highest + 1, members, end))

    return step


def far_frame(choice: int, kind: int, size: int, code: int, bit: bool) -> Step:
    """Something about a stream, where it may be sent at all."""

    def step(watched: Watched) -> None:
        known = sorted(watched.requested)
        if not known or (number := known[-1 - choice % len(known)]) > watched.core._highest:
            return
        stream = watched.core._streams.get(number)
        client, websocket = watched.core._client, bool(stream and stream.is_websocket)
        match kind:
            case 0 | 1 | 2 if websocket:
                watched.hear(data(number, bytes(size), MORE if bit else 0))
            case 0 | 1 if stream and not stream.inflow.ended and stream.responded >= client:
                if not stream.head.websocket:
                    watched.hear(data(number, bytes(size or 1), bit))
            case 2 | 3 if stream and client and not stream.responded:
                status = 101 if stream.head.websocket and size else 200
                watched.hear(head(RESPONSE, number, {"status": status}, bit and status == 200))
            case 4:
                watched.hear(credit(number, size))
            case 5 if websocket:
                watched.hear(coded(CLOSE, number, code))
            case 6 if bit:
                watched.hear(coded(RESET, number, code))

    return step


# --- the steps ------------------------------------------------------------------------------------


def heard(frames: st.SearchStrategy[bytes]) -> st.SearchStrategy[Step]:
    return frames.map(lambda frame: lambda watched: watched.hear(frame))


def called(what: Callable[..., Any], *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(*arguments).map(
        lambda drawn: lambda watched: watched.call(lambda core: what(core, *drawn))
    )


STREAMS = st.integers(1, 5)
SIZES = st.sampled_from([0, 1, 300, 500, 968])
FLAGS = st.sampled_from([0, 0, END, TEXT, MORE, MORE, MORE | TEXT, 8])
CODES = st.sampled_from([0, 1, 2, 999, 1000, 1005, 0xFFFF])
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["GET", "GET", "HEAD", "a b"]),
        "headers": st.lists(st.sampled_from([["a", "b"], ["A", "b"]]), max_size=3),
    },
).map(lambda members: {"method": "GET", "path": "/", **members})

KEPT = st.one_of(
    st.builds(far_request, MEMBERS, st.booleans()),
    st.just(far_request({"method": "GET", "path": "/", "websocket": True}, end=False)),
    *[st.builds(far_frame, st.integers(0, 5), st.integers(0, 6), SIZES, CODES, st.booleans())] * 3,
)
WILD = st.one_of(
    heard(st.binary(max_size=30)),
    heard(st.builds(frame, st.integers(HELLO, GOAWAY + 1), st.integers(0, 5), st.binary())),
    heard(st.builds(head, st.sampled_from([REQUEST, RESPONSE]), STREAMS, MEMBERS, FLAGS)),
    heard(st.builds(data, STREAMS, SIZES.map(bytes), FLAGS)),
    heard(st.builds(credit, STREAMS, st.just((1 << 32) - 1))),
    heard(st.builds(coded, st.sampled_from([RESET, CLOSE]), STREAMS, CODES, st.binary(max_size=3))),
    st.just(lambda watched: watched.hear("text")),
)
CALLED = st.one_of(
    st.tuples(st.booleans(), st.booleans()).map(lambda how: lambda watched: watched.request(*how)),
    STREAMS.map(lambda choice: lambda watched: watched.respond(choice)),
    STREAMS.map(lambda number: lambda watched: watched.reset(number)),
    st.just(Watched.take),
    called(
        lambda core, number, size, end: core.send(number, bytes(size), end=end),
        *(STREAMS, SIZES, st.booleans()),
    ),
    called(lambda core, number, size: core.send_message(number, bytes(size)), STREAMS, SIZES),
    called(lambda core, number: core.close(number), STREAMS),
    called(lambda core, number: core.release(number), STREAMS),
)
READ = st.integers(1, 9).map(lambda count: lambda watched: watched.read(count))
STEPS = st.lists(st.one_of(KEPT, KEPT, CALLED, READ), min_size=20, max_size=60)


@settings(max_examples=150)
@given(client=st.booleans(), steps=STEPS, wild=WILD, more=STEPS)
def test_nothing_a_far_side_does_gets_out_of_hand(
    client: bool, steps: list[Step], wild: Step, more: list[Step]
) -> None:
    watched = Watched(HttpProtocol(client=client, limits=LIMITS))
    watched.hear(hello(streams=4))
    for step in (*steps, wild, *more):
        step(watched)
    watched.call(HttpProtocol.connection_lost)
    assert watched.core.streams == 0
    assert watched.core.next_frame() is None


@given(client=st.booleans(), steps=st.lists(st.one_of(WILD, CALLED), max_size=10))
def test_nor_does_one_that_has_no_idea_how_to_begin(client: bool, steps: list[Step]) -> None:
    watched = Watched(HttpProtocol(client=client, limits=LIMITS))
    for step in steps:
        step(watched)
