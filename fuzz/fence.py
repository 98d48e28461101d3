"""The fence around a base URL: what it lets through, read as all kinds of servers would."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

from peerjs_proto.fence import TARGET_BYTES, Fence, RequestRefused
from peerjs_proto.http_headers import request_headers, response_headers, validate_method

from .choices import Choices

__all__ = ["BASES", "INVARIANT", "check", "check_target", "readings"]

INVARIANT: Final = (
    "What the fence lets through stays under the base, however often it is decoded, whatever "
    "separates and whatever is left out; all else raises RequestRefused."
)

BASES: Final = tuple(
    Fence.parse(url)
    for url in ("http://127.0.0.1:8778/api/", "https://device.example/", "http://[::1]/a/b%20c")
)

_PIECES: Final = (
    *(b"/", b"..", b".", b"%2e", b"%2E", b"%252e", b"%2f", b"%5c", b"\\", b";", b"%3b", b"?", b"#"),
    *(b"@", b":", b"//", b"evil.example", b"api", b"%00", b"%0d%0a", b"%25", b"%c0%ae", b" ", b"%"),
    *(b"%ef%bc%8e", b"%e2%80%a5", b"%ef%bc%8f", b"%u002e", b"a", b"%20", b"http://", b"\xff"),
)


def check(data: bytes) -> None:
    _check_headers(data)
    for fence in BASES:
        check_target(fence, data)
    choices = Choices(data)
    check_target(choices.one_of(BASES), b"/" + _made_of_pieces(choices))


def check_target(fence: Fence, asked: bytes) -> None:
    """The invariant for one request."""
    try:
        target = fence.target(asked)
    except RequestRefused as refused:
        _is_one_of(refused.status, 400, 414)
        return
    assert len(asked) <= TARGET_BYTES
    prefix = fence.prefix.encode()
    assert target == prefix + asked[1:]
    assert not target.startswith(b"//"), "that would be a host"
    url = urlsplit(fence.url_for(asked))
    assert (url.scheme, url.hostname, url.port or fence.port, url.fragment) == (
        *(fence.scheme, fence.host, fence.port, ""),
    )
    path = target.partition(b"?")[0]
    for base, segments in zip(readings(prefix), readings(path), strict=True):
        inside = base[:-1] if base[-1:] == [b""] else base
        assert segments[: len(inside)] == inside, (asked, segments)


def readings(path: bytes) -> Iterator[list[bytes]]:
    """The segments of a path as servers may read them, with dots resolved."""
    for times, cut, folded, merged in itertools.product(range(4), *[(False, True)] * 3):
        read = path
        for _ in range(times):
            read = unquote_to_bytes(read)
        read = read.replace(b"\\", b"/")
        if folded:  # lax UTF-8, then compatible characters as one
            read = read.replace(b"\xc0\xae", b".").replace(b"\xc0\xaf", b"/")
            text = unicodedata.normalize("NFKC", read.decode("utf-8", "replace"))
            # What is no way up stays what it was: a fullwidth slash in a name is a letter.
            read = text.encode() if ".." in text else read
        read = read.partition(b"\0")[0]
        segments = read.removeprefix(b"/").split(b"/")
        if cut:  # parameters, and what Windows leaves out
            segments = [segment.partition(b";")[0] for segment in segments]
            segments = [re.sub(rb"[ .]+\Z", b"", s) if s.strip(b" .") else s for s in segments]
        if merged:
            segments = [segment for segment in segments if segment]
        yield _resolved([segment.strip() or segment for segment in segments])


def _resolved(segments: list[bytes]) -> list[bytes]:
    resolved: list[bytes] = []
    for segment in segments:
        if segment == b"..":
            del resolved[-1:]
        elif segment != b".":
            resolved.append(segment)
    return resolved


def _made_of_pieces(choices: Choices) -> bytes:
    return b"".join(choices.one_of(_PIECES) for _ in range(choices.below(12)))


def _check_headers(data: bytes) -> None:
    """What goes out is one header a line, and nothing that only a proxy may say."""
    method, *lines = data.split(b"\n")
    headers = [(name, value) for name, _, value in (line.partition(b"=") for line in lines)]
    response_headers(headers)
    try:
        validate_method(method.decode("latin-1"))
        sent = request_headers(headers, "127.0.0.1:8778")
    except RequestRefused as refused:
        _is_one_of(refused.status, 400, 431, 501)
        return
    assert sent[0] == (b"host", b"127.0.0.1:8778")
    lengths = 0
    for name, value in sent[1:]:
        assert name
        assert not re.search(rb"[\0-\x20:\x7f]", name)
        assert not re.search(rb"[\0\r\n]", value)
        plain = name.replace(b"_", b"-")
        assert plain not in (b"host", b"transfer-encoding", b"connection", b"forwarded")
        assert not plain.startswith(b"x-forwarded-")
        lengths += plain == b"content-length"
    assert lengths <= 1


def _is_one_of(status: int, *allowed: int) -> None:
    assert status in allowed
