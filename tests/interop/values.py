"""Values between Python and a page: JSON with tags for what JSON does not know.

The twin of ``page/values.js``; the two change together. A tag is an object with the key
``$``; an object of the application's own with such a key travels inside ``{"$": "map"}``.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal

import attrs

__all__ = ["UNDEFINED", "Digest", "Made", "Numbered", "decode", "encode", "numbered"]


class Undefined(Enum):
    """JavaScript's undefined, where it must be told from null."""

    UNDEFINED = "undefined"


UNDEFINED: Final = Undefined.UNDEFINED

_SAFE_INTEGER: Final = 2**53 - 1
"Beyond it, JSON.parse would round an integer without a word."

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def encode(value: Any) -> Any:
    """What ``json.dumps`` may have, for ``values.js`` to decode."""
    match value:
        case None | bool() | str():
            return value
        case Undefined():
            return {"$": "undefined"}
        case int():
            return value if abs(value) <= _SAFE_INTEGER else {"$": "int", "text": str(value)}
        case float():
            return _encode_float(value)
        case bytes() | bytearray() | memoryview():
            return {"$": "bytes", "b64": base64.b64encode(value).decode()}
        case datetime():
            return {"$": "date", "ms": (value - _EPOCH) // timedelta(milliseconds=1)}
        case Mapping():
            plain = {key: encode(item) for key, item in value.items()}
            return {"$": "map", "map": plain} if "$" in plain else plain
        case Sequence():
            return [encode(item) for item in value]
    raise TypeError(f"no tag for {type(value).__name__}")


def _encode_float(value: float) -> Any:
    if not math.isfinite(value):
        return {
            "$": "number",
            "text": {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN"),
        }
    if value == 0 and math.copysign(1, value) < 0:
        return {"$": "number", "text": "-0"}
    return value


def decode(tagged: Any) -> Any:
    """What ``values.js`` encoded. A whole number comes as int, -0 as the float it is."""
    match tagged:
        case {"$": "undefined"}:
            return UNDEFINED
        case {"$": "int", "text": str(text)}:
            return int(text)
        case {"$": "number", "text": str(text)}:
            return float(text)
        case {"$": "bytes", "b64": str(text)}:
            return base64.b64decode(text)
        case {"$": "date", "ms": int(milliseconds)}:
            return _EPOCH + timedelta(milliseconds=milliseconds)
        case {"$": "map", "map": dict(plain)}:
            return {key: decode(item) for key, item in plain.items()}
        case {"$": tag}:
            raise ValueError(f"the page sent something of a kind unknown here: {tag}")
        case dict():
            return {key: decode(item) for key, item in tagged.items()}
        case list():
            return [decode(item) for item in tagged]
    return tagged


# --- big values, made by rule on both sides so that they need not cross ----------------------

_BLOCK: Final = 65_521
"""Length of the pattern that repeats. A prime: no two chunks of one message are alike, so a
message put together in the wrong order has another digest."""

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@attrs.frozen
class Made:
    """A value of ``size`` bytes: ``text`` is ASCII that JSON need not escape."""

    kind: Literal["bytes", "text"]
    size: int
    seed: int = 1

    def value(self) -> bytes | str:
        block = _xorshift(self.seed)
        repeated = (block * (self.size // _BLOCK + 1))[: self.size]
        if self.kind == "bytes":
            return repeated
        return repeated.translate(_ALPHABET * 4).decode("ascii")

    def digest(self) -> Digest:
        return Digest.of(self.value())


@lru_cache(maxsize=8)
def _xorshift(seed: int) -> bytes:
    state, block = seed, bytearray()
    for _ in range(_BLOCK):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        block.append(state & 0xFF)
    return bytes(block)


@attrs.frozen
class Digest:
    """A big value, told in short."""

    kind: str
    size: int
    "In bytes; of a text, as UTF-8."
    sha256: str

    @classmethod
    def of(cls, value: bytes | str) -> Digest:
        kind = "text" if isinstance(value, str) else "bytes"
        data = value.encode() if isinstance(value, str) else value
        return cls(kind, len(data), hashlib.sha256(data).hexdigest())


# --- many small values -----------------------------------------------------------------------

Numbered = Literal["number", "text", "bytes", "object"]


def numbered(kind: Numbered, n: int) -> Any:
    """The ``n``-th message of a burst."""
    match kind:
        case "number":
            return n
        case "text":
            return f"message {n}"
        case "bytes":
            return n.to_bytes(4, "big")
        case "object":
            return {"n": n, "body": [f"message {n}", n % 2 == 0]}
