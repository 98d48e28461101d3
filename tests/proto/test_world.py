"""The simulated world does to peers what it is told to, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from peerjs_proto import events, messages
from peerjs_proto.errors import (
    ConnectionClosed,
    ConnectTimeout,
    IdTaken,
    NegotiationFailed,
    ServerUnavailable,
)
from peerjs_proto.testing.world import World
from tests.proto.pair import Pair, dial_error


def test_it_needs_no_hypothesis() -> None:
    code = "import sys; sys.modules['hypothesis'] = None; import peerjs_proto.testing.world"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_peer_without_an_id_is_given_one() -> None:
    world = World()
    first, second = world.node(), world.node()
    world.settle()
    for node, id in ((first, "given0"), (second, "given1")):
        assert node.told(events.PeerOpened) == [events.PeerOpened(id)]


def test_an_id_is_had_once() -> None:
    world = World()
    world.node("alice")
    second = world.node("alice")
    world.settle()
    (failed,) = second.told(events.PeerFailed)
    assert isinstance(failed.error, IdTaken)
    assert second.socket is None


def test_a_lost_offer_ends_in_a_timeout() -> None:
    pair = Pair(settle=False)
    assert pair.world.step()  # the engine makes the offer
    assert pair.world.lose()
    pair.world.settle()
    assert not pair.bob.told(events.DataConnectionOffered)
    pair.world.advance(20.0)
    assert isinstance(dial_error(pair.alice, pair.ours), ConnectTimeout)


def test_without_signaling_there_is_nothing_to_disturb() -> None:
    world = World()
    done = [world.lose(), world.repeat(), world.put_off(5), world.break_rtc(), world.step()]
    done.append(world.sever_rtc())
    assert not any(done)


def test_a_repeated_offer_is_refused() -> None:
    pair = Pair(settle=False)
    pair.world.step()
    assert pair.world.repeat()
    pair.world.settle()
    assert len(pair.bob.told(events.DataConnectionOffered)) == 1
    assert len(pair.bob.told(events.SignalingRefused)) == 1


def test_signaling_put_off_comes_last() -> None:
    world = World()
    alice, bob = world.node("alice"), world.node("bob")
    world.settle()
    for connection_id in ("dc_1", "dc_2", "dc_3"):
        alice.core.connect("bob", connection_id=connection_id, now=world.now)
    alice.drain()
    for _ in range(3):
        world.step()
    assert world.put_off(3)  # the first of the three: choices begin again
    world.settle()
    offered = bob.told(events.DataConnectionOffered)
    assert [offer.connection_id for offer in offered] == ["dc_2", "dc_3", "dc_1"]


@pytest.mark.parametrize("reliable", [True, False])
def test_frames_are_taken_in_any_order_where_none_is_kept(reliable: bool) -> None:
    pair = Pair(reliable=reliable)
    for value in (1, 2, 3):
        pair.alice.core.send(pair.ours, value)
    pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    pair.alice.drain()
    pair.world.step(1)
    pair.world.settle()
    # What ends the channel stays behind all of them, or none would be sure to arrive.
    assert pair.bob.values(pair.theirs) == ([1, 2, 3] if reliable else [2, 1, 3])
    assert dial_error(pair.alice, pair.ours) is None


def test_a_server_that_is_lost_takes_its_messages_with_it() -> None:
    pair = Pair(settle=False)
    pair.world.step()
    assert pair.world.lose_server(pair.alice)
    assert not pair.world.lose_server(pair.alice)
    (lost,) = pair.alice.told(events.PeerDisconnected)
    assert isinstance(lost.error, ServerUnavailable)
    pair.world.settle()
    assert not pair.bob.told(events.DataConnectionOffered)


def test_what_is_said_after_the_server_is_lost_goes_nowhere() -> None:
    pair = Pair()
    pair.world.server.shut_down()  # without a word to anybody
    pair.alice.socket = None
    pair.alice.core.connect("bob", connection_id="dc_2", now=pair.world.now)
    pair.alice.core.shut_down()
    pair.alice.drain()
    pair.world.settle()
    assert len(pair.bob.told(events.DataConnectionOffered)) == 1


def test_a_broken_path_fails_at_both_ends() -> None:
    pair = Pair()
    assert pair.world.break_rtc(3)
    pair.world.settle()
    for node, number in ((pair.alice, pair.ours), (pair.bob, pair.theirs)):
        assert isinstance(dial_error(node, number), ConnectionClosed)


def test_a_path_can_break_before_there_is_another_end() -> None:
    pair = Pair(settle=False)
    assert pair.world.break_rtc()
    pair.world.settle()
    assert isinstance(dial_error(pair.alice, pair.ours), NegotiationFailed)


def test_a_call() -> None:
    world = World()
    alice, bob = world.node("alice", media=True), world.node("bob", media=True)
    world.settle()
    ours = alice.core.call("bob", connection_id="mc_1", now=world.now)
    alice.drain()
    world.settle()
    (offered,) = bob.told(events.MediaConnectionOffered)
    assert alice.told(events.MediaConnectionOpened)
    assert bob.told(events.MediaConnectionOpened)
    bob.core.close(offered.connection, world.now)
    bob.drain()
    world.settle()
    assert [closed.error for closed in alice.closed(ours)] == [None]


def test_descriptions_of_no_end_are_malformed() -> None:
    pair = Pair(settle=False)
    for connection_id in ("dc_1", "dc_2"):
        said = messages.Answer(src="bob", kind="data", connection_id=connection_id, sdp="nonsense")
        pair.world.step()
        pair.alice.core.receive_text(messages.encode(said), pair.world.now)
        pair.alice.drain()
    offer = messages.Offer(
        src="alice", kind="data", connection_id="dc_3", sdp="offer x", serialization="raw"
    )
    pair.bob.core.receive_text(messages.encode(offer), pair.world.now)
    pair.bob.drain()
    pair.world.settle()
    assert isinstance(dial_error(pair.alice, pair.ours), NegotiationFailed)
    offered = pair.bob.told(events.DataConnectionOffered)[0]
    assert isinstance(dial_error(pair.bob, offered.connection), NegotiationFailed)


def test_an_answer_to_another_end_finds_no_path() -> None:
    pair = Pair()
    second = pair.alice.core.connect("bob", connection_id="dc_2", now=pair.world.now)
    pair.alice.drain()
    pair.world.step()
    stale = messages.Answer(src="bob", kind="data", connection_id="dc_2", sdp="answer 1")
    pair.alice.core.receive_text(messages.encode(stale), pair.world.now)
    pair.alice.drain()
    pair.world.advance(20.0)
    assert isinstance(dial_error(pair.alice, second), ConnectTimeout)


def test_an_end_that_has_gone_is_not_found() -> None:
    pair = Pair(settle=False)
    while not pair.alice.rtcs[pair.ours].far:
        assert pair.world.step()
    pair.bob.core.close(pair.theirs, pair.world.now)
    pair.bob.drain()
    pair.world.settle()
    assert isinstance(dial_error(pair.alice, pair.ours), NegotiationFailed)
    assert not pair.alice.told(events.DataConnectionOpened)


def test_time_can_pass_while_nothing_arrives() -> None:
    pair = Pair(settle=False)
    pair.world.step()
    pair.world.wait(20.0)
    assert isinstance(dial_error(pair.alice, pair.ours), ConnectTimeout)
    assert not pair.bob.told(events.DataConnectionOffered)
    pair.world.settle()
    assert pair.bob.told(events.DataConnectionOffered)


def test_an_offer_may_have_ended_before_it_is_accepted() -> None:
    pair = Pair(settle=False)
    offer = messages.Offer(
        src="alice", kind="data", connection_id="dc_9", sdp="offer 0", serialization="raw"
    )
    pair.bob.core.receive_text(messages.encode(offer), pair.world.now)
    pair.bob.core.receive_text('{"type":"LEAVE","src":"alice"}', pair.world.now)
    pair.bob.drain()
    assert len(pair.bob.closed(1)) == 1


def test_a_world_that_never_rests_is_reported() -> None:
    world = World()
    lane = world.lane()

    def again() -> None:
        world.later(lane, again)

    again()
    with pytest.raises(AssertionError, match="does not come to rest"):
        world.settle()


def test_candidates_are_not_needed() -> None:
    pair = Pair()
    candidate = messages.Candidate(
        src="bob", kind="data", connection_id="dc_1", candidate={"candidate": "c"}
    )
    pair.alice.core.receive_text(messages.encode(candidate), pair.world.now)
    pair.alice.drain()
    pair.say(pair.alice, pair.ours, "still there")
    assert pair.bob.values(pair.theirs) == ["still there"]
