"""HTTP over WebRTC with a far side that breaks the rules, or keeps to them to do harm."""

from __future__ import annotations

import pytest

from peerjs_proto.errors import (
    ConnectionClosed,
    LimitExceeded,
)
from peerjs_proto.http import HttpProtocol
from peerjs_proto.http_io import (
    CloseReceived,
    DataReceived,
    Ended,
    Failed,
    GoAwayCode,
    HttpEvent,
    HttpLimits,
    RequestHead,
    RequestReceived,
    ResetCode,
    ResponseHead,
)

from .http_pair import (
    CLOSE,
    END,
    GOAWAY,
    MORE,
    REQUEST,
    RESET,
    RESPONSE,
    TEXT,
    WEBSOCKET,
    End,
    HttpPair,
    coded,
    credit,
    data,
    frame,
    get,
    head,
    hello,
    types,
)

GET = RequestHead("GET", "/")
OK = ResponseHead(200)


def kinds(events: list[HttpEvent]) -> list[type[HttpEvent]]:
    return [type(event) for event in events]


def failed(end: End, code: GoAwayCode = GoAwayCode.PROTOCOL) -> bool:
    """Whether the connection is over, nothing is held any more, and the far side is told."""
    (said,) = end.said()
    core = end.core
    assert core.streams == 0
    assert core.is_leaving
    assert not core.can_request
    assert end.hear(hello(), get(99), data(1, b"x")) == []
    assert end.said() == []
    return said.startswith(coded(GOAWAY, 0, code))


# --- what is an error of the connection -----------------------------------------------------------


def test_an_error_of_the_connection_ends_all_that_is_under_way() -> None:
    end = End(client=True, hello=hello())
    for _ in range(3):
        end.core.request(GET, end=False)
    end.said()
    end.core.reset(2)
    events = end.hear(data(1, b"x"))
    assert kinds(events) == [Ended, Ended, Failed]
    assert [event.stream for event in events if isinstance(event, Ended)] == [1, 3]
    assert failed(end)
    with pytest.raises(ConnectionClosed, match="body before its head"):
        end.core.request(GET, end=True)
    with pytest.raises(ConnectionClosed):
        end.core.send(1, b"x")
    end.core.connection_lost()
    assert end.told() == []


def test_credit_has_a_bound() -> None:
    end = End(client=False, hello=hello(window=1024))
    end.hear(get(1, flags=0))
    assert end.hear(credit(1, (1 << 32) - 1025)) == []
    assert kinds(end.hear(credit(1, 1))) == [Ended, Failed]
    assert failed(end)


def test_what_is_sent_without_credit_ends_the_connection() -> None:
    end = End(client=False, limits=HttpLimits(window=1024), hello=hello())
    end.hear(get(1, flags=0))
    assert kinds(end.hear(data(1, bytes(992)))) == [DataReceived]
    assert kinds(end.hear(data(1, b"x"))) == [Ended, Failed]
    assert failed(end)


@pytest.mark.parametrize("wrong", [data(1), data(1, b"x", MORE), data(1, b"x", TEXT | END)])
def test_a_part_of_a_body_that_cannot_be_ends_the_connection(wrong: bytes) -> None:
    end = End(client=False, hello=hello())
    end.hear(get(1, flags=0))
    assert kinds(end.hear(wrong)) == [Ended, Failed]
    assert failed(end)


def test_credit_counts_when_it_has_gone_out() -> None:
    # Or whoever reads nothing could send for ever, and we would hold as many CREDITs.
    end = End(client=False, limits=HttpLimits(window=1024), hello=hello())
    end.hear(get(1, flags=0), data(1, bytes(992)))
    end.core.consumed(1, 1024)
    assert kinds(end.hear(data(1, b"x"))) == [Ended, Failed]
    assert failed(end)


def test_credits_that_wait_become_one() -> None:
    end = End(client=False, limits=HttpLimits(window=1024), hello=hello())
    end.hear(get(1, flags=0), data(1, bytes(480)))
    end.core.consumed(1, 512)
    end.hear(data(1, bytes(480)))
    end.core.consumed(1, 512)
    assert end.said() == [credit(1, 1024)]


def test_what_waits_for_its_turn_goes_with_its_stream() -> None:
    end = End(client=False, limits=HttpLimits(window=1024), hello=hello())
    end.hear(get(1, flags=0), data(1, bytes(992)))
    end.core.respond(1, OK, end=False)
    end.core.send(1, b"x")
    end.core.consumed(1, 1024)
    end.hear(coded(RESET, 1, ResetCode.CANCELLED))
    assert types(end.said()) == [RESPONSE]


def test_credit_that_is_not_owed_any_more_is_not_given() -> None:
    end = End(client=False, limits=HttpLimits(window=1024), hello=hello())
    end.hear(get(1, flags=0, websocket=True))
    end.core.respond(1, ResponseHead(101), end=False)
    end.said()
    end.hear(data(1, bytes(500), MORE), data(1, bytes(400)))
    assert end.said() == []
    end.core.consumed(1, 932)
    assert end.said() == [credit(1, 964)]


@pytest.mark.parametrize("answer", [head(RESPONSE, 1, {"status": 200}, END), coded(RESET, 1, 1)])
def test_a_request_that_has_not_gone_out_has_no_answer(answer: bytes) -> None:
    end = End(client=True, hello=hello())
    end.core.request(GET, end=True)
    assert kinds(end.hear(answer)) == [Ended, Failed]
    assert failed(end)


# --- floods ---------------------------------------------------------------------------------------


def test_requests_beyond_the_bound_are_refused_unread() -> None:
    end = End(client=False, limits=HttpLimits(streams=2), hello=hello())
    assert kinds(end.hear(get(1), get(2))) == [RequestReceived] * 2
    assert end.hear(frame(REQUEST, 3, b"\1" + b"\xff")) == []
    (said,) = end.said()
    assert said.startswith(coded(RESET, 3, ResetCode.REFUSED))
    assert end.hear(coded(RESET, 3, 1), data(3, b"x")) == []


def test_a_server_works_for_twice_as_many_at_most() -> None:
    end = End(client=False, limits=HttpLimits(streams=2), hello=hello())
    for number in range(1, 100):
        end.hear(get(number), coded(RESET, number, ResetCode.CANCELLED))
    refused = [coded(RESET, number, ResetCode.REFUSED) for number in range(5, 100)]
    assert [said[:7] for said in end.said()] == refused
    end.core.release(3)
    end.core.release(3)
    assert kinds(end.hear(get(100), coded(RESET, 100, 1), get(101))) == [RequestReceived, Ended]
    assert types(end.said()) == [RESET]


def test_a_server_is_done_when_it_says_so() -> None:
    pair = HttpPair()
    number = pair.ask()
    pair.server.release(number)
    pair.server.release(77)
    pair.settle()
    (ended,) = pair.told(pair.client, Ended)
    assert "failed" in str(ended.error)
    assert pair.server.streams == 0
    with pytest.raises(ConnectionClosed):
        pair.server.respond(number, OK, end=True)


def test_a_response_that_a_server_leaves_unfinished_breaks_off() -> None:
    pair = HttpPair()
    number = pair.ask()
    pair.server.respond(number, OK, end=False)
    pair.server.send(number, b"half")
    pair.server.release(number)
    pair.settle()
    assert pair.crossed[pair.server][-1].startswith(coded(RESET, number, ResetCode.FAILED))
    assert kinds(pair.events[pair.client])[-1] is Ended


def test_answers_that_nobody_reads_are_bounded() -> None:
    end = End(client=False, limits=HttpLimits(answers=5, streams=1), hello=hello())
    end.hear(get(1, flags=0))
    for number in range(2, 9):
        assert end.hear(get(number)) == []
    assert kinds(end.hear(get(9))) == [Ended, Failed]
    assert failed(end, GoAwayCode.OVERLOAD)


def test_nobody_is_overloaded_by_as_many_requests_as_are_allowed() -> None:
    end = End(client=False, limits=HttpLimits(answers=1, streams=50), hello=hello())
    for number in range(1, 51):
        end.hear(get(number, flags=0))
    for number in range(1, 51):
        end.core.respond(number, OK, end=True)
    assert end.told() == []
    assert types(end.said()) == [RESPONSE, RESET] * 50


def test_answers_that_are_read_are_not_counted() -> None:
    end = End(client=False, limits=HttpLimits(answers=5, streams=1), hello=hello())
    end.hear(get(1, flags=0))
    for number in range(2, 100):
        assert end.hear(get(number)) == []
        assert types(end.said()) == [RESET]


def test_a_servers_own_words_count_as_answers() -> None:
    end = End(client=False, limits=HttpLimits(answers=5, streams=1), hello=hello())
    for number in range(1, 9):
        end.hear(get(number))
        end.core.respond(number, OK, end=True)
        end.core.release(number)
    assert kinds(end.told()) == [Ended, Failed]
    assert failed(end, GoAwayCode.OVERLOAD)


@pytest.mark.parametrize(
    "wrong",
    [head(RESPONSE, 2, {}), head(RESPONSE, 2, {"status": 204})],
)
def test_the_last_straw_is_a_stream_that_breaks_off(wrong: bytes) -> None:
    end = End(client=True, limits=HttpLimits(answers=1), hello=hello())
    for _ in range(3):
        end.core.request(GET, end=True)
    end.said()
    assert kinds(end.hear(head(RESPONSE, 1, {}))) == [Ended]
    assert kinds(end.hear(wrong)) == [Ended, Ended, Failed]
    assert failed(end, GoAwayCode.OVERLOAD)


def test_the_last_straw_is_a_close() -> None:
    end = End(client=False, limits=HttpLimits(answers=1, streams=1), hello=hello())
    end.hear(get(1, flags=0, websocket=True))
    end.core.respond(1, ResponseHead(101), end=False)
    end.said()
    assert end.hear(*[get(number) for number in (2, 3, 4)]) == []
    assert kinds(end.hear(coded(CLOSE, 1, 1000))) == [CloseReceived, Failed]
    assert failed(end, GoAwayCode.OVERLOAD)


def test_requests_given_up_on_a_channel_that_stalls_leave_nothing_behind() -> None:
    end = End(client=True, hello=hello(streams=1))
    end.core.request(GET, end=True)
    assert types(end.said()) == [REQUEST]
    end.core.reset(1)
    for _ in range(50):
        number = end.core.request(GET, end=False)
        end.core.send(number, b"x")
        end.core.reset(number)
    assert end.said() == [coded(RESET, 1, ResetCode.CANCELLED)]
    assert end.core.request(GET, end=True) == 52
    assert types(end.said()) == [REQUEST]


def test_empty_messages_cost_something() -> None:
    limits = HttpLimits(window=1024)
    for flags in (0, TEXT, MORE):
        end = End(client=True, limits=limits, hello=hello())
        end.core.request(WEBSOCKET, end=False)
        end.said()
        end.hear(head(RESPONSE, 1, {"status": 101}))
        assert Failed not in kinds(end.hear(*[data(1, b"", flags)] * 32))
        assert kinds(end.hear(data(1, b"", flags)))[-1] is Failed


def test_an_unfinished_message_is_forgotten_with_its_stream() -> None:
    end = End(client=False, hello=hello())
    end.hear(get(1, flags=0, websocket=True))
    end.core.respond(1, ResponseHead(101), end=False)
    end.hear(*[data(1, bytes(60_000), MORE)] * 4, coded(RESET, 1, 1))
    assert held(end.core) < 1000


def held(core: HttpProtocol) -> int:
    """Bytes of messages and frames that wait inside."""
    partial = sum(len(stream.inflow._partial) for stream in core._streams.values())
    return partial + sum(len(frame) for frame, _ in core._frames)


# --- heads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [True, False])
def test_a_head_that_is_too_large_is_told_so(client: bool) -> None:
    end = End(client=client, limits=HttpLimits(headers=1), hello=hello())
    headers = [["a", "b"]] * 2
    if client:
        end.core.request(GET, end=True)
        end.said()
        (ended,) = end.hear(head(RESPONSE, 1, {"status": 200, "headers": headers}))
        assert isinstance(ended, Ended)
        assert isinstance(ended.error, LimitExceeded)
    else:
        assert end.hear(get(1, headers=headers)) == []
    (said,) = end.said()
    assert said.startswith(coded(RESET, 1, ResetCode.TOO_LARGE))
