"""Alice has dialled Bob: where most tests of connections begin."""

from __future__ import annotations

from typing import Any

from peerjs_proto import events
from peerjs_proto.errors import PeerError
from peerjs_proto.limits import DEFAULT_LIMITS, Limits
from peerjs_proto.testing.world import Node, World

__all__ = ["Pair", "dial_error"]


class Pair:
    """Two peers on one server, and what Alice knows of her dial."""

    def __init__(self, *, limits: Limits = DEFAULT_LIMITS, settle: bool = True, **options: Any):
        self.world = World()
        self.alice = self.world.node("alice", limits)
        self.bob = self.world.node("bob", limits)
        self.world.settle()
        self.ours = self.alice.core.connect(
            "bob", connection_id="dc_1", now=self.world.now, **options
        )
        self.alice.drain()
        if settle:
            self.world.settle()

    @property
    def theirs(self) -> int:
        (offered,) = self.bob.told(events.DataConnectionOffered)
        assert isinstance(offered, events.DataConnectionOffered)
        return offered.connection

    def say(self, node: Node, number: int, *values: Any) -> None:
        for value in values:
            node.core.send(number, value)
        node.drain()
        self.world.settle()


def dial_error(node: Node, number: int) -> PeerError | None:
    (closed,) = node.closed(number)
    return closed.error
