"""Connections with redial: how they end, by will or for want of a path."""

from __future__ import annotations

import pytest

from peerjs_proto.errors import (
    ConnectionClosed,
    ConnectTimeout,
    NegotiationFailed,
)
from peerjs_proto.limits import DEFAULT_LIMITS, Limits

from .pair import Pair, dial_error
from .redials import POLICY, interrupted, redialled


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
