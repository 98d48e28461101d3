"""ServerProtocol, rule by rule: who is registered, and which messages are relayed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import (
    ClientGone,
    ClientRefused,
    ClientRegistered,
    CloseClient,
    Departure,
    Fault,
    HttpRequest,
    MessageRefused,
    Refusal,
    SendText,
    ServerLimits,
)
from tests.proto.server_clients import (
    assert_quiet,
    commands,
    events,
    join,
    message,
    target,
    told,
)

# --- clients come and go -------------------------------------------------------------------------


def test_a_client_registers_and_gets_open() -> None:
    server = ServerProtocol()
    client = server.client_connected(target("alice"), 0.0)
    assert commands(server) == [SendText(client, '{"type":"OPEN"}')]
    assert events(server) == [ClientRegistered(client, "alice", None)]
    assert server.statistics().clients == 1


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("/peerjs", Refusal.INCOMPLETE),
        ("/peerjs?key=peerjs&id=a", Refusal.INCOMPLETE),
        ("/peerjs?key=peerjs&token=t", Refusal.INCOMPLETE),
        ("/peerjs?id=a&token=t", Refusal.INCOMPLETE),
        ("/peerjs?key=peerjs&id=&token=t", Refusal.INCOMPLETE),
        ("/peerjs?key=peerjs&id=a&token=", Refusal.INCOMPLETE),
        (target(key="wrong"), Refusal.BAD_KEY),
        (target(id="no--id"), Refusal.BAD_ID),
        (target(id="line\n"), Refusal.BAD_ID),
        (target(id="a" * 257), Refusal.BAD_ID),
        (target(token="t" * 1025), Refusal.BAD_TOKEN),
    ],
)
def test_who_cannot_register_is_told_why_and_closed(asked: str, reason: Refusal) -> None:
    server = ServerProtocol()
    client = server.client_connected(asked, 0.0)
    assert told(server, client) == [
        {"type": "ERROR", "payload": {"msg": reason.value}},
        CloseClient(client, None, ""),
    ]
    assert events(server) == [ClientRefused(client, reason)]
    assert server.statistics().clients == 0
    server.receive_message(client, message("OFFER", "a"), 0.0)  # crossed the close: ignored
    server.client_closed(client)
    assert_quiet(server)


def test_of_equal_parameters_the_last_one_counts_as_in_javascript() -> None:
    server = ServerProtocol()
    server.client_connected("/peerjs?key=peerjs&id=one&token=t&id=two", 0.0)
    assert [event.id for event in events(server) if isinstance(event, ClientRegistered)] == ["two"]


def test_an_id_is_taken_for_another_token() -> None:
    server = ServerProtocol()
    first = join(server, "alice", "mine")
    second = server.client_connected(target("alice", "yours"), 0.0)
    assert told(server, second) == [
        {"type": "ID-TAKEN", "payload": {"msg": "ID is taken"}},
        CloseClient(second, None, ""),
    ]
    assert events(server) == [ClientRefused(second, Refusal.ID_TAKEN)]
    server.client_closed(first)
    join(server, "alice", "yours")


def test_the_same_token_takes_over_and_gets_open() -> None:
    server = ServerProtocol(concurrent_limit=1)  # which a client that comes back does not touch
    first = join(server, "alice")
    second = server.client_connected(target("alice"), 1.0)
    assert commands(server) == [
        SendText(first, '{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}'),
        CloseClient(first, 1000, Departure.REPLACED.value),
        SendText(second, '{"type":"OPEN"}'),
    ]
    assert events(server) == [
        ClientGone(first, "alice", Departure.REPLACED),
        ClientRegistered(second, "alice", first),
    ]
    server.client_closed(first)  # its end arrives late, and takes nothing from the second
    server.receive_message(first, message("OFFER", "alice"), 1.0)
    assert_quiet(server)
    assert server.statistics().clients == 1


def test_tokens_are_compared_whole_in_any_script() -> None:
    server = ServerProtocol()
    join(server, "alice", "gehéim")
    server.client_connected(target("alice", "gehéi"), 0.0)
    server.client_connected(target("alice", "gehéim "), 0.0)
    refused = [event for event in events(server) if isinstance(event, ClientRefused)]
    assert len(refused) == 2
    join(server, "alice", "gehéim")


def test_there_is_a_limit_to_clients() -> None:
    server = ServerProtocol(concurrent_limit=2)
    join(server, "a")
    second = join(server, "b")
    third = server.client_connected(target("c"), 0.0)
    assert told(server, third)[0]["payload"] == {"msg": Refusal.FULL.value}
    assert events(server) == [ClientRefused(third, Refusal.FULL)]
    server.client_closed(second)
    join(server, "c")


def test_a_closed_socket_frees_its_id_and_tells_nobody() -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    join(server, "bob")
    server.client_closed(alice)
    server.client_closed(alice)
    assert events(server) == [ClientGone(alice, "alice", Departure.DISCONNECTED)]
    assert commands(server) == []


def test_leave_without_a_destination_takes_its_sender_off() -> None:
    for text in ('{"type":"LEAVE"}', message("LEAVE"), message("LEAVE", "")):
        server = ServerProtocol()
        alice = join(server, "alice")
        server.receive_message(alice, text, 0.0)
        assert commands(server) == [CloseClient(alice, None, "")]
        assert events(server) == [ClientGone(alice, "alice", Departure.LEFT)]


def test_shutting_down_closes_everybody() -> None:
    server = ServerProtocol()
    clients = [join(server, id) for id in "abc"]
    server.receive_message(clients[0], message("OFFER", "nobody"), 0.0)
    server.shut_down()
    assert commands(server) == [
        CloseClient(client, 1001, Departure.SHUTDOWN.value) for client in clients
    ]
    assert {event.reason for event in events(server) if isinstance(event, ClientGone)} == {
        Departure.SHUTDOWN
    }
    assert server.next_timeout() is None
    assert server.statistics().waiting_messages == 0


def test_a_handle_that_never_was_is_the_callers_mistake() -> None:
    server = ServerProtocol()
    for handle in (0, 1, -1):
        with pytest.raises(LocalProtocolError):
            server.client_closed(handle)
        with pytest.raises(LocalProtocolError):
            server.receive_message(handle, "{}", 0.0)


@pytest.mark.parametrize(
    "wrong",
    [{"key": ""}, {"key": "a/b"}, {"alive_timeout": 0}, {"expire_timeout": 0},
     {"concurrent_limit": -1}],
)  # fmt: skip
def test_arguments_that_make_no_server(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        ServerProtocol(**wrong)


# --- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("type", ["OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE"])
def test_a_message_goes_to_its_destination_with_its_true_sender(type: str) -> None:
    server = ServerProtocol()
    alice, bob = join(server, "alice"), join(server, "bob")
    text = message(type, "bob", {"any": ["thing", None]}, src="mallory", extra=1)
    server.receive_message(alice, text, 0.0)
    assert told(server, bob) == [
        {"type": type, "src": "alice", "dst": "bob", "payload": {"any": ["thing", None]}}
    ]
    assert events(server) == []
    assert server.statistics().relayed == 1


def test_what_is_not_of_the_protocol_is_left_out() -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    for more in ({"src": "mallory"}, {"src": "mallory", "payload": 1}, {"more": 1, "payload": 1}):
        server.receive_message(alice, json.dumps({"type": "OFFER", "dst": "alice", **more}), 0.0)
        signed = {"type": "OFFER", "src": "alice", "dst": "alice"}
        payload = {"payload": 1} if "payload" in more else {}
        assert told(server, alice) == [signed | payload]


@pytest.mark.parametrize(
    "text",
    [
        ' {"type":"OFFER","dst":"alice"} \n\t\r',
        r'{"type":"OFFER","dst":"alice","payload":{"src":"mallory"}}',
        r'{"type":"OFFER","dst":"alice","s\u0072c":"mallory"}',
        '{"type":"OPEN","type":"OFFER","dst":"bob","dst":"alice"}',
    ],
)
def test_no_way_of_writing_makes_somebody_else_the_sender(text: str) -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    server.receive_message(alice, text, 0.0)
    (heard,) = told(server, alice)
    assert (heard["type"], heard["src"], heard["dst"]) == ("OFFER", "alice", "alice")


def test_an_absent_payload_stays_absent_and_null_stays_null() -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    server.receive_message(alice, '{"type":"OFFER","dst":"alice"}', 0.0)
    server.receive_message(alice, b'{"type":"OFFER","dst":"alice","payload":null}', 0.0)
    assert [command.text for command in commands(server) if isinstance(command, SendText)] == [
        '{"type":"OFFER","dst":"alice","src":"alice"}',
        '{"type":"OFFER","dst":"alice","payload":null,"src":"alice"}',
    ]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("", Fault.MALFORMED),
        ("{", Fault.MALFORMED),
        ("null", Fault.MALFORMED),  # this one, and the next, end npm's server
        ("5", Fault.MALFORMED),
        ("[]", Fault.MALFORMED),
        ('"OFFER"', Fault.MALFORMED),
        ("{}", Fault.MALFORMED),
        ("NaN", Fault.MALFORMED),
        ("[" * 100_000, Fault.MALFORMED),
        ('{"type":"OFFER","dst":"bob","payload":' + "[" * 99 + "]" * 99 + "}", Fault.MALFORMED),
        ('{"type":"OFFER","dst":"bob","payload":1e999}', Fault.MALFORMED),
        ('{"type":["OFFER"],"dst":"bob"}', Fault.MALFORMED),
        (b"\xff\xfe", Fault.MALFORMED),
        (message("OFFER", 5), Fault.MALFORMED),
        (message("OFFER", ["bob"]), Fault.MALFORMED),
        (message("LEAVE", 0), Fault.MALFORMED),
        (message("OFFER"), Fault.NO_DESTINATION),
        ('{"type":"EXPIRE"}', Fault.NO_DESTINATION),
        (message("OFFER", ""), Fault.NO_DESTINATION),
        (message("OPEN", "bob"), Fault.UNKNOWN_TYPE),
        (message("ERROR", "bob"), Fault.UNKNOWN_TYPE),
        (message("offer", "bob"), Fault.UNKNOWN_TYPE),
    ],
)
def test_what_makes_no_sense_goes_no_further(data: str | bytes, fault: Fault) -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    join(server, "bob")
    server.receive_message(alice, data, 0.0)
    assert commands(server) == []
    assert events(server) == [MessageRefused(alice, "alice", fault)]
    assert server.statistics().refused == 1
    server.receive_message(alice, message("OFFER", "bob"), 0.0)
    assert len(commands(server)) == 1


@pytest.mark.parametrize("data", ["x" * 101, b"x" * 101])
def test_a_message_over_the_limit_ends_its_sender_only(data: str | bytes) -> None:
    server = ServerProtocol(limits=ServerLimits(message_bytes=100))
    alice = join(server, "alice")
    join(server, "bob")
    server.receive_message(alice, data, 0.0)
    assert commands(server) == [CloseClient(alice, 1009, Departure.OVERSIZED.value)]
    assert events(server) == [ClientGone(alice, "alice", Departure.OVERSIZED)]


def test_depth_is_a_limit_of_its_own() -> None:
    server = ServerProtocol(limits=ServerLimits(nesting=100))
    alice = join(server, "alice")
    payload = "[" * 99 + "]" * 99
    server.receive_message(alice, f'{{"type":"OFFER","dst":"alice","payload":{payload}}}', 0.0)
    assert len(told(server, alice)) == 1


@given(st.text() | st.binary())
def test_any_frame_at_all_survives(data: str | bytes) -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    server.receive_message(alice, data, 0.0)
    assert server.statistics().clients == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    type=st.sampled_from(["OFFER", "HEARTBEAT", "LEAVE", "EXPIRE"]) | json_values,
    dst=st.sampled_from(["alice", "nobody"]) | json_values,
    payload=json_values,
    text=st.booleans(),
)
def test_any_members_survive(type: Any, dst: Any, payload: Any, text: bool) -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    data = json.dumps({"type": type, "dst": dst, "payload": payload}, ensure_ascii=text)
    server.receive_message(alice, data, 0.0)
    for command in commands(server):
        assert isinstance(command, CloseClient) or json.loads(command.text.encode())
    server.handle_timeout(10.0)
    for command in commands(server):
        assert isinstance(command, CloseClient) or json.loads(command.text.encode())


@given(st.text())
def test_any_request_target_survives(target: str) -> None:
    server = ServerProtocol(allow_discovery=True)
    for whole in (target, "/peerjs?" + target, f"/peerjs?key=peerjs&token=t&id={target}"):
        server.client_connected(whole, 0.0)
        server.is_websocket(whole)
        server.respond(HttpRequest("GET", whole), fresh_id=lambda: "fresh", now=0.0)
