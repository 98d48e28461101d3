"""HTTP over WebRTC: ``serve`` an API to remote peers, use theirs by ``open_transport``.

The protocol is in docs/http-over-webrtc.md.
"""

from peerjs_trio.http.serve import DEFAULT_SERVE_LIMITS, ServeLimits, serve

__all__ = ["DEFAULT_SERVE_LIMITS", "ServeLimits", "serve"]
