"""Headers of HTTP as libraries have them, and as RequestHead and ResponseHead do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peerjs_proto.http_io import OF_ONE_HOP, Headers

__all__ = ["RawHeaders", "end_to_end", "to_headers", "to_raw"]

RawHeaders = Sequence[tuple[bytes, bytes]]
"""As of ASGI, h11 and httpx; names in any case."""


def end_to_end(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Those that concern more than one hop, in order, with their names in lower case.

    Left out are also those that ``connection`` names.
    """
    lower = [(name.lower(), value) for name, value in headers]
    dropped = {name.encode() for name in OF_ONE_HOP}
    for name, value in lower:
        if name == b"connection":
            dropped.update(token.strip().lower() for token in value.split(b","))
    return [(name, value) for name, value in lower if name not in dropped]


def to_headers(headers: RawHeaders) -> Headers:
    """For a head of ours: each byte of a value is one letter."""
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def to_raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Back again."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
