"""Headers on their way through a reverse proxy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.fence import RequestRefused
from peerjs_proto.http_headers import (
    HEADER_BYTES,
    HEADER_COUNT,
    content_length,
    forwarded,
    request_headers,
    response_headers,
    validate_method,
)

HOST = (b"host", b"127.0.0.1:8778")


def sent(*headers: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """What the base's server gets, behind its host."""
    first, *others = request_headers(headers, "127.0.0.1:8778")
    assert first == HOST
    return others


def test_what_is_said_to_the_server_stays_as_it_is() -> None:
    headers = [
        (b"accept", b"*/*"),
        (b"cookie", b"a=b; c=d"),
        (b"cookie", b"e=\xe4"),
        (b"authorization", b"Basic eA=="),
        (b"x-api_key", b"1"),
        (b"content-length", b"0"),
        (b"empty", b""),
    ]
    assert sent(*headers) == headers
    assert sent((b"Accept", b"\t*/* ")) == [(b"accept", b"*/*")]


@pytest.mark.parametrize(
    "name",
    [
        *(
            b"host",
            b"connection",
            b"keep-alive",
            b"proxy-connection",
            b"te",
            b"trailer",
            b"upgrade",
        ),
        *(b"transfer-encoding", b"Transfer_Encoding", b"proxy-authorization", b"expect", b"proxy"),
        *(b"x-forwarded-for", b"X-Forwarded-Host", b"x_forwarded_proto", b"x-forwarded-prefix"),
        *(b"forwarded", b"x-real-ip", b"x_real_ip", b"cf-connecting-ip", b"via", b"x-peer-id"),
        *(b"x-original-url", b"x-rewrite-url", b"X_Original_URL"),
    ],
)
def test_what_a_remote_side_cannot_say(name: bytes) -> None:
    assert sent((name, b"x"), (b"accept", b"*/*")) == [(b"accept", b"*/*")]


def test_what_connection_names_is_for_one_hop() -> None:
    connection = (b"connection", b"close, X-One ,, x_two")
    headers = [connection, (b"x-one", b"1"), (b"x-two", b"2"), (b"x-three", b"3")]
    assert sent(*headers) == [(b"x-three", b"3")]
    assert response_headers(headers) == [(b"x-three", b"3")]


def test_connection_takes_nothing_away_that_is_ours() -> None:
    ours = forwarded("alice")
    headers = [(b"connection", b"host, x-forwarded-for, x-peer-id, forwarded")]
    assert request_headers(headers, "127.0.0.1:8778", ours) == [HOST, *ours]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (name, b"x")
            for name in (b"", b"a b", b"a:", b":path", b"a\r\nb", b"a\0", b"\xe4", b" a")
        ),
        *((b"a", value) for value in (b"x\r\ny: z", b"x\ny", b"x\ry", b"\0", b"\x1b", b"\x7f")),
        (b"a" * 257, b"x"),
    ],
)
def test_what_is_no_header(name: bytes, value: bytes) -> None:
    with pytest.raises(RequestRefused, match="of a header") as refused:
        sent((name, value))
    assert refused.value.status == 400


def test_too_many_and_too_long() -> None:
    assert len(sent(*[(b"a", b"x")] * HEADER_COUNT)) == HEADER_COUNT
    assert sent((b"a", b"x" * (HEADER_BYTES - 1)))
    for headers in ([(b"a", b"x")] * (HEADER_COUNT + 1), [(b"a", b"x" * HEADER_BYTES)]):
        with pytest.raises(RequestRefused, match="too") as refused:
            sent(*headers)
        assert refused.value.status == 431


def test_the_length_of_a_body() -> None:
    assert content_length([]) is None
    assert content_length([(b"content-length", b"042")]) == 42


@pytest.mark.parametrize(
    "lengths",
    [
        *([(b"content-length", value)] for value in (b"", b"-1", b"+1", b"1, 1", b"0x1", b"1_0")),
        *([(b"content-length", value)] for value in (b"1 1", b"9" * 19, "٣".encode(), b"1.0")),
        [(b"content-length", b"1"), (b"content-length", b"1")],
        [(b"content-length", b"1"), (b"content_length", b"2")],
        [(b"content_length", b"1")],
    ],
)
def test_what_is_no_length(lengths: list[tuple[bytes, bytes]]) -> None:
    for call in (content_length, lambda headers: sent(*headers)):
        with pytest.raises(RequestRefused, match="one number"):
            call(lengths)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PROPFIND", "M-SEARCH", "get", "X!"])
def test_methods(method: str) -> None:
    assert validate_method(method) == method


@pytest.mark.parametrize(
    ("method", "status"),
    [
        *((method, 501) for method in ("CONNECT", "connect", "TRACE", "Trace")),
        *((method, 400) for method in ("", "G T", "GET\r\n", "GET\n", "GÉT", "A" * 33, "A:", "\0")),
    ],
)
def test_other_methods(method: str, status: int) -> None:
    with pytest.raises(RequestRefused) as refused:
        validate_method(method)
    assert refused.value.status == status


def test_who_has_asked() -> None:
    assert forwarded("alice smith-2", "Küche 1") == [
        (b"x-forwarded-for", b"unknown"),
        (b"x-forwarded-proto", b"https"),
        (b"forwarded", b"for=_alice.smith-2;proto=https"),
        (b"x-peer-id", b"alice%20smith-2"),
        (b"x-peer-pair", b"K%C3%BCche%201"),
    ]
    assert forwarded(None) == [
        (b"x-forwarded-for", b"unknown"),
        (b"x-forwarded-proto", b"https"),
        (b"forwarded", b"for=unknown;proto=https"),
    ]


@given(st.text(), st.none() | st.text())
def test_any_name_makes_headers(peer: str, pair: str | None) -> None:
    peer = peer.encode("utf-8", "replace").decode()
    pair = pair and pair.encode("utf-8", "replace").decode()
    ours = forwarded(peer, pair)
    # As strict as what comes from the remote side.
    plain = [(name.replace(b"x-", b"y-"), value) for name, value in ours if name != b"forwarded"]
    assert sent(*plain) == plain


def test_what_comes_back() -> None:
    headers = [
        (b"Content-Type", b"text/plain"),
        (b"Connection", b"keep-alive, x-hop"),
        (b"Keep-Alive", b"timeout=5"),
        (b"X-Hop", b"1"),
        (b"Set-Cookie", b"a=b"),
        (b"Set-Cookie", b"c=d"),
        (b"Content-Length", b"5"),
    ]
    kept = [
        (b"content-type", b"text/plain"),
        (b"set-cookie", b"a=b"),
        (b"set-cookie", b"c=d"),
    ]
    assert response_headers(headers) == [*kept, (b"content-length", b"5")]
    assert response_headers([*headers, (b"Transfer-Encoding", b"chunked")]) == kept
