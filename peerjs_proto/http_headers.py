"""Headers on their way through a reverse proxy: what one hop keeps, and what it says by itself.

All are pairs of bytes, as ASGI has them: names in lower case, values in Latin-1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

from .fence import RequestRefused
from .http_io import OF_ONE_HOP

__all__ = [
    "Headers",
    "content_length",
    "forwarded",
    "request_headers",
    "response_headers",
    "validate_method",
]

Headers = Sequence[tuple[bytes, bytes]]

HEADER_COUNT: Final = 128
"Headers of a request. Apache takes 100; browsers send 20."

HEADER_BYTES: Final = 32_768
"Names and values of all of them. nginx takes four times 8 KiB."

_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}\Z")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}\Z")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}\Z")

_ONE_HOP: Final = frozenset(
    {
        *(name.encode() for name in OF_ONE_HOP),
        # Those of proxies, which RFC 2616, section 13.5.1, adds.
        *(b"proxy-authenticate", b"proxy-authorization"),
        *(b"proxy-authentication-info", b"http2-settings"),
    }
)

_NOT_FROM_REMOTE: Final = frozenset(
    {
        b"host",
        # Who waits for 100 (Continue) waits for a hop; there are no interim responses here.
        b"expect",
        # What programs take for the address of their client, or for what it has asked for.
        *(b"forwarded", b"via", b"x-real-ip", b"true-client-ip", b"x-client-ip"),
        *(b"x-cluster-client-ip", b"x-originating-ip", b"x-remote-ip", b"x-remote-addr"),
        *(b"cf-connecting-ip", b"fastly-client-ip", b"client-ip", b"x-host", b"x-scheme"),
        # Another path than the fence has seen: IIS, Symfony and others believe them.
        *(b"x-original-url", b"x-rewrite-url", b"x-original-uri", b"x-request-uri"),
        # CGI makes HTTP_PROXY of it: httpoxy.
        b"proxy",
    }
)
_PREFIXES_NOT_FROM_REMOTE: Final = (b"x-forwarded-", b"x-peer-")

_REFUSED_METHODS: Final = {"CONNECT", "TRACE"}


def validate_method(method: str) -> str:
    """The method itself, if it is one that a proxy passes on.

    CONNECT would be a way through the fence, and TRACE shows what the proxy adds. Raises
    :class:`~peerjs_proto.fence.RequestRefused` with status 400 or 501.
    """
    if not _METHOD.match(method):
        raise RequestRefused("the method is no token of HTTP")
    if method.upper() in _REFUSED_METHODS:
        raise RequestRefused(f"{method.upper()} is not passed on", 501)
    return method


def request_headers(
    headers: Iterable[tuple[bytes, bytes]], authority: str, ours: Headers = ()
) -> list[tuple[bytes, bytes]]:
    """What is sent to the base's server, given what came from the remote side.

    Left out: those of one hop and those that ``connection`` names, ``host`` and ``expect``, and
    what only a proxy may say. ``_`` is ``-`` in that, as programs that are called by CGI or WSGI
    cannot tell them apart.

    Args:
        authority: Becomes ``host``.
        ours: What :func:`forwarded` makes.

    Raises:
        RequestRefused: with status 431 for too many or too long ones, else 400.
    """
    headers = list(headers)
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > HEADER_COUNT or size > HEADER_BYTES:
        raise RequestRefused("too many headers, or too long ones", 431)
    headers = [(name.lower(), value.strip(b" \t")) for name, value in headers]
    for name, value in headers:
        if not _TOKEN.match(name):
            raise RequestRefused("the name of a header is no token of HTTP")
        if not _VALUE.match(value):
            raise RequestRefused("the value of a header has a control character")
    content_length(headers)
    kept = _of_more_than_one_hop(headers)
    kept = [(name, value) for name, value in kept if not _is_for_proxies(name)]
    return [(b"host", authority.encode()), *kept, *ours]


def response_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What is sent to the remote side, given what came from the base's server by HTTP."""
    headers = [(name.lower(), value) for name, value in headers]
    kept = _of_more_than_one_hop(headers)
    if any(name == b"transfer-encoding" for name, _ in headers):
        # Then a length counts for nothing (RFC 9112, section 6.3).
        kept = [(name, value) for name, value in kept if name != b"content-length"]
    return kept


def content_length(headers: Headers) -> int | None:
    """The length of a request's body, where its headers say it.

    Raises:
        RequestRefused: it is no number, or said twice: whose word would count?
    """
    lengths = [(name, value) for name, value in headers if _normal(name) == b"content-length"]
    match lengths:
        case []:
            return None
        case [(b"content-length", value)] if _LENGTH.match(value):
            return int(value)
    raise RequestRefused("content-length is one number")


def forwarded(peer: str | None, pair: str | None = None) -> Headers:
    """What we say of who has asked: the headers that are believed from nobody else.

    A peer has an id and no address. ``x-forwarded-for`` is ``unknown``, which is RFC 7239's word
    for that (section 6.2), so that the server does not take everybody for this machine;
    ``forwarded`` has the id as an obfuscated identifier (section 6.3): an underscore in front, and
    dots for its spaces. ``x-peer-id`` is the id, and ``x-peer-pair`` the name of a paired device,
    both percent-encoded. The way here is encrypted: ``https``. There is no ``x-forwarded-host``,
    as no host was asked for, and no ``x-forwarded-prefix``, as none was taken off.
    """
    node = "unknown" if peer is None else "_" + re.sub(r"[^A-Za-z0-9_-]", ".", peer)
    said = {
        "x-forwarded-for": "unknown",
        "x-forwarded-proto": "https",
        "forwarded": f"for={node};proto=https",
    }
    if peer is not None:
        said["x-peer-id"] = quote(peer, safe="")
    if pair is not None:
        said["x-peer-pair"] = quote(pair, safe="")
    return [(name.encode(), value.encode()) for name, value in said.items()]


def _of_more_than_one_hop(headers: Headers) -> list[tuple[bytes, bytes]]:
    named = {
        _normal(token.strip(b" \t").lower())
        for name, value in headers
        if _normal(name) == b"connection"
        for token in value.split(b",")
    }
    return [pair for pair in headers if _normal(pair[0]) not in _ONE_HOP | named]


def _is_for_proxies(name: bytes) -> bool:
    normal = _normal(name)
    return normal in _NOT_FROM_REMOTE or normal.startswith(_PREFIXES_NOT_FROM_REMOTE)


def _normal(name: bytes) -> bytes:
    return name.replace(b"_", b"-")
