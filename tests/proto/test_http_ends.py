"""HTTP over WebRTC: how a connection ends, and what its own side may not do."""

from __future__ import annotations

from typing import Any

import pytest

from peerjs_proto.errors import (
    ConnectionClosed,
    LimitExceeded,
    LocalProtocolError,
    NotOpenYet,
)
from peerjs_proto.http_io import (
    Ended,
    Failed,
    GoAwayCode,
    GoingAway,
    HttpEvent,
    RequestHead,
    ResetCode,
    ResponseHead,
)

from .http_pair import (
    GOAWAY,
    REQUEST,
    RESET,
    End,
    HttpPair,
    coded,
    data,
    get,
    hello,
    types,
)

GET = RequestHead("GET", "/")
OK = ResponseHead(200)


def kinds(events: list[HttpEvent]) -> list[type[HttpEvent]]:
    return [type(event) for event in events]


# --- the end of the connection --------------------------------------------------------------------


def test_whoever_goes_away_takes_nothing_new_and_ends_the_rest() -> None:
    pair = HttpPair()
    number = pair.ask()
    pair.server.go_away("bye")
    pair.server.go_away("again")
    crossing = pair.client.request(GET, end=True)
    assert pair.carry(pair.client)
    pair.settle()
    assert pair.told(pair.client, GoingAway) == [GoingAway(GoAwayCode.CLOSING, "bye")]
    assert types(pair.crossed[pair.server])[1:] == [GOAWAY, RESET]
    (ended,) = pair.told(pair.client, Ended)
    assert ended.stream == crossing
    assert "refused" in str(ended.error)
    assert pair.client.is_leaving
    assert not pair.client.can_request
    with pytest.raises(ConnectionClosed, match="closing"):
        pair.client.request(GET, end=True)
    pair.server.respond(number, OK, end=True)
    pair.settle()
    assert pair.client.streams == pair.server.streams == 0
    assert pair.told(pair.client, Failed) == []


def test_a_client_that_goes_away_asks_for_nothing_more() -> None:
    pair = HttpPair()
    number = pair.ask()
    pair.client.go_away()
    with pytest.raises(ConnectionClosed):
        pair.client.request(GET, end=True)
    pair.settle()
    pair.server.respond(number, OK, end=True)
    pair.settle()
    assert pair.server.is_leaving
    pair.server.receive_frame(get(number + 1))
    assert types(list(iter(pair.server.next_frame, None))) == [RESET]


@pytest.mark.parametrize("code", [*list(GoAwayCode)[1:], 77])
def test_any_other_code_is_an_error(code: int) -> None:
    end = End(client=True, hello=hello())
    end.core.request(GET, end=True)
    events = end.hear(coded(GOAWAY, 0, code, b"why"))
    assert kinds(events) == [GoingAway, Ended, Failed]
    assert "why" in str(events[-1])
    assert end.said() == []
    end.core.go_away()
    assert end.said() == []


@pytest.mark.parametrize("error", [None, LimitExceeded("x")])
def test_what_had_not_ended_breaks_off_with_the_connection(error: Any) -> None:
    end = End(client=True, hello=hello())
    end.core.request(GET, end=True)
    number = end.core.request(GET, end=True)
    end.core.reset(number)
    end.core.connection_lost(error)
    (ended,) = end.told()
    assert isinstance(ended, Ended)
    assert type(ended.error) is (type(error) if error else ConnectionClosed)
    assert end.said() == []
    assert end.hear(hello()) == []
    end.core.connection_lost()
    assert end.told() == []


# --- one's own mistakes ---------------------------------------------------------------------------


def test_a_stream_that_never_was_and_one_that_is_over() -> None:
    pair = HttpPair()
    with pytest.raises(LocalProtocolError, match="no stream 0"):
        pair.client.send(0, b"x")
    with pytest.raises(LocalProtocolError, match="no stream 1"):
        pair.server.respond(1, OK, end=True)
    number = pair.ask()
    pair.client.reset(number)
    for late in (pair.client.reset, pair.server.release, pair.client.release):
        late(number)
    pair.client.consumed(number, 5)
    for never in (-1, 0, 77, 1 << 32):
        for late in (pair.client.reset, pair.server.release):
            late(never)
    assert pair.client.next_frame() == coded(RESET, number, ResetCode.CANCELLED)
    assert pair.client.next_frame() is None
    with pytest.raises(ConnectionClosed):
        pair.client.send(number, b"x")


@pytest.mark.parametrize("code", [-1, 1 << 16])
def test_a_code_has_16_bits(code: int) -> None:
    end = End(client=True, hello=hello())
    number = end.core.request(GET, end=True)
    with pytest.raises(LocalProtocolError, match="16 bits"):
        end.core.reset(number, code)
    assert end.core.streams == 1
    assert types(end.said()) == [REQUEST]


def test_what_is_taken_has_come() -> None:
    end = End(client=False, hello=hello())
    end.hear(get(1, flags=0), data(1, b"x"))
    with pytest.raises(LocalProtocolError, match="more was taken"):
        end.core.consumed(1, 34)
    end.core.consumed(1, 33)


def test_a_client_asks_for_no_more_than_it_may() -> None:
    end = End(client=True, hello=hello(streams=1))
    end.core.request(GET, end=True)
    with pytest.raises(NotOpenYet):
        end.core.request(GET, end=True)
    assert types(end.said()) == [REQUEST]
