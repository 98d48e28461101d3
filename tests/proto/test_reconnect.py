"""A registration that is lost, and comes back: when, where, as whom, and what waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto import commands, events
from peerjs_proto.backoff import Backoff, Reconnect, Redial
from peerjs_proto.deadlines import Deadlines
from peerjs_proto.endpoint import Endpoint
from peerjs_proto.errors import (
    ConnectTimeout,
    Disconnected,
    IdTaken,
    LocalProtocolError,
    ServerError,
    ServerUnavailable,
)
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.states import Session
from peerjs_proto.testing.world import World

FIRST = Endpoint.parse("http://first.example/")
SECOND = Endpoint.parse("http://second.example/")
THIRD = Endpoint.parse("http://third.example/")
STEADY = Reconnect(first=1.0, factor=2.0, longest=8.0, jitter=0.0)
"Waits of 1, 2, 4, 8, 8 … seconds."


class Alice:
    """A core, what it asked for and what it told."""

    def __init__(self, servers: Sequence[Endpoint] = (FIRST,), **options: Any) -> None:
        usual: dict[str, Any] = {"reconnect": STEADY, "random": lambda: 0.0, "id": "alice"}
        self.core = PeerProtocol(servers, token="secret", **usual | options)
        self.core.start(0.0)

    def asked(self) -> list[commands.Command]:
        return list(iter(self.core.next_command, None))

    def told(self) -> list[events.Event]:
        return list(iter(self.core.next_event, None))

    def host(self) -> str | None:
        """Where it opens a socket, as its last command."""
        last = (self.asked() or [commands.CloseSocket()])[-1]
        if not isinstance(last, commands.OpenSocket):
            return None
        query = parse_qs(urlsplit(last.url).query)
        assert query["token"] == ["secret"]
        return urlsplit(last.url).hostname

    def registered(self, now: float) -> None:
        self.core.socket_opened(now)
        self.core.receive_text('{"type":"OPEN"}', now)
        assert self.core.session is Session.OPEN

    def lost(self, now: float) -> events.PeerDisconnected:
        self.asked()
        self.told()
        self.core.socket_closed("it broke", now)
        (event,) = self.told()
        assert isinstance(event, events.PeerDisconnected)
        return event


def test_it_comes_back_with_the_same_id_and_token() -> None:
    alice = Alice()
    assert alice.host() == "first.example"
    alice.registered(0.0)
    event = alice.lost(100.0)
    assert isinstance(event.error, ServerUnavailable)
    assert event.retry_in == 1.0
    assert alice.core.session is Session.WAITING
    assert alice.asked() == [commands.CloseSocket()]
    assert alice.core.next_timeout() == 101.0
    alice.core.handle_timeout(100.9)
    assert alice.asked() == []
    alice.core.handle_timeout(101.0)
    assert alice.host() == "first.example"
    alice.registered(101.5)
    assert alice.told() == [events.PeerOpened("alice")]


def test_the_waits_grow_until_a_registration_lasts() -> None:
    alice = Alice()
    alice.registered(0.0)
    now, waits = 10.0, [alice.lost(10.0).retry_in]
    for _ in range(4):
        now += waits[-1] or 0
        alice.core.handle_timeout(now)
        waits.append(alice.lost(now).retry_in)
    assert waits == [1, 2, 4, 8, 8]
    now += 8
    alice.core.handle_timeout(now)
    alice.registered(now)
    assert alice.lost(now + STEADY.steady / 2).retry_in == 8, "one that did not last"
    now += 20
    alice.core.handle_timeout(now)
    alice.registered(now)
    assert alice.lost(now + STEADY.steady).retry_in == 1


def test_silence_and_refusals_are_failed_attempts() -> None:
    alice = Alice()
    alice.registered(0.0)
    alice.lost(10.0)
    alice.core.handle_timeout(11.0)
    alice.core.socket_opened(11.0)
    alice.core.handle_timeout(21.0)  # it said nothing
    (silence,) = alice.told()
    assert isinstance(silence, events.PeerDisconnected)
    assert isinstance(silence.error, ServerUnavailable)
    alice.core.handle_timeout(23.0)
    alice.core.receive_text('{"type":"ERROR","payload":{"msg":"full"}}', 23.0)
    (refusal,) = alice.told()
    assert isinstance(refusal, events.PeerDisconnected)
    assert isinstance(refusal.error, ServerError)
    assert refusal.retry_in == 4.0


def test_attempts_have_an_end_where_one_is_wanted() -> None:
    alice = Alice(reconnect=Reconnect(attempts=2, jitter=0.0))
    alice.registered(0.0)
    assert alice.lost(10.0).retry_in is not None
    alice.core.handle_timeout(11.0)
    assert alice.lost(11.0).retry_in is not None
    alice.core.handle_timeout(13.0)
    assert alice.lost(13.0).retry_in is None
    assert alice.core.session is Session.LOST
    assert alice.core.next_timeout() is None
    with pytest.raises(Disconnected):
        alice.core.connect("bob", connection_id="dc_1", now=14.0)
    alice.core.reconnect(20.0)
    assert alice.host() == "first.example"
    alice.registered(20.0)


def test_an_id_that_is_taken_is_asked_for_until_no_server_would_hold_it() -> None:
    alice = Alice()
    alice.registered(0.0)
    alice.lost(10.0)
    now, asked = 10.0, 0
    while alice.core.session is Session.WAITING:
        now = alice.core.next_timeout() or now
        alice.core.handle_timeout(now)
        alice.core.receive_text('{"type":"ID-TAKEN"}', now)
        asked += 1
    *_, last = alice.told()
    assert isinstance(last, events.PeerDisconnected)
    assert isinstance(last.error, IdTaken)
    assert last.retry_in is None
    assert STEADY.taken_timeout <= now - 11.0 <= STEADY.taken_timeout + STEADY.longest
    assert asked > 10


def test_an_id_that_is_taken_at_first_is_final_on_every_server() -> None:
    alice = Alice([FIRST, SECOND])
    alice.core.socket_opened(0.0)
    alice.core.receive_text('{"type":"ID-TAKEN"}', 0.0)
    (failed,) = alice.told()
    assert isinstance(failed, events.PeerFailed)
    assert isinstance(failed.error, IdTaken)


def test_whose_token_another_program_has_taken_over_does_not_fight_for_it() -> None:
    alice = Alice()
    alice.registered(0.0)
    alice.told()
    alice.core.receive_text('{"type":"ID-TAKEN"}', 10.0)
    (event,) = alice.told()
    assert isinstance(event, events.PeerDisconnected)
    assert isinstance(event.error, IdTaken)
    assert event.retry_in is None


def test_several_servers_are_tried_in_turn_at_first() -> None:
    alice = Alice([FIRST, SECOND])
    assert alice.host() == "first.example"
    alice.core.socket_closed("refused", 0.0)
    assert alice.told() == []
    assert alice.host() == "second.example"
    alice.core.socket_closed("refused as well", 0.0)
    (failed,) = alice.told()
    assert isinstance(failed, events.PeerFailed)
    assert "as well" in str(failed.error)
    assert alice.core.next_timeout() is None


def test_the_next_server_is_asked_for_an_id_as_well() -> None:
    alice = Alice([FIRST, SECOND], id=None)
    alice.core.http_failed("no route", 0.0)
    (_, fetch) = alice.asked()
    assert isinstance(fetch, commands.FetchId)
    assert "second.example" in fetch.url
    alice.core.receive_http(200, b"given", 0.0)
    assert alice.host() == "second.example"


def test_several_servers_are_tried_in_turn_after_a_loss_the_last_one_first() -> None:
    alice = Alice([FIRST, SECOND])
    alice.registered(0.0)
    waits, hosts, now = [alice.lost(10.0).retry_in], [], 10.0
    for _ in range(4):
        now += waits[-1] or 0
        alice.core.handle_timeout(now)
        hosts.append(alice.host())
        waits.append(alice.lost(now).retry_in)
    assert hosts == ["first.example", "second.example"] * 2
    assert waits == [1, 1, 2, 2, 4]


def test_reconnect_asks_at_once_and_once() -> None:
    alice = Alice()
    alice.registered(0.0)
    alice.core.reconnect(1.0)
    assert alice.core.session is Session.OPEN
    alice.lost(10.0)
    alice.core.reconnect(10.1)
    alice.core.reconnect(10.2)
    hosts = [c for c in alice.asked() if isinstance(c, commands.OpenSocket)]
    assert len(hosts) == 1


def test_without_a_policy_reconnect_makes_one_round() -> None:
    alice = Alice([FIRST, SECOND], reconnect=None, random=None)
    alice.registered(0.0)
    assert alice.lost(1.0).retry_in is None
    alice.core.reconnect(2.0)
    alice.core.socket_closed("no", 2.0)
    alice.core.socket_closed("no", 2.0)
    (event,) = alice.told()
    assert isinstance(event, events.PeerDisconnected)
    assert event.retry_in is None
    assert alice.core.session is Session.LOST


def test_a_server_that_has_moved_is_found_at_the_next_attempt() -> None:
    alice = Alice([FIRST, SECOND])
    assert alice.host() == "first.example"
    alice.core.move(FIRST)
    alice.registered(0.0)
    assert alice.core.registration is not None
    assert alice.core.registration.endpoint == FIRST
    alice.core.socket_closed("gone", 10.0)
    assert alice.host() is None
    alice.core.move([THIRD, SECOND])
    alice.core.handle_timeout(11.0)
    assert alice.host() == "third.example"
    alice.core.socket_closed("gone", 12.0)
    assert alice.host() is None
    alice.core.handle_timeout(14.0)
    assert alice.host() == "second.example"
    with pytest.raises(LocalProtocolError, match="a peer needs a server"):
        alice.core.move([])


def test_disconnect_leaves_and_stays_away() -> None:
    alice = Alice()
    alice.core.disconnect()
    assert alice.core.session is Session.LOST
    alice.core.reconnect(0.0)
    alice.registered(0.0)
    alice.asked()
    alice.told()
    alice.core.disconnect()
    alice.core.disconnect()
    assert alice.asked() == [commands.SendText('{"type":"LEAVE"}'), commands.CloseSocket()]
    (event,) = alice.told()
    assert isinstance(event, events.PeerDisconnected)
    assert isinstance(event.error, Disconnected)
    assert event.retry_in is None
    assert alice.core.next_timeout() is None
    alice.core.shut_down()
    assert alice.asked() == []


def test_misuse_raises() -> None:
    with pytest.raises(LocalProtocolError, match="server"):
        PeerProtocol([], token="t")
    with pytest.raises(LocalProtocolError, match="random"):
        PeerProtocol(FIRST, token="t", reconnect=Reconnect())
    core = PeerProtocol(FIRST, id="alice", token="t")
    core.disconnect()  # there is nothing to leave
    with pytest.raises(LocalProtocolError):
        core.reconnect(0.0)
    core.shut_down()
    with pytest.raises(LocalProtocolError):
        core.reconnect(0.0)


# --- what waits for the server --------------------------------------------------------------


def crowd() -> World:
    """Alice and Bob, registered; the server of Alice is lost, and she is back in two seconds."""
    world = World()
    alice, bob = world.node("alice", reconnect=STEADY), world.node("bob", reconnect=STEADY)
    world.settle()
    world.lose_server(alice)
    assert alice.core.session is Session.WAITING
    assert bob.core.session is Session.OPEN
    return world


def test_a_dial_waits_for_the_server() -> None:
    world = crowd()
    alice, bob = world.nodes
    number = alice.core.connect("bob", connection_id="dc_1", now=world.now)
    alice.drain()
    world.settle()
    assert bob.told(events.DataConnectionOffered) == []
    world.advance(2.0)
    assert alice.told(events.DataConnectionOpened) == [events.DataConnectionOpened(number)]


def test_an_answer_waits_for_the_server() -> None:
    world = World()
    alice, bob = world.node("alice", reconnect=STEADY), world.node("bob", reconnect=STEADY)
    world.auto_accept = False
    world.settle()
    number = bob.core.connect("alice", connection_id="dc_1", now=world.now)
    bob.drain()
    world.settle()
    world.lose_server(alice)
    (offered,) = alice.told(events.DataConnectionOffered)
    alice.core.accept(offered.connection, world.now)
    alice.drain()
    world.advance(2.0)
    assert bob.told(events.DataConnectionOpened) == [events.DataConnectionOpened(number)]


def test_an_offer_that_was_lost_with_the_server_is_made_again() -> None:
    world = World()
    alice, bob = world.node("alice", reconnect=STEADY), world.node("bob", reconnect=STEADY)
    world.settle()
    number = alice.core.connect("bob", connection_id="dc_1", now=world.now)
    alice.drain()
    world.step()  # it is made, and on its way
    world.lose_server(alice)
    world.advance(2.5)
    assert not bob.told(events.DataConnectionOffered)
    world.advance(1.0)
    assert alice.told(events.DataConnectionOpened) == [events.DataConnectionOpened(number)]
    world.advance(30.0)
    assert not alice.closed(number)


@pytest.mark.parametrize("redial", [None, Redial()])
def test_so_is_an_answer(redial: Redial | None) -> None:
    world = World()
    alice, bob = world.node("alice", reconnect=STEADY), world.node("bob", reconnect=STEADY)
    world.settle()
    number = alice.core.connect("bob", connection_id="dc_1", now=world.now, redial=redial)
    alice.drain()
    while not any(rtc.other for rtc in bob.rtcs.values()):
        world.step()
    world.step()  # it is made, and on its way
    for node in (alice, bob):
        world.lose_server(node)
    world.advance(4.0)
    assert alice.told(events.DataConnectionOpened) == [events.DataConnectionOpened(number)]
    assert len(bob.told(events.DataConnectionOpened)) == 1


def test_an_answer_that_waited_is_not_asked_for_again() -> None:
    alice = Alice()
    alice.registered(0.0)
    number = alice.core.connect("bob", connection_id="dc_1", now=1.0)
    alice.core.offer_made(number, "v=0")
    alice.lost(2.0)
    alice.core.handle_timeout(4.0)
    alice.registered(4.0)
    alice.asked()
    text = '{"type":"ANSWER","src":"bob","payload":{"type":"data","connectionId":"dc_1",'
    alice.core.receive_text(text + '"sdp":{"type":"answer","sdp":"v=0"}}}', 4.5)
    assert alice.asked() == [commands.ApplyAnswer(number, "v=0")]
    alice.core.handle_timeout(5.0)
    assert alice.asked() == []
    alice.core.handle_timeout(21.0)
    assert isinstance(alice.told()[-1], events.DataConnectionClosed)


def test_a_dial_does_not_wait_for_ever() -> None:
    world = crowd()
    alice, _ = world.nodes
    number = alice.core.connect("bob", connection_id="dc_1", now=world.now)
    alice.drain()
    world.settle()
    alice.core.handle_timeout(world.now + Limits().connect_timeout)
    alice.drain()
    ((_, error),) = [(e, e.error) for e in alice.closed(number)]
    assert isinstance(error, ConnectTimeout)
    world.settle()
    world.advance(2.0)
    assert world.nodes[1].told(events.DataConnectionOffered) == []


def test_what_waits_fails_when_nobody_comes_back() -> None:
    world = crowd()
    alice, _ = world.nodes
    number = alice.core.connect("bob", connection_id="dc_1", now=world.now)
    alice.drain()
    world.settle()
    alice.core.disconnect()
    alice.drain()
    (closed,) = alice.closed(number)
    assert isinstance(closed.error, Disconnected)


def test_an_accepted_offer_fails_without_a_server_to_answer_by() -> None:
    for answered in (False, True):
        alice = Alice()
        alice.registered(0.0)
        offer = '{"type":"OFFER","src":"bob","payload":{"type":"data","connectionId":"dc_1",'
        offer += '"serialization":"json","sdp":{"type":"offer","sdp":"v=0"}}}'
        alice.core.receive_text(offer, 1.0)
        alice.lost(2.0)
        alice.core.accept(1, 2.0)
        alice.core.candidate_found(1, {"candidate": "mine"})
        if answered:
            alice.core.answer_made(1, "v=0")
            alice.core.candidate_found(1, {"candidate": "another"})
        alice.core.disconnect()
        *_, closed = alice.told()
        assert isinstance(closed, events.DataConnectionClosed)
        assert isinstance(closed.error, Disconnected)
        assert "answer" in str(closed.error)


def test_an_offer_is_accepted_when_the_server_is_gone_for_good() -> None:
    alice = Alice()
    alice.registered(0.0)
    offer = '{"type":"OFFER","src":"bob","payload":{"type":"data","connectionId":"dc_1",'
    offer += '"serialization":"json","sdp":{"type":"offer","sdp":"v=0"}}}'
    alice.core.receive_text(offer, 1.0)
    alice.core.disconnect()
    alice.core.accept(1, 2.0)
    alice.core.answer_made(1, "v=0")
    *_, closed = alice.told()
    assert isinstance(closed, events.DataConnectionClosed)
    assert isinstance(closed.error, Disconnected)


def test_a_candidate_that_nobody_can_be_told_of_does_no_harm() -> None:
    world = World()
    alice, bob = world.node("alice"), world.node("bob")
    world.settle()
    number = alice.core.connect("bob", connection_id="dc_1", now=world.now)
    alice.drain()
    world.settle()
    alice.core.disconnect()
    alice.core.candidate_found(number, {"candidate": "late"})
    alice.drain()
    assert not alice.closed(number)
    assert bob.told(events.DataConnectionOpened)


def test_dials_begin_as_others_end() -> None:
    alice = Alice(limits=Limits(dials=2))
    alice.registered(0.0)
    alice.asked()
    numbers = [alice.core.connect("bob", connection_id=f"dc_{n}", now=1.0) for n in range(5)]
    made = [c.connection for c in alice.asked() if isinstance(c, commands.MakeOffer)]
    assert made == numbers[:2]
    alice.core.close(numbers[2], 1.0)  # given up before its turn
    assert alice.asked() == []
    alice.core.rtc_failed(numbers[0], "no path")
    assert commands.MakeOffer(numbers[3], "dc_3", False) in alice.asked()
    alice.core.handle_timeout(21.0)
    ended = [e.connection for e in alice.told() if isinstance(e, events.DataConnectionClosed)]
    assert sorted(ended) == numbers


def test_a_dial_does_not_wait_for_its_turn_for_ever() -> None:
    alice = Alice(limits=Limits(dials=1), media=True)
    alice.registered(0.0)
    alice.told()
    alice.core.call("bob", connection_id="mc_1", now=1.0)
    number = alice.core.connect("bob", connection_id="dc_1", now=1.0)
    alice.core.handle_timeout(21.0)
    (closed,) = alice.told()
    assert isinstance(closed, events.DataConnectionClosed)
    assert closed.connection == number
    assert "no turn" in str(closed.error)


# --- the parts ------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_a_wait_is_never_longer_than_the_longest(
    attempt: int, chance: float, jitter: float
) -> None:
    backoff = Backoff(first=0.5, factor=3.0, longest=20.0, jitter=jitter)
    plain = min(20.0, 0.5 * 3.0 ** min(attempt, 60))
    assert plain * (1 - jitter) <= backoff.delay(attempt, chance) <= plain


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 9))), st.integers(0, 9))
def test_deadlines_are_what_a_dict_would_say(
    changes: list[tuple[int, int | None]], now: int
) -> None:
    deadlines, model = Deadlines(), dict[int, int]()
    for _ in range(8):  # often enough for it to clear out what is stale
        for key, due in changes:
            deadlines.set(key, due)
            model.pop(key, None)
            if due is not None:
                model[key] = due
            assert deadlines.next == min(model.values(), default=None)
    assert len(deadlines) == len(model)
    taken = deadlines.take(now)
    assert sorted(taken) == sorted(key for key, due in model.items() if due <= now)
    assert [model[key] for key in taken] == sorted(model[key] for key in taken)
    assert deadlines.next == min((due for due in model.values() if due > now), default=None)
