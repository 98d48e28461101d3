"""Heads of requests, read as h11 reads them or refused; replies, read by h11."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from peerjs_proto.server_io import HttpReply
from peerjs_trio.http1 import BadRequest, read_head, reply_bytes, upgrade_bytes

LIMIT = 16 * 1024

pieces = st.sampled_from(
    [
        *("GET", "POST", "get", " ", "  ", "/", "/peerjs/id?ts=1", "*", "http://h/x", "HTTP/1.1"),
        *("HTTP/1.0", "HTTP/2.0", "HTTP/1.1\r\n", "\r\n", "\n", "\r", "\0", "\t", ":", ","),
        *("Host: x\r\n", "host:y\r\n", "Host : x\r\n", "Connection: Upgrade, close\r\n"),
        *("Upgrade: websocket\r\n", "Content-Length: 5\r\n", "Content-Length: 0\r\n"),
        *("Content-Length: +5\r\n", "Transfer-Encoding: chunked\r\n", " folded\r\n", "é", "\x80"),
        *("GET / HTTP/1.1\r\nHost: x\r\n", "\r\n\r\n"),
    ]
)
almost = st.lists(pieces, max_size=12).map(lambda found: "".join(found).encode("latin-1"))


@given(almost | st.binary(max_size=100))
@example(b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")
@example(b"GET / HTTP/1.1\nHost: x\n\n")
def test_what_is_read_is_what_h11_reads(data: bytes) -> None:
    try:
        found = read_head(data, LIMIT)
    except BadRequest:
        return
    if found is None:
        return
    head, end = found
    theirs = h11.Connection(h11.SERVER)
    theirs.receive_data(data[:end])
    request = theirs.next_event()
    assert isinstance(request, h11.Request)
    assert request.method.decode() == head.request.method
    assert request.target.decode() == head.request.target
    for name, value in request.headers:
        assert value.decode("latin-1") in head.request.headers[name.decode()]
    has_body = not isinstance(theirs.next_event(), h11.EndOfMessage)
    closes = theirs.their_state is h11.MUST_CLOSE or b"close" in dict(request.headers).get(
        b"connection", b""
    )
    assert head.is_last or not (has_body or closes)


@given(st.integers(0, 60))
def test_an_unfinished_head_is_waited_for(length: int) -> None:
    whole = b"GET /peerjs/id HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\n\r\n"
    found = read_head(whole[:length], LIMIT)
    assert (found is None) == (length < len(whole))
    after = read_head(whole + b"GET /next", LIMIT)
    assert after is not None
    assert after[1] == len(whole)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nA: " + b"a" * LIMIT, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * LIMIT + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"\x16\x03\x01", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\n", 400),
    ],
)
def test_what_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        read_head(data, LIMIT)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("more", "wants"),
    [
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", True),
        ("Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n", True),
        ("Connection: keep-alive\r\nUpgrade: websocket\r\n", False),
        ("Connection: Upgrade\r\nUpgrade: h2c\r\n", False),
    ],
)
def test_who_wants_a_websocket(more: str, wants: bool) -> None:
    found = read_head(f"GET /peerjs HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode(), LIMIT)
    assert found is not None
    assert found[0].wants_websocket is wants


@given(
    st.sampled_from([200, 204, 400, 404, 431, 503]),
    st.binary(max_size=50),
    st.booleans(),
)
def test_replies_are_read_by_h11(status: int, body: bytes, is_last: bool) -> None:
    body = b"" if status == 204 else body
    reply = HttpReply(status, body, headers={"Vary": "Origin"})
    theirs = h11.Connection(h11.CLIENT)
    theirs.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    theirs.send(h11.EndOfMessage())
    theirs.receive_data(reply_bytes(reply, is_last=is_last))
    head = theirs.next_event()
    assert isinstance(head, h11.Response)
    assert head.status_code == status
    assert {b"date", b"vary"} <= {name for name, _ in head.headers}
    received = b""
    while isinstance(event := theirs.next_event(), h11.Data):
        received += event.data
    assert received == body
    assert isinstance(event, h11.EndOfMessage)
    assert (theirs.our_state is h11.MUST_CLOSE) is is_last


def test_the_answer_to_an_upgrade() -> None:
    theirs = h11.Connection(h11.CLIENT)
    headers = [("Host", "x"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
    theirs.send(h11.Request(method="GET", target="/", headers=headers))
    theirs.send(h11.EndOfMessage())
    theirs.receive_data(upgrade_bytes("key="))
    answer = theirs.next_event()
    assert isinstance(answer, h11.InformationalResponse)
    assert answer.status_code == 101
