"""What is read in a session description: a size and fingerprints. The rest is the engine's."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["LARGEST_MESSAGE", "UNSTATED_LARGEST_MESSAGE", "fingerprints", "max_message_size"]

LARGEST_MESSAGE: Final = 256 * 1024
"Bytes in one message, whatever the far side allows: what browsers send and take."

UNSTATED_LARGEST_MESSAGE: Final = 64 * 1024
"Bytes in one message if the far side's SDP does not say (RFC 8841, section 6.1)."

# More digits than that are as good as any size. Python refuses to read thousands of them.
_STATED: Final = re.compile(r"^a=max-message-size:([0-9]{1,18})", re.MULTILINE)


def max_message_size(sdp: str) -> int:
    """Bytes that the author of this description takes in one data channel message."""
    stated = _STATED.search(sdp)
    size = int(stated[1]) if stated else UNSTATED_LARGEST_MESSAGE
    return min(size or LARGEST_MESSAGE, LARGEST_MESSAGE)  # 0 means any size


def fingerprints(sdp: str) -> tuple[str, ...]:
    """Of the certificates that DTLS accepts from this description's author (RFC 8122, section 5).

    Each as ``"sha-256 AB:CD:…"``, the name in lower case and the digits in upper; sorted, and
    each once: it is usual to say the same for every media section.
    """
    return tuple(sorted({f"{m[1].lower()} {m[2].upper()}" for m in _FINGERPRINT.finditer(sdp)}))


_FINGERPRINT: Final = re.compile(
    r"^a=fingerprint:[ \t]*([A-Za-z0-9-]{1,32})[ \t]+([0-9A-Fa-f:]{1,256})[ \t]*\r?$", re.MULTILINE
)
