"""A peer's standing with its server, by PeerProtocol and by hand."""

from __future__ import annotations

from typing import Any

import pytest

from peerjs_proto import commands, events
from peerjs_proto.endpoint import Endpoint
from peerjs_proto.errors import (
    Disconnected,
    IdTaken,
    InvalidId,
    InvalidKey,
    LocalProtocolError,
    ServerError,
    ServerUnavailable,
)
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.session import Registration
from peerjs_proto.states import Session

ENDPOINT = Endpoint.parse("http://server.example:9000/")


def drain(core: PeerProtocol) -> tuple[list[commands.Command], list[events.Event]]:
    done, told = [], []
    while command := core.next_command():
        done.append(command)
    while event := core.next_event():
        told.append(event)
    return done, told


def started(id: str | None = "alice", **options: Any) -> PeerProtocol:
    core = PeerProtocol(ENDPOINT, id=id, token="secret", **options)
    core.start(0.0)
    return core


def opened(**options: Any) -> PeerProtocol:
    core = started(**options)
    core.socket_opened(0.0)
    core.receive_text('{"type":"OPEN"}', 0.0)
    drain(core)
    assert core.session is Session.OPEN
    return core


def failure(core: PeerProtocol) -> Exception:
    (event,) = [e for e in drain(core)[1] if isinstance(e, events.PeerFailed)]
    return event.error


def test_with_an_id_it_registers_at_once() -> None:
    core = started()
    done, _ = drain(core)
    assert done == [commands.OpenSocket(ENDPOINT.websocket_url("alice", "secret"))]
    core.socket_opened(1.0)
    assert core.session is Session.OPENING
    core.receive_text('{"type":"OPEN"}', 1.0)
    assert drain(core) == ([], [events.PeerOpened("alice")])


def test_without_an_id_it_asks_for_one() -> None:
    core = started(id=None)
    assert drain(core)[0] == [commands.FetchId(ENDPOINT.id_url())]
    assert core.id is None
    core.receive_http(200, b"5a3c6f1e-0000-4000-8000-000000000000\n", 0.5)
    assert core.id == "5a3c6f1e-0000-4000-8000-000000000000"
    url = ENDPOINT.websocket_url("5a3c6f1e-0000-4000-8000-000000000000", "secret")
    assert drain(core)[0] == [commands.OpenSocket(url)]
    assert core.next_timeout() == 0.5 + Limits().server_timeout


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b"no"), (200, b""), (200, b"<!doctype html>"), (200, b"\xff" * 5000), (200, b"a\nb")],
)
def test_anything_but_an_id_is_a_server_error(status: int, body: bytes) -> None:
    core = started(id=None)
    core.receive_http(status, body, 0.0)
    assert isinstance(failure(core), ServerError)
    assert core.session is Session.LOST


def test_why_there_is_no_id_is_told() -> None:
    core = started(id=None)
    core.receive_http(503, b"", 0.0)
    assert "status 503" in str(failure(core))
    core = started(id=None)
    core.http_failed("no route", 0.0)
    error = failure(core)
    assert isinstance(error, ServerUnavailable)
    assert "no route" in str(error)
    assert drain(core) == ([], [])  # there is no socket that would have to be closed
    assert core.next_timeout() is None


def test_the_token_is_in_no_repr() -> None:
    done, _ = drain(started())
    assert "secret" not in repr(done)


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ('{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}', IdTaken, "'alice' is taken"),
        ('{"type":"ERROR","payload":{"msg":"Invalid key provided"}}', InvalidKey, "key provided"),
        ('{"type":"INVALID-KEY"}', InvalidKey, "does not accept the key"),
        ('{"type":"INVALID-KEY","payload":{"msg":"Not yours"}}', InvalidKey, "Not yours"),
        ('{"type":"ERROR","payload":{"msg":"reached its limit"}}', ServerError, "its limit"),
        ('{"type":"ERROR","payload":5}', ServerError, "refused"),
    ],
)
def test_refusals_fail_the_peer_and_close_the_socket(
    text: str, error: type[Exception], told: str
) -> None:
    core = started()
    core.socket_opened(0.0)
    drain(core)
    core.receive_text(text, 0.0)
    assert core.next_command() == commands.CloseSocket()
    failed = failure(core)
    assert isinstance(failed, error)
    assert told in str(failed)
    core.socket_closed("1005", 0.0)  # the server closes too: nothing new
    assert drain(core) == ([], [])


def test_a_refusal_after_open_only_disconnects() -> None:
    core = opened()
    core.receive_text('{"type":"ERROR","payload":{"msg":"enough"}}', 1.0)
    (event,) = drain(core)[1]
    assert isinstance(event, events.PeerDisconnected)
    assert core.session is Session.LOST


def test_heartbeats_go_out_at_their_interval() -> None:
    core = opened()
    assert core.next_timeout() == 5.0
    core.handle_timeout(4.9)
    assert drain(core) == ([], [])
    core.handle_timeout(5.0)
    assert drain(core) == ([commands.SendText('{"type":"HEARTBEAT"}')], [])
    core.handle_timeout(60.0)  # late: once, not eleven times
    assert len(drain(core)[0]) == 1
    assert core.next_timeout() == 65.0


@pytest.mark.parametrize("step", ["fetching", "connecting", "opening"])
def test_a_silent_server_has_a_deadline(step: str) -> None:
    core = started(id=None if step == "fetching" else "alice")
    if step == "opening":
        core.socket_opened(0.0)
    assert core.next_timeout() == Limits().server_timeout
    core.handle_timeout(9.9)
    assert not drain(core)[1]
    core.handle_timeout(10.0)
    error = failure(core)
    assert isinstance(error, ServerUnavailable)
    assert "within 10 s" in str(error)


ECHO = '{"type":"EXPIRE","dst":"alice"}'
"What a client says to itself, to see whether it is registered."


def test_a_token_used_before_needs_no_open() -> None:
    # npm peer 1.0.2 sends none when a live registration is taken over.
    core = started(token_reused=True)
    core.socket_opened(0.0)
    assert drain(core)[0][-1] == commands.SendText(ECHO)
    core.receive_text('{"type":"EXPIRE","src":"alice","dst":"alice"}', 0.1)
    assert drain(core)[1] == [events.PeerOpened("alice")]


def test_the_echo_means_nothing_where_open_came_first() -> None:
    core = opened(token_reused=True)
    core.receive_text('{"type":"EXPIRE","src":"alice","dst":"alice"}', 0.1)
    assert drain(core) == ([], [])


def test_a_fresh_token_asks_for_no_echo() -> None:
    core = started()
    drain(core)
    core.socket_opened(0.0)
    core.receive_text('{"type":"EXPIRE","src":"alice","dst":"alice"}', 0.1)
    assert drain(core) == ([], [])
    assert core.session is Session.OPENING


def test_a_server_that_is_silent_to_a_token_used_before_is_lost() -> None:
    core = started(token_reused=True)
    core.socket_opened(0.0)
    core.handle_timeout(Limits().server_timeout)
    assert isinstance(failure(core), ServerUnavailable)


def test_relayed_traffic_proves_a_takeover() -> None:
    core = started(token_reused=True)
    core.socket_opened(0.0)
    drain(core)
    core.receive_text('{"type":"LEAVE","src":"bob","dst":"alice"}', 0.1)
    assert drain(core)[1] == [events.PeerOpened("alice")]


def test_relayed_traffic_proves_nothing_with_a_fresh_token() -> None:
    core = started()
    core.socket_opened(0.0)
    drain(core)
    core.receive_text('{"type":"LEAVE","src":"bob","dst":"alice"}', 0.1)
    assert drain(core)[1] == []
    assert core.session is Session.OPENING


def test_a_takeover_is_told_once() -> None:
    core = opened(token_reused=True)
    core.receive_text('{"type":"LEAVE","src":"bob","dst":"alice"}', 0.1)
    assert drain(core) == ([], [])


def test_a_heartbeat_from_the_server_means_nothing() -> None:
    core = opened()
    core.receive_text('{"type":"HEARTBEAT"}', 1.0)
    assert drain(core) == ([], [])


def test_before_it_is_started_nothing_is_due() -> None:
    core = PeerProtocol(ENDPOINT, id="alice", token="secret")
    assert core.next_timeout() is None
    core.handle_timeout(100.0)
    assert drain(core) == ([], [])


def test_loss_disconnects_and_dialling_says_so() -> None:
    core = opened()
    core.socket_closed("it broke", 0.0)
    (event,) = drain(core)[1]
    assert isinstance(event, events.PeerDisconnected)
    assert isinstance(event.error, ServerUnavailable)
    assert event.error.type == "network"
    assert "it broke" in str(event.error)
    with pytest.raises(Disconnected):
        core.connect("bob", connection_id="dc_1", now=1.0)


def test_loss_before_open_fails() -> None:
    core = started()
    core.socket_closed("no such host", 0.0)
    error = failure(core)
    assert isinstance(error, ServerUnavailable)
    assert "no such host" in str(error)


def test_shutting_down_says_leave_and_is_final() -> None:
    core = opened()
    core.shut_down()
    assert drain(core)[0] == [commands.SendText('{"type":"LEAVE"}'), commands.CloseSocket()]
    assert core.session is Session.CLOSED
    core.shut_down()
    core.receive_text('{"type":"OPEN"}', 1.0)
    core.receive_text('{"type":"ERROR","payload":{"msg":"x"}}', 1.0)
    core.socket_closed("gone", 0.0)
    core.handle_timeout(100.0)
    assert drain(core) == ([], [])
    assert core.next_timeout() is None


def test_late_answers_are_ignored() -> None:
    core = opened()
    core.receive_http(200, b"other", 0.0)
    core.http_failed("late", 0.0)
    core.socket_opened(0.0)
    core.receive_text('{"type":"OPEN"}', 0.0)
    assert drain(core) == ([], [])
    assert core.id == "alice"


def test_misuse_raises_and_changes_nothing() -> None:
    with pytest.raises(InvalidId):
        PeerProtocol(ENDPOINT, id="not valid!", token="t")
    core = opened()
    with pytest.raises(LocalProtocolError):
        core.start(0.0)
    assert core.session is Session.OPEN


@pytest.mark.parametrize(
    "text",
    ["null", "5", "[" * 1_000_000, '{"type":"WHAT"}', '{"type":"OFFER"}', '{"type":"LEAVE"}', b"x"],
    ids=lambda text: str(text[:20]),
)
def test_nonsense_from_the_server_is_an_event_and_no_more(text: str | bytes) -> None:
    core = opened()
    core.receive_text(text, 1.0)
    done, told = drain(core)
    assert done == []
    assert [type(event) for event in told] == [events.SignalingRefused]
    assert core.session is Session.OPEN


# --- what the server knows us by -----------------------------------------------------------------


def test_a_registration_is_there_while_it_lasts() -> None:
    core = started()
    assert core.registration is None
    core.socket_opened(0.0)
    core.receive_text('{"type":"OPEN"}', 0.0)
    assert core.registration == Registration(ENDPOINT, "alice", "secret", 1)
    assert "secret" not in repr(core.registration)
    core.socket_closed("gone", 1.0)
    assert core.registration is None
    core.reconnect(2.0)
    core.socket_opened(2.0)
    core.receive_text('{"type":"OPEN"}', 2.0)
    assert core.registration == Registration(ENDPOINT, "alice", "secret", 2)
