"""Several servers on one store: clients find each other as on one."""

from __future__ import annotations

import attrs
import pytest

from peerjs_proto.cluster import BATCH, ClusterNode, room_outcome
from peerjs_proto.cluster_io import Parcel, read_payload
from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.rooms import RoomAction, RoomCall, RoomRefusal, RoomResult
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import DEFAULT_SERVER_LIMITS, Forward

from .cluster_store import Holder
from .cluster_world import Client, Server, World


def types(client: Client) -> list[str]:
    return [text["type"] for text in client.texts]


def two(world: World) -> tuple[Server, Server, Client, Client]:
    first, second = world.servers[:2]
    alice, bob = first.join("alice"), second.join("bob")
    world.settle()
    return first, second, alice, bob


def test_a_message_crosses() -> None:
    world = World()
    first, second, alice, bob = two(world)
    first.send(alice, "OFFER", "bob", {"n": "é"})
    second.send(bob, "ANSWER", "alice")
    world.settle()
    assert types(alice) == ["OPEN", "ANSWER"]
    assert bob.texts[1] == {"type": "OFFER", "src": "alice", "dst": "bob", "payload": {"n": "é"}}
    assert first.node.statistics().letters == 0
    assert first.node.statistics().letter_bytes == 0
    assert first.node.statistics().forwarded == 1


def test_the_next_one_goes_there_without_asking_the_store_where() -> None:
    world = World()
    first, _, alice, bob = two(world)
    first.send(alice, "OFFER", "bob")
    world.settle()
    first.send(alice, "CANDIDATE", "bob")
    first.send(alice, "CANDIDATE", "bob")
    exchange = first.node.next_exchange(world.now)
    assert exchange is not None
    assert [request.name for request in exchange.requests] == ["publish"]
    first.node.answered(exchange, world.store.exchange(exchange.arguments), world.now)
    world.carry()
    world.settle()
    assert types(bob) == ["OPEN", "OFFER", "CANDIDATE", "CANDIDATE"]


def test_an_id_has_one_owner() -> None:
    world = World()
    _first, second, alice, _ = two(world)
    thief = second.join("alice", "another")
    world.settle()
    assert thief.is_closed
    assert thief.claim.granted is False
    assert not alice.is_closed
    again = second.join("alice")
    world.settle()
    assert types(alice) == ["OPEN", "ID-TAKEN"]
    assert alice.is_closed
    assert not again.is_closed
    assert world.store.ids["alice"].node == second.name


def test_a_client_that_left_has_left_its_id() -> None:
    world = World()
    first, second, alice, _ = two(world)
    first.leave(alice)
    world.settle()
    other = second.join("alice", "another")
    world.settle()
    assert not other.is_closed


def test_a_client_that_leaves_while_its_id_is_asked_for() -> None:
    world = World()
    first, second = world.servers
    alice = first.join("alice")
    first.ask()
    first.leave(alice)
    world.settle()
    assert world.store.ids == {}
    assert alice.handle is None
    second.join("alice", "another")
    world.settle()
    assert world.store.ids["alice"].node == second.name


def test_a_client_that_comes_back_to_the_same_server() -> None:
    world = World()
    first, second, alice, bob = two(world)
    again = first.join("alice")
    world.settle()
    assert alice.is_closed
    second.send(bob, "OFFER", "alice")
    world.settle()
    assert types(again) == ["OPEN", "OFFER"]


def test_a_client_that_is_taken_over_while_its_id_is_on_its_way() -> None:
    world = World()
    first, second = world.servers
    alice = first.join("alice")
    first.ask()  # the store has granted it
    again = second.join("alice")
    second.ask()
    second.hear_answer()
    assert first.hear_word()
    world.settle()
    assert types(alice) == ["OPEN", "ID-TAKEN"]
    assert types(again) == ["OPEN"]
    assert world.store.ids["alice"].node == second.name


def test_who_is_not_there_yet_is_waited_for() -> None:
    world = World()
    first, second = world.servers
    alice = first.join("alice")
    world.settle()
    first.send(alice, "OFFER", "bob")
    first.send(alice, "LEAVE", "bob")
    world.settle()
    bob = second.join("bob")
    world.settle()
    assert types(bob) == ["OPEN", "OFFER"]
    assert world.store.waiting == {}
    world.advance(10.0)
    assert types(alice) == ["OPEN"]


def test_who_never_comes_is_given_up_once() -> None:
    world = World(3)
    first, second, alice, bob = two(world)
    first.send(alice, "OFFER", "carol")
    first.send(alice, "CANDIDATE", "carol")
    second.send(bob, "OFFER", "carol")
    world.advance(4.5)
    assert types(alice) == types(bob) == ["OPEN"]
    world.advance(5.0)
    assert alice.texts[1:] == [{"type": "EXPIRE", "src": "carol", "dst": "alice"}]
    assert bob.texts[1:] == [{"type": "EXPIRE", "src": "carol", "dst": "bob"}]
    assert world.store.waiting == {}
    assert world.store.due == {}
    world.advance(10.0)
    assert types(alice) == types(bob) == ["OPEN", "EXPIRE"]


def test_many_who_never_come() -> None:
    world = World()
    first, _, alice, _ = two(world)
    for number in range(50):
        first.send(alice, "OFFER", f"nobody{number}")
    world.advance(7.0)
    assert types(alice).count("EXPIRE") == 50


def test_whoever_gives_up_can_die_while_it_does() -> None:
    world = World(3)
    first, second, alice, _ = two(world)
    carol = world.servers[2].join("carol")
    world.settle()
    first.send(alice, "OFFER", "dave")
    world.servers[2].send(carol, "OFFER", "dave")
    world.advance(4.0)
    due = world.store.due["dave"]
    while world.store.due["dave"] == due:
        second.hear_answer()
        world.tick(0.25)
        second.ask()
    world.kill(second)  # it has taken the task, and told nobody
    world.advance(1.0)
    assert types(alice) == types(carol) == ["OPEN"]
    world.advance(6.0)
    assert types(alice) == types(carol) == ["OPEN", "EXPIRE"]
    assert world.store.waiting == {}


def test_a_sender_that_cannot_be_told_is_told_later() -> None:
    world = World(counted=False)
    first, second, alice, bob = two(world)
    first.send(alice, "OFFER", "carol")
    second.send(bob, "OFFER", "carol")
    world.advance(5.0)
    # Whoever it is, the other one does not hear it.
    for _ in range(8):
        world.tick(0.25)
        for server in world.servers:
            server.ask()
            server.hear_answer()
            server.inbox.clear()
    assert {"EXPIRE"} <= {*types(alice), *types(bob)}
    world.advance(12.0)
    assert "EXPIRE" in types(alice)
    assert "EXPIRE" in types(bob)
    assert world.store.waiting == {}


@pytest.mark.parametrize("counted", [True, False])
def test_a_server_that_dies(counted: bool) -> None:
    world = World(3, counted=counted)
    first, second, alice, _bob = two(world)
    first.send(alice, "OFFER", "bob")
    world.settle()
    world.kill(second)
    first.send(alice, "CANDIDATE", "bob")  # to where it was
    world.settle()
    assert (world.store.waiting != {}) == counted  # at once where the store says nobody heard it
    thief = world.servers[2].join("bob", "another")
    world.settle()
    assert thief.is_closed  # the lease goes on
    again = world.servers[2].join("bob")
    world.advance(1.5)
    assert types(again) == ["OPEN", "CANDIDATE"]
    first.send(alice, "CANDIDATE", "bob")
    world.settle()
    assert types(again) == ["OPEN", "CANDIDATE", "CANDIDATE"]


def test_the_ids_of_a_dead_server_are_free_after_its_lease() -> None:
    world = World(3)
    first, second, alice, _ = two(world)
    carol = second.join("carol")
    world.settle()
    second.send(carol, "OFFER", "dave")
    world.settle()
    world.kill(second)
    world.advance(14.0)
    assert world.servers[2].join("bob", "another").claim.granted is None
    world.settle()
    assert "bob" in world.store.ids
    world.advance(3.0)
    assert set(world.store.ids) == {"alice"}
    assert set(world.store.nodes) == {first.name, world.servers[2].name}
    other = world.servers[2].join("bob", "another")
    world.settle()
    assert not other.is_closed
    assert types(alice) == ["OPEN"]


def test_a_message_for_one_who_has_just_been_granted_its_id() -> None:
    world = World()
    first, second = world.servers
    alice = first.join("alice")
    world.settle()
    bob = second.join("bob")
    second.ask()  # the store knows of bob, the server does not yet
    first.send(alice, "OFFER", "bob")
    first.send(alice, "LEAVE", "bob")
    for _ in range(6):
        first.ask()
        first.hear_answer()
        first.hear_word()
        second.hear_word()
    world.settle()
    assert types(bob) == ["OPEN", "OFFER", "LEAVE"]


def test_a_message_for_one_whom_only_the_store_believes_to_be_there() -> None:
    world = World()
    first, second, alice, _ = two(world)
    world.store.ids["carol"] = Holder(second.name, "nonce", "digest")
    first.send(alice, "LEAVE", "carol")
    world.settle()
    assert first.node.statistics().letters == 0
    first.send(alice, "OFFER", "carol")
    world.settle()
    assert "carol" in world.store.waiting
    world.advance(7.0)
    assert types(alice) == ["OPEN", "EXPIRE"]


def test_a_message_that_is_lost_is_sent_again() -> None:
    world = World(counted=False)
    first, second, alice, bob = two(world)
    first.send(alice, "OFFER", "bob")
    first.send(alice, "LEAVE", "bob")
    first.ask()
    first.hear_answer()
    first.ask()
    first.hear_answer()
    assert second.inbox
    second.inbox.clear()
    world.advance(1.5)
    assert sorted(types(bob)) == ["LEAVE", "OFFER", "OPEN"]
    assert first.node.statistics().letters == 0


def test_a_receipt_that_is_late() -> None:
    world = World()
    first, second, alice, bob = two(world)
    first.send(alice, "OFFER", "bob")
    first.ask()
    first.hear_answer()
    first.ask()
    first.hear_answer()
    second.hear_word()
    second.ask()
    second.hear_answer()
    receipt = first.inbox[0]
    world.advance(2.0)
    first.node.receive(receipt, world.now)
    world.settle()
    assert first.node.statistics().letters == 0
    assert types(bob)[1] == "OFFER"


def test_without_the_store_a_server_is_on_its_own() -> None:
    world = World()
    first, second, alice, bob = two(world)
    first.disconnect()
    assert not first.node.ready
    assert first.node.next_exchange(world.now) is None
    assert second.node.ready
    carol = first.join("carol")
    thief = first.join("alice", "another")
    assert thief.is_closed
    assert not carol.is_closed
    first.leave(first.join("dave"))
    first.send(alice, "OFFER", "carol")
    first.send(alice, "OFFER", "bob")
    assert types(carol) == ["OPEN", "OFFER"]
    world.advance(7.0)
    assert types(alice) == ["OPEN", "EXPIRE"]
    first.send(alice, "OFFER", "bob")
    first.connect()
    world.settle()
    assert first.node.ready
    assert types(bob) == ["OPEN", "OFFER"]
    second.send(bob, "ANSWER", "carol")
    world.settle()
    assert types(carol) == ["OPEN", "OFFER", "ANSWER"]


def test_a_claim_that_is_not_answered() -> None:
    world = World()
    first, _second = world.servers
    alice = first.join("alice")
    assert alice.handle is None
    question = first.node.ask("everybody")
    first.disconnect()
    assert types(alice) == ["OPEN"]
    assert question.reply is None
    assert first.node.ask("everybody").reply is None


def test_ids_that_were_given_twice_while_the_store_was_away() -> None:
    world = World()
    first, second = world.servers
    first.disconnect()
    alice = first.join("alice", "one")
    other = second.join("alice", "two")
    world.settle()
    first.connect()
    world.settle()
    assert types(alice) == ["OPEN", "ID-TAKEN"]
    assert alice.is_closed
    assert not other.is_closed


def test_a_client_that_moved_while_its_server_was_cut_off() -> None:
    world = World()
    first, second, alice, _ = two(world)
    first.disconnect()
    again = second.join("alice")
    world.settle()
    first.connect()
    world.settle()
    assert alice.is_closed
    assert not again.is_closed


def test_a_client_that_came_to_a_server_that_was_cut_off() -> None:
    world = World()
    _first, second, alice, bob = two(world)
    second.disconnect()
    again = second.join("alice")
    second.connect()
    world.settle()
    assert alice.is_closed
    assert not again.is_closed
    second.send(bob, "OFFER", "alice")
    assert types(again) == ["OPEN", "OFFER"]


def test_the_store_forgets_all() -> None:
    world = World()
    first, second, alice, bob = two(world)
    first.send(alice, "OFFER", "carol")  # waits in the store
    first.send(alice, "CANDIDATE", "carol")
    world.settle()
    world.restart_store()
    for server in world.servers:
        server.connect()
    world.settle()
    second.send(bob, "OFFER", "alice")
    world.settle()
    assert types(alice) == ["OPEN", "OFFER"]
    world.advance(6.0)
    assert types(alice) == ["OPEN", "OFFER", "EXPIRE"]
    world.advance(10.0)
    assert types(alice) == ["OPEN", "OFFER", "EXPIRE"]


def test_what_was_on_its_way_when_the_store_went_goes_again() -> None:
    world = World()
    first, _second, alice, bob = two(world)
    first.send(alice, "OFFER", "bob")
    first.ask()
    first.disconnect()
    world.tick(1.0)
    first.connect()
    world.settle()
    assert types(bob) == ["OPEN", "OFFER"]
    first.send(alice, "OFFER", "bob")
    first.ask()
    first.disconnect()
    world.advance(6.0)
    assert types(alice) == ["OPEN", "EXPIRE"]
    assert first.node.statistics().given_up == 1


def test_an_expiry_under_way_when_the_store_went() -> None:
    world = World(counted=False)
    first, second, alice, bob = two(world)
    first.send(alice, "OFFER", "carol")
    second.send(bob, "OFFER", "carol")
    world.settle()
    world.tick(5.5)
    first.ask()
    first.hear_answer()  # alice is told, bob's EXPIRE is a letter
    assert first.node.statistics().letters == 1
    first.disconnect()
    assert first.node.statistics().letters == 0
    first.connect()
    world.advance(7.0)
    assert "EXPIRE" in types(bob)
    assert world.store.waiting == {}


def test_a_server_that_was_taken_for_dead_begins_anew() -> None:
    world = World()
    first, second, alice, _ = two(world)
    assert not first.node.is_lost(world.now)
    world.now += 20.0  # it was stopped, say by a laptop's lid
    world.store.now += 20_000
    assert not first.node.is_lost(world.now)  # it does not know yet
    second.node.handle_timeout(world.now)
    world.settle()
    assert "alice" not in world.store.ids
    first.node.handle_timeout(world.now)
    world.settle()
    assert first.node.is_lost(world.now)
    first.disconnect()
    assert not first.node.is_lost(world.now)
    first.connect()
    world.settle()
    assert not first.node.is_lost(world.now)
    assert "alice" in world.store.ids
    assert not alice.is_closed


def test_a_server_that_does_not_hear_itself_begins_anew() -> None:
    world = World()
    first = world.servers[0]
    for second in range(1, 4):
        assert not first.node.is_lost(world.now), second
        world.tick(1.0)
        first.ask()
        first.inbox.clear()
        first.hear_answer()
    assert first.node.is_lost(world.now)
    first.disconnect()
    first.connect()
    assert not first.node.is_lost(world.now)


def test_a_server_that_stops_frees_its_ids() -> None:
    world = World()
    first, second, _alice, _ = two(world)
    first.node.leave()
    world.settle()
    other = second.join("alice", "another")
    world.settle()
    assert not other.is_closed


def test_everybody() -> None:
    world = World()
    first, _second, _, _ = two(world)
    question = first.node.ask("everybody")
    world.settle()
    assert sorted(question.reply) == [b"alice", b"bob"]


def test_no_room_in_the_store() -> None:
    world = World(limits=attrs.evolve(DEFAULT_SERVER_LIMITS, waiting_messages=1))
    first, _, alice, _ = two(world)
    first.send(alice, "OFFER", "carol")
    first.send(alice, "CANDIDATE", "carol")
    world.settle()
    assert types(alice) == ["OPEN", "EXPIRE"]


@pytest.mark.parametrize("limits", [{"waiting_messages_in_all": 3}, {"waiting_bytes_in_all": 200}])
def test_no_room_here(limits: dict[str, int]) -> None:
    world = World(limits=attrs.evolve(DEFAULT_SERVER_LIMITS, **limits))
    first, _, alice, bob = two(world)
    for _ in range(4):
        first.send(alice, "OFFER", "bob")
    first.send(alice, "LEAVE", "bob")
    first.send(alice, "LEAVE", "bob")
    assert first.node.statistics().letter_bytes <= 200
    assert types(alice)[:2] == ["OPEN", "EXPIRE"]
    world.settle()
    assert set(types(bob)) == {"OPEN", "OFFER"}
    first.node.forward(Forward("alice", "x" * 1000, "{}", True), world.now)
    first.perform()
    assert types(alice)[-1] == "EXPIRE"


def test_more_than_fits_into_one_exchange() -> None:
    world = World()
    first, _second, alice, bob = two(world)
    clients = [first.join(f"c{number}") for number in range(BATCH + 1)]
    big = "x" * 60_000
    for _ in range(20):
        first.send(alice, "OFFER", "bob", big)  # the store is asked for each
    world.settle()
    assert types(bob).count("OFFER") == 20
    assert all(types(client) == ["OPEN"] for client in clients)
    for _ in range(20):
        first.send(alice, "OFFER", "bob", big)  # they go there
    world.settle()
    assert types(bob).count("OFFER") == 40


def test_what_other_versions_say_is_passed_over() -> None:
    world = World()
    first, _, alice, _ = two(world)
    for payload in (b"", b"?", b"Mx", b"Fnobody", b"M\xff", b"P", b"P[]\n", b'P["a",[9],[9],[]]\n'):
        first.node.receive(payload, world.now)
    first.node.receive(b"Mother alice", world.now)
    first.perform()
    assert not alice.is_closed


def test_it_wants_to_be_woken() -> None:
    world = World()
    node = world.servers[0].node
    node.handle_timeout(7.0)
    assert 7.0 < node.next_timeout() < 8.0


def test_a_node_needs_a_lease() -> None:
    with pytest.raises(LocalProtocolError):
        ClusterNode(ServerProtocol(), lease=0.0)


# --- at odd moments ------------------------------------------------------------------------------


def test_a_letter_that_has_arrived_is_not_sent_again() -> None:
    world = World()
    first, second, alice, bob = two(world)
    first.send(alice, "OFFER", "bob")
    for _ in range(2):
        first.ask()
        first.hear_answer()
    second.hear_word()
    second.ask()
    second.hear_answer()
    receipt = first.inbox.pop()
    world.tick(1.5)  # it is to go through the store now
    first.node.receive(receipt, world.now)
    world.settle()
    assert types(bob) == ["OPEN", "OFFER"]


def test_letters_that_are_given_up_while_the_store_takes_its_time() -> None:
    world = World()
    first, _, alice, bob = two(world)
    first.send(alice, "OFFER", "bob")
    first.send(alice, "LEAVE", "bob")
    first.ask()
    world.tick(6.0)  # it has not answered
    first.hear_answer()
    assert types(alice) == ["OPEN", "EXPIRE"]
    assert first.node.statistics().letters == 0
    world.settle()
    first.send(alice, "OFFER", "bob")
    world.settle()
    first.send(alice, "OFFER", "bob")
    first.send(alice, "LEAVE", "bob")
    world.tick(6.0)  # nor was it asked
    first.disconnect()
    first.connect()
    world.settle()
    assert types(alice) == ["OPEN", "EXPIRE", "EXPIRE"]
    assert types(bob) == ["OPEN", "OFFER"]


def test_letters_that_are_given_up_before_they_go_to_where_they_should() -> None:
    world = World()
    first, _, alice, bob = two(world)
    first.send(alice, "OFFER", "bob")
    world.settle()
    first.send(alice, "OFFER", "bob")
    world.tick(6.0)
    first.node.receive(b"T", world.now)
    world.settle()
    assert types(alice) == ["OPEN", "EXPIRE"]
    assert types(bob) == ["OPEN", "OFFER"]


def test_letters_for_a_server_that_has_just_died() -> None:
    world = World()
    first, second, alice, _ = two(world)
    first.send(alice, "OFFER", "bob")
    world.settle()
    first.send(alice, "OFFER", "bob")
    second.disconnect()
    first.ask()  # nobody hears it
    world.tick(6.0)  # but that it hears when it has given it up
    first.hear_answer()
    assert types(alice) == ["OPEN", "EXPIRE"]
    assert first.node.statistics().letters == 0


def test_places_are_forgotten_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peerjs_proto.post.PLACES", 2)
    world = World()
    first, second, alice, _ = two(world)
    for id in ["b1", "b2", "b3"]:
        second.join(id)
        world.settle()
        first.send(alice, "OFFER", id)
        world.settle()
    for id, request in [("b1", "route"), ("b3", "publish")]:
        first.send(alice, "OFFER", id)
        exchange = first.node.next_exchange(world.now)
        assert exchange is not None
        assert [request.name for request in exchange.requests] == [request]
        first.pending = exchange, world.store.exchange(exchange.arguments)
        world.carry()
        world.settle()


def test_no_more_of_what_is_parked_is_remembered_than_can_wait() -> None:
    world = World(limits=attrs.evolve(DEFAULT_SERVER_LIMITS, waiting_messages_in_all=1))
    first, second, alice, _bob = two(world)
    for id in ["b1", "b2"]:
        first.send(alice, "OFFER", id)
        world.settle()
        second.join(id)
        world.settle()
    world.restart_store()
    world.advance(6.0)
    assert [text["src"] for text in alice.texts if text["type"] == "EXPIRE"] == ["b1"]


def test_hints_at_odd_moments() -> None:
    world = World()
    first, second = world.servers
    bob = second.join("bob")
    second.ask()
    second.node.receive(b"Fbob", world.now)  # it is granted, but not on
    alice = first.join("alice")
    world.settle()
    assert types(bob) == ["OPEN"]
    first.node.receive(b"Falice", world.now)
    first.ask()
    first.leave(alice)
    first.hear_answer()
    world.settle()
    assert world.store.waiting == {}


def test_what_is_fetched_for_one_who_has_left() -> None:
    world = World()
    first, second = world.servers
    alice = first.join("alice")
    world.settle()
    first.send(alice, "OFFER", "bob")
    world.settle()
    bob = second.join("bob")
    second.ask()
    second.hear_answer()
    second.ask()
    second.leave(bob)
    second.hear_answer()
    world.settle()
    assert "bob" in world.store.waiting
    world.advance(7.0)
    assert types(alice) == ["OPEN", "EXPIRE"]


def test_an_id_that_is_granted_to_another_before_its_client_knows() -> None:
    world = World()
    first, second, alice, _ = two(world)
    again = second.join("alice")
    second.ask()
    second.hear_answer()
    second.leave(again)
    second.ask()
    second.hear_answer()
    other = first.join("alice", "another")
    first.ask()
    first.hear_answer()  # and only then what tells of the first of these
    assert alice.is_closed
    world.settle()
    assert types(alice) == ["OPEN", "ID-TAKEN"]
    assert types(other) == ["OPEN"]
    assert world.store.ids["alice"].node == first.name


def test_a_claim_that_nobody_waited_for_gives_the_id_back() -> None:
    world = World()
    first, _, alice, bob = two(world)
    second_try = first.join("alice")
    first.ask()
    first.leave(second_try)
    world.settle()
    world.servers[1].send(bob, "OFFER", "alice")
    world.settle()
    assert types(alice) == ["OPEN", "OFFER"]


def test_messages_waited_while_a_server_was_cut_off() -> None:
    world = World()
    first, second, alice, bob = two(world)
    second.disconnect()
    first.send(alice, "OFFER", "bob")
    world.settle()
    assert "bob" in world.store.waiting
    second.connect()
    world.settle()
    assert types(bob) == ["OPEN", "OFFER"]


def test_parcels_that_are_none() -> None:
    for payload in (
        b"P\xff\n",
        b'P["a",[],[],[[1,"b"]]]\n',
        b'P["a",[],[],[[1,"b",9]]]\nshort',
        b'P["a",[],[],[[1,"b",1]]]\n\xff',
        b'P["a",["x"],[],[],1]\n',
    ):
        assert read_payload(payload) is None
    assert read_payload(b'P["a",[1,"x"],[2],[[1,"b",2]]]\n{}') == Parcel(
        "a", [1], [2], [(1, "b", "{}")]
    )


def test_rooms() -> None:
    world = World()
    _first, second, _, _ = two(world)

    def ask(action: RoomAction, id: str, token: str = "t") -> RoomResult | RoomRefusal | None:
        question = second.node.ask_for_room(RoomCall(action, id, token, "room", is_open=True))
        world.settle()
        return room_outcome(question)

    assert ask("join", "alice") == RoomResult(["alice"])
    assert ask("members", "alice") == RoomResult(["alice"], was_in_room=True)
    assert ask("join", "alice", "x") == RoomRefusal.BAD_TOKEN
    assert ask("join", "carol") == RoomRefusal.UNKNOWN
    second.disconnect()
    assert ask("members", "alice") is None
