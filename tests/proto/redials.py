"""Alice has dialled Bob, with redial: where the tests of it begin."""

from __future__ import annotations

from typing import Any

from peerjs_proto import events, messages
from peerjs_proto.backoff import Redial
from peerjs_proto.extension import MEMBER
from peerjs_proto.limits import DEFAULT_LIMITS, Limits
from peerjs_proto.testing.world import Node

from .pair import Pair

__all__ = ["POLICY", "answer", "interrupted", "redial_offer", "redialled", "resumed"]

POLICY = Redial(first=0.5, jitter=0.0, timeout=30.0)


def redialled(limits: Limits = DEFAULT_LIMITS, **options: Any) -> Pair:
    """Alice has dialled Bob, with redial, and it is open."""
    pair = Pair(limits=limits, redial=POLICY, **options)
    assert pair.alice.told(events.DataConnectionOpened)
    return pair


def interrupted(node: Node) -> int:
    return len(node.told(events.DataConnectionInterrupted))


def resumed(node: Node) -> int:
    return len(node.told(events.DataConnectionResumed))


def answer(sdp: str = "theirs", **extra: Any) -> str:
    return messages.encode(
        messages.Answer(src="bob", kind="data", connection_id="dc_1", sdp=sdp, extra=extra)
    )


def redial_offer(pair: Pair, id: str = "dc_1~7", **terms: Any) -> None:
    said = {"of": "dc_1", "attempt": 7, "received": 0} | terms
    name = str(len(pair.world.rtcs))
    offer = messages.Offer(
        src="alice",
        kind="data",
        connection_id=id,
        sdp=f"offer {name}",
        serialization="binary",
        reliable=True,
        extra={MEMBER: {"redial": said}},
    )
    pair.bob.core.receive_text(messages.encode(offer), pair.world.now)
    pair.bob.drain()
