"""What can go wrong with a request, as the exceptions of httpx."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, assert_never

import attrs
import httpx

from peerjs_proto import errors
from peerjs_proto.errors import PeerError
from peerjs_proto.http_io import ResetCode, StreamReset

__all__ = ["RequestRefused", "Timeouts", "dial_error", "request_error"]


class RequestRefused(httpx.ConnectError):
    """The far side has not looked at the request, so it can be sent again."""


@attrs.frozen
class Timeouts:
    """Seconds, as a request of httpx has them; endless where it has none."""

    connect: float = math.inf
    read: float = math.inf
    write: float = math.inf
    pool: float = math.inf

    @classmethod
    def of(cls, extensions: Mapping[str, Any]) -> Timeouts:
        """Those of ``request.extensions``."""
        given: Mapping[str, float | None] = extensions.get("timeout") or {}
        return cls(**{k: v for k, v in given.items() if v is not None})


def dial_error(error: PeerError) -> httpx.TransportError:
    """Of a dial: it took too long, or did not work."""
    if isinstance(error, errors.ConnectTimeout):
        return httpx.ConnectTimeout(str(error))
    return httpx.ConnectError(str(error))


def request_error(error: PeerError, *, sending: bool) -> httpx.TransportError:
    """Of a request under way.

    Args:
        sending: Whether its body is not out yet.
    """
    words = str(error)
    match error:
        case StreamReset(code=code):
            return _reset_error(code, words)
        case errors.LocalProtocolError():
            return httpx.LocalProtocolError(words)
        case errors.RemoteProtocolError():
            return httpx.RemoteProtocolError(words)
    if isinstance(error.__cause__, errors.RemoteProtocolError):
        return httpx.RemoteProtocolError(words)
    return httpx.WriteError(words) if sending else httpx.ReadError(words)


def _reset_error(code: int, words: str) -> httpx.TransportError:
    try:
        known = ResetCode(code)
    except ValueError:
        return httpx.ReadError(words)  # of a later version
    match known:
        case ResetCode.REFUSED:
            return RequestRefused(words)
        case ResetCode.INVALID | ResetCode.TOO_LARGE:
            return httpx.LocalProtocolError(words)
        case ResetCode.CANCELLED | ResetCode.FAILED:
            return httpx.ReadError(words)
        case ResetCode.TIMEOUT:
            return httpx.ReadTimeout(words)
        case ResetCode.DONE:
            # A request that is not needed has a whole response.
            return httpx.RemoteProtocolError(words)
        case _:
            assert_never(known)
