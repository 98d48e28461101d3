"""Two peers under arbitrary interleavings: what was sent arrives, and every end is an end.

Hypothesis decides who dials, sends, closes and flushes, and how far the world is carried on
in between.
"""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from peerjs_proto import events
from peerjs_proto.errors import ConnectionClosed, LocalProtocolError, NotOpenYet
from peerjs_proto.states import Session
from peerjs_proto.testing.values import binary_values
from peerjs_proto.testing.world import Node, World


@attrs.define(eq=False)
class End:
    """One side of a connection, and what it has done."""

    node: Node
    number: int | None
    sent: list[Any] = attrs.field(factory=list)
    closed: bool = False
    flushed: bool = False


@attrs.define(eq=False)
class Link:
    connection_id: str
    dialler: End
    callee: End

    def ends(self) -> tuple[tuple[End, End], tuple[End, End]]:
        return (self.dialler, self.callee), (self.callee, self.dialler)


class TwoPeers(RuleBasedStateMachine):
    links = Bundle("links")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.nodes = [self.world.node("alice"), self.world.node("bob")]
        self.world.settle()
        self.dialled: list[Link] = []

    @rule(target=links, who=st.integers(0, 1), reliable=st.booleans())
    def dial(self, who: int, reliable: bool) -> Link:
        node, other = self.nodes[who], self.nodes[1 - who]
        connection_id = f"dc_{len(self.dialled)}"
        number = node.core.connect(
            str(other.core.id),
            connection_id=connection_id,
            now=self.world.now,
            reliable=reliable,
        )
        node.drain()
        link = Link(connection_id, End(node, number), End(other, None))
        self.dialled.append(link)
        return link

    @rule(link=links, value=binary_values(), side=st.integers(0, 1))
    def send(self, link: Link, value: Any, side: int) -> None:
        end = self.find(link, side)
        if end.number is None:
            return
        try:
            end.node.core.send(end.number, value)
        except (NotOpenYet, ConnectionClosed):
            return
        except LocalProtocolError:
            # A null at the top, or a map that looks like framing: refused, and nothing else.
            assert value is None or "__peerData" in value
            return
        end.sent.append(value)
        end.node.drain()

    @rule(link=links, side=st.integers(0, 1), flush=st.booleans())
    def close(self, link: Link, side: int, flush: bool) -> None:
        end = self.find(link, side)
        if end.number is None:
            return
        end.flushed |= flush and not end.closed
        end.closed |= not flush
        end.node.core.close(end.number, self.world.now, flush=flush)
        end.node.drain()

    @rule(steps=st.integers(1, 30))
    def carry(self, steps: int) -> None:
        for _ in range(steps):
            self.world.step()

    @rule(seconds=st.sampled_from([0.1, 3.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @invariant()
    def nobody_loses_the_server(self) -> None:
        assert all(node.core.session is Session.OPEN for node in self.nodes)

    @invariant()
    def an_end_is_told_once_and_is_final(self) -> None:
        for node in self.nodes:
            ended: set[int] = set()
            for event in node.events:
                assert getattr(event, "connection", None) not in ended, event
                if isinstance(event, events.DataConnectionClosed):
                    ended.add(event.connection)

    @invariant()
    def only_late_answers_are_refused(self) -> None:
        for node in self.nodes:
            for refused in node.told(events.SignalingRefused):
                assert "no offer of ours" in refused.reason

    def teardown(self) -> None:
        self.world.advance(100.0)
        for link in self.dialled:
            self.find(link, 1)
            assert link.dialler.node.told(events.DataConnectionOpened) or link.dialler.node.closed(
                link.dialler.number or 0
            ), "a dial has an answer"
            for sender, receiver in link.ends():
                if receiver.number is None:
                    assert not sender.sent
                    continue
                got = receiver.node.values(receiver.number)
                assert got == sender.sent[: len(got)], "in order, nothing twice, nothing else"
                undisturbed = not (sender.closed or receiver.closed or receiver.flushed)
                if undisturbed:
                    assert got == sender.sent, "all of it"
        for node in self.nodes:
            node.core.shut_down()
            node.drain()
            assert node.core.next_timeout() is None
        self.world.settle()
        assert not any(node.rtcs for node in self.nodes)

    def find(self, link: Link, side: int) -> End:
        """The end on that side; the called one is known once the offer has come."""
        if side == 0:
            return link.dialler
        end = link.callee
        if end.number is None:
            for offered in end.node.told(events.DataConnectionOffered):
                if offered.connection_id == link.connection_id:
                    end.number = offered.connection
        return end


TestTwoPeers = TwoPeers.TestCase
TestTwoPeers.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
