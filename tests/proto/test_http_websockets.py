"""WebSockets over WebRTC: accepted or refused, messages whole, closed once."""

from __future__ import annotations

import pytest

from peerjs_proto.errors import (
    ConnectionClosed,
    DecodeError,
    LimitExceeded,
    LocalProtocolError,
    MessageTooBig,
    RemoteProtocolError,
)
from peerjs_proto.http import HttpProtocol
from peerjs_proto.http_io import (
    CloseReceived,
    DataReceived,
    Drained,
    Ended,
    Failed,
    HttpLimits,
    MessageReceived,
    RequestHead,
    ResetCode,
    ResponseHead,
    ResponseReceived,
    StreamReset,
    WebSocketClosed,
)

from .http_pair import (
    CLOSE,
    CREDIT,
    DATA,
    END,
    HELLO,
    MORE,
    REQUEST,
    RESET,
    RESPONSE,
    TEXT,
    WEBSOCKET,
    End,
    HttpPair,
    coded,
    data,
    get,
    head,
    hello,
    types,
)

ACCEPTED = ResponseHead(101, (("sec-websocket-protocol", "chat"),))


def accepted(*, client: bool, limits: HttpLimits | None = None) -> End:
    """Stream 1 is a WebSocket with somebody of no manners."""
    end = End(client=client, limits=limits or HttpLimits(), hello=hello())
    if client:
        end.core.request(WEBSOCKET, end=False)
        end.said()
        end.hear(head(RESPONSE, 1, {"status": 101}))
    else:
        end.hear(get(1, flags=0, websocket=True))
        end.core.respond(1, ResponseHead(101), end=False)
        end.said()
    return end


# --- its beginning ----------------------------------------------------------------------------


def test_a_websocket_is_accepted() -> None:
    pair = HttpPair()
    headers = (("sec-websocket-protocol", "chat, more"),)
    number = pair.client.request(RequestHead("GET", "/", headers, websocket=True), end=False)
    pair.settle()
    pair.server.respond(number, ACCEPTED, end=False)
    pair.settle()
    assert pair.told(pair.client, ResponseReceived)[0].head == ACCEPTED
    assert pair.client.streams == pair.server.streams == 1


def test_a_websocket_is_refused() -> None:
    pair = HttpPair()
    number = pair.client.request(WEBSOCKET, end=False)
    pair.settle()
    pair.server.respond(number, ResponseHead(403), end=False)
    pair.server.send(number, b"go away", end=True)
    pair.settle()
    assert pair.told(pair.client, DataReceived)[0].data == b"go away"
    assert types(pair.crossed[pair.server]) == [HELLO, RESPONSE, DATA]
    assert types(pair.crossed[pair.client]) == [HELLO, REQUEST]
    assert pair.client.streams == pair.server.streams == 0


def test_a_websocket_has_no_end_of_a_body() -> None:
    pair = HttpPair()
    with pytest.raises(LocalProtocolError, match="end"):
        pair.client.request(WEBSOCKET, end=True)
    number = pair.client.request(WEBSOCKET, end=False)
    pair.settle()
    with pytest.raises(LocalProtocolError, match="101"):
        pair.server.respond(number, ACCEPTED, end=True)
    with pytest.raises(LocalProtocolError, match="messages"):
        pair.client.send(number, b"x")
    pair.server.respond(number, ACCEPTED, end=False)
    with pytest.raises(LocalProtocolError, match="messages"):
        pair.server.send(number, b"x")


@pytest.mark.parametrize("frame", [data(1, b"x"), coded(CLOSE, 1, 1000)])
@pytest.mark.parametrize("refused", [True, False])
def test_nothing_comes_before_it_is_accepted(frame: bytes, refused: bool) -> None:
    end = End(client=False, hello=hello())
    end.hear(get(1, flags=0, websocket=True))
    if refused:
        end.core.respond(1, ResponseHead(403), end=False)
    (*_, failed) = end.hear(frame)
    assert isinstance(failed, Failed)
    end = End(client=True, hello=hello())
    end.core.request(WEBSOCKET, end=False)
    end.said()
    (*_, failed) = end.hear(frame)
    assert isinstance(failed, Failed)


def test_no_message_is_sent_before_it_is_accepted() -> None:
    pair = HttpPair()
    number = pair.client.request(WEBSOCKET, end=False)
    pair.settle()
    for core in (pair.client, pair.server):
        with pytest.raises(LocalProtocolError, match="not yet"):
            core.send_message(number, "x")
        with pytest.raises(LocalProtocolError, match="not yet"):
            core.close(number)


# --- messages ---------------------------------------------------------------------------------


def test_messages_of_both_kinds_both_ways() -> None:
    values: list[str | bytes] = ["text €", b"\xff", "", b"", "x" * 5000]
    pair = HttpPair(
        client=HttpLimits(window=1024, frame_bytes=1024), server=HttpLimits(window=2000)
    )
    number = pair.open_websocket()
    for core in (pair.client, pair.server):
        for value in values:
            core.send_message(number, value)
            pair.settle()
            for received in pair.told(pair.other(core), MessageReceived)[-1:]:
                pair.other(core).consumed(number, received.cost)
            pair.settle()
        assert [m.value for m in pair.told(pair.other(core), MessageReceived)] == values
        assert CREDIT in types(pair.crossed[pair.other(core)])


def test_lone_surrogates_are_what_they_are_in_a_browser() -> None:
    pair = HttpPair()
    number = pair.open_websocket()
    pair.client.send_message(number, "a\ud800")
    pair.settle()
    assert pair.told(pair.server, MessageReceived)[0].value == "a\ufffd"


def test_a_message_is_no_larger_than_the_far_side_takes() -> None:
    pair = HttpPair(server=HttpLimits(message_bytes=4))
    number = pair.open_websocket()
    for value in ("12345", "€€", b"12345"):
        with pytest.raises(MessageTooBig, match="takes 4"):
            pair.client.send_message(number, value)
    pair.client.send_message(number, "1234")
    pair.settle()
    assert pair.told(pair.server, MessageReceived)[0].value == "1234"


@pytest.mark.parametrize("client", [True, False])
@pytest.mark.parametrize(
    ("frames", "code", "error"),
    [
        ([data(1, b"12345")], ResetCode.TOO_LARGE, LimitExceeded),
        ([data(1, b"123", MORE), data(1, b"45", MORE)], ResetCode.TOO_LARGE, LimitExceeded),
        ([data(1, b"\xff", TEXT)], ResetCode.INVALID, DecodeError),
        ([data(1, b"\xe2", MORE | TEXT), data(1, b"", TEXT)], ResetCode.INVALID, DecodeError),
        ([coded(CLOSE, 1, 999)], ResetCode.INVALID, RemoteProtocolError),
        ([coded(CLOSE, 1, 5000)], ResetCode.INVALID, RemoteProtocolError),
    ],
)
def test_a_bad_message_costs_its_stream_alone(
    client: bool, frames: list[bytes], code: ResetCode, error: type[RemoteProtocolError]
) -> None:
    end = accepted(client=client, limits=HttpLimits(message_bytes=4))
    (ended,) = end.hear(*frames)
    assert isinstance(ended, Ended)
    assert type(ended.error) is error
    (reset,) = end.said()
    assert reset.startswith(coded(RESET, 1, code))
    assert end.hear(data(1, b"x"), coded(CLOSE, 1, 1000)) == []


@pytest.mark.parametrize(
    "frames",
    [
        [data(1, b"x", END)],
        [data(1, b"", END)],
        [data(1, b"x", MORE), data(1, b"x", TEXT)],
        [data(1, b"x", MORE | TEXT), data(1, b"x")],
        [data(1, bytes(993))],
    ],
)
def test_frames_that_are_no_messages_end_the_connection(frames: list[bytes]) -> None:
    end = accepted(client=True, limits=HttpLimits(window=1024))
    (*_, failed) = end.hear(*frames)
    assert isinstance(failed, Failed)


# --- its end ----------------------------------------------------------------------------------


def closed(pair: HttpPair, core: HttpProtocol) -> CloseReceived:
    (event,) = pair.told(core, CloseReceived)
    return event


def test_a_close_is_answered_and_comes_behind_what_was_said() -> None:
    pair = HttpPair()
    number = pair.open_websocket()
    pair.client.send_message(number, "last words")
    pair.client.close(number, 4321, "that is all")
    with pytest.raises(LocalProtocolError, match="end"):
        pair.client.send_message(number, "no")
    with pytest.raises(LocalProtocolError, match="end"):
        pair.client.close(number)
    pair.settle()
    assert pair.told(pair.server, MessageReceived)[0].value == "last words"
    assert closed(pair, pair.server) == CloseReceived(number, 4321, "that is all")
    assert closed(pair, pair.client) == CloseReceived(number, 4321, "")
    assert pair.told(pair.client, Drained) == [Drained(number)]
    assert types(pair.crossed[pair.server])[2:] == [CLOSE]
    assert pair.client.streams == pair.server.streams == 0
    with pytest.raises(ConnectionClosed):
        pair.server.send_message(number, "x")


def test_closes_may_cross() -> None:
    pair = HttpPair()
    number = pair.open_websocket()
    pair.client.close(number, 1000, "mine")
    pair.server.close(number, 1001, "yours")
    mine, yours = pair.client.next_frame(), pair.server.next_frame()
    pair.server.receive_frame(mine or b"")
    pair.client.receive_frame(yours or b"")
    pair.drain()
    assert closed(pair, pair.server) == CloseReceived(number, 1000, "mine")
    assert closed(pair, pair.client) == CloseReceived(number, 1001, "yours")
    assert pair.client.next_frame() is pair.server.next_frame() is None
    assert pair.told(pair.client, Failed) == pair.told(pair.server, Failed) == []
    assert pair.client.streams == pair.server.streams == 0


def test_messages_come_until_the_far_side_knows() -> None:
    pair = HttpPair()
    number = pair.open_websocket()
    pair.server.send_message(number, "crossing")
    crossing = pair.server.next_frame()
    pair.client.close(number)
    assert types([pair.client.next_frame() or b""]) == [CLOSE]
    pair.client.receive_frame(crossing or b"")
    pair.settle()
    assert pair.told(pair.client, MessageReceived)[0].value == "crossing"


def test_what_waits_for_credit_when_the_close_comes_is_dropped() -> None:
    pair = HttpPair(client=HttpLimits(window=1024))
    number = pair.open_websocket()
    pair.server.send_message(number, bytes(5000))
    pair.server.close(number)
    pair.carry(pair.server)
    pair.client.close(number, 1001)
    pair.settle()
    assert pair.events[pair.server][-2:] == [Drained(number), CloseReceived(number, 1001, "")]
    assert closed(pair, pair.client) == CloseReceived(number, 1001, "")
    assert pair.told(pair.client, MessageReceived) == []


@pytest.mark.parametrize("code", [0, 999, 5000])
def test_a_code_is_one_of_websockets(code: int) -> None:
    pair = HttpPair()
    number = pair.open_websocket()
    with pytest.raises(LocalProtocolError, match="1000 to 4999"):
        pair.client.close(number, code)
    pair.client.close(number, 1006, "€" * 100)
    pair.settle()
    assert closed(pair, pair.server) == CloseReceived(number, 1006, "€" * 41)


def test_a_reset_ends_it_too() -> None:
    pair = HttpPair()
    number = pair.open_websocket()
    pair.client.reset(number)
    pair.settle()
    (ended,) = pair.told(pair.server, Ended)
    assert isinstance(ended.error, StreamReset)
    assert pair.client.streams == pair.server.streams == 0


def test_errors_say_what_happened() -> None:
    assert str(StreamReset(4)) == "the far side reset the request: too large"
    assert str(StreamReset(99, "why")) == "the far side reset the request: 99 (why)"
    assert str(WebSocketClosed(1000)) == "the WebSocket is closed: 1000"
    assert str(WebSocketClosed(1001, "bye")) == "the WebSocket is closed: 1001 (bye)"
