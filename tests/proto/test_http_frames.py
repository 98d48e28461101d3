"""Frames of HTTP over WebRTC, to and from bytes. The vectors were made by hand, from its rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto import http_frames as frames
from peerjs_proto.errors import (
    DecodeError,
    LimitExceeded,
    LocalProtocolError,
    RemoteProtocolError,
)
from peerjs_proto.http_io import (
    DEFAULT_HTTP_LIMITS,
    Ended,
    Failed,
    GoAwayCode,
    HttpEvent,
    HttpLimits,
    RequestHead,
    ResetCode,
    ResponseHead,
)
from peerjs_proto.jsontext import well_formed

from .http_pair import GOAWAY, RESET, End, coded, get, hello

VECTORS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "http-frames.json").read_text("utf-8")
)
LIMITS: Final = HttpLimits(window=65_536)

TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=20)
PATHS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"))
VALUES = st.text(
    st.just("\t") | st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
)
HEADERS = st.lists(
    st.tuples(TOKENS.map(str.lower).map(lambda name: f"x-{name}"), VALUES), max_size=5
).map(tuple)
REQUESTS = st.builds(RequestHead, TOKENS, PATHS.map("/".__add__), HEADERS)
RESPONSES = st.builds(ResponseHead, st.just(101) | st.integers(200, 599), HEADERS)
STREAMS = st.integers(1, (1 << 32) - 1)


def ids(vectors: Iterable[dict[str, Any]]) -> list[str]:
    return [vector["name"] for vector in vectors]


# --- the vectors ----------------------------------------------------------------------------------


def meaning(data: bytes) -> dict[str, Any]:
    """What a frame says, in the words of the vectors."""
    found = frames.split_frame(data)
    assert found is not None
    means: dict[str, Any] = {"type": found.type.name, "stream": found.stream}
    match found.type:
        case frames.Type.HELLO:
            said = frames.decode_hello(found.payload)
            means |= {"versions": sorted(said.versions), "window": said.window}
            means |= {"frame": said.frame, "streams": said.streams}
            means |= {"message": said.message, "agent": said.agent}
        case frames.Type.REQUEST:
            request = frames.decode_request(found.payload, LIMITS)
            means |= {"end": bool(found.flags), "method": request.method, "path": request.path}
            means |= {"headers": [list(pair) for pair in request.headers]}
            means |= {"websocket": request.websocket}
        case frames.Type.RESPONSE:
            response = frames.decode_response(found.payload, LIMITS)
            means |= {"end": bool(found.flags), "status": response.status}
            means |= {"headers": [list(pair) for pair in response.headers]}
        case frames.Type.DATA:
            bits = {"END": frames.END, "TEXT": frames.TEXT, "MORE": frames.MORE}
            means |= {"flags": [name for name, bit in bits.items() if found.flags & bit]}
            means |= {"bytes": found.payload.hex()}
        case frames.Type.CREDIT:
            means |= {"credit": frames.decode_credit(found.payload)}
        case frames.Type.RESET | frames.Type.CLOSE | frames.Type.GOAWAY:
            code, reason = frames.decode_code(found.payload)
            means |= {"code": code, "reason": reason}
    return means


def written(means: dict[str, Any]) -> bytes:
    """The frame that says it."""
    stream = means["stream"]
    headers = tuple((name, value) for name, value in means.get("headers", ()))
    match means["type"]:
        case "REQUEST":
            request = RequestHead(means["method"], means["path"], headers, means["websocket"])
            return frames.request_frame(stream, request, end=means["end"])
        case "RESPONSE":
            response = ResponseHead(means["status"], headers)
            return frames.response_frame(stream, response, end=means["end"])
        case "DATA":
            bits = {"END": frames.END, "TEXT": frames.TEXT, "MORE": frames.MORE}
            flags = sum(bits[name] for name in means["flags"])
            return frames.data_frame(stream, bytes.fromhex(means["bytes"]), flags)
        case "CREDIT":
            return frames.credit_frame(stream, means["credit"])
        case "RESET":
            return frames.reset_frame(stream, means["code"], means["reason"])
        case "CLOSE":
            return frames.close_frame(stream, means["code"], means["reason"])
        case _:
            return frames.go_away_frame(means["code"], means["reason"])


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=ids(VECTORS["frames"]))
def test_a_frame_says_what_it_means(vector: dict[str, Any]) -> None:
    means = vector["means"]
    assert meaning(bytes.fromhex(vector["hex"])) == means
    if means["type"] != "HELLO":
        assert written(means).hex() == vector["hex"]


@pytest.mark.parametrize(
    ("vector", "client"),
    [
        pytest.param(vector, to == "client", id=f"{vector['name']}, to a {to}")
        for vector in VECTORS["bad"]
        for to in ("client", "server")
        if vector["to"] in (to, "both")
    ],
)
def test_what_is_wrong_ends_as_little_as_it_must(vector: dict[str, Any], client: bool) -> None:
    end = End(client=client, limits=LIMITS, hello=hello(window=65_536))
    if client:
        end.core.request(RequestHead("GET", "/"), end=True)
        end.said()
    else:
        end.hear(get(1))
    events = end.hear(bytes.fromhex(vector["hex"]))
    match vector["outcome"]:
        case "ignored":
            assert (events, end.said()) == ([], [])
        case "error":
            assert fails(end, events)
        case outcome:
            (said,) = end.said()
            code = ResetCode[outcome.removeprefix("RESET ")]
            assert said.startswith(coded(RESET, vector["stream"], code))
            assert [type(event) for event in events] == ([Ended] if client else [])


def fails(end: End, events: list[HttpEvent]) -> bool:
    """Whether it is an error of the connection, and the far side is told."""
    (said,) = end.said()
    return isinstance(events[-1], Failed) and said.startswith(coded(GOAWAY, 0, GoAwayCode.PROTOCOL))


# --- there and back -------------------------------------------------------------------------------


@given(STREAMS, REQUESTS, st.booleans())
def test_a_request_there_and_back(stream: int, head: RequestHead, end: bool) -> None:
    found = frames.split_frame(frames.request_frame(stream, head, end=end))
    assert found is not None
    assert (found.type, found.stream, found.flags) == (frames.Type.REQUEST, stream, end)
    assert frames.decode_request(found.payload, DEFAULT_HTTP_LIMITS) == head


@given(STREAMS, RESPONSES, st.booleans())
def test_a_response_there_and_back(stream: int, head: ResponseHead, end: bool) -> None:
    found = frames.split_frame(frames.response_frame(stream, head, end=end))
    assert found is not None
    assert (found.type, found.stream, found.flags) == (frames.Type.RESPONSE, stream, end)
    assert frames.decode_response(found.payload, DEFAULT_HTTP_LIMITS) == head


@given(STREAMS, st.binary(), st.integers(0, 7))
def test_data_there_and_back(stream: int, payload: bytes, flags: int) -> None:
    found = frames.split_frame(frames.data_frame(stream, payload, flags))
    assert found == frames.Frame(frames.Type.DATA, stream, flags, payload)


@given(STREAMS, st.integers(0, 0xFFFF), st.text(max_size=100))
def test_a_code_there_and_back(stream: int, code: int, reason: str) -> None:
    found = frames.split_frame(frames.reset_frame(stream, code, reason))
    assert found is not None
    got, words = frames.decode_code(found.payload)
    assert got == code
    assert len(words.encode()) <= 123
    assert well_formed(reason).startswith(words)
    assert len(reason.encode(errors="replace")) > 123 or words == well_formed(reason)


@given(st.binary())
def test_a_reason_has_123_bytes_at_most_whatever_comes(reason: bytes) -> None:
    code, words = frames.decode_code(b"\0\7" + reason)
    assert code == 7
    assert len(words.encode()) <= 123


@given(st.booleans(), st.text())
def test_a_hello_there_and_back(server: bool, agent: str) -> None:
    limits = HttpLimits(window=2000, frame_bytes=3000, streams=4, message_bytes=5)
    found = frames.split_frame(frames.hello_frame(limits, server=server, agent=agent))
    assert found is not None
    said = frames.decode_hello(found.payload)
    assert (said.window, said.frame, said.message) == (2000, 3000, 5)
    assert said.streams == (4 if server else 1)
    assert said.versions == {1}


@given(st.binary(max_size=64))
def test_any_bytes_are_a_frame_or_an_error_of_the_far_sides(data: bytes) -> None:
    try:
        found = frames.split_frame(data)
    except RemoteProtocolError:
        return
    if found is None:
        assert data[0] > GOAWAY
        return
    for decode in (
        frames.decode_hello,
        frames.decode_credit,
        frames.decode_code,
        lambda payload: frames.decode_request(payload, DEFAULT_HTTP_LIMITS),
        lambda payload: frames.decode_response(payload, DEFAULT_HTTP_LIMITS),
    ):
        with suppress(RemoteProtocolError):
            decode(found.payload)


# --- HELLO ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["window", "frame"])
def test_a_window_and_a_frame_have_1024_bytes_at_least(name: str) -> None:
    assert decode_hello(**{name: 1024}) is not None
    with pytest.raises(DecodeError, match=name):
        decode_hello(**{name: 1023})


@pytest.mark.parametrize("name", ["window", "frame", "streams", "message"])
@pytest.mark.parametrize("value", [0, -1, 1 << 31, True, 2048.0, "2048", None, [2048]])
def test_the_numbers_of_hello_are_whole_and_have_bounds(name: str, value: Any) -> None:
    assert decode_hello(**{name: (1 << 31) - 1}) is not None
    with pytest.raises(DecodeError, match=name):
        decode_hello(**{name: value})


@pytest.mark.parametrize("value", [None, 1, {}, "1"])
def test_hello_lists_versions(value: Any) -> None:
    with pytest.raises(DecodeError, match="versions"):
        decode_hello(versions=value)
    with pytest.raises(DecodeError, match="versions"):
        frames.decode_hello(b"{}")
    with pytest.raises(DecodeError, match="object"):
        frames.decode_hello(b"[1]")


def test_an_agent_is_for_people() -> None:
    assert decode_hello(agent=7).agent == ""
    assert decode_hello(agent="ü" * 100).agent == "ü" * 64


@given(st.text() | st.just("\0" * 200))
def test_a_hello_has_1024_bytes_at_most(agent: str) -> None:
    largest = (1 << 31) - 1
    limits = HttpLimits(window=largest, streams=largest, message_bytes=largest)
    said = frames.hello_frame(limits, server=True, agent=agent)
    assert len(said) <= 1024
    assert agent.startswith(frames.decode_hello(said[5:]).agent)


def test_a_larger_hello_is_not_looked_at() -> None:
    said = hello()[5:]
    assert frames.decode_hello(said.ljust(1019)).versions == {1}
    with pytest.raises(LimitExceeded, match="HELLO"):
        frames.decode_hello(b"\xff" * 1020)


def decode_hello(**members: Any) -> frames.Hello:
    return frames.decode_hello(hello(**members)[5:])


# --- bounds of heads ------------------------------------------------------------------------------


def test_a_head_has_a_bound() -> None:
    limits = HttpLimits(head_bytes=100)
    fits = json.dumps({"method": "GET", "path": "/"}).ljust(100).encode()
    assert frames.decode_request(fits, limits) == RequestHead("GET", "/")
    with pytest.raises(LimitExceeded, match="100 bytes"):
        frames.decode_request(fits + b" ", limits)
    with pytest.raises(LimitExceeded, match="100 bytes"):
        frames.decode_response(fits + b" ", limits)


def test_a_large_head_is_not_looked_at() -> None:
    with pytest.raises(LimitExceeded):
        frames.decode_request(b"\xff" * 101, HttpLimits(head_bytes=100))


@pytest.mark.parametrize("count", [3, 4, 2000])
def test_headers_have_a_bound(count: int) -> None:
    headers = [["a", "b"]] * count
    payload = json.dumps({"method": "GET", "path": "/", "status": 200, "headers": headers})
    limits = HttpLimits(headers=3)
    if count == 3:
        assert len(frames.decode_request(payload.encode(), limits).headers) == 3
        return
    with pytest.raises(LimitExceeded, match="3 headers"):
        frames.decode_request(payload.encode(), limits)
    with pytest.raises(LimitExceeded, match="3 headers"):
        frames.decode_response(payload.encode(), limits)


def test_members_that_nobody_knows_are_ignored() -> None:
    known = {
        "method": "GET",
        "path": "/",
        "more": [1, {"a": None}],
        **dict.fromkeys(map(str, range(300))),
    }
    assert frames.decode_request(json.dumps(known).encode(), LIMITS) == RequestHead("GET", "/")


# --- heads of one's own ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: RequestHead("", "/"), "method"),
        (lambda: RequestHead("G T", "/"), "method"),
        (lambda: RequestHead("G" * 257, "/"), "method"),
        (lambda: RequestHead("GET", ""), "path"),
        (lambda: RequestHead("GET", "a"), "path"),
        (lambda: RequestHead("GET", "/ä"), "path"),
        (lambda: RequestHead("GET", "/a\n"), "path"),
        (lambda: RequestHead("POST", "/", websocket=True), "GET"),
        (lambda: RequestHead("GET", "/", (("A", "b"),)), "name"),
        (lambda: RequestHead("GET", "/", (("a b", "c"),)), "name"),
        (lambda: RequestHead("GET", "/", (("a", "\0"),)), "value"),
        (lambda: RequestHead("GET", "/", (("a", "b\n"),)), "value"),
        (lambda: RequestHead("GET", "/", (("a", "\x7f"),)), "value"),
        (lambda: RequestHead("GET", "/", (("a", "\u0100"),)), "value"),
        (lambda: ResponseHead(200, (("Ä", ""),)), "name"),
        (lambda: ResponseHead(100), "status"),
        (lambda: ResponseHead(199), "status"),
        (lambda: ResponseHead(600), "status"),
        *(
            (lambda name=name: ResponseHead(200, ((name, ""),)), "one hop")
            for name in (
                *("connection", "keep-alive", "proxy-connection", "te"),
                *("trailer", "transfer-encoding", "upgrade"),
            )
        ),
    ],
)
def test_a_head_that_http_does_not_allow(make: Any, match: str) -> None:
    with pytest.raises(LocalProtocolError, match=match):
        make()


def test_the_bounds_of_the_document_are_ours() -> None:
    text = (Path(__file__).parents[2] / "docs" / "http-over-webrtc.md").read_text("utf-8")
    table = text[text.index("## Limits") : text.index("## What ambianic")]
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", table, re.M))
    ours = HttpLimits()
    assert rows["a frame"] == f"{ours.frame_bytes:,} bytes"
    assert rows["a head, as JSON"] == f"{ours.head_bytes:,} bytes, {ours.headers} headers"
    assert rows["requests at once"] == f"{ours.streams} for a server"
    assert rows["what a stream holds"] == f"{ours.window:,} bytes, each way"
    assert rows["a WebSocket message"] == f"{ours.message_bytes:,} bytes"
    assert rows["answers that are not read"].startswith(f"{ours.answers:,} frames")


@pytest.mark.parametrize(
    "limits",
    [
        *({"frame_bytes": 1023}, {"frame_bytes": 65_537}, {"window": 1023}, {"window": 1 << 31}),
        *({"head_bytes": 0}, {"headers": 0}, {"streams": 0}, {"message_bytes": 0}, {"answers": 0}),
        *({"message_bytes": 1 << 31}, {"streams": 1 << 31}),
    ],
)
def test_limits_that_let_nothing_through(limits: dict[str, int]) -> None:
    with pytest.raises(LocalProtocolError):
        HttpLimits(**limits)
