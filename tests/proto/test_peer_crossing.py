"""Inputs that cross what the core has done meanwhile: late, twice, or where nothing waits for them.

All of them are legal, and none does more than the first did.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from peerjs_proto import commands, events, messages
from peerjs_proto.errors import (
    ConnectionClosed,
    DecodeError,
    Disconnected,
    LocalProtocolError,
    ServerError,
)
from peerjs_proto.limits import Limits
from peerjs_proto.media import MediaProtocol
from peerjs_proto.negotiation import Terms
from peerjs_proto.outbox import Outbox
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.serializer import Frame, Incoming, Message, Outgoing, Serializer
from peerjs_proto.states import Session
from peerjs_proto.testing.world import ENDPOINT, World
from tests.proto.pair import Pair, dial_error


def assert_quiet(core: PeerProtocol) -> None:
    assert core.next_command() is None
    assert core.next_event() is None


def text(type: type[Any], connection_id: str = "dc_1", src: str = "bob", **more: Any) -> str:
    return messages.encode(type(src=src, kind="data", connection_id=connection_id, **more))


# --- twice ---------------------------------------------------------------------------------------


def test_what_the_engine_tells_twice_counts_once() -> None:
    pair = Pair()
    pair.alice.core.offer_made(pair.ours, "another")
    pair.alice.core.channel_opened(pair.ours, 10)
    pair.bob.core.answer_made(pair.theirs, "another")
    assert_quiet(pair.alice.core)
    assert_quiet(pair.bob.core)
    pair.say(pair.alice, pair.ours, "of more than ten bytes")
    assert pair.bob.values(pair.theirs) == ["of more than ten bytes"]


def test_frames_before_the_channel_is_open_are_nothing() -> None:
    world = World()
    alice = world.node("alice")
    world.settle()
    number = alice.core.connect("bob", connection_id="dc_1", now=world.now)
    alice.drain()
    alice.core.receive_frame(number, b"\x01", world.now)
    assert_quiet(alice.core)


@pytest.mark.parametrize("kind", ["data", "media"])
def test_a_second_answer_is_refused(kind: str) -> None:
    world = World()
    alice, _ = world.node("alice", media=True), world.node("bob", media=True)
    world.settle()
    dial = alice.core.connect if kind == "data" else alice.core.call
    dial("bob", connection_id="c_1", now=world.now)
    alice.drain()
    world.settle()
    due = alice.core.next_timeout()
    answer = messages.Answer(src="bob", kind=kind, connection_id="c_1", sdp="answer 1")
    alice.core.receive_text(messages.encode(answer), world.now)
    assert alice.core.next_event() == events.SignalingRefused("bob", "answers no offer of ours")
    assert_quiet(alice.core)
    assert alice.core.next_timeout() == due


def test_a_second_flush_adds_nothing() -> None:
    pair = Pair(reliable=True)
    for _ in range(2):
        pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    pair.alice.drain()
    pair.world.settle()
    assert dial_error(pair.alice, pair.ours) is None
    assert dial_error(pair.bob, pair.theirs) is None


def test_an_end_is_said_once() -> None:
    outbox = Outbox()
    connection = MediaProtocol(
        1,
        Terms(peer="bob", connection_id="mc_1", metadata=None),
        signaling=Pair().alice.core._session,
        limits=Limits(),
        outbox=outbox,
    )
    connection.wait(0.0)
    connection.dial()
    connection.hang_up(None)
    connection.hang_up(ConnectionClosed("again"))
    assert list(outbox.events) == [events.MediaConnectionClosed(1, None)]
    assert list(outbox.commands) == [commands.MakeMediaOffer(1), commands.CloseRtc(1)]


def test_a_server_that_refuses_twice_is_lost_once() -> None:
    core = PeerProtocol(ENDPOINT, id="alice", token="t")
    core.start(0.0)
    core.socket_opened(0.0)
    for _ in range(2):
        core.receive_text('{"type":"ERROR","payload":{"msg":"go away"}}', 0.0)
    core.socket_closed("as announced", 0.0)
    (failed,) = iter(core.next_event, None)
    assert isinstance(failed, events.PeerFailed)
    assert isinstance(failed.error, ServerError)


def test_a_server_may_send_heartbeats() -> None:
    core = Pair().alice.core
    core.receive_text('{"type":"HEARTBEAT"}', 0.0)
    assert_quiet(core)


def test_no_http_answer_at_all() -> None:
    core = PeerProtocol(ENDPOINT, token="t")
    core.start(0.0)
    core.http_failed("no route to it", 1.0)
    (failed,) = iter(core.next_event, None)
    assert isinstance(failed, events.PeerFailed)
    assert str(failed.error) == "could not get an id from the server: no route to it"


def test_an_http_answer_that_comes_too_late() -> None:
    core = PeerProtocol(ENDPOINT, token="t")
    core.start(0.0)
    core.shut_down()
    assert isinstance(core.next_command(), commands.FetchId)
    core.http_failed("timed out", 1.0)
    core.receive_http(200, b"alice", 1.0)
    assert_quiet(core)
    assert core.session is Session.CLOSED
    assert core.id is None


# --- both sides end at once ----------------------------------------------------------------------


@pytest.mark.parametrize("reliable", [True, False])
def test_both_flush_at_once(reliable: bool) -> None:
    pair = Pair(reliable=reliable)
    for node, number in ((pair.alice, pair.ours), (pair.bob, pair.theirs)):
        node.core.send(number, "the last")
        node.core.close(number, pair.world.now, flush=True)
        node.drain()
    pair.world.settle()
    for node, number in ((pair.alice, pair.ours), (pair.bob, pair.theirs)):
        assert node.values(number) == ["the last"]
        assert dial_error(node, number) is None


def test_the_far_side_ends_while_we_flush() -> None:
    pair = Pair()
    pair.alice.core.send(pair.ours, b"x" * 1_000_000)
    pair.alice.core.close(pair.ours, pair.world.now, flush=True)
    pair.alice.drain()
    pair.bob.core.close(pair.theirs, pair.world.now)
    pair.bob.drain()
    pair.world.settle()
    error = dial_error(pair.alice, pair.ours)
    assert isinstance(error, ConnectionClosed)
    assert "before everything was sent" in str(error)


def test_a_farewell_while_closing_out_of_order_sets_no_new_limit() -> None:
    pair = Pair(reliable=False)
    marker = bytes.fromhex("81ba5f5f706565724461746181b474797065b5636c6f7365")
    now = pair.world.now
    for later in (0.0, 0.1):
        pair.bob.core.receive_frame(pair.theirs, marker, now + later)
    pair.bob.core.handle_timeout(now + 0.25)
    pair.bob.drain()
    assert not pair.bob.closed(pair.theirs), "the second one counts for the quiet"
    pair.bob.core.handle_timeout(now + 0.35)
    pair.bob.drain()
    assert dial_error(pair.bob, pair.theirs) is None


def test_flushing_what_the_far_side_has_left_closes_at_once() -> None:
    pair = Pair(reliable=False)
    marker = bytes.fromhex("81ba5f5f706565724461746181b474797065b5636c6f7365")
    pair.bob.core.receive_frame(pair.theirs, marker, pair.world.now)
    pair.bob.core.close(pair.theirs, pair.world.now, flush=True)
    pair.bob.drain()
    assert dial_error(pair.bob, pair.theirs) is None


# --- the server goes while a connection comes to be ----------------------------------------------


def test_an_answer_that_cannot_be_sent() -> None:
    pair = Pair(settle=False)
    while not pair.bob.rtcs:
        pair.world.step()
    pair.world.lose_server(pair.bob)
    pair.world.settle()
    error = dial_error(pair.bob, pair.theirs)
    assert isinstance(error, Disconnected)
    assert "cannot answer" in str(error)


# --- bounds --------------------------------------------------------------------------------------


def test_candidates_that_wait_for_acceptance_are_bounded() -> None:
    pair = Pair()
    core, now = pair.alice.core, pair.world.now
    core.receive_text(text(messages.Offer, "dc_2", sdp="offer 1", serialization="binary"), now)
    for n in range(Limits().early_candidates + 1):
        core.receive_text(text(messages.Candidate, "dc_2", candidate={"candidate": str(n)}), now)
    offered, refused = iter(core.next_event, None)
    assert isinstance(offered, events.DataConnectionOffered)
    assert refused == events.SignalingRefused("bob", "more early candidates than are kept")
    core.accept(offered.connection, now)
    added = [c for c in iter(core.next_command, None) if isinstance(c, commands.AddCandidate)]
    assert len(added) == Limits().early_candidates


def test_connections_are_bounded_from_both_sides() -> None:
    pair = Pair(limits=Limits(connections=1))
    core, now = pair.alice.core, pair.world.now
    with pytest.raises(LocalProtocolError, match="1 connections are open"):
        core.connect("bob", connection_id="dc_2", now=now)
    core.receive_text(text(messages.Offer, "dc_2", sdp="offer 1", serialization="binary"), now)
    (refused,) = iter(core.next_event, None)
    assert refused == events.SignalingRefused("bob", "offers a connection while 1 are open")
    core.close(pair.ours, now)
    core.connect("bob", connection_id="dc_2", now=now)


def test_the_runtime_can_end_a_connection_for_reasons_of_its_own() -> None:
    pair = Pair()
    full = ConnectionClosed("the inbox is full")
    for _ in range(2):
        pair.alice.core.fail(pair.ours, full)
    pair.alice.drain()
    assert dial_error(pair.alice, pair.ours) is full


# --- serializations with needs of their own ------------------------------------------------------


class Lines(Serializer):
    """Makes sense in order only, and waits for the other half of a message but so long."""

    name = "lines"
    always_reliable = True

    def __init__(self, limits: Limits) -> None:
        self._since: float | None = None

    @property
    def deadline(self) -> float | None:
        return None if self._since is None else self._since + 5.0

    def encode(self, value: Any) -> Outgoing:
        return Outgoing(len(value), iter((value,)))

    def decode(self, frame: Frame, now: float) -> Iterable[Incoming]:
        self._since = now if frame == "half" else None
        return () if self._since is not None else (Message(frame, len(frame)),)

    def expire(self, now: float) -> int:
        assert self._since is not None
        raise DecodeError("the other half never came")


def lines() -> tuple[PeerProtocol, int]:
    """A core to which Bob has opened a connection in lines."""
    core = PeerProtocol(ENDPOINT, id="alice", token="t", serializations={"lines": Lines})
    core.start(0.0)
    core.socket_opened(0.0)
    core.receive_text('{"type":"OPEN"}', 0.0)
    core.receive_text(text(messages.Offer, sdp="theirs", serialization="lines", reliable=True), 0.0)
    core.accept(1, 0.0)
    core.answer_made(1, "ours")
    core.channel_opened(1, 1000)
    return core, 1


def test_what_cannot_be_read_on_after_a_gap_ends_the_connection() -> None:
    core, number = lines()
    core.receive_frame(number, "whole", 1.0)
    core.receive_frame(number, "half", 2.0)
    core.handle_timeout(6.9)
    assert not any(isinstance(e, events.DataConnectionClosed) for e in iter(core.next_event, None))
    core.handle_timeout(7.0)
    (closed,) = iter(core.next_event, None)
    assert isinstance(closed, events.DataConnectionClosed)
    assert isinstance(closed.error, DecodeError)


def test_what_needs_order_is_refused_without() -> None:
    core, _ = lines()
    list(iter(core.next_event, None))
    core.receive_text(
        text(messages.Offer, "dc_2", sdp="theirs", serialization="lines", reliable=False), 1.0
    )
    (refused,) = iter(core.next_event, None)
    assert isinstance(refused, events.SignalingRefused)
    assert "without order" in refused.reason
    # Dialling with it, order comes by itself.
    number = core.connect("bob", connection_id="dc_3", serialization="lines", now=1.0)
    assert core.is_reliable(number)
    made = [c for c in iter(core.next_command, None) if isinstance(c, commands.MakeOffer)]
    assert made == [commands.MakeOffer(number, "dc_3", True)]
