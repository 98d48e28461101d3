"""How a data channel opens: what its descriptions have said, and what overtakes the opening."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from peerjs_proto import (
    Endpoint,
    LimitExceeded,
    Limits,
    MessageTooBig,
    PeerProtocol,
    commands,
    events,
)

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


def told(core: PeerProtocol) -> list[events.Event]:
    """What has happened since registering."""
    found: list[events.Event] = []
    while event := core.next_event():
        if not isinstance(event, events.PeerOpened):
            found.append(event)
    return found


def test_frames_that_overtake_the_opening_are_delivered_after_it() -> None:
    core, number = dialled(SAYS_NOTHING)
    core.receive_frame(number, b"one", NOW)
    core.receive_frame(number, "two", NOW)
    assert told(core) == []
    core.channel_opened(number)
    opened, one, two = told(core)
    assert opened == events.DataConnectionOpened(number)
    assert isinstance(one, events.MessageReceived)
    assert isinstance(two, events.MessageReceived)
    assert (one.value, two.value) == (b"one", "two")


def test_of_those_there_is_a_bound() -> None:
    core, number = dialled(SAYS_NOTHING)
    for _ in range(Limits().early_frames):
        core.receive_frame(number, b"", NOW)
    assert told(core) == []
    core.receive_frame(number, b"", NOW)
    (closed,) = told(core)
    assert isinstance(closed, events.DataConnectionClosed)
    assert isinstance(closed.error, LimitExceeded)
    core.channel_opened(number)
    assert told(core) == []


def test_what_is_wrong_with_one_shows_when_the_channel_opens() -> None:
    core = registered()
    number = core.connect("bob", connection_id="dc_1", now=NOW)
    core.offer_made(number, "v=0")
    receive(core, "ANSWER", SAYS_NOTHING)
    core.receive_frame(number, b"\xc7", NOW)
    core.receive_frame(number, b"\x01", NOW)
    core.channel_opened(number)
    opened, closed = told(core)
    assert opened == events.DataConnectionOpened(number)
    assert isinstance(closed, events.DataConnectionClosed)
    assert closed.error is not None
    assert closed.error.type == "webrtc"


def test_frames_of_a_connection_that_is_not_answered_are_nobodys() -> None:
    core = registered()
    number = core.connect("bob", connection_id="dc_1", now=NOW)
    core.receive_frame(number, b"\x01", NOW)
    core.offer_made(number, "v=0")
    core.receive_frame(number, b"\x01", NOW)
    receive(core, "ANSWER", SAYS_NOTHING)
    core.channel_opened(number)
    assert told(core) == [events.DataConnectionOpened(number)]
