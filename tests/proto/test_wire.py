"""Rules of docs/wire.md that no other file shows, and the examples in it.

The tests that are named there stand here in the order of the document.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from peerjs_proto import commands, events, messages
from peerjs_proto.binarypack import unpack
from peerjs_proto.endpoint import Endpoint
from peerjs_proto.errors import DecodeError
from peerjs_proto.limits import DEFAULT_LIMITS
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.serialization import serializer_for
from peerjs_proto.server import ServerProtocol

from .server_clients import commands as server_commands
from .server_clients import join, message, target, told

_DOCUMENT: Final = (Path(__file__).parents[2] / "docs" / "wire.md").read_text("utf-8")

OFFER: Final[dict[str, Any]] = {
    "sdp": {"sdp": "v=0 theirs", "type": "offer"},
    "type": "data",
    "connectionId": "dc_1",
    "label": "a label",
    "reliable": True,
    "serialization": "json",
}


# --- signaling -------------------------------------------------------------------------------


def test_the_examples_are_messages() -> None:
    lines = re.findall(r"^\{.*\}$", _DOCUMENT, re.M)
    kinds = {type(messages.decode(line)) for line in lines}
    known = {messages.Open, messages.Refused, messages.IdTaken, messages.Expire}
    known |= {messages.Heartbeat, messages.Offer, messages.Answer, messages.Candidate}
    assert kinds == known | {messages.Leave}
    for line in lines:  # word for word, but for the order of the members
        assert json.loads(messages.encode(messages.decode(line))) == json.loads(line)


def test_what_a_peer_says_word_for_word() -> None:
    alice, bob = registered("alice"), registered("bob")
    dial = alice.connect(
        "bob", connection_id="dc_1", label="a label", serialization="json", reliable=True, now=0.0
    )
    alice.offer_made(dial, "v=0 theirs")
    payload = OFFER | {"peerjs-sansio": {"keepAlive": 4.5}}  # which X-1 is about
    assert said(alice) == [{"type": "OFFER", "payload": payload, "dst": "bob"}]

    accepted = invited(bob, OFFER)
    bob.accept(accepted, 0.0)
    bob.answer_made(accepted, "v=0 ours")
    payload = {
        "sdp": {"sdp": "v=0 ours", "type": "answer"},
        "type": "data",
        "connectionId": "dc_1",
    }
    assert said(bob) == [{"type": "ANSWER", "payload": payload, "dst": "alice"}]

    bob.shut_down()
    assert said(bob) == [{"type": "LEAVE", "dst": "alice"}, {"type": "LEAVE"}]


def test_what_is_for_a_lost_client_waits() -> None:
    server = ServerProtocol()
    alice, bob = join(server, "alice"), join(server, "bob")
    server.client_closed(bob)
    server.receive_message(alice, message("OFFER", "bob"), 0.0)
    assert server_commands(server) == []
    again = server.client_connected(target("bob"), 1.0)
    assert [frame["type"] for frame in told(server, again)] == ["OPEN", "OFFER"]


# --- negotiation -----------------------------------------------------------------------------


@pytest.mark.parametrize("connection_id", ["dc_1", "mc_1", "1", "é 😀", "x" * 1000])
def test_any_connection_id_will_do(connection_id: str) -> None:
    bob = registered("bob")
    bob.accept(invited(bob, OFFER | {"connectionId": connection_id}), 0.0)


def test_a_dial_step_by_step() -> None:
    alice = registered("alice")
    dial = alice.connect("bob", connection_id="dc_1", label="a label", reliable=True, now=0.0)
    (make,) = iter(alice.next_command, None)
    assert isinstance(make, commands.MakeOffer)
    assert (make.connection, make.label, make.ordered) == (dial, "a label", True)

    # Whatever is in a description, it crosses as it is.
    alice.offer_made(dial, "no SDP at all\r\n😀")
    (offer,) = said(alice)
    assert offer["payload"]["sdp"]["sdp"] == "no SDP at all\r\n😀"

    answer = {"sdp": {"sdp": "nor this", "type": "answer"}, "type": "data", "connectionId": "dc_1"}
    hear(alice, "ANSWER", "bob", answer)
    (apply,) = iter(alice.next_command, None)
    assert isinstance(apply, commands.ApplyAnswer)
    assert apply.sdp == "nor this"


@pytest.mark.parametrize(
    ("said", "meant"),
    [(True, True), (1, True), ("no", True), (False, False), (0, False), ("", False)],
)
def test_reliable_is_what_javascript_finds_true(said: object, meant: bool) -> None:
    offered = invitation(registered("bob"), OFFER | {"reliable": said})
    assert offered.reliable is meant


def test_reliable_that_is_absent_or_null_is_false() -> None:
    for payload in (
        OFFER | {"reliable": None},
        {k: v for k, v in OFFER.items() if k != "reliable"},
    ):
        assert invitation(registered("bob"), payload).reliable is False


def test_a_second_answer_is_dropped() -> None:
    alice = registered("alice")
    dial = alice.connect("bob", connection_id="dc_1", now=0.0)
    alice.offer_made(dial, "v=0")
    answer = {"sdp": {"sdp": "v=0", "type": "answer"}, "type": "data", "connectionId": "dc_1"}
    list(iter(alice.next_command, None))
    hear(alice, "ANSWER", "bob", answer)
    assert len(list(iter(alice.next_command, None))) == 1
    hear(alice, "ANSWER", "bob", answer)
    assert list(iter(alice.next_command, None)) == []
    assert isinstance(alice.next_event(), events.SignalingRefused)


def test_what_comes_from_oneself_is_dropped() -> None:
    bob = registered("bob")
    hear(bob, "OFFER", "bob", OFFER)
    (event,) = iter(bob.next_event, None)
    assert isinstance(event, events.SignalingRefused)


# --- data connections ------------------------------------------------------------------------


def test_json_goes_in_binary_frames() -> None:
    json_serializer = serializer_for("json", DEFAULT_LIMITS)
    assert list(json_serializer.encode({"é": [1, None]}).frames) == ['{"é":[1,null]}'.encode()]


def test_the_types_of_binarypack() -> None:
    """The table in the document: every first byte stands in it once, with an example."""
    table = re.findall(r"^\| (`[0-9a-f`–, ]+) \|[^|]+\|(.*?)\|(.*?)\|$", _DOCUMENT, re.M)
    leads: list[int] = []
    for first, example, value in table:
        pairs = [bounds.strip("` ").split("`–`") for bounds in first.split(",")]
        span = [n for pair in pairs for n in range(int(pair[0], 16), int(pair[-1], 16) + 1)]
        leads += span
        if not example.strip():
            for lead in span:
                with pytest.raises(DecodeError):
                    unpack(bytes([lead]) + bytes(16))
            continue
        data = bytes.fromhex(example.strip(" `"))
        assert data[0] in span
        expected = ast.literal_eval(value.strip(" `"))
        assert unpack(data) == expected
        assert type(unpack(data)) is type(expected)
    assert leads == list(range(256))


# --- helpers ---------------------------------------------------------------------------------


def registered(id: str) -> PeerProtocol:
    core = PeerProtocol(Endpoint.parse("http://server.example/"), id=id, token="t")
    core.start(0.0)
    core.socket_opened(0.0)
    core.receive_text('{"type":"OPEN"}', 0.0)
    list(iter(core.next_command, None))
    list(iter(core.next_event, None))
    return core


def hear(core: PeerProtocol, type: str, src: str, payload: dict[str, Any]) -> None:
    core.receive_text(json.dumps({"type": type, "src": src, "payload": payload}), 0.0)


def invitation(core: PeerProtocol, payload: dict[str, Any]) -> events.DataConnectionOffered:
    hear(core, "OFFER", "alice", payload)
    (offered,) = iter(core.next_event, None)
    assert isinstance(offered, events.DataConnectionOffered)
    return offered


def invited(core: PeerProtocol, payload: dict[str, Any]) -> int:
    return invitation(core, payload).connection


def said(core: PeerProtocol) -> list[dict[str, Any]]:
    """What goes to the server, parsed."""
    done = iter(core.next_command, None)
    return [json.loads(c.text) for c in done if isinstance(c, commands.SendText)]
