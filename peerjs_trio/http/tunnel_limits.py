"""TunnelLimits: what local programs can make a tunnel hold, and for how long."""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["DEFAULT_TUNNEL_LIMITS", "TunnelLimits"]


@attrs.frozen(kw_only=True)
class TunnelLimits:
    """Sizes in bytes, times in seconds."""

    connections: int = 100
    "Local ones at once; a browser opens six, and one more for each WebSocket."
    head_bytes: int = 32_768
    "Of a request. What the far side takes as well."
    request_bytes: int | None = None
    "The body of a request, which is passed on as it comes. None: the far side's limit counts."
    message_bytes: int = 1_048_576
    "One message of a WebSocket."
    head_timeout: float = 30.0
    "From the first byte of a request to the end of its head."
    idle_timeout: float = 75.0
    "Between two requests of a connection; nginx's ``keepalive_timeout``."
    part_timeout: float = 300.0
    "For a local program to send, or to take, the next part of a body. Downloads may be paused."
    peer_timeout: float = 300.0
    """For the far side to begin its response, and to go on with it. A stream of events that can be
    silent for longer needs more, or comments in between."""
    connect_timeout: float = 30.0
    "For a connection to the far side, and for a place among its requests."


DEFAULT_TUNNEL_LIMITS: Final = TunnelLimits()
