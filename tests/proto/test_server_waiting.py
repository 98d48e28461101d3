"""ServerProtocol, rule by rule: messages that wait, clients that fall silent, deadlines."""

from __future__ import annotations

import json

import attrs
import pytest

from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import (
    ClientGone,
    CloseClient,
    Departure,
    Fault,
    MessageRefused,
    QueueExpired,
    SendText,
    ServerLimits,
)
from tests.proto.server_clients import (
    OPEN,
    assert_quiet,
    commands,
    events,
    join,
    message,
    target,
    told,
)

# --- waiting -------------------------------------------------------------------------------------


def test_messages_wait_for_an_absent_destination_in_order() -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    for type in ("OFFER", "CANDIDATE", "ANSWER"):
        server.receive_message(alice, message(type, "bob"), 0.0)
    assert commands(server) == []
    assert attrs.astuple(server.statistics())[1:3] == (1, 3)
    server.client_closed(alice)  # what it said still waits
    bob = server.client_connected(target("bob"), 4.0)
    assert [said["type"] for said in told(server, bob)] == ["OPEN", "OFFER", "CANDIDATE", "ANSWER"]
    assert attrs.astuple(server.statistics())[1:5] == (0, 0, 0, 3)


@pytest.mark.parametrize("type", ["LEAVE", "EXPIRE"])
def test_leave_and_expire_never_wait(type: str) -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    server.receive_message(alice, message(type, "bob"), 0.0)
    assert_quiet(server)
    assert server.statistics().waiting_messages == 0


def test_each_sender_gets_one_expire_a_destination() -> None:
    server = ServerProtocol()
    alice, bob = join(server, "alice"), join(server, "bob")
    gone = join(server, "gone")
    for sender in (alice, bob, gone, alice):
        server.receive_message(sender, message("OFFER", "nobody"), 0.0)
    server.receive_message(alice, message("OFFER", "noone"), 0.0)
    server.client_closed(gone)
    events(server)
    server.handle_timeout(6.0)
    assert [
        (command.client, json.loads(command.text))
        for command in commands(server)
        if isinstance(command, SendText)
    ] == [
        (alice, {"type": "EXPIRE", "src": "nobody", "dst": "alice"}),
        (bob, {"type": "EXPIRE", "src": "nobody", "dst": "bob"}),
        (alice, {"type": "EXPIRE", "src": "noone", "dst": "alice"}),
    ]
    assert [event for event in events(server) if isinstance(event, QueueExpired)] == [
        QueueExpired("nobody", 4, 3),
        QueueExpired("noone", 1, 1),
    ]
    assert server.statistics().expired == 5


def test_an_expire_bears_the_name_of_who_never_came() -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    server.receive_message(alice, message("OFFER", "nobody"), 0.0)
    server.handle_timeout(6.0)
    assert told(server, alice) == [{"type": "EXPIRE", "src": "nobody", "dst": "alice"}]
    bob = server.client_connected(target("nobody"), 7.0)
    assert told(server, bob) == [OPEN]


def test_expire_comes_five_to_six_seconds_after_the_first_message() -> None:
    server = ServerProtocol()
    alice = join(server, "alice")
    now = 0.0
    server.receive_message(alice, message("OFFER", "nobody"), 0.3)
    server.receive_message(alice, message("CANDIDATE", "nobody"), 4.9)
    while not told(server, alice):
        deadline = server.next_timeout()
        assert deadline is not None
        assert deadline > now
        now = deadline
        server.handle_timeout(now)
    assert 5.3 <= now <= 6.3


@pytest.mark.parametrize(
    "limits",
    [
        ServerLimits(waiting_messages=2),
        ServerLimits(waiting_bytes=140),
        ServerLimits(waiting_messages_in_all=2),
        ServerLimits(waiting_bytes_in_all=140),
    ],
)
def test_what_cannot_wait_expires_at_once(limits: ServerLimits) -> None:
    server = ServerProtocol(limits=limits)
    alice = join(server, "alice")
    for _ in range(2):
        server.receive_message(alice, message("OFFER", "bob"), 0.0)
    assert commands(server) == []
    server.receive_message(alice, message("OFFER", "bob"), 0.0)
    assert told(server, alice) == [{"type": "EXPIRE", "src": "bob", "dst": "alice"}]
    assert events(server) == [MessageRefused(alice, "alice", Fault.NO_ROOM)]
    bob = server.client_connected(target("bob"), 0.0)
    assert len(told(server, bob)) == 3


def test_destinations_are_counted_too_and_ids_too_long_never_come() -> None:
    server = ServerProtocol(limits=ServerLimits(waiting_destinations=1))
    alice = join(server, "alice")
    for dst in ("x" * 257, "bob", "bob", "carol"):
        server.receive_message(alice, message("OFFER", dst), 0.0)
    assert [said["src"] for said in told(server, alice)] == ["x" * 257, "carol"]
    assert server.statistics().waiting_destinations == 1


# --- time ----------------------------------------------------------------------------------------


def test_a_silent_client_is_dropped_after_the_alive_timeout() -> None:
    server = ServerProtocol(alive_timeout=60.0)
    silent, busy, beating = join(server, "silent"), join(server, "busy"), join(server, "beating")
    server.receive_message(busy, message("OFFER", "beating"), 30.0)
    server.receive_message(beating, '{"type":"HEARTBEAT"}', 30.0)
    commands(server)
    server.handle_timeout(59.9)
    assert commands(server) == []
    server.handle_timeout(60.9)
    assert commands(server) == [CloseClient(silent, None, "")]
    assert events(server) == [ClientGone(silent, "silent", Departure.SILENT)]
    server.handle_timeout(91.9)
    assert server.statistics().clients == 0
    assert server.next_timeout() is None


def test_heartbeats_are_all_a_client_needs_and_nobody_hears_of_them() -> None:
    server = ServerProtocol(alive_timeout=10.0)
    alice = join(server, "alice")
    for now in range(0, 100, 5):
        server.receive_message(alice, '{"type":"HEARTBEAT","dst":"alice"}', float(now))
        server.handle_timeout(float(now))
    assert_quiet(server)


def test_there_is_no_deadline_while_there_is_nothing_to_do() -> None:
    server = ServerProtocol()
    assert server.next_timeout() is None
    server.handle_timeout(99.0)
    client = join(server, "alice", now=100.0)
    assert server.next_timeout() == 101.0
    server.handle_timeout(100.5)  # early
    assert server.next_timeout() == 101.0
    server.handle_timeout(103.0)  # late
    assert server.next_timeout() == 104.0
    server.client_closed(client)
    server.handle_timeout(104.0)
    assert server.next_timeout() is None


def test_short_timeouts_are_looked_after_often() -> None:
    server = ServerProtocol(expire_timeout=0.25)
    join(server, "alice", now=1.0)
    assert server.next_timeout() == 1.25
