"""HTTP over WebRTC, as its rules have it: HELLO, requests and responses, bodies and their ends."""

from __future__ import annotations

import pytest

from peerjs_proto.errors import (
    ConnectionClosed,
    LocalProtocolError,
    MessageTooBig,
    NotOpenYet,
    RemoteProtocolError,
)
from peerjs_proto.http import LAST_STREAM, HttpProtocol
from peerjs_proto.http_io import (
    BodyNotNeeded,
    DataReceived,
    Drained,
    Ended,
    Failed,
    GoAwayCode,
    GoingAway,
    HttpLimits,
    Ready,
    RequestHead,
    RequestReceived,
    ResetCode,
    ResponseHead,
    ResponseReceived,
    StreamReset,
)

from .http_pair import (
    CREDIT,
    DATA,
    END,
    GOAWAY,
    HELLO,
    REQUEST,
    RESET,
    RESPONSE,
    End,
    HttpPair,
    coded,
    data,
    get,
    head,
    hello,
    types,
)

GET = RequestHead("GET", "/")
POST = RequestHead("POST", "/")
OK = ResponseHead(200)


# --- HELLO ----------------------------------------------------------------------------------------


def test_each_side_begins_with_hello() -> None:
    for client in (True, False):
        end = End(client=client)
        assert types(end.said()) == [HELLO]
        assert end.hear(hello(agent="x")) == [Ready("x")]


def test_a_client_waits_for_the_servers_hello() -> None:
    end = End(client=True)
    assert not end.core.can_request
    with pytest.raises(NotOpenYet):
        end.core.request(GET, end=True)
    end.hear(hello())
    assert end.core.can_request
    assert end.core.request(GET, end=True) == 1


@pytest.mark.parametrize("client", [True, False])
def test_hello_comes_first_and_once(client: bool) -> None:
    end = End(client=client)
    (failed,) = end.hear(coded(RESET, 1, 0))
    assert isinstance(failed, Failed)
    end = End(client=client, hello=hello())
    (failed,) = end.hear(hello())
    assert isinstance(failed, Failed)


def test_a_goaway_may_come_without_hello() -> None:
    end = End(client=True)
    words = coded(GOAWAY, 0, GoAwayCode.VERSION, b"no")
    going, failed = end.hear(words)
    assert going == GoingAway(GoAwayCode.VERSION, "no")
    assert isinstance(failed, Failed)
    assert end.said() == []


@pytest.mark.parametrize(("versions", "listed"), [([], "none"), ([3, 2], "2, 3")])
def test_without_a_common_version_it_is_over(versions: list[int], listed: str) -> None:
    end = End(client=False)
    (failed,) = end.hear(hello(versions=versions))
    assert isinstance(failed, Failed)
    assert f"versions {listed} of" in str(failed.error)
    (said,) = end.said()
    assert said.startswith(coded(GOAWAY, 0, GoAwayCode.VERSION))
    assert end.hear(get(1)) == []


def test_versions_that_are_not_known_do_no_harm() -> None:
    assert End(client=True).hear(hello(versions=[7, 1, "x"])) == [Ready("")]


def test_the_least_hello_has_its_defaults() -> None:
    end = End(client=True, hello=b"\0\0\0\0\0" + b'{"versions":[1]}')
    number = end.core.request(POST, end=False)
    assert not end.core.can_request  # streams: 1
    end.core.send(number, bytes(70_000))
    _, first = end.said()
    assert len(first) == 6 + 65_536 - 32  # window: 65,536
    end.hear(head(RESPONSE, 1, {"status": 200}, END), coded(RESET, 1, ResetCode.DONE))
    end.core.request(RequestHead("GET", "/", websocket=True), end=False)
    end.said()
    end.hear(head(RESPONSE, 2, {"status": 101}))
    with pytest.raises(MessageTooBig, match="65536"):
        end.core.send_message(2, bytes(65_537))
    end.core.send_message(2, bytes(65_536))


def test_text_is_no_frame() -> None:
    (failed,) = End(client=True, hello=hello()).hear("hello")
    assert isinstance(failed, Failed)


# --- sizes of frames ------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "most"), [(1024, 1024), (65_536, 65_536), (1 << 20, 65_536)])
def test_a_frame_is_as_large_as_the_far_side_takes(size: int, most: int) -> None:
    end = End(client=True, hello=hello(frame=size))
    number = end.core.request(POST, end=False)
    end.core.send(number, bytes(3 * most), end=True)
    assert max(map(len, end.said())) == most
    with pytest.raises(MessageTooBig, match=f"takes {most}"):
        end.core.request(RequestHead("GET", "/" + "x" * most), end=True)
    assert end.said() == []
    assert end.core.streams == 1


def test_a_frame_is_as_large_as_the_channel_carries() -> None:
    end = End(client=True, hello=hello(), max_message_size=2000)
    number = end.core.request(POST, end=False)
    end.core.send(number, bytes(5000), end=True)
    assert max(map(len, end.said())) == 2000
    with pytest.raises(LocalProtocolError, match="1,024"):
        HttpProtocol(client=True, max_message_size=1023)


def test_a_response_that_is_too_large_can_be_another() -> None:
    pair = HttpPair(client=HttpLimits(frame_bytes=1024))
    number = pair.ask()
    with pytest.raises(MessageTooBig):
        pair.server.respond(number, ResponseHead(200, (("a", "x" * 1024),)), end=True)
    pair.server.respond(number, ResponseHead(500), end=True)
    pair.settle()
    assert pair.told(pair.client, ResponseReceived)[0].head.status == 500


def test_a_frame_has_a_bound_of_ones_own() -> None:
    limits = HttpLimits(frame_bytes=1024)
    end = End(client=False, limits=limits, hello=hello())
    end.hear(get(1, flags=0))
    (received,) = end.hear(data(1, bytes(1018)))
    assert isinstance(received, DataReceived)
    *_, failed = end.hear(data(1, bytes(1019)))
    assert isinstance(failed, Failed)


# --- requests and responses -----------------------------------------------------------------------


def test_a_request_and_its_response() -> None:
    pair = HttpPair()
    headers = (("accept", "*/*"), ("accept", "text/html"))
    number = pair.ask("PUT", "/a?b", headers, end=False)
    pair.client.send(number, b"question", end=True)
    pair.settle()
    pair.server.respond(number, ResponseHead(201, (("x", "\xe9"),)), end=False)
    pair.server.send(number, b"answer")
    pair.server.send(number, b"", end=True)
    pair.settle()
    request = RequestHead("PUT", "/a?b", headers)
    assert pair.events[pair.server] == [
        Ready("a client"),
        RequestReceived(number, request, ended=False),
        DataReceived(number, b"question", 40, ended=True),
        Drained(number),
    ]
    assert pair.events[pair.client] == [
        Ready("a server"),
        Drained(number),
        ResponseReceived(number, ResponseHead(201, (("x", "\xe9"),)), ended=False),
        DataReceived(number, b"answer", 38, ended=False),
        DataReceived(number, b"", 0, ended=True),
    ]
    assert pair.client.streams == pair.server.streams == 0


def test_a_response_without_a_body() -> None:
    pair = HttpPair()
    for method in ("GET", "HEAD", "DELETE"):
        number = pair.ask(method)
        pair.server.respond(number, ResponseHead(204), end=True)
        pair.settle()
        (*_, response) = pair.told(pair.client, ResponseReceived)
        assert response == ResponseReceived(number, ResponseHead(204), ended=True)
    assert types(pair.crossed[pair.server]) == [HELLO] + [RESPONSE] * 3
    assert pair.client.streams == pair.server.streams == 0


def test_numbers_go_up_from_one() -> None:
    pair = HttpPair()
    assert [pair.ask() for _ in range(3)] == [1, 2, 3]


def test_whoever_is_out_of_numbers_dials_again() -> None:
    end = End(client=True, hello=hello())
    end.core._last = LAST_STREAM - 1
    assert end.core.request(GET, end=True) == LAST_STREAM
    assert end.core.is_leaving
    with pytest.raises(ConnectionClosed, match="numbers"):
        end.core.request(GET, end=True)
    assert types(end.said()) == [REQUEST]
    (response,) = end.hear(head(RESPONSE, LAST_STREAM, {"status": 204}, END))
    assert isinstance(response, ResponseReceived)


@pytest.mark.parametrize("number", [1, 2])
def test_a_number_is_used_once(number: int) -> None:
    end = End(client=False, hello=hello())
    end.hear(get(2))
    (_, failed) = end.hear(get(number))
    assert isinstance(failed, Failed)


def test_what_a_request_did_not_become_was_a_stream_all_the_same() -> None:
    end = End(client=False, hello=hello())
    assert end.hear(get(5, path="x"), coded(RESET, 3, 1), data(5, b"x"), data(4, b"x")) == []
    assert end.core.streams == 0


def test_a_server_sends_no_requests_and_a_client_no_responses() -> None:
    pair = HttpPair()
    number = pair.ask()
    with pytest.raises(LocalProtocolError):
        pair.server.request(GET, end=True)
    with pytest.raises(LocalProtocolError):
        pair.client.respond(number, OK, end=True)


def test_a_request_has_one_response() -> None:
    pair = HttpPair()
    number = pair.ask()
    with pytest.raises(LocalProtocolError, match="head"):
        pair.server.send(number, b"x")
    pair.server.respond(number, OK, end=False)
    with pytest.raises(LocalProtocolError, match="one response"):
        pair.server.respond(number, OK, end=False)
    pair.settle()
    pair.client.receive_frame(head(RESPONSE, number, {"status": 200}))
    pair.settle()
    assert isinstance(pair.events[pair.client][-1], Failed)


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("GET", 101)]
)
def test_a_response_has_to_fit_its_request(method: str, status: int) -> None:
    pair = HttpPair()
    number = pair.ask(method)
    with pytest.raises(LocalProtocolError):
        pair.server.respond(number, ResponseHead(status), end=False)
    pair.server.respond(number, OK, end=True)
    pair.client.receive_frame(head(RESPONSE, number, {"status": status}))
    pair.drain()
    (ended,) = pair.told(pair.client, Ended)
    assert isinstance(ended.error, RemoteProtocolError)
    assert types(list(iter(pair.client.next_frame, None))) == [RESET]


def test_only_so_many_requests_are_under_way() -> None:
    pair = HttpPair(server=HttpLimits(streams=2))
    first, second = pair.ask(), pair.ask()
    assert not pair.client.can_request
    with pytest.raises(NotOpenYet):
        pair.client.request(GET, end=True)
    pair.server.respond(first, OK, end=True)
    pair.settle()
    assert pair.client.can_request
    pair.client.reset(second)
    assert pair.client.streams == 0


# --- the end of a body ----------------------------------------------------------------------------


@pytest.mark.parametrize("end", [True, False])
def test_a_server_may_answer_before_the_request_has_ended(end: bool) -> None:
    pair = HttpPair(server=HttpLimits(window=1024))
    number = pair.ask("POST", end=False)
    pair.client.send(number, bytes(5000), end=True)
    pair.settle()
    pair.server.respond(number, OK, end=end)
    if not end:
        pair.server.send(number, b"enough", end=True)
    pair.settle()
    assert types(pair.crossed[pair.server])[-2:] == [RESPONSE if end else DATA, RESET]
    assert pair.crossed[pair.server][-1] == coded(RESET, number, ResetCode.DONE)
    assert pair.events[pair.client][-2:] == [Drained(number), BodyNotNeeded(number)]
    assert pair.told(pair.client, Ended) == pair.told(pair.server, Ended) == []
    assert pair.client.streams == pair.server.streams == 0
    with pytest.raises(ConnectionClosed):
        pair.client.send(number, b"more")


def test_a_client_may_go_on_until_it_hears_of_that() -> None:
    pair = HttpPair()
    number = pair.ask("POST", end=False)
    pair.server.respond(number, OK, end=True)
    pair.carry(pair.server)  # the response, and not what is behind it
    pair.client.send(number, b"more", end=True)
    pair.settle()
    assert pair.told(pair.server, DataReceived) == []
    assert pair.told(pair.server, Failed) == pair.told(pair.client, Failed) == []
    assert pair.client.streams == pair.server.streams == 0


@pytest.mark.parametrize("code", [ResetCode.DONE, ResetCode.FAILED])
def test_a_response_that_breaks_off_is_no_whole_one(code: ResetCode) -> None:
    pair = HttpPair()
    number = pair.ask()
    pair.server.respond(number, OK, end=False)
    pair.server.send(number, b"half of")
    pair.settle()
    pair.server.reset(number, code, "gone")
    pair.settle()
    (ended,) = pair.told(pair.client, Ended)
    assert isinstance(ended.error, StreamReset)
    assert (ended.error.code, ended.error.reason) == (code, "gone")


def test_nothing_is_sent_after_the_end() -> None:
    pair = HttpPair()
    number = pair.ask()
    for rest in (b"x", b""):
        with pytest.raises(LocalProtocolError, match="end"):
            pair.client.send(number, rest)


def test_no_bytes_are_nothing_to_send() -> None:
    pair = HttpPair()
    number = pair.ask("POST", end=False)
    pair.client.send(number, b"")
    assert pair.client.next_frame() is None


def test_a_body_is_credited_as_it_is_taken() -> None:
    pair = HttpPair(server=HttpLimits(window=1024))
    number = pair.ask("POST", end=False)
    pair.client.send(number, bytes(2000))
    pair.settle()
    (received,) = pair.told(pair.server, DataReceived)
    assert len(received.data) == 1024 - 32
    assert pair.told(pair.client, Drained) == []
    assert not pair.client.is_drained(number)
    pair.server.consumed(number, received.cost)
    pair.settle()
    assert CREDIT in types(pair.crossed[pair.server])
    assert len(pair.told(pair.server, DataReceived)) == 2
    *_, received = pair.told(pair.server, DataReceived)
    pair.server.consumed(number, received.cost)
    pair.settle()
    assert pair.told(pair.client, Drained) == [Drained(number)]
    assert pair.client.is_drained(number)
    assert not pair.client.is_over(number)
    assert sum(len(part.data) for part in pair.told(pair.server, DataReceived)) == 2000
