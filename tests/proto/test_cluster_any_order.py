"""Servers on one store, whatever befalls them: an OFFER arrives, or its sender is told EXPIRE."""

from __future__ import annotations

from itertools import count
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from .cluster_world import Client, Server, World

SERVERS = 3
IDS = ["alice", "bob", "carol", "dave"]

servers = st.integers(0, SERVERS - 1)


@attrs.define(eq=False)
class Offer:
    number: int
    sender: Client
    dst: str
    seen_by_sender: int
    "How much it had been sent by then."


class Cluster(RuleBasedStateMachine):
    @initialize(counted=st.booleans())
    def begin(self, counted: bool) -> None:
        self.world = World(SERVERS, counted=counted)
        self.clients: list[tuple[Server, Client]] = []
        self.offers: list[Offer] = []
        self.numbers = count()

    def server(self, index: int) -> Server:
        return self.world.servers[index]

    def open(self) -> list[tuple[Server, Client]]:
        return [
            (server, client)
            for server, client in self.clients
            if client.handle is not None and not client.is_closed
        ]

    # --- clients ------------------------------------------------------------------------------

    @rule(index=servers, id=st.sampled_from(IDS), token=st.sampled_from("tttu"))
    def join(self, index: int, id: str, token: str) -> None:
        server = self.server(index)
        self.clients.append((server, server.join(id, token)))

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        there = [pair for pair in self.clients if not pair[1].is_closed]
        if there:
            server, client = data.draw(st.sampled_from(there))
            server.leave(client)

    @rule(data=st.data(), dst=st.sampled_from(IDS), type=st.sampled_from(["OFFER", "LEAVE"]))
    def send(self, data: st.DataObject, dst: str, type: str) -> None:
        if clients := self.open():
            server, client = data.draw(st.sampled_from(clients))
            number = next(self.numbers)
            if type == "OFFER":
                self.offers.append(Offer(number, client, dst, len(client.texts)))
            server.send(client, type, dst, number)

    # --- what happens by itself ---------------------------------------------------------------

    @rule(index=servers)
    def ask(self, index: int) -> None:
        self.server(index).ask()

    @rule(index=servers)
    def hear_answer(self, index: int) -> None:
        self.server(index).hear_answer()

    @rule(index=servers)
    def hear_word(self, index: int) -> None:
        self.server(index).hear_word()

    @rule()
    def settle(self) -> None:
        self.world.settle()

    @rule(seconds=st.sampled_from([0.3, 1.1, 6.0, 16.0]))
    def tick(self, seconds: float) -> None:
        self.world.tick(seconds)

    # --- what befalls them --------------------------------------------------------------------

    @rule(index=servers)
    def lose_parcel(self, index: int) -> None:
        inbox = self.server(index).inbox
        if inbox and inbox[0].startswith(b"P"):
            inbox.popleft()

    @rule(index=servers)
    def disconnect(self, index: int) -> None:
        if self.server(index).name:
            self.server(index).disconnect()

    @rule(index=servers)
    def connect(self, index: int) -> None:
        if not self.server(index).name:
            self.server(index).connect()

    @rule(index=servers)
    def kill(self, index: int) -> None:
        self.world.kill(self.server(index))

    @rule()
    def restart_store(self) -> None:
        self.world.restart_store()

    # --- what must hold -----------------------------------------------------------------------

    @invariant()
    def what_is_lost_connects_anew(self) -> None:
        for server in self.world.servers:
            if server.node.is_lost(self.world.now):
                server.disconnect()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for server in self.world.servers:
            if not server.name:
                server.connect()
        for _ in range(30):
            self.world.advance(1.0)
            for server in self.world.servers:
                if server.node.is_lost(self.world.now):
                    server.disconnect()
                    server.connect()
        texts = [text for _, client in self.clients for text in client.texts]
        arrived = {text["payload"] for text in texts if text["type"] == "OFFER"}
        for offer in self.offers:
            told = offer.sender.texts[offer.seen_by_sender :]
            assert offer.sender.is_closed or offer.number in arrived or expired(told, offer.dst), (
                offer
            )
        ids = [client.id for _, client in self.open()]
        assert len(ids) == len(set(ids)), ids
        assert set(self.world.store.ids) == set(ids)
        assert not self.world.store.waiting
        assert not self.world.store.due
        for server in self.world.servers:
            assert server.node.ready
            assert server.node.statistics().letters == 0
            assert server.node.statistics().letter_bytes == 0


def expired(texts: list[dict[str, Any]], dst: str) -> bool:
    return any((text["type"], text.get("src")) == ("EXPIRE", dst) for text in texts)


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
