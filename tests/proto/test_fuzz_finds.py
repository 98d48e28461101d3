"""What fuzzing found, and what was seen while targets were written: each broken thing once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peerjs_proto import commands, events
from peerjs_proto.errors import UnsupportedValue
from peerjs_proto.fence import Fence, RequestRefused
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.testing.world import ENDPOINT


def bob(limits: Limits) -> PeerProtocol:
    """Registered, and drained."""
    core = PeerProtocol(ENDPOINT, id="bob", token="t", limits=limits)
    core.start(0.0)
    core.socket_opened(0.0)
    core.receive_text('{"type":"OPEN"}', 0.0)
    drain(core)
    return core


def drain(core: PeerProtocol) -> tuple[list[commands.Command], list[events.Event]]:
    return list(iter(core.next_command, None)), list(iter(core.next_event, None))


def negotiation(type_: str, connection_id: str, **payload: Any) -> str:
    payload = {"type": "data", "connectionId": connection_id, **payload}
    return json.dumps({"type": type_, "src": "alice", "payload": payload})


def offer(connection_id: str) -> str:
    return negotiation("OFFER", connection_id, sdp={"sdp": "v=0"}, serialization="json")


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else "metadata"


@pytest.mark.parametrize("nesting", [8, 64, 100])
def test_metadata_too_deep_for_an_offer_is_refused_by_connect(nesting: int) -> None:
    core = bob(Limits(nesting=nesting))
    deepest = min(nesting, 64) - 2  # the frame and its payload are two levels
    number = core.connect("alice", connection_id="dc_1", now=0.0, metadata=nested(deepest))
    core.offer_made(number, "v=0")  # raised UnsupportedValue
    (_, command), _ = drain(core)
    assert isinstance(command, commands.SendText)
    with pytest.raises(UnsupportedValue):  # was DecodeError
        core.connect("alice", connection_id="dc_2", now=0.0, metadata=nested(deepest + 1))
    assert drain(core) == ([], [])


def test_an_offer_refused_for_want_of_room_replaces_nothing() -> None:
    core = bob(Limits(pending_connections=1))
    core.receive_text(offer("dc_open"), 0.0)
    (event,) = drain(core)[1]
    assert isinstance(event, events.DataConnectionOffered)
    core.accept(event.connection, 0.0)
    core.answer_made(event.connection, "v=0")
    core.channel_opened(event.connection, 1000)
    core.receive_text(offer("dc_pending"), 0.0)
    drain(core)
    core.receive_text(offer("dc_open"), 0.0)
    asked, told = drain(core)
    assert asked == []  # closed the open connection
    assert [type(event) for event in told] == [events.SignalingRefused]


def test_an_offer_may_replace_the_one_that_takes_the_last_room() -> None:
    core = bob(Limits(pending_connections=1, connections=1))
    core.receive_text(offer("dc_1"), 0.0)
    core.receive_text(offer("dc_1"), 0.0)
    kinds = [type(event) for event in drain(core)[1]]
    offered, closed = events.DataConnectionOffered, events.DataConnectionClosed
    assert kinds == [offered, closed, offered]


def test_where_no_early_candidate_is_kept_nothing_is() -> None:
    core = bob(Limits(early_candidates=0, early_connections=1))
    for connection_id in ("dc_1", "dc_2"):
        core.receive_text(negotiation("CANDIDATE", connection_id, candidate={}), 0.0)
        (event,) = drain(core)[1]
        assert isinstance(event, events.SignalingRefused)
    # An empty list stayed for every id ever named; nothing but memory shows it.
    assert not core._connections._early


def test_a_way_up_behind_a_semicolon_and_a_fullwidth_slash() -> None:
    # The semicolon ends a segment's name only after the slash has become one.
    with pytest.raises(RequestRefused, match="dots"):
        Fence.parse("http://127.0.0.1/api/").target(b"/%3b..%EF%BC%8F..%3b/x")
