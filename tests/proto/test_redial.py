"""Connections with redial: their path breaks, in every way there is, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerjs_proto import commands, events
from peerjs_proto.errors import (
    DecodeError,
    LocalProtocolError,
    NegotiationFailed,
)
from peerjs_proto.journal import ACK_AFTER_BYTES, ACK_AFTER_FRAMES, ACK_WITHIN, Journal
from peerjs_proto.limits import DEFAULT_LIMITS, Limits
from peerjs_proto.testing.world import World

from .pair import dial_error
from .redials import POLICY, answer, interrupted, redialled, resumed

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


# --- who takes part ---------------------------------------------------------------------------


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
