"""Connections with redial: what a far side, or whoever is between, can do wrong."""

from __future__ import annotations

from typing import Any

import pytest

from peerjs_proto import commands, controls, events, messages
from peerjs_proto.backoff import Redial
from peerjs_proto.errors import (
    DecodeError,
    NegotiationFailed,
)
from peerjs_proto.extension import MEMBER
from peerjs_proto.limits import DEFAULT_LIMITS, Limits

from .pair import Pair, dial_error
from .redials import POLICY, answer, interrupted, redial_offer, redialled, resumed


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
