"""Values that applications send, for Hypothesis. Strategies grow with the features."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["binary_values", "json_values", "keys", "mutated"]

keys = st.text(max_size=20).filter(lambda key: key != "__proto__")
"""Keys of maps: BinaryPack cannot carry every one."""

_json_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
_binary_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)


def _nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=20) | st.dictionaries(keys, inner, max_size=20),
        max_leaves=30,
    )


def json_values() -> st.SearchStrategy[Any]:
    """What JSON carries and Python's ``==`` compares."""
    return _nested(_json_leaves)


def binary_values() -> st.SearchStrategy[Any]:
    """What BinaryPack carries and Python's ``==`` compares."""
    return _nested(_binary_leaves)


@st.composite
def mutated(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """Valid bytes with something done to them: nearer to trouble than random ones."""
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["replace", "insert", "delete", "repeat"])):
            case "replace":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=9))
            case "delete":
                del data[at : at + draw(st.integers(1, 9))]
            case _:
                data[at:at] = data[: draw(st.integers(1, 40))]
    return bytes(data)
