"""Values that applications send, by serialization."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

from ._hypothesis import st

__all__ = ["binary_values", "json_values", "keys", "msgpack_values", "raw_values"]

keys = st.text(max_size=20).filter(lambda key: key != "__proto__")
"""Keys of maps: BinaryPack and MsgPack cannot carry every one."""

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
# No zones with summer time: an hour that it skips or repeats is == to none elsewhere (PEP 495).
_offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)


def raw_values() -> st.SearchStrategy[str | bytes]:
    """What ``raw`` carries: text and bytes."""
    return st.text() | st.binary()


def json_values() -> st.SearchStrategy[Any]:
    """What ``json`` carries and Python's ``==`` compares."""
    return _nested(_json_leaves)


def binary_values() -> st.SearchStrategy[Any]:
    """What ``binary`` carries and Python's ``==`` compares."""
    return _nested(_binary_leaves)


def msgpack_values() -> st.SearchStrategy[Any]:
    """What ``MsgPack`` carries and Python's ``==`` compares."""
    return _nested(_binary_leaves | st.datetimes(timezones=_offsets))


def _nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=20) | st.dictionaries(keys, inner, max_size=20),
        max_leaves=30,
    )
