"""How long to wait before trying again, and for how long to go on trying."""

from __future__ import annotations

import attrs

__all__ = ["Backoff", "Reconnect", "Redial"]


@attrs.frozen(kw_only=True)
class Backoff:
    """Waits that grow, each shortened by chance so that many who wait do not come at once."""

    first: float = 1.0
    "Seconds, the wait before the first attempt, at most."
    factor: float = 2.0
    "What each wait is longer by than the one before."
    longest: float = 30.0
    "Seconds, the longest wait."
    jitter: float = 1.0
    "How much of a wait is up to chance: 0 for none of it, 1 for all of it."

    def delay(self, attempt: int, chance: float) -> float:
        """Seconds to wait before attempt 0, 1, … ``chance`` is random, from 0 to 1."""
        # The logarithm of what a float holds is some 1,000: no attempt may overflow it.
        wait = min(self.longest, self.first * self.factor ** min(attempt, 64))
        return wait * (1 - self.jitter * chance)


@attrs.frozen(kw_only=True)
class Reconnect(Backoff):
    """How a peer comes back to its server, with the same id and token.

    The waits are between attempts; with several servers, between rounds through all of them.
    """

    attempts: int | None = None
    "Attempts that may fail, one behind the other, until the peer gives up; None for any number."
    steady: float = 5.0
    """Seconds a registration must last for the waits, and the count of attempts, to begin anew.
    One that is lost before has failed as well."""
    taken_timeout: float = 120.0
    """Seconds for which ID-TAKEN is no final answer: a server holds on to a client it has not
    heard of for 60 s (peer 1.0.2, its command) or 90 s (its library)."""


@attrs.frozen(kw_only=True)
class Redial(Backoff):
    """How a data connection between two of our own peers comes back when its path breaks."""

    first: float = 0.5
    timeout: float = 60.0
    "Seconds a connection may be without a path until it is given up."
    attempt_timeout: float = 10.0
    "Seconds one attempt may take, once its offer is out."
