"""The codes that a device shows, and how often strangers may guess."""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["LIFETIME", "TRIES", "Code", "Codes"]

TRIES: Final = 3
"First contacts that may try one code, whatever becomes of them."

LIFETIME: Final = 600.0
"Seconds for which a code is good."

_PAUSE: Final = 30.0
_LONGEST_PAUSE: Final = 3600.0


@attrs.define(eq=False)
class Code:
    """One code, on a screen."""

    text: str = attrs.field(repr=False)
    until: float
    tries: int = 0
    under_way: int = 0
    used: bool = False


class Codes:
    """One code at a time. It is over with a pairing, with three tries, or with ten minutes.

    The second code in a row that was tried in vain is followed by a pause of 30 seconds without
    any, the next one by twice that, up to an hour: some 90 guesses a day at a million codes.
    """

    def __init__(self) -> None:
        self._code: Code | None = None
        self._spent = 0
        "Codes that were tried in vain, in a row."
        self._not_before = float("-inf")

    def wanted_at(self, now: float) -> float:
        """When the next code has to be shown by :meth:`show`: ``now`` where it is due."""
        self._retire(now)
        if self._code is not None:
            return self._code.until
        return max(self._not_before, now)

    def show(self, text: str, now: float) -> None:
        """This is the code from now on."""
        self._code = Code(text, now + LIFETIME)

    def take(self, now: float) -> Code | None:
        """Take one of the tries; None where there is none. :meth:`settle` has to follow."""
        self._retire(now)
        code = self._code
        if code is None or code.tries >= TRIES:
            return None
        code.tries += 1
        code.under_way += 1
        return code

    def settle(self, code: Code, *, proved: bool, now: float) -> bool:
        """Give a try back; whether it counts as a pairing, of which each code is good for one."""
        code.under_way -= 1
        if proved and not code.used:
            code.used = True
            self._spent = 0
            self._retire(now)
            return True
        self._retire(now)
        return False

    def _retire(self, now: float) -> None:
        """Is the code over?"""
        code = self._code
        if code is None:
            return
        if not code.used and code.tries >= TRIES and not code.under_way:
            self._spent += 1
            if self._spent > 1:
                self._not_before = now + min(_PAUSE * 2 ** min(self._spent - 2, 20), _LONGEST_PAUSE)
        elif not code.used and now < code.until:
            return
        self._code = None
