"""What the simulation is looking for."""

from __future__ import annotations

__all__ = ["Violation"]


class Violation(Exception):
    """An invariant does not hold. The text begins with the invariant."""
