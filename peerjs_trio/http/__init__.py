"""HTTP over WebRTC: ``serve`` an API to remote peers, use theirs by ``open_transport``.

The protocol is in docs/http-over-webrtc.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from peerjs_trio.http.serve import DEFAULT_SERVE_LIMITS, ServeLimits, serve

if TYPE_CHECKING:
    from peerjs_trio.http.client_websocket import ClientWebSocket, WebSocketRefused
    from peerjs_trio.http.transport import PeerTransport, open_transport
    from peerjs_trio.http.tunnel import TunnelLimits, serve_tunnel

__all__ = [
    "DEFAULT_SERVE_LIMITS",
    "ClientWebSocket",
    "PeerTransport",
    "ServeLimits",
    "TunnelLimits",
    "WebSocketRefused",
    "open_transport",
    "serve",
    "serve_tunnel",
]

# Loaded when first asked for: who serves an application of his own needs no httpx.
_LAZY = {
    "ClientWebSocket": "client_websocket",
    "WebSocketRefused": "client_websocket",
    "PeerTransport": "transport",
    "open_transport": "transport",
    "TunnelLimits": "tunnel",
    "serve_tunnel": "tunnel",
}


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("peerjs"):
            raise
        raise ModuleNotFoundError(
            f"peerjs_trio.http.{name} needs {missing.name!r}: "
            'python -m pip install "peerjs-sansio[http]"',
            name=missing.name,
        ) from missing
