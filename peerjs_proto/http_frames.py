"""The frames of HTTP over WebRTC, to and from bytes: docs/http-over-webrtc.md."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import attrs

from . import jsontext
from .errors import DecodeError, LimitExceeded, LocalProtocolError, RemoteProtocolError
from .http_io import HttpLimits, RequestHead, ResponseHead

__all__ = [
    "END",
    "MORE",
    "OVERHEAD",
    "TEXT",
    "VERSIONS",
    "Frame",
    "Hello",
    "Type",
    "close_frame",
    "credit_frame",
    "data_frame",
    "decode_code",
    "decode_credit",
    "decode_hello",
    "decode_request",
    "decode_response",
    "go_away_frame",
    "hello_frame",
    "is_close_code",
    "request_frame",
    "reset_frame",
    "response_frame",
    "split_frame",
]

T = TypeVar("T")

VERSIONS: Final = (1,)
"Of the protocol, that are spoken here."

OVERHEAD: Final = 6
"Bytes of a DATA before its payload."

END: Final = 1
"Nothing more of this body follows."
TEXT: Final = 2
"This WebSocket message is text."
MORE: Final = 4
"This WebSocket message goes on in the next DATA."


class Type(enum.IntEnum):
    """The first byte of a frame."""

    HELLO = 0
    REQUEST = 1
    RESPONSE = 2
    DATA = 3
    CREDIT = 4
    RESET = 5
    CLOSE = 6
    GOAWAY = 7


@attrs.frozen
class Frame:
    """One frame, its rest unread."""

    type: Type
    stream: int
    flags: int
    "0 for a type that has none."
    payload: bytes


@attrs.frozen
class Hello:
    """What the far side can do."""

    versions: frozenset[int]
    window: int = 65_536
    frame: int = 65_536
    streams: int = 1
    message: int = 65_536
    agent: str = ""


# --- reading ------------------------------------------------------------------------------------


def split_frame(data: bytes) -> Frame | None:
    """The parts of a frame; None for one of a type that is not known, which is to be ignored.

    Raises RemoteProtocolError for what is no frame.
    """
    if len(data) < 5:
        raise RemoteProtocolError("a frame of less than five bytes")
    if data[0] > Type.GOAWAY:
        return None
    type, stream = Type(data[0]), int.from_bytes(data[1:5])
    if (stream == 0) != (type in (Type.HELLO, Type.GOAWAY)):
        raise RemoteProtocolError(f"a {type.name} for stream {stream}")
    allowed = _FLAGS.get(type)
    if allowed is None:
        return Frame(type, stream, 0, data[5:])
    if len(data) < OVERHEAD or data[5] & ~allowed:
        raise RemoteProtocolError(f"a {type.name} with flags that it cannot have")
    return Frame(type, stream, data[5], data[OVERHEAD:])


def decode_hello(payload: bytes) -> Hello:
    """Raises RemoteProtocolError."""
    if len(payload) > _HELLO:
        raise LimitExceeded(f"a HELLO of more than {_HELLO} bytes")
    members = jsontext.loads(payload, max_depth=8)
    if not isinstance(members, dict):
        raise DecodeError("HELLO is no object")
    versions = members.get("versions")
    if not isinstance(versions, list):
        raise DecodeError("HELLO does not say which versions")
    known = {name: members[name] for name in _LEAST if name in members}
    for name, value in known.items():
        if type(value) is not int or not _LEAST[name] <= value < 1 << 31:
            raise DecodeError(f"the {name} of HELLO is no number, or out of bounds")
    agent = members.get("agent")
    return Hello(
        frozenset(v for v in versions if type(v) is int),
        agent=_cut(agent, _AGENT) if isinstance(agent, str) else "",
        **known,
    )


def decode_request(payload: bytes, limits: HttpLimits) -> RequestHead:
    """Raises LimitExceeded for too much, and another RemoteProtocolError for what is none."""
    members = _head(payload, limits)
    websocket = members.get("websocket", False)
    match members:
        case {"method": str(method), "path": str(path)} if isinstance(websocket, bool):
            headers = _headers(members, limits)
            return _checked(lambda: RequestHead(method, path, headers, websocket))
    raise DecodeError("a request's head without a method and a path")


def decode_response(payload: bytes, limits: HttpLimits) -> ResponseHead:
    """Raises LimitExceeded for too much, and another RemoteProtocolError for what is none."""
    members = _head(payload, limits)
    status = members.get("status")
    if type(status) is not int:
        raise DecodeError("a response's head without a status")
    headers = _headers(members, limits)
    return _checked(lambda: ResponseHead(status, headers))


def decode_credit(payload: bytes) -> int:
    """Raises RemoteProtocolError."""
    if len(payload) != 4:
        raise RemoteProtocolError("a CREDIT that is not of four bytes")
    return int.from_bytes(payload)


def decode_code(payload: bytes) -> tuple[int, str]:
    """Code and reason of RESET, CLOSE and GOAWAY. Raises RemoteProtocolError."""
    if len(payload) < 2:
        raise RemoteProtocolError("a frame that ends before its code")
    reason = payload[2 : 2 + _REASON].decode(errors="replace")
    return int.from_bytes(payload[:2]), _cut(reason, _REASON)


def is_close_code(code: int) -> bool:
    """Whether it is one of WebSocket's: RFC 6455, section 7.4."""
    return 1000 <= code <= 4999


def _head(payload: bytes, limits: HttpLimits) -> dict[str, Any]:
    if len(payload) > limits.head_bytes:
        raise LimitExceeded(f"the head is larger than {limits.head_bytes} bytes")
    members = jsontext.loads(payload, max_depth=8)
    if not isinstance(members, dict):
        raise DecodeError("a head that is no object")
    return members


def _headers(members: Mapping[str, Any], limits: HttpLimits) -> tuple[tuple[str, str], ...]:
    pairs = members.get("headers", [])
    if not isinstance(pairs, list):
        raise DecodeError("headers that are no list")
    if len(pairs) > limits.headers:
        raise LimitExceeded(f"more than {limits.headers} headers")
    headers = []
    for pair in pairs:
        match pair:
            case [str(name), str(value)]:
                headers.append((name, value))
            case _:
                raise DecodeError("a header that is no name and value")
    return tuple(headers)


def _checked(make: Callable[[], T]) -> T:
    """What the caller would be told for the same mistake is the far side's fault here."""
    try:
        return make()
    except LocalProtocolError as error:
        raise RemoteProtocolError(str(error)) from None


# --- writing ------------------------------------------------------------------------------------


def hello_frame(limits: HttpLimits, *, server: bool, agent: str) -> bytes:
    """What this side can do."""
    members: dict[str, Any] = {
        "versions": list(VERSIONS),
        "window": limits.window,
        "frame": limits.frame_bytes,
        "message": limits.message_bytes,
    }
    if server:
        members["streams"] = limits.streams
    if agent:
        members["agent"] = _cut(agent, _AGENT)
    return _frame(Type.HELLO, 0, jsontext.dumps(members).encode())


def request_frame(stream: int, head: RequestHead, *, end: bool) -> bytes:
    """A request's head."""
    members: dict[str, Any] = {"method": head.method, "path": head.path}
    if head.headers:
        members["headers"] = [list(pair) for pair in head.headers]
    if head.websocket:
        members["websocket"] = True
    return _frame(Type.REQUEST, stream, _flagged(end, members))


def response_frame(stream: int, head: ResponseHead, *, end: bool) -> bytes:
    """A response's head."""
    members: dict[str, Any] = {"status": head.status}
    if head.headers:
        members["headers"] = [list(pair) for pair in head.headers]
    return _frame(Type.RESPONSE, stream, _flagged(end, members))


def data_frame(stream: int, payload: bytes | memoryview, flags: int) -> bytes:
    """A part of a body, or of a message."""
    return b"".join((_frame(Type.DATA, stream, bytes((flags,))), payload))


def credit_frame(stream: int, credit: int) -> bytes:
    """So much more may be sent."""
    return _frame(Type.CREDIT, stream, credit.to_bytes(4, "big"))


def reset_frame(stream: int, code: int, reason: str) -> bytes:
    """Both directions of a stream are over. Raises LocalProtocolError for no code."""
    return _frame(Type.RESET, stream, _coded(code, reason))


def close_frame(stream: int, code: int, reason: str) -> bytes:
    """A WebSocket is closed."""
    return _frame(Type.CLOSE, stream, _coded(code, reason))


def go_away_frame(code: int, reason: str) -> bytes:
    """No new requests are taken."""
    return _frame(Type.GOAWAY, 0, _coded(code, reason))


def _frame(type: Type, stream: int, rest: bytes) -> bytes:
    return bytes((type,)) + stream.to_bytes(4, "big") + rest


def _flagged(end: bool, members: Mapping[str, Any]) -> bytes:
    return bytes((END if end else 0,)) + jsontext.dumps(members).encode()


def _coded(code: int, reason: str) -> bytes:
    if not 0 <= code < 1 << 16:
        raise LocalProtocolError("a code has 16 bits")
    return code.to_bytes(2, "big") + _cut(reason, _REASON).encode()


def _cut(text: str, most: int) -> str:
    """As many of its letters as have so many bytes in UTF-8."""
    return jsontext.well_formed(text).encode()[:most].decode(errors="ignore")


_FLAGS: Final = {Type.REQUEST: END, Type.RESPONSE: END, Type.DATA: END | TEXT | MORE}

_LEAST: Final = {"window": 1024, "frame": 1024, "streams": 1, "message": 1}
"Numbers in HELLO, and the least that each may be."

_HELLO: Final = 1024 - 5
"Bytes of its JSON: before it nobody knows what the far side takes, and nobody takes less."

_AGENT: Final = 128
"Bytes of a name that are sent and kept. In JSON some of them are six."

_REASON: Final = 123
"Bytes of a reason that are sent and kept. RFC 6455 has no more, and people need no more."
