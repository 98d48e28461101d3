"""Heads of HTTP/1.1 requests, and replies (RFC 9112).

Requests to a PeerServer are a dozen lines and have no body. Reading and answering one costs a
quarter of what it does with h11, which the tests read everything with that is read here, and
whatever is unusual is refused.
"""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import attrs

from peerjs_proto.server_io import HttpReply, HttpRequest

__all__ = ["BadRequest", "Head", "read_head", "reply_bytes", "upgrade_bytes"]


class BadRequest(Exception):
    """It is no request we read; ``status`` is what to answer before closing."""

    def __init__(self, status: int) -> None:
        super().__init__(HTTPStatus(status).phrase)
        self.status = status


@attrs.define
class Head:
    request: HttpRequest
    is_last: bool
    """Whether nothing is read behind it: it asked for that, is of HTTP/1.0, or has a body, which
    no request here needs. It gets its answer, and the end."""
    wants_websocket: bool


def read_head(data: bytes | bytearray, limit: int) -> tuple[Head, int] | None:
    """The request at the beginning of ``data`` and where it ends; None if it is not all there.

    Raises:
        BadRequest: 431 for a head of more than ``limit`` bytes, 505 for another version, 400.
    """
    start = 0
    while data.startswith(b"\r\n", start) and start < 4:  # RFC 9112, 2.2, as h11 does
        start += 2
    end = data.find(b"\r\n\r\n", start, limit + 4)
    if end < 0:
        _check_beginning(data, start)
        if len(data) > limit:
            raise BadRequest(431)
        return None
    lines = bytes(data[start:end]).decode("latin-1").split("\r\n")
    first = _REQUEST_LINE.fullmatch(lines[0])
    if first is None:
        raise BadRequest(400)
    method, target, major, minor = first.groups()
    if major != "1":
        raise BadRequest(505)
    headers = _headers(lines)
    if minor != "0" and "host" not in headers:
        raise BadRequest(400)
    options = _tokens(headers.get("connection", ""))
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    head = Head(
        HttpRequest(method, target, headers),
        is_last=minor == "0" or has_body or "close" in options,
        wants_websocket=(
            method == "GET"
            and minor != "0"
            and "upgrade" in options
            and "websocket" in _tokens(headers.get("upgrade", ""))
        ),
    )
    return head, end + 4


def reply_bytes(reply: HttpReply, *, with_body: bool = True, is_last: bool = False) -> bytes:
    """The whole answer."""
    headers = [
        _status_line(reply.status),
        f"Date: {_now()}",
        f"Content-Type: {reply.content_type}",
        *(f"{name}: {value}" for name, value in reply.headers.items()),
    ]
    if reply.status != HTTPStatus.NO_CONTENT:
        headers.append(f"Content-Length: {len(reply.body)}")
    if is_last:
        headers.append("Connection: close")
    head = "\r\n".join(headers).encode("latin-1", "replace") + b"\r\n\r\n"
    return head + reply.body if with_body else head


def upgrade_bytes(accept: str) -> bytes:
    """The answer that makes a connection a WebSocket."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines[1:]:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise BadRequest(400)
        name, value = found[1].lower(), found[2].strip(" \t")
        if name in headers:
            if name in _SINGLE:
                raise BadRequest(400)
            value = f"{headers[name]}, {value}"  # RFC 9110, 5.2
        headers[name] = value
    length = headers.get("content-length")
    if length is not None and not (length.isascii() and length.isdigit()):
        raise BadRequest(400)
    if length is not None and "transfer-encoding" in headers:
        raise BadRequest(400)  # who reads it how is what request smuggling is about
    return headers


def _check_beginning(data: bytes | bytearray, start: int) -> None:
    # TLS where there is none, or another protocol: its sender should not wait for the deadline.
    if len(data) > start and not (65 <= data[start] <= 90 or 97 <= data[start] <= 122):
        raise BadRequest(400)


def _tokens(value: str) -> set[str]:
    return {token.strip() for token in value.lower().split(",")}


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"


def _now() -> str:
    return _date(int(time.time()))


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


_REQUEST_LINE: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9])\.([0-9])")
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([ \t!-~\x80-\xff]*)")
_SINGLE: Final = frozenset({"host", "content-length", "transfer-encoding", "sec-websocket-key"})
"Twice, they contradict each other."
