"""Pairing: who has met once, by a short code, knows each other from then on.

``docs/pairing.md`` is its guide and its protocol. First contact needs the extra ``pairing``; proofs
by what was stored then, or by a shared secret, need no library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .handshake import Verified, prove, verify
from .reach import connect_paired, stay_reachable
from .store import Pair, Pairings, default_pairings_file

if TYPE_CHECKING:
    from .contact import Device, discover, offer_pairing, pair_with

__all__ = [
    "Device",
    "Pair",
    "Pairings",
    "Verified",
    "connect_paired",
    "default_pairings_file",
    "discover",
    "offer_pairing",
    "pair_with",
    "prove",
    "stay_reachable",
    "verify",
]

_FIRST_CONTACT = {"Device", "discover", "offer_pairing", "pair_with"}


def __getattr__(name: str) -> Any:
    if name not in _FIRST_CONTACT:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(".contact", __name__), name)
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("peerjs"):
            raise
        raise ModuleNotFoundError(
            f"peerjs_trio.pairing.{name} needs {missing.name!r}: "
            'python -m pip install "peerjs-sansio[trio,pairing]"',
            name=missing.name,
        ) from missing
