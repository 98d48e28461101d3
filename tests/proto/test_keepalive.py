"""Silence on a connection, and what two peers of our own kind say to each other beside PeerJS."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto import controls, events
from peerjs_proto.errors import ConnectionClosed, DecodeError, LimitExceeded, MessageTooBig
from peerjs_proto.extension import MEMBER, Extension, RedialTerms
from peerjs_proto.keepalive import KeepAlive
from peerjs_proto.limits import Limits
from peerjs_proto.testing.values import json_values

from .channel import LIMITS, Channel
from .pair import Pair, dial_error

# --- keep-alive ---------------------------------------------------------------------------------


def test_a_far_side_that_lives_is_not_taken_for_gone() -> None:
    pair = Pair()
    pair.world.advance(600.0)
    assert not pair.alice.closed(pair.ours)
    assert not pair.bob.closed(pair.theirs)


def test_a_far_side_that_is_gone_is_known_within_the_time() -> None:
    pair = Pair()
    pair.world.advance(60.0)
    pair.world.sever_rtc()
    patience = Limits().keep_alive
    assert patience is not None
    pair.world.advance(patience * 2 / 3 - 0.1)
    assert not pair.alice.closed(pair.ours)
    pair.world.advance(patience / 3 + 0.2)
    error = dial_error(pair.alice, pair.ours)
    assert isinstance(error, ConnectionClosed)
    assert "silent" in str(error)
    assert isinstance(dial_error(pair.bob, pair.theirs), ConnectionClosed)


def test_each_side_has_its_own_patience() -> None:
    pair = Pair(settle=False)
    slow = pair.world.node("slow", Limits(keep_alive=30.0))
    never = pair.world.node("never", Limits(keep_alive=None))
    pair.world.settle()
    theirs = [
        node.core.connect("bob", connection_id="dc_1", now=pair.world.now) for node in (slow, never)
    ]
    for node in (slow, never):
        node.drain()
    pair.world.settle()
    for choice in range(9):
        pair.world.sever_rtc(choice)
    pair.world.advance(10.0)
    assert len(pair.bob.told(events.DataConnectionClosed)) == 3
    assert not slow.closed(theirs[0])
    pair.world.advance(25.0)
    assert slow.closed(theirs[0])
    pair.world.advance(600.0)
    assert not never.closed(theirs[1])


def test_who_has_slept_hears_first_what_came_meanwhile() -> None:
    pair = Pair()
    pair.world.advance(10.0)
    for node in (pair.alice, pair.bob):  # a minute in which nothing ran
        node.core.handle_timeout(pair.world.now + 60.0)
        node.drain()
    assert not pair.alice.closed(pair.ours)


def test_many_connections_speak_at_the_same_moments() -> None:
    beats = set()
    for n in range(20):
        keep_alive = KeepAlive(4.5, 4.5, since=0.0)
        now = 100.0 + n / 7
        assert not keep_alive.handle_timeout(now)
        for _ in range(10):
            assert now < keep_alive.deadline <= now + 1.5
            now = keep_alive.deadline
            keep_alive.heard(now)
            assert keep_alive.handle_timeout(now)
            beats.add(now)
    assert all(beat % 0.5 == 0 for beat in beats)
    assert len(beats) < 50


def test_who_is_impatient_is_spoken_to_in_time() -> None:
    keep_alive = KeepAlive(None, 0.3, since=0.0)
    keep_alive.handle_timeout(1.0)
    assert keep_alive.deadline == pytest.approx(1.1)


def test_a_page_is_not_asked_to_speak() -> None:
    alice = Channel("json")
    assert alice.due is None
    assert alice.frames() == []


def test_an_idle_page_is_given_up_where_that_is_wanted() -> None:
    alice = Channel("json", limits=attrs.evolve(LIMITS, idle_timeout=10.0))
    alice.core.handle_timeout(0.0)
    alice.receive(b"1", 5.0)
    assert len(alice.events()) == 1
    alice.core.handle_timeout(14.0)
    assert not alice.is_closed()
    assert alice.due == 15.0
    alice.core.handle_timeout(15.0)
    assert alice.is_closed(ConnectionClosed, "silent")


def test_a_large_frame_on_a_slow_path_is_no_silence() -> None:
    pair = Pair(serialization="raw", reliable=True)
    pair.alice.core.send(pair.ours, b"x" * 200_000)
    assert pair.alice.core.next_frame(pair.ours) == "\x000+200000"
    assert pair.alice.core.next_frame(pair.ours) == b"x" * 200_000
    assert pair.alice.core.next_frame(pair.ours) is None
    pair.bob.core.receive_frame(pair.theirs, "\x000+200000", pair.world.now)
    pair.bob.drain()
    pair.world.sever_rtc()
    pair.world.advance(20.0)
    assert not pair.bob.closed(pair.theirs)
    pair.bob.core.receive_frame(pair.theirs, b"x" * 200_000, pair.world.now)
    pair.bob.drain()
    pair.world.advance(5.0)
    assert pair.bob.closed(pair.theirs)


def test_who_has_no_end_of_patience_takes_words_all_the_same() -> None:
    pair = Pair(limits=Limits(keep_alive=None))
    pair.bob.core.receive_frame(pair.theirs, "\x000+70000", pair.world.now)
    pair.bob.drain()
    pair.say(pair.alice, pair.ours, "undisturbed")
    assert pair.bob.values(pair.theirs) == ["undisturbed"]


def test_nobody_can_announce_more_than_a_frame() -> None:
    pair = Pair()
    pair.bob.core.receive_frame(pair.theirs, "\x000+999999999999", pair.world.now)
    pair.bob.drain()
    pair.world.sever_rtc()
    pair.world.advance(40.0)
    assert pair.bob.closed(pair.theirs)


# --- the words between ------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\0", "\0\0", "\0x", "\x001", "\0.", "x\0", ""])
def test_text_of_an_application_is_no_word_of_ours(text: str) -> None:
    pair = Pair(serialization="raw", reliable=True)
    pair.say(pair.alice, pair.ours, text, text)
    assert pair.bob.values(pair.theirs) == [text, text]


@given(st.text(st.characters(codec="utf-8")) | st.binary())
def test_escaping_is_undone_and_never_a_control(frame: str | bytes) -> None:
    crossed = controls.escape(frame)
    assert not controls.is_control(crossed)
    assert controls.unescape(crossed) == frame


def test_the_largest_text_has_room_for_its_mark() -> None:
    pair = Pair(serialization="raw", reliable=True)
    for text in ("\0" * 262_143, "x" * 262_144):
        pair.say(pair.alice, pair.ours, text)
        assert pair.bob.values(pair.theirs)[-1] == text
    for text in ("\0" * 262_144, "x" * 262_145):
        with pytest.raises(MessageTooBig):
            pair.alice.core.send(pair.ours, text)


@pytest.mark.parametrize(
    "frame", ["\0", "\x00-1", "\x00x", "\x00²", "\x001+x", "\x00+1", "\x00" + "9" * 19]
)
def test_a_control_that_is_none_ends_the_connection(frame: str) -> None:
    pair = Pair()
    pair.bob.core.receive_frame(pair.theirs, frame, pair.world.now)
    pair.bob.drain()
    assert isinstance(dial_error(pair.bob, pair.theirs), DecodeError)


def test_early_words_are_kept_and_bounded_like_other_frames() -> None:
    pair = Pair(settle=False)
    pair.world.auto_accept = False
    pair.world.settle()
    (offered,) = pair.bob.told(events.DataConnectionOffered)
    pair.bob.core.accept(offered.connection, pair.world.now)
    pair.bob.core.answer_made(offered.connection, "answer")
    for _ in range(Limits().early_frames + 1):
        pair.bob.core.receive_frame(offered.connection, "\x000", pair.world.now)
    pair.bob.drain()
    assert isinstance(dial_error(pair.bob, pair.theirs), LimitExceeded)


# --- the extension ----------------------------------------------------------------------------


@given(
    st.none() | st.floats(0.1, 86_400),
    st.none()
    | st.builds(
        RedialTerms,
        of=st.none() | st.text(),
        attempt=st.integers(0, 1 << 40),
        received=st.integers(0, 1 << 40),
    ),
    st.none() | st.text(max_size=200),
)
def test_what_is_written_is_read(
    keep_alive: float | None, redial: RedialTerms | None, refused: str | None
) -> None:
    said = Extension(keep_alive=keep_alive, redial=redial, refused=refused)
    assert Extension.read(said.written()) == said


@given(
    json_values()
    | st.fixed_dictionaries(
        {},
        optional={
            "keepAlive": json_values() | st.floats(),
            "redial": json_values()
            | st.fixed_dictionaries(
                {},
                optional={
                    "of": json_values(),
                    "attempt": json_values() | st.booleans(),
                    "received": json_values() | st.integers(),
                },
            ),
            "refused": json_values(),
        },
    )
)
def test_nonsense_is_passed_over(said: Any) -> None:
    read = Extension.read({MEMBER: said})
    assert (read is None) == (not isinstance(said, dict))
    if read is not None:
        assert read.keep_alive is None or 0.1 <= read.keep_alive <= 86_400
        assert read.refused is None or len(read.refused) <= 200
        if read.redial is not None:
            assert read.redial.attempt >= 0
            assert read.redial.received >= 0


def test_a_page_has_none() -> None:
    assert Extension.read({}) is None
    said = Extension.read({MEMBER: {"keepAlive": math.nan}})
    assert said == Extension()
    too_soon = Extension.read({MEMBER: {"keepAlive": -1}})
    assert too_soon is not None
    assert too_soon.keep_alive == 0.1
