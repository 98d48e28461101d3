"""What becomes of a value on its way, in the words of the docstrings of the serializations."""

from __future__ import annotations

import math
from typing import Any

from peerjs_proto.jsontext import well_formed

__all__ = ["arrives", "depth", "same", "unsupported"]


def arrives(value: Any) -> Any:
    """``value`` as the far side should have it: whole numbers are ints, text is well-formed."""
    if isinstance(value, float) and value.is_integer() and -(2.0**63) <= value < 2.0**64:
        return int(value)
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list | tuple):
        return [arrives(item) for item in value]
    if isinstance(value, dict):
        return {well_formed(key): arrives(item) for key, item in value.items()}
    return value


def same(a: Any, b: Any) -> bool:
    """Equal, types included: ``True`` is not 1, and NaN is NaN."""
    return repr(arrives(a)) == repr(arrives(b))


def depth(value: Any) -> int:
    """``[]`` is 1 deep."""
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


def unsupported(value: Any) -> bool:
    """Whether BinaryPack, as documented, has no form for something in ``value``."""
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, int):
        return not -(2**63) <= value < 2**64
    if isinstance(value, list):
        return any(map(unsupported, value))
    if isinstance(value, dict):
        return "__proto__" in value or any(map(unsupported, value.values()))
    return False
