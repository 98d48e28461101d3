"""How a data channel opens: what its descriptions have said, and what overtakes the opening."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from peerjs_proto import Endpoint, MessageTooBig, PeerProtocol, commands, events

NOW = 10.0
SAYS_100 = "v=0\r\na=max-message-size:100\r\n"
SAYS_NOTHING = "v=0\r\n"


def registered() -> PeerProtocol:
    core = PeerProtocol(Endpoint.parse("http://server.example:9000/"), token="t", id="alice")
    core.start(NOW)
    core.socket_opened(NOW)
    core.receive_text('{"type":"OPEN"}', NOW)
    return core


def dialled(far_sdp: str) -> tuple[PeerProtocol, int]:
    """Our dial, answered, and its channel not open yet."""
    core = registered()
    number = core.connect("bob", connection_id="dc_1", serialization="raw", now=NOW)
    core.offer_made(number, "v=0")
    receive(core, "ANSWER", far_sdp)
    return core, number


def called(far_sdp: str) -> tuple[PeerProtocol, int]:
    """A dial of the other side's, accepted and answered, and its channel not open yet."""
    core = registered()
    receive(core, "OFFER", far_sdp)
    while not isinstance(event := core.next_event(), events.DataConnectionOffered):
        pass
    core.accept(event.connection, NOW)
    core.answer_made(event.connection, "v=0")
    return core, event.connection


def receive(core: PeerProtocol, type: str, sdp: str) -> None:
    payload = {
        "connectionId": "dc_1",
        "type": "data",
        "serialization": "raw",
        "sdp": {"type": type.lower(), "sdp": sdp},
    }
    core.receive_text(json.dumps({"type": type, "src": "bob", "payload": payload}), NOW)


@pytest.mark.parametrize("begun", [dialled, called])
@pytest.mark.parametrize(("sdp", "largest"), [(SAYS_100, 100), (SAYS_NOTHING, 65_536)])
def test_the_far_sides_description_bounds_a_message(
    begun: Callable[[str], tuple[PeerProtocol, int]], sdp: str, largest: int
) -> None:
    core, number = begun(sdp)
    core.channel_opened(number)
    core.send(number, bytes(largest))
    with pytest.raises(MessageTooBig, match=f"{largest} at most"):
        core.send(number, bytes(largest + 1))


def test_an_engine_may_know_better() -> None:
    core, number = dialled(SAYS_100)
    core.channel_opened(number, 200)
    core.send(number, bytes(200))
    with pytest.raises(MessageTooBig):
        core.send(number, bytes(201))


def test_an_answer_that_comes_twice_changes_nothing() -> None:
    core, number = dialled(SAYS_100)
    receive(core, "ANSWER", SAYS_NOTHING)
    core.channel_opened(number)
    with pytest.raises(MessageTooBig):
        core.send(number, bytes(101))
    assert sum(isinstance(c, commands.ApplyAnswer) for c in iter(core.next_command, None)) == 1
