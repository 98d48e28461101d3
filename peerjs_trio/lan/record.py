"""What is announced of a PeerServer, as a DNS-SD service."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["SERVICE", "VERSION", "is_path"]

SERVICE: Final = "_peerjs._tcp.local."
"""The kind of service. Beside its name, addresses and port it has three properties: ``version``,
``path``, and ``tls``, which is 0 or 1."""

VERSION: Final = "1"
"Of these properties. Another one is another's business."

_PATH: Final = re.compile(r"[\w.~/%-]{1,200}", re.ASCII)


def is_path(text: str) -> bool:
    """Whether it can stand in a URL as it is, and is short enough for a record."""
    return _PATH.fullmatch(text) is not None
