"""What proofs are made of: one way to write down what they cover, one MAC, one derivation of keys.

``docs/pairing.md`` has the rules, and ``tests/proto/data/pairing-vectors.json`` has examples that
``peer-pair.js`` is held against as well.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

import attrs

from .errors import LocalProtocolError

__all__ = ["ENOUGH", "Channel", "derive", "equal", "joined", "mac", "stretched"]

ENOUGH: Final = 16
"Characters that a shared secret has at least."

_ROUNDS: Final = 100_000
"Of PBKDF2: 25 ms here, 0.2 s in a page, once for each secret. It slows down who tries out words."


def _each_once(fingerprints: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(fingerprints)))


@attrs.frozen
class Channel:
    """A connection, by the fingerprints of the certificates at its two ends.

    They are what each side sees in the session descriptions that it has sent and applied. Who
    stands in the middle has a certificate of its own, and so there are two channels, not one.
    """

    client: tuple[str, ...] = attrs.field(converter=_each_once)
    "Of the side that proves first."
    server: tuple[str, ...] = attrs.field(converter=_each_once)

    def __attrs_post_init__(self) -> None:
        if not (self.client and self.server):
            raise LocalProtocolError("a connection without fingerprints cannot be relied on")

    @property
    def parts(self) -> tuple[str, str]:
        """As proofs cover it."""
        return "\n".join(self.client), "\n".join(self.server)


def joined(parts: Iterable[str | bytes]) -> bytes:
    """The parts, each behind its length in four bytes: no two lists of them are the same bytes."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def mac(key: bytes, *parts: str | bytes) -> bytes:
    """HMAC-SHA256 of the parts, of which the first says what it is for."""
    return hmac.digest(key, joined(parts), "sha256")


def derive(key: bytes, *parts: str | bytes) -> bytes:
    """Another key of 32 bytes: HKDF-SHA256 (RFC 5869) without a salt, with the parts as info."""
    return hmac.digest(hmac.digest(bytes(32), key, "sha256"), joined(parts) + b"\x01", "sha256")


def equal(ours: bytes, theirs: bytes) -> bool:
    """Whether two proofs are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(ours, theirs)


def stretched(secret: str) -> bytes:
    """The key that a shared secret stands for.

    Raises LocalProtocolError where it has fewer than 16 characters.
    """
    if len(secret) < ENOUGH:
        raise LocalProtocolError(
            f"a shared secret has {ENOUGH} characters or more, chosen by chance"
        )
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), b"peerjs-auth 1 secret", _ROUNDS)
