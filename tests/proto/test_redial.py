"""Connections with redial: their path breaks, in every way there is, and nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerjs_proto import commands, controls, events, messages
from peerjs_proto.backoff import Redial
from peerjs_proto.errors import (
    ConnectionClosed,
    ConnectTimeout,
    DecodeError,
    LocalProtocolError,
    NegotiationFailed,
)
from peerjs_proto.extension import MEMBER
from peerjs_proto.journal import ACK_AFTER_BYTES, ACK_AFTER_FRAMES, ACK_WITHIN, Journal
from peerjs_proto.limits import DEFAULT_LIMITS, Limits
from peerjs_proto.testing.world import Node, World

from .pair import Pair, dial_error

POLICY = Redial(first=0.5, jitter=0.0, timeout=30.0)


def redialled(limits: Limits = DEFAULT_LIMITS, **options: Any) -> Pair:
    """Alice has dialled Bob, with redial, and it is open."""
    pair = Pair(limits=limits, redial=POLICY, **options)
    assert pair.alice.told(events.DataConnectionOpened)
    return pair


def interrupted(node: Node) -> int:
    return len(node.told(events.DataConnectionInterrupted))


def resumed(node: Node) -> int:
    return len(node.told(events.DataConnectionResumed))


# --- coming back ------------------------------------------------------------------------------


def test_it_comes_back_under_the_same_number_and_nothing_is_lost() -> None:
    pair = redialled()
    pair.say(pair.alice, pair.ours, "one")
    pair.world.break_rtc()
    pair.world.settle()
    for node, number, value in ((pair.alice, pair.ours, "two"), (pair.bob, pair.theirs, "deux")):
        assert interrupted(node) == 1
        node.core.send(number, value)
        node.drain()
    pair.world.advance(1.0)
    assert resumed(pair.alice) == resumed(pair.bob) == 1
    pair.say(pair.alice, pair.ours, "three")
    assert pair.bob.values(pair.theirs) == ["one", "two", "three"]
    assert pair.alice.values(pair.ours) == ["deux"]
    assert not pair.alice.closed(pair.ours)
    assert len(pair.alice.told(events.DataConnectionOpened)) == 1


def test_it_is_reliable_whatever_was_asked_for() -> None:
    pair = redialled(reliable=False)
    assert pair.alice.core.is_reliable(pair.ours)
    assert pair.bob.core.is_reliable(pair.theirs)


def test_what_was_under_way_arrives_once() -> None:
    pair = redialled()
    for n in range(20):
        pair.alice.core.send(pair.ours, n)
    pair.alice.drain()
    for _ in range(5):
        pair.world.step(0)
    pair.world.break_rtc()
    pair.world.advance(2.0)
    assert pair.bob.values(pair.theirs) == list(range(20))


def test_a_large_message_goes_on_where_it_was() -> None:
    pair = redialled(serialization="binary")
    value = bytes(range(256)) * 1000
    pair.alice.core.send(pair.ours, value)
    pair.alice.drain()
    for _ in range(6):
        pair.world.step(0)
    pair.world.break_rtc()
    pair.world.wait(70.0 - pair.world.now + 1000.0 - 60.0)  # longer than pieces are kept otherwise
    pair.world.advance(3.0)
    assert pair.bob.values(pair.theirs) == [value]


def test_a_silent_break_is_noticed_by_either_side() -> None:
    pair = redialled()
    pair.world.sever_rtc()
    pair.say(pair.bob, pair.theirs, "lost at first")
    pair.world.advance(DEFAULT_LIMITS.keep_alive or 0)
    pair.world.advance(1.0)
    assert resumed(pair.alice) == resumed(pair.bob) == 1
    assert pair.alice.values(pair.ours) == ["lost at first"]


def test_who_has_not_noticed_is_told_by_the_new_offer() -> None:
    pair = redialled(limits=Limits(keep_alive=None))
    pair.world.sever_rtc()
    (rtc,) = pair.alice.rtcs.values()
    pair.alice.core.rtc_failed(rtc.number, "ICE failed")
    pair.alice.drain()
    pair.world.advance(2.0)
    assert resumed(pair.alice) == resumed(pair.bob) == 1


def test_attempts_that_fail_are_made_again_with_growing_waits() -> None:
    pair = redialled()
    pair.world.break_rtc()
    for _ in range(3):
        pair.world.advance(4.0)
        if pair.alice.rtcs:
            pair.world.break_rtc()
    pair.world.advance(10.0)
    pair.say(pair.alice, pair.ours, "here")
    assert pair.bob.values(pair.theirs) == ["here"]


def test_it_waits_for_the_server() -> None:
    pair = redialled()
    pair.world.lose_server(pair.alice)
    pair.world.break_rtc()
    pair.world.advance(10.0)
    assert resumed(pair.alice) == 0
    pair.alice.core.reconnect(pair.world.now)
    pair.alice.drain()
    pair.world.advance(2.0)
    assert resumed(pair.alice) == 1


def test_a_server_that_is_lost_during_an_attempt_is_a_setback() -> None:
    pair = redialled()
    pair.world.break_rtc()
    pair.world.settle()
    pair.world.wait(0.6)  # the offer is being made
    pair.alice.core.disconnect()
    pair.alice.drain()
    pair.world.settle()
    assert not pair.alice.closed(pair.ours)
    pair.alice.core.reconnect(pair.world.now)
    pair.alice.drain()
    pair.world.advance(20.0)
    assert resumed(pair.alice) == 1


def test_an_expire_is_a_setback() -> None:
    pair = redialled()
    pair.world.lose_server(pair.bob)
    pair.world.break_rtc()
    pair.world.advance(8.0)
    assert not pair.alice.closed(pair.ours)
    pair.bob.core.reconnect(pair.world.now)
    pair.bob.drain()
    pair.world.advance(15.0)
    assert resumed(pair.alice) == resumed(pair.bob) == 1


# --- not coming back --------------------------------------------------------------------------


def test_each_side_gives_up_in_its_time() -> None:
    pair = redialled()
    pair.world.lose_server(pair.bob)
    pair.world.break_rtc()
    pair.world.advance(POLICY.timeout + 0.1)
    error = dial_error(pair.alice, pair.ours)
    assert isinstance(error, ConnectionClosed)
    assert "for 30 s" in str(error)
    assert not pair.bob.closed(pair.theirs)
    pair.world.advance(DEFAULT_LIMITS.redial_timeout - POLICY.timeout)
    assert "for 60 s" in str(dial_error(pair.bob, pair.theirs))
    assert not pair.bob.rtcs


def test_a_far_side_that_is_another_process_by_now_refuses() -> None:
    pair = redialled()
    pair.world.break_rtc()
    pair.bob.core.fail(pair.theirs, ConnectionClosed("forgotten"))
    pair.bob.drain()
    pair.world.advance(2.0)
    assert "lost for good" in str(dial_error(pair.alice, pair.ours))


def test_closing_is_final_on_both_sides() -> None:
    pair = redialled()
    pair.say(pair.alice, pair.ours, "one")
    pair.alice.core.close(pair.ours, pair.world.now)
    pair.alice.core.close(pair.ours, pair.world.now)
    pair.alice.drain()
    pair.world.settle()
    assert dial_error(pair.alice, pair.ours) is None
    assert dial_error(pair.bob, pair.theirs) is None
    assert interrupted(pair.bob) == 0


def test_closing_does_not_wait_for_a_far_side_that_is_gone() -> None:
    pair = redialled()
    pair.world.sever_rtc()
    pair.alice.core.close(pair.ours, pair.world.now)
    pair.alice.drain()
    pair.bob.core.send(pair.theirs, "unheard")
    pair.bob.drain()
    pair.world.advance(2.1)
    assert dial_error(pair.alice, pair.ours) is None


def test_closing_while_there_is_no_path_is_told_by_the_server() -> None:
    for closer in (0, 1):
        pair = redialled()
        pair.world.break_rtc()
        pair.world.settle()
        sides = [(pair.alice, pair.ours), (pair.bob, pair.theirs)]
        node, number = sides[closer]
        node.core.close(number, pair.world.now)
        node.drain()
        pair.world.settle()
        assert [dial_error(*side) for side in sides] == [None, None]


def test_leaving_is_final_too() -> None:
    pair = redialled()
    pair.alice.core.shut_down()
    pair.alice.drain()
    assert not pair.alice.rtcs
    pair.world.settle()
    assert dial_error(pair.alice, pair.ours) is None
    assert dial_error(pair.bob, pair.theirs) is None


def test_a_flush_has_everything_acknowledged() -> None:
    pair = redialled()
    for n in range(100):
        pair.alice.core.send(pair.ours, n)
        pair.bob.core.send(pair.theirs, -n)
    pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    with pytest.raises(ConnectionClosed):
        pair.alice.core.send(pair.ours, "too late")
    pair.alice.drain()
    pair.bob.drain()
    pair.world.advance(1.0)
    assert dial_error(pair.alice, pair.ours) is None
    assert dial_error(pair.bob, pair.theirs) is None
    assert pair.bob.values(pair.theirs) == list(range(100))


def test_a_flush_goes_on_over_the_next_path() -> None:
    for when in ("before", "after"):
        pair = redialled()
        for n in range(50):
            pair.alice.core.send(pair.ours, n)
        if when == "before":
            pair.alice.core.close(pair.ours, pair.world.now, flush=True)
        pair.alice.drain()
        pair.world.step(0)
        pair.world.break_rtc()
        pair.world.settle()
        if when == "after":
            pair.alice.core.close(pair.ours, pair.world.now, flush=True)
            pair.alice.drain()
        pair.world.advance(2.0)
        assert dial_error(pair.alice, pair.ours) is None
        assert pair.bob.values(pair.theirs) == list(range(50))
        assert dial_error(pair.bob, pair.theirs) is None


def test_a_flush_is_bounded_without_a_path_too() -> None:
    pair = redialled(limits=Limits(flush_timeout=5.0))
    pair.world.lose_server(pair.bob)
    pair.alice.core.send(pair.ours, "never arrives")
    pair.world.break_rtc()
    pair.world.advance(1.0)
    pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    pair.alice.drain()
    pair.world.advance(5.1)
    assert isinstance(dial_error(pair.alice, pair.ours), ConnectTimeout)


def test_both_flush_at_once() -> None:
    pair = redialled()
    pair.alice.core.send(pair.ours, 1)
    pair.bob.core.send(pair.theirs, 2)
    pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    pair.bob.core.close(pair.theirs, pair.world.now, flush=True)
    pair.alice.drain()
    pair.bob.drain()
    pair.world.advance(3.0)
    assert pair.bob.values(pair.theirs) == [1]
    assert pair.alice.values(pair.ours) == [2]
    assert dial_error(pair.alice, pair.ours) is None
    assert dial_error(pair.bob, pair.theirs) is None


def test_a_close_in_the_midst_of_a_flush_of_the_far_side_is_an_error_there() -> None:
    pair = redialled()
    for n in range(100):
        pair.alice.core.send(pair.ours, n)
    pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    pair.alice.drain()
    pair.bob.core.close(pair.theirs, pair.world.now)
    pair.bob.drain()
    pair.world.settle()
    assert "before everything was sent" in str(dial_error(pair.alice, pair.ours))
    assert dial_error(pair.bob, pair.theirs) is None


def test_before_it_is_open_it_ends_like_any_other() -> None:
    pair = Pair(settle=False, redial=POLICY)
    pair.world.break_rtc()
    pair.world.settle()
    assert isinstance(dial_error(pair.alice, pair.ours), NegotiationFailed)
    for flush in (False, True):
        pair = Pair(settle=False, redial=POLICY)
        pair.alice.core.close(pair.ours, pair.world.now, flush=flush)
        pair.alice.drain()
        assert isinstance(dial_error(pair.alice, pair.ours), ConnectionClosed)


# --- who takes part ---------------------------------------------------------------------------


def answer(sdp: str = "theirs", **extra: Any) -> str:
    return messages.encode(
        messages.Answer(src="bob", kind="data", connection_id="dc_1", sdp=sdp, extra=extra)
    )


def test_a_page_cannot_redial_and_the_dial_says_so() -> None:
    world = World(auto_accept=False)
    alice = world.node("alice")
    world.settle()
    number = alice.core.connect("bob", connection_id="dc_1", now=world.now, redial=POLICY)
    alice.drain()
    world.settle()
    alice.core.receive_text(answer(), world.now)
    alice.drain()
    error = dial_error(alice, number)
    assert isinstance(error, NegotiationFailed)
    assert "cannot redial" in str(error)
    assert not alice.rtcs


def test_a_refusal_of_our_own_kind_is_an_answer_at_once() -> None:
    world = World()
    alice, bob = world.node("alice"), world.node("bob", limits=Limits(connections=0))
    world.settle()
    for redial in (None, POLICY):
        number = alice.core.connect(
            "bob", connection_id=f"dc_{redial}", now=world.now, redial=redial
        )
        alice.drain()
        world.settle()
        error = dial_error(alice, number)
        assert isinstance(error, NegotiationFailed)
        assert "'bob' refused: offers a connection while 0 are open" in str(error)
    assert len(bob.told(events.SignalingRefused)) == 2


def test_redial_needs_chance() -> None:
    from .test_session import opened

    with pytest.raises(LocalProtocolError, match="random"):
        opened().connect("bob", connection_id="dc_1", now=0.0, redial=POLICY)


# --- what a far side can do wrong -------------------------------------------------------------


def redial_offer(pair: Pair, id: str = "dc_1~7", **terms: Any) -> None:
    said = {"of": "dc_1", "attempt": 7, "received": 0} | terms
    name = str(len(pair.world.rtcs))
    offer = messages.Offer(
        src="alice",
        kind="data",
        connection_id=id,
        sdp=f"offer {name}",
        serialization="binary",
        reliable=True,
        extra={MEMBER: {"redial": said}},
    )
    pair.bob.core.receive_text(messages.encode(offer), pair.world.now)
    pair.bob.drain()


def test_a_count_of_what_was_never_sent_ends_it() -> None:
    pair = redialled()
    redial_offer(pair, received=10)
    assert isinstance(dial_error(pair.bob, pair.theirs), DecodeError)
    pair = redialled()
    pair.bob.core.receive_frame(pair.theirs, "\x005", pair.world.now)
    pair.bob.drain()
    assert isinstance(dial_error(pair.bob, pair.theirs), DecodeError)


def test_old_attempts_and_strange_ones_are_refused() -> None:
    pair = redialled()
    redial_offer(pair, attempt=0)
    redial_offer(pair, id="dc_1")
    redial_offer(pair, of="dc_2")
    assert len(pair.bob.told(events.SignalingRefused)) == 3
    assert interrupted(pair.bob) == 0
    pair.world.settle()
    pair.say(pair.alice, pair.ours, "undisturbed")
    assert pair.bob.values(pair.theirs) == ["undisturbed"]


def test_a_candidate_for_a_path_that_is_gone_asks_for_nothing() -> None:
    pair = redialled()
    pair.world.break_rtc()
    pair.world.settle()
    candidate = messages.Candidate(
        src="alice", kind="data", connection_id="dc_1", candidate={"candidate": "late"}
    )
    pair.bob.core.receive_text(messages.encode(candidate), pair.world.now)
    assert pair.bob.core.next_command() is None


def test_an_attempt_that_leads_nowhere_does_not_last() -> None:
    pair = redialled()
    redial_offer(pair)  # with a description that nobody stands behind
    assert interrupted(pair.bob) == 1
    pair.world.lose_server(pair.alice)
    pair.world.lose_server(pair.bob)
    pair.world.advance(DEFAULT_LIMITS.redial_timeout + 1)
    assert dial_error(pair.bob, pair.theirs) is not None
    assert not pair.bob.rtcs


def test_an_attempt_without_an_end_does_not_last_either() -> None:
    pair = redialled()
    pair.world.break_rtc()
    pair.world.settle()
    number = pair.theirs
    for attempt in range(1, 20):
        redial_offer(pair, id=f"dc_1~{attempt}", attempt=attempt)
        pair.bob.core.answer_made(number, "answer")
        pair.bob.drain()
        pair.world.wait(5.0)
        if pair.bob.closed(number):
            break
    assert dial_error(pair.bob, number) is not None


def test_a_channel_of_another_measure_ends_it() -> None:
    pair = redialled()
    pair.world.break_rtc()
    pair.world.settle()
    pair.world.wait(0.6)
    pair.alice.core.offer_made(pair.ours, "offer 99")
    said = {"redial": {"attempt": 1, "received": 0}}
    message = messages.Answer(
        src="bob", kind="data", connection_id="dc_1~1", sdp="x", extra={MEMBER: said}
    )
    pair.alice.core.receive_text(messages.encode(message), pair.world.now)
    pair.alice.core.channel_opened(pair.ours, 1000)
    pair.alice.drain()
    assert "other messages" in str(dial_error(pair.alice, pair.ours))


def test_words_that_cross_or_come_twice_change_nothing() -> None:
    pair = redialled()
    pair.alice.core.channel_opened(pair.ours, 262_144)
    pair.world.repeat()
    pair.alice.core.receive_text(
        messages.encode(messages.Answer(src="bob", kind="data", connection_id="dc_1", sdp="x")),
        pair.world.now,
    )
    pair.world.break_rtc()
    pair.world.settle()
    pair.alice.core.rtc_failed(pair.ours, "ICE failed too")
    pair.alice.drain()
    pair.world.advance(2.0)
    assert interrupted(pair.alice) == resumed(pair.alice) == 1
    pair.world.lose_server(pair.alice)
    pair.alice.core.reconnect(pair.world.now)  # which says nothing to those that have a path
    pair.alice.drain()
    pair.say(pair.alice, pair.ours, "here")
    assert pair.bob.values(pair.theirs) == ["here"]


def test_a_channel_that_closes_before_it_was_open_is_a_failed_dial() -> None:
    pair = Pair(settle=False, redial=POLICY)
    pair.alice.core.channel_closed(pair.ours)
    pair.alice.drain()
    assert isinstance(dial_error(pair.alice, pair.ours), NegotiationFailed)


def test_closing_at_once_cuts_a_flush_short() -> None:
    pair = redialled()
    for n in range(100):
        pair.alice.core.send(pair.ours, n)
    pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    pair.alice.drain()
    pair.alice.core.close(pair.ours, pair.world.now)
    pair.alice.core.receive_frame(pair.ours, "\x003", pair.world.now)  # on its way before
    pair.alice.drain()
    pair.world.settle()
    assert dial_error(pair.alice, pair.ours) is None
    assert dial_error(pair.bob, pair.theirs) is None
    assert len(pair.bob.values(pair.theirs)) < 100


def test_who_closes_says_first_what_it_has_taken() -> None:
    pair = redialled(limits=Limits(keep_alive=None))
    pair.bob.core.receive_frame(pair.theirs, b"\x01", pair.world.now)
    pair.bob.core.close(pair.theirs, pair.world.now, flush=True)
    frames = list(iter(lambda: pair.bob.core.next_frame(pair.theirs), None))
    assert frames == ["\x001", "\0."]


def test_a_goodbye_that_overtakes_the_opening() -> None:
    pair = Pair(redial=POLICY, settle=False)
    core, world = pair.alice.core, pair.world
    while not any(rtc.other for rtc in pair.alice.rtcs.values()):
        assert world.step()
    core.receive_frame(pair.ours, controls.BYE, world.now)
    core.channel_opened(pair.ours)
    assert list(iter(core.next_command, None)) == [commands.CloseRtc(pair.ours)]
    assert core.next_event() == events.DataConnectionOpened(pair.ours)
    assert core.next_event() == events.DataConnectionClosed(pair.ours, None)


@pytest.mark.parametrize("redial", [None, POLICY])
def test_a_repeated_offer_of_our_own_kind_replaces_nothing(redial: Redial | None) -> None:
    pair = Pair(redial=redial, settle=False)
    pair.world.step()  # the OFFER is on its way
    pair.world.repeat()
    pair.world.settle()
    pair.say(pair.alice, pair.ours, "one")
    assert len(pair.bob.told(events.DataConnectionOffered)) == 1
    assert len(pair.bob.told(events.SignalingRefused)) == 1
    assert pair.bob.values(pair.theirs) == ["one"]


def test_a_repeated_first_offer_after_a_redial_replaces_nothing() -> None:
    pair = redialled()
    first = messages.Offer(
        src="alice",
        kind="data",
        connection_id="dc_1",
        sdp="offer 0",
        serialization="binary",
        reliable=True,
        extra={MEMBER: {"redial": {"attempt": 0, "received": 0}}},
    )
    pair.world.break_rtc()
    pair.world.advance(2.0)
    assert resumed(pair.bob) == 1
    pair.bob.core.receive_text(messages.encode(first), pair.world.now)
    pair.bob.drain()
    assert len(pair.bob.told(events.DataConnectionOffered)) == 1
    redial_offer(pair, attempt=0)
    redial_offer(pair, attempt=1)
    assert len(pair.bob.told(events.SignalingRefused)) == 3
    pair.say(pair.alice, pair.ours, "one")
    assert pair.bob.values(pair.theirs) == ["one"]


def test_a_repeated_first_answer_does_not_answer_a_redial() -> None:
    pair = redialled()
    pair.say(pair.alice, pair.ours, "one")
    pair.world.advance(0.2)  # Bob confirms it
    core, now = pair.alice.core, pair.world.now
    core.rtc_failed(pair.ours, "the path broke")
    core.handle_timeout(now)
    core.handle_timeout(now + 1.0)
    core.offer_made(pair.ours, "offer")
    *_, offer = iter(core.next_command, None)
    assert isinstance(offer, commands.SendText)
    assert isinstance(core.next_event(), events.DataConnectionInterrupted)
    said: dict[str, Any] = {MEMBER: {"redial": {"attempt": 0, "received": 0}}}
    core.receive_text(answer(**said), now + 1.1)
    assert core.next_command() is None
    assert isinstance(core.next_event(), events.SignalingRefused)


def test_who_closes_at_once_takes_back_no_word() -> None:
    pair = redialled(limits=Limits(keep_alive=3.0))
    pair.say(pair.alice, pair.ours, *range(5))
    pair.world.advance(0.2)  # Bob confirms them
    for n in range(20):
        pair.bob.core.send(pair.theirs, n)
    pair.bob.drain()  # his channel is full
    pair.bob.core.close(pair.theirs, pair.world.now)
    pair.bob.drain()
    pair.world.wait(1.0)  # his beat is due meanwhile
    pair.world.advance(5.0)
    assert dial_error(pair.alice, pair.ours) is None
    assert dial_error(pair.bob, pair.theirs) is None


# --- bounds -----------------------------------------------------------------------------------


def test_what_is_not_acknowledged_is_bounded() -> None:
    pair = redialled(limits=Limits(redial_bytes=100_000), serialization="raw")
    for _ in range(1000):
        pair.alice.core.send(pair.ours, b"x" * 1000)
    taken = 0
    while pair.alice.core.next_frame(pair.ours) is not None:
        taken += 1
    assert 90 <= taken <= 100
    pair.alice.core.receive_frame(pair.ours, "\x0050", pair.world.now)
    assert commands.FramesReady(pair.ours) in iter(pair.alice.core.next_command, None)
    while pair.alice.core.next_frame(pair.ours) is not None:
        taken += 1
    assert 140 <= taken <= 150


def test_a_large_frame_is_announced_with_the_count() -> None:
    pair = redialled(serialization="raw")
    pair.say(pair.bob, pair.theirs, b"x")
    pair.alice.core.send(pair.ours, b"x" * 100_000)
    assert pair.alice.core.next_frame(pair.ours) == "\x001+100000"


def test_acknowledgements_come_after_so_many_frames_or_so_long() -> None:
    pair = redialled(limits=Limits(keep_alive=None), serialization="raw")
    core, number, now = pair.bob.core, pair.theirs, pair.world.now
    for n in range(ACK_AFTER_FRAMES):
        assert core.next_frame(number) is None, n
        core.receive_frame(number, b"x", now)
    assert core.next_frame(number) == f"\0{ACK_AFTER_FRAMES}"
    core.receive_frame(number, b"x" * ACK_AFTER_BYTES, now)
    assert core.next_frame(number) == f"\0{ACK_AFTER_FRAMES + 1}"
    core.receive_frame(number, b"x", now)
    assert core.next_timeout() == now + ACK_WITHIN
    core.handle_timeout(now + ACK_WITHIN)
    assert core.next_frame(number) == f"\0{ACK_AFTER_FRAMES + 2}"


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(["send", "carry", "ack", "break"]), st.integers(1, 5))))
def test_a_journal_repeats_what_was_not_taken(steps: list[tuple[str, int]]) -> None:
    ours, theirs = Journal(10_000), Journal(10_000)
    line: list[str] = []
    sent, arrived, now = 0, list[str](), 0.0

    def pull() -> None:
        while (frame := ours.repeat()) is not None:
            line.append(str(frame))

    for step, count in steps:
        if step == "send":
            pull()
            for _ in range(count):
                if not ours.is_full:
                    ours.keep(str(sent))
                    line.append(str(sent))
                    sent += 1
        elif step == "carry":
            for frame in line[:count]:
                arrived.append(frame)
                theirs.take(frame, now)
            del line[:count]
        elif step == "ack":
            ours.confirm(theirs.taken)
            theirs.told()
        else:
            line.clear()
            ours.begin_again(theirs.taken)
            pull()
    pull()
    assert arrived + line == [str(n) for n in range(sent)]
    arrived += line
    ours.confirm(sent)
    assert ours.is_clear
    with pytest.raises(DecodeError):
        ours.confirm(sent + 1)
