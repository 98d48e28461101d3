"""What our own peers agree on beside PeerJS: one more member of OFFER and ANSWER.

peerjs.js takes the members that it knows and passes over the rest, so an OFFER with this is like
any other to a page, and an ANSWER without it comes from one. ``docs/wire.md`` has the rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import attrs

__all__ = ["MEMBER", "Extension", "RedialTerms"]

MEMBER: Final = "peerjs-sansio"
"Of the payload; its value is an object."

_SHORTEST, _LONGEST = 0.1, 86_400.0
"Seconds of patience that make sense: nobody can have us send without a pause."

_REASON = 200
"Characters of a reason, for people."


@attrs.frozen(kw_only=True)
class RedialTerms:
    """The connection may come back on another path, and this is where it stands."""

    of: str | None = None
    "The connection id of the first OFFER; None in that one, and in every ANSWER."
    attempt: int = 0
    "Counts the OFFERs of one connection; 0 is the first."
    received: int = 0
    "Frames of the far side that have been taken."

    def written(self) -> dict[str, Any]:
        """As it crosses."""
        said: dict[str, Any] = {"attempt": self.attempt, "received": self.received}
        return said if self.of is None else said | {"of": self.of}


@attrs.frozen(kw_only=True)
class Extension:
    """What the sender of an OFFER or ANSWER can and wants."""

    keep_alive: float | None = None
    "Seconds of silence after which it takes the far side for gone; None: it never does."
    redial: RedialTerms | None = None
    "None: the connection ends with its path."
    refused: str | None = None
    "In an ANSWER: there will be no connection, and why. Its description means nothing then."

    @classmethod
    def read(cls, extra: Mapping[str, Any]) -> Extension | None:
        """Of a payload's unknown members; None where a far side is not one of ours.

        What makes no sense in it is passed over.
        """
        said = extra.get(MEMBER)
        if not isinstance(said, dict):
            return None
        patience, refused = said.get("keepAlive"), said.get("refused")
        return cls(
            keep_alive=_seconds(patience),
            redial=_read_redial(said.get("redial")),
            refused=refused[:_REASON] if isinstance(refused, str) else None,
        )

    def written(self) -> dict[str, Any]:
        """As :meth:`read` takes it."""
        said: dict[str, Any] = {}
        if self.keep_alive is not None:
            said["keepAlive"] = self.keep_alive
        if self.redial is not None:
            said["redial"] = self.redial.written()
        if self.refused is not None:
            said["refused"] = self.refused[:_REASON]
        return {MEMBER: said}


def _read_redial(said: Any) -> RedialTerms | None:
    if not isinstance(said, dict):
        return None
    of = said.get("of")
    return RedialTerms(
        of=of if isinstance(of, str) else None,
        attempt=_count(said.get("attempt")),
        received=_count(said.get("received")),
    )


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(min(max(value, _SHORTEST), _LONGEST))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
