"""One data connection, with nothing between the test and its core: what it asks for, and when."""

from __future__ import annotations

import json

import pytest

from peerjs_proto import commands, events
from peerjs_proto.chunks import split
from peerjs_proto.errors import (
    ConnectionClosed,
    ConnectTimeout,
    DecodeError,
    LimitExceeded,
    NotOpenYet,
    PeerError,
)
from peerjs_proto.limits import Limits
from tests.proto.channel import Channel

MARKER = b'{"__peerData":{"type":"close"}}'
BINARY_MARKER = bytes.fromhex("81ba5f5f706565724461746181b474797065b5636c6f7365")
VALUE = b"1"


# --- coming to be -----------------------------------------------------------------------------


@pytest.mark.parametrize("reliable", [True, False])
def test_the_offer_says_what_was_asked_for(reliable: bool) -> None:
    alice = Channel(reliable=reliable, opened=False)
    assert alice.commands() == [commands.MakeOffer(alice.number, "chat", reliable)]
    assert alice.due == 20.0
    alice.core.offer_made(alice.number, "ours")
    (sent,) = alice.commands()
    assert isinstance(sent, commands.SendText)
    assert json.loads(sent.text) == {
        "type": "OFFER",
        "dst": "bob",
        "payload": {
            "sdp": {"sdp": "ours", "type": "offer"},
            "type": "data",
            "connectionId": "dc_1",
            "metadata": {"hi": 1},
            "label": "chat",
            "reliable": reliable,
            "serialization": "json",
            "peerjs-sansio": {"keepAlive": 4.5},
        },
    }


def told_candidates(alice: Channel) -> list[tuple[str, object]]:
    """What Alice says to Bob: the kinds of her messages, and the candidate in each."""
    told = [json.loads(c.text) for c in alice.commands() if isinstance(c, commands.SendText)]
    return [(frame["type"], frame["payload"].get("candidate")) for frame in told]


def test_our_candidates_go_out_behind_the_description() -> None:
    first, second, third = ({"candidate": f"candidate:{n}", "sdpMid": "0"} for n in range(3))
    alice = Channel(opened=False)
    alice.commands()
    alice.core.candidate_found(alice.number, first)
    assert told_candidates(alice) == []
    alice.core.offer_made(alice.number, "ours")
    assert told_candidates(alice) == [("OFFER", None), ("CANDIDATE", first)]
    alice.core.candidate_found(alice.number, second)
    assert told_candidates(alice) == [("CANDIDATE", second)]
    alice.answer()
    alice.core.channel_opened(alice.number)
    alice.core.candidate_found(alice.number, third)  # a slow TURN server's
    assert told_candidates(alice) == [("CANDIDATE", third)]
    alice.core.close(alice.number, 1.0)
    alice.core.candidate_found(alice.number, first)
    alice.core.candidate_found(99, first)
    assert told_candidates(alice) == []


def test_a_candidates_message_is_peerjs() -> None:
    alice = Channel()
    init = {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "u"}
    alice.core.candidate_found(alice.number, init)
    (sent,) = alice.commands()
    assert isinstance(sent, commands.SendText)
    assert json.loads(sent.text) == {
        "type": "CANDIDATE",
        "dst": "bob",
        "payload": {"candidate": init, "type": "data", "connectionId": "dc_1"},
    }


def test_candidates_that_the_answer_was_too_late_for_are_forgotten() -> None:
    alice = Channel(opened=False)
    alice.core.candidate_found(alice.number, {"candidate": "c"})
    alice.core.receive_text('{"type":"LEAVE","src":"bob"}', 0.0)
    alice.commands()
    alice.core.offer_made(alice.number, "ours")
    assert alice.commands() == []


def test_it_opens_once_and_is_due_no_longer() -> None:
    alice = Channel(opened=False)
    alice.core.channel_opened(alice.number, 1000)  # there is no channel yet
    alice.core.offer_made(alice.number, "ours")
    alice.answer()
    assert alice.events() == []
    assert alice.due == 20.0
    alice.core.channel_opened(alice.number, 1000)
    alice.core.channel_opened(alice.number, 2000)
    assert alice.events() == [events.DataConnectionOpened(alice.number)]
    assert alice.due is None
    with pytest.raises(PeerError, match="1001 bytes; this connection sends 1000"):
        alice.core.send(alice.number, "x" * 999)


def test_frames_before_it_is_open_are_ignored() -> None:
    alice = Channel(opened=False)
    alice.receive(VALUE, 1.0)
    alice.receive(b"nonsense", 1.0)
    assert alice.events() == []
    assert alice.due == 20.0


# --- sending ----------------------------------------------------------------------------------


def test_each_message_has_a_serial_number_and_is_announced() -> None:
    alice = Channel("words")
    assert alice.core.sent(alice.number) == 0
    assert [alice.core.send(alice.number, text) for text in ("a b", "c")] == [1, 2]
    assert alice.commands() == [commands.FramesReady(alice.number)] * 2
    assert [alice.core.next_frame(alice.number) for _ in range(3)] == ["a", "b", " "]
    assert alice.core.sent(alice.number) == 0  # nobody knows yet that this was the last frame
    assert alice.core.next_frame(alice.number) == "c"
    assert alice.core.sent(alice.number) == 1
    assert alice.frames() == [" "]
    assert alice.core.sent(alice.number) == 2
    assert alice.commands() == []


def test_only_what_has_not_begun_is_withdrawn() -> None:
    alice = Channel("words")
    for text in ("a b", "c", "d"):
        alice.core.send(alice.number, text)
    assert alice.core.next_frame(alice.number) == "a"
    assert not alice.core.withdraw(alice.number, 1)
    assert not alice.core.withdraw(alice.number, 4)
    assert alice.core.withdraw(alice.number, 2)
    assert alice.frames() == ["b", " ", "d", " "]
    assert not alice.core.withdraw(alice.number, 3)


def test_nothing_is_sent_once_it_ends() -> None:
    alice = Channel(reliable=False)
    alice.core.send(alice.number, 1)
    alice.receive(MARKER, 1.0)
    with pytest.raises(ConnectionClosed, match="is closed"):
        alice.core.send(alice.number, 2)
    alice = Channel()
    alice.core.send(alice.number, 1)
    alice.flush(1.0)
    with pytest.raises(ConnectionClosed, match="is closed"):
        alice.core.send(alice.number, 2)
    early = Channel(opened=False)
    with pytest.raises(NotOpenYet, match="not open yet"):
        early.core.send(early.number, 1)
    assert early.commands() == [commands.MakeOffer(early.number, "chat", True)]


# --- receiving --------------------------------------------------------------------------------


def test_values_come_as_they_are_with_what_they_are_worth() -> None:
    alice = Channel("words")
    alice.receive("one three", 1.0)
    assert alice.events() == [
        events.MessageReceived(alice.number, "one", 3),
        events.MessageReceived(alice.number, "three", 5),
    ]
    assert alice.due is None


def test_what_is_wrong_ends_it_with_the_reason() -> None:
    alice = Channel("words")
    alice.receive("fine bad lost", 1.0)
    first, second = alice.events()
    assert first == events.MessageReceived(alice.number, "fine", 4)
    assert isinstance(second, events.DataConnectionClosed)
    assert isinstance(second.error, DecodeError)
    assert alice.due is None


def test_a_serializer_that_cannot_leave_anything_out_ends_it() -> None:
    alice = Channel("words")
    alice.receive("wait", 1.0)
    assert alice.due == 6.0
    alice.core.handle_timeout(5.9)
    assert alice.events() == []
    assert alice.due == 6.0
    alice.core.handle_timeout(6.0)
    assert alice.is_closed(LimitExceeded, "waited in vain")


def test_the_same_while_it_drains_is_told_once() -> None:
    alice = Channel("words")
    alice.flush(0.0)
    alice.receive("wait", 30.0)  # both are over by 40.0
    alice.core.handle_timeout(40.0)
    assert alice.is_closed(LimitExceeded)


def test_messages_that_are_never_finished_are_counted() -> None:
    alice = Channel("binary")
    for chunk_id, when in ((1, 1.0), (2, 2.0), (3, 3.0)):
        first, _ = split(bytes(40), chunk_id=chunk_id, piece_size=20)
        alice.receive(first, when)
    assert alice.due == 61.0
    alice.core.handle_timeout(62.0)
    assert alice.events() == [events.MessagesDropped(alice.number, 2)]
    assert alice.due == 63.0
    alice.core.handle_timeout(62.5)
    assert alice.events() == []
    alice.core.handle_timeout(63.0)
    assert alice.events() == [events.MessagesDropped(alice.number, 1)]
    assert alice.due is None


# --- the far side's farewell ------------------------------------------------------------------


def test_in_order_a_farewell_is_the_end() -> None:
    alice = Channel("words")
    alice.receive("a bye b", 1.0)
    received, closed = alice.events()
    assert received == events.MessageReceived(alice.number, "a", 1)
    assert closed == events.DataConnectionClosed(alice.number, None)
    assert alice.commands() == [commands.CloseRtc(alice.number)]
    assert alice.due is None


def test_nothing_behind_a_farewell_in_the_same_frame_counts() -> None:
    alice = Channel("words", reliable=False)
    alice.receive("a bye b bad", 1.0)
    assert alice.events() == [events.MessageReceived(alice.number, "a", 1)]
    assert alice.due == 1.25


def test_out_of_order_it_ends_after_quiet() -> None:
    alice = Channel(reliable=False)
    alice.receive(MARKER, 10.0)
    assert alice.due == 10.25
    alice.receive(VALUE, 10.2)
    assert alice.due == 10.45
    alice.core.handle_timeout(10.25)
    assert len(alice.events()) == 1
    assert alice.due == 10.45
    assert not any(isinstance(c, commands.CloseRtc) for c in alice.commands())
    alice.core.handle_timeout(10.45)
    assert alice.is_closed()


def test_stragglers_have_so_long_and_no_longer() -> None:
    alice = Channel(reliable=False, limits=Limits(flush_timeout=1.0, flush_linger=0.4))
    for now in (10.0, 10.3, 10.6, 10.9):
        alice.receive(MARKER, now)  # another farewell begins nothing anew
    assert alice.core.next_timeout() == 5.0  # the heartbeat's
    alice.core.handle_timeout(10.9)
    assert alice.events() == []
    alice.core.handle_timeout(11.0)
    assert alice.events() == [events.DataConnectionClosed(alice.number, None)]


def test_what_came_in_part_is_waited_for_after_a_farewell() -> None:
    alice = Channel("binary", reliable=False)
    first, second = split(b"\xb3abc", chunk_id=1, piece_size=2)
    alice.receive(first, 10.0)
    alice.receive(BINARY_MARKER, 10.0)
    assert alice.due == 10.25
    alice.core.handle_timeout(10.25)
    assert alice.due == 10.5
    assert alice.events() == []
    alice.receive(second, 10.4)
    (received,) = alice.events()
    assert isinstance(received, events.MessageReceived)
    assert received.value == "abc"
    assert alice.due == 10.65
    alice.core.handle_timeout(10.65)
    assert alice.is_closed()


def test_what_came_in_part_is_not_waited_for_beyond_the_flush_timeout() -> None:
    alice = Channel("binary", reliable=False)
    first, _ = split(b"\xb3abc", chunk_id=1, piece_size=2)
    alice.receive(BINARY_MARKER, 10.0)
    alice.receive(first, 10.0)
    now = 10.25
    while now < 40.0:
        assert alice.due == now
        alice.core.handle_timeout(now)
        assert alice.events() == []
        now += 0.25
    alice.core.handle_timeout(40.0)
    assert alice.is_closed()


# --- our own farewell -------------------------------------------------------------------------


def test_a_flush_in_order_says_farewell_last() -> None:
    alice = Channel()
    alice.core.send(alice.number, 1)
    alice.core.send(alice.number, 2)
    alice.commands()
    alice.flush(5.0)
    assert alice.commands() == [commands.FramesReady(alice.number)]
    assert alice.due == 35.0
    assert [alice.core.next_frame(alice.number) for _ in range(3)] == [b"1", b"2", MARKER]
    assert alice.commands() == []  # the marker may not be out yet
    assert alice.core.next_frame(alice.number) is None
    assert alice.core.next_frame(alice.number) is None
    assert alice.commands() == [commands.CloseChannel(alice.number)]
    assert alice.events() == []
    alice.core.channel_closed(alice.number)
    assert alice.is_closed()


def test_a_flush_out_of_order_says_nothing_that_could_overtake() -> None:
    alice = Channel(reliable=False)
    alice.core.send(alice.number, 1)
    alice.flush(5.0)
    assert alice.commands() == [commands.FramesReady(alice.number)] * 2
    assert alice.frames() == [b"1"]
    assert alice.commands() == [commands.CloseChannel(alice.number)]


def test_a_serialization_without_a_farewell_just_closes() -> None:
    alice = Channel("raw")
    alice.core.send(alice.number, "1")
    alice.flush(5.0)
    assert alice.frames() == ["1"]
    assert alice.commands()[-1] == commands.CloseChannel(alice.number)


def test_a_flush_gives_up_and_says_after_how_long() -> None:
    alice = Channel()
    alice.flush(5.0)
    alice.flush(20.0)  # it is under way: nothing new, and no more time
    assert alice.due == 35.0
    alice.core.handle_timeout(34.9)
    assert alice.events() == []
    assert alice.due == 35.0
    alice.core.handle_timeout(35.0)
    assert alice.is_closed(ConnectTimeout, "within 30 s")


def test_while_we_flush_the_far_side_is_still_heard() -> None:
    alice = Channel()
    alice.flush(5.0)
    alice.receive(VALUE, 6.0)
    (received,) = alice.events()
    assert isinstance(received, events.MessageReceived)
    alice.receive(MARKER, 7.0)  # both flush: each waits for the other's channel to close
    assert alice.events() == []
    assert alice.due == 35.0
    assert alice.frames() == [MARKER]
    alice.core.channel_closed(alice.number)
    assert alice.is_closed()


def test_the_far_side_may_not_close_before_it_has_everything() -> None:
    alice = Channel()
    alice.core.send(alice.number, 1)
    alice.flush(5.0)
    assert alice.core.next_frame(alice.number) == b"1"
    alice.core.channel_closed(alice.number)
    assert alice.is_closed(ConnectionClosed, "before everything was sent")


def test_a_flush_of_what_is_not_open_closes_at_once() -> None:
    early = Channel(opened=False)
    early.flush(1.0)
    assert early.is_closed(ConnectionClosed)
    lingering = Channel(reliable=False)
    lingering.receive(MARKER, 1.0)
    lingering.flush(1.1)
    assert lingering.is_closed()


def test_a_close_while_it_flushes_closes_at_once() -> None:
    alice = Channel()
    alice.core.send(alice.number, 1)
    alice.flush(5.0)
    alice.core.close(alice.number, 5.0)
    assert alice.is_closed()
    assert alice.frames() == []
