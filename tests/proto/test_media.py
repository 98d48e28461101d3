"""Calls: who rings, who answers, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peerjs_proto import commands, events
from peerjs_proto.errors import (
    ConnectionClosed,
    ConnectTimeout,
    Disconnected,
    LocalProtocolError,
    NegotiationFailed,
    PeerUnavailable,
)
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.testing.world import ENDPOINT

OFFER = {"type": "OFFER", "src": "bob", "payload": {"type": "media", "connectionId": "mc_1"}}
LIMITS = Limits(ring_timeout=30.0, connect_timeout=5.0)


class Alice:
    """One peer on a server, with nothing between the test and its core."""

    def __init__(self, *, media: bool = True, limits: Limits = LIMITS) -> None:
        self.core = PeerProtocol(ENDPOINT, id="alice", token="t", media=media, limits=limits)
        self.core.start(0.0)
        self.core.socket_opened(0.0)
        self.core.receive_text('{"type":"OPEN"}', 0.0)
        self.commands()
        self.events()

    def commands(self) -> list[commands.Command]:
        return list(iter(self.core.next_command, None))

    def events(self) -> list[events.Event]:
        return list(iter(self.core.next_event, None))

    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(c.text) for c in self.commands() if isinstance(c, commands.SendText)]

    def hear(self, type: str, now: float = 1.0, **payload: object) -> None:
        frame: dict[str, object] = {"type": type, "src": "bob", "dst": "alice"}
        if payload:
            frame["payload"] = {"type": "media", "connectionId": "mc_1", **payload}
        self.core.receive_text(json.dumps(frame), now)

    def ring(self, now: float = 1.0) -> None:
        self.hear("OFFER", now, sdp={"type": "offer", "sdp": "theirs"}, metadata={"hi": 1})

    def call(self) -> int:
        return self.core.call("bob", connection_id="mc_1", metadata={"hi": 1}, now=1.0)


def test_we_call_and_they_answer() -> None:
    alice = Alice()
    number = alice.call()
    assert alice.commands() == [commands.MakeMediaOffer(number)]
    alice.core.offer_made(number, "ours")
    (offer,) = alice.sent()
    assert offer == {
        "type": "OFFER",
        "dst": "bob",
        "payload": {
            "sdp": {"sdp": "ours", "type": "offer"},
            "type": "media",
            "connectionId": "mc_1",
            "metadata": {"hi": 1},
        },
    }
    alice.hear("CANDIDATE", candidate={"candidate": "c"})
    alice.hear("ANSWER", 20.0, sdp={"type": "answer", "sdp": "theirs"})
    assert alice.commands() == [
        commands.AddCandidate(number, {"candidate": "c"}),
        commands.ApplyAnswer(number, "theirs"),
    ]
    assert alice.core.next_timeout() == 5.0  # the heartbeat's, long overdue
    alice.core.media_connected(number)
    assert alice.events() == [events.MediaConnectionOpened(number)]
    alice.core.channel_closed(number)
    assert alice.commands() == [commands.CloseRtc(number)]
    assert alice.events() == [events.MediaConnectionClosed(number, None)]


def test_they_call_and_we_answer_later() -> None:
    alice = Alice()
    alice.hear("CANDIDATE", candidate={"candidate": "early"})
    alice.ring()
    (offered,) = alice.events()
    assert offered == events.MediaConnectionOffered(1, "bob", "mc_1", {"hi": 1})
    alice.hear("CANDIDATE", candidate={"candidate": "later"})
    assert alice.commands() == []
    alice.core.candidate_found(1, {"candidate": "of nothing yet"})
    alice.core.accept(1, 29.0)
    assert alice.commands() == [
        commands.MakeMediaAnswer(1, "theirs"),
        commands.AddCandidate(1, {"candidate": "early"}),
        commands.AddCandidate(1, {"candidate": "later"}),
    ]
    alice.core.candidate_found(1, {"candidate": "ours"})
    alice.core.answer_made(1, "ours")
    answer, candidate = alice.sent()
    assert candidate["payload"]["candidate"] == {"candidate": "ours"}
    assert candidate["payload"]["type"] == "media"
    assert answer["payload"] == {
        "sdp": {"sdp": "ours", "type": "answer"},
        "type": "media",
        "connectionId": "mc_1",
    }
    alice.core.handle_timeout(33.9)
    alice.core.media_connected(1)
    alice.core.media_connected(1)  # a second report is none
    assert alice.events() == [events.MediaConnectionOpened(1)]
    alice.core.rtc_failed(1, "ICE failed")
    (closed,) = alice.events()
    assert isinstance(closed, events.MediaConnectionClosed)
    assert isinstance(closed.error, ConnectionClosed)


def test_a_call_that_nobody_answers() -> None:
    alice = Alice()
    number = alice.call()
    alice.core.offer_made(number, "ours")
    alice.core.handle_timeout(30.9)
    assert alice.events() == []
    alice.core.handle_timeout(31.0)
    (closed,) = alice.events()
    assert isinstance(closed, events.MediaConnectionClosed)
    assert isinstance(closed.error, ConnectTimeout)
    assert str(closed.error) == "no answer from 'bob' within 30 s"


def test_a_call_that_we_do_not_answer() -> None:
    alice = Alice()
    alice.ring(now=1.0)
    alice.core.handle_timeout(30.9)
    (offered,) = alice.events()
    assert isinstance(offered, events.MediaConnectionOffered)
    alice.core.handle_timeout(31.0)
    (closed,) = alice.events()
    assert isinstance(closed, events.MediaConnectionClosed)
    assert str(closed.error) == "the offer of 'bob' not accepted within 30 s"
    assert not any(isinstance(c, commands.CloseRtc) for c in alice.commands())


def test_an_answered_call_that_finds_no_way() -> None:
    alice = Alice()
    alice.ring()
    alice.core.accept(1, 10.0)
    alice.core.answer_made(1, "ours")
    alice.core.handle_timeout(15.0)
    _, closed = alice.events()
    assert isinstance(closed, events.MediaConnectionClosed)
    assert str(closed.error) == "no connection to 'bob' within 5 s"


def test_candidates_are_kept_in_bounds_until_we_answer() -> None:
    alice = Alice(limits=Limits(early_candidates=3))
    alice.hear("CANDIDATE", candidate={"n": 0})  # before the offer
    alice.ring()
    for n in range(1, 5):
        alice.hear("CANDIDATE", candidate={"n": n})
    _, first, second = alice.events()
    for refused in (first, second):
        assert refused == events.SignalingRefused("bob", "more early candidates than are kept")
    alice.core.accept(1, 2.0)
    assert alice.commands()[1:] == [commands.AddCandidate(1, {"n": n}) for n in range(3)]
    for n in range(5, 9):  # what is passed on is not kept
        alice.hear("CANDIDATE", candidate={"n": n})
    assert alice.commands() == [commands.AddCandidate(1, {"n": n}) for n in range(5, 9)]
    assert alice.events() == []


def test_why_webrtc_failed_is_told() -> None:
    alice = Alice()
    number = alice.call()
    alice.core.rtc_failed(number, "no camera")
    (closed,) = alice.events()
    assert isinstance(closed, events.MediaConnectionClosed)
    assert isinstance(closed.error, NegotiationFailed)
    assert str(closed.error) == "could not connect to 'bob': no camera"
    number = alice.call()
    alice.core.offer_made(number, "ours")
    alice.hear("ANSWER", sdp={"type": "answer", "sdp": "theirs"})
    alice.core.media_connected(number)
    alice.core.rtc_failed(number, "ICE failed")
    opened, closed = alice.events()
    assert opened == events.MediaConnectionOpened(number)
    assert isinstance(closed, events.MediaConnectionClosed)
    assert isinstance(closed.error, ConnectionClosed)
    assert str(closed.error) == "lost the connection: ICE failed"


@pytest.mark.parametrize("flush", [True, False])
def test_hanging_up_and_refusing(flush: bool) -> None:
    alice = Alice()
    alice.ring()
    alice.core.close(1, 2.0, flush=flush)
    assert alice.events()[1:] == [events.MediaConnectionClosed(1, None)]
    assert alice.commands() == []  # PeerJS has no word for a refusal
    number = alice.call()
    alice.core.close(number, 2.0, flush=flush)
    (closed,) = alice.events()
    assert isinstance(closed, events.MediaConnectionClosed)
    assert isinstance(closed.error, ConnectionClosed)


def test_what_ends_a_dial_ends_a_call() -> None:
    alice = Alice()
    number = alice.call()
    alice.core.offer_made(number, "ours")
    alice.hear("EXPIRE")
    (closed,) = alice.events()
    assert isinstance(closed, events.MediaConnectionClosed)
    assert isinstance(closed.error, PeerUnavailable)
    number = alice.call()
    alice.core.channel_closed(number)
    (closed,) = alice.events()
    assert isinstance(closed, events.MediaConnectionClosed)
    assert isinstance(closed.error, NegotiationFailed)
    alice.ring()
    alice.hear("LEAVE")
    _, closed = alice.events()
    assert isinstance(closed, events.MediaConnectionClosed)
    assert isinstance(closed.error, PeerUnavailable)


def test_a_second_offer_replaces_a_call() -> None:
    alice = Alice()
    alice.ring()
    alice.ring()
    first, closed, second = alice.events()
    assert isinstance(first, events.MediaConnectionOffered)
    assert isinstance(closed, events.MediaConnectionClosed)
    assert isinstance(second, events.MediaConnectionOffered)
    assert (first.connection, closed.connection, second.connection) == (1, 1, 2)


def test_without_media_calls_are_refused() -> None:
    alice = Alice(media=False)
    alice.ring()
    assert alice.events() == [
        events.SignalingRefused("bob", "offers a 'media' connection, which is not supported")
    ]
    with pytest.raises(LocalProtocolError, match="no media"):
        alice.call()


def test_a_call_carries_no_messages() -> None:
    alice = Alice()
    number = alice.call()
    with pytest.raises(LocalProtocolError, match="carries no messages"):
        alice.core.send(number, "x")
    alice.core.receive_frame(number, b"x", 1.0)
    alice.core.channel_opened(number, 1000)
    assert alice.core.next_frame(number) is None
    assert alice.core.sent(number) == 0
    assert not alice.core.withdraw(number, 1)
    assert alice.events() == []
    data = alice.core.connect("bob", connection_id="dc_1", now=1.0)
    alice.core.media_connected(data)
    assert alice.events() == []


def test_a_call_needs_the_server() -> None:
    alice = Alice()
    number = alice.call()
    alice.core.socket_closed("gone", 0.0)
    alice.core.offer_made(number, "ours")
    _, closed = alice.events()
    assert isinstance(closed, events.MediaConnectionClosed)
    assert isinstance(closed.error, Disconnected)
    with pytest.raises(Disconnected):
        alice.call()


def test_an_answer_needs_the_server() -> None:
    alice = Alice()
    alice.ring()
    alice.core.accept(1, 2.0)
    alice.core.socket_closed("gone", 0.0)
    alice.core.answer_made(1, "ours")
    *_, closed = alice.events()
    assert isinstance(closed, events.MediaConnectionClosed)
    assert isinstance(closed.error, Disconnected)
    assert "cannot answer" in str(closed.error)
    assert alice.commands()[-1] == commands.CloseRtc(1)
