"""SPAKE2: a strong key out of a short code, of which a stranger can try one at a time.

The only module that needs the ``spake2`` library (Brian Warner's, which Magic Wormhole uses),
hence the extra ``pairing``. Its group is Ed25519, and its transcript is what ``peer-pair.js``
builds as well.
"""

from __future__ import annotations

from typing import Final, Literal

import spake2  # type: ignore[import-untyped]
from spake2.ed25519_basic import NotOnCurve  # type: ignore[import-untyped]

from .errors import DecodeError

__all__ = ["ENTROPY", "MESSAGE", "Pake"]

ENTROPY: Final = 64
"Bytes of randomness for one exchange."

MESSAGE: Final = 33
"Bytes of a message: a letter for the side, and a point."

_NAMES: Final = {"idA": b"peerjs-pair 1 client", "idB": b"peerjs-pair 1 device"}


class Pake:
    """One exchange: our :attr:`message` goes out, the far side's comes in, and that is all.

    :param entropy: 64 fresh bytes: they must never be used twice.
    """

    def __init__(self, role: Literal["client", "device"], code: str, entropy: bytes) -> None:
        side = spake2.SPAKE2_A if role == "client" else spake2.SPAKE2_B
        self._side = side(code.encode(), **_NAMES, entropy_f=lambda size: entropy[:size])
        self.message: bytes = self._side.start()

    def key(self, message: bytes) -> bytes:
        """The key: the far side has the same if it knows the code. Raises DecodeError."""
        try:
            key: bytes = self._side.finish(message)
        except (spake2.SPAKEError, NotOnCurve, ValueError) as error:
            raise DecodeError(f"no message of SPAKE2: {type(error).__name__}") from None
        return key
