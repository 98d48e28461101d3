"""Values that applications send, by serialization, and when two of them are the same.

Each strategy yields what arrives as it was sent, in Python's eyes (``==``): no NaN, no tuple
that becomes a list, no bytearray that becomes bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta, timezone
from typing import Any, Final

from peerjs_proto.jsontext import dumps
from peerjs_proto.limits import CHUNK_SIZE

from ._hypothesis import st

__all__ = [
    "binary_values",
    "equal",
    "json_values",
    "keys",
    "msgpack_values",
    "raw_values",
    "sendable",
    "values_of",
]

keys = st.text(max_size=20).filter(lambda key: key != "__proto__")
"""Keys of maps: BinaryPack and MsgPack cannot carry every one."""


def raw_values() -> st.SearchStrategy[str | bytes]:
    """What ``raw`` carries: text and bytes."""
    return st.text() | st.binary()


def json_values() -> st.SearchStrategy[Any]:
    """What ``json`` carries, and signaling too."""
    return _nested(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text()
    )


def binary_values() -> st.SearchStrategy[Any]:
    """What ``binary`` carries: JSON's values, bytes, the infinities; 64 bits for an integer."""
    return _nested(_binary_leaves())


def msgpack_values() -> st.SearchStrategy[Any]:
    """What ``MsgPack`` carries: the same, and points in time."""
    return _nested(_binary_leaves() | st.datetimes(timezones=_OFFSETS))


def values_of(serialization: str) -> st.SearchStrategy[Any]:
    """Whole messages for a serialization of PeerJS, by the name that ``connect`` takes.

    Unlike what may be inside of one (:func:`sendable`), and ``json`` takes small ones only.
    """
    return _BY_NAME[serialization]()


def sendable(value: object) -> bool:
    """Whether a value can be a message by itself, where it is no ``raw`` one.

    None and a map with the key ``__peerData`` cannot: peerjs.js has other uses for them.
    """
    return value is not None and not (isinstance(value, dict) and "__peerData" in value)


def equal(sent: Any, received: Any) -> bool:
    """Whether ``received`` is what ``sent`` has to become on the way.

    As ``==``, and the types agree too: to Python ``True == 1 == 1.0``. Only int and float may
    change places, for JavaScript has one kind of number.
    """
    if isinstance(sent, list):
        return (
            isinstance(received, list)
            and len(sent) == len(received)
            and all(map(equal, sent, received))
        )
    if isinstance(sent, dict):
        return (
            isinstance(received, dict)
            and sent.keys() == received.keys()
            and all(equal(value, received[key]) for key, value in sent.items())
        )
    numbers = {int, float}
    alike = type(sent) is type(received) or {type(sent), type(received)} <= numbers
    return alike and bool(sent == received)


def _binary_leaves() -> st.SearchStrategy[Any]:
    return (
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary()
    )


# No zones with summer time: an hour that it skips or repeats is == to none elsewhere (PEP 495).
_OFFSETS: Final = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)


def _nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=20) | st.dictionaries(keys, inner, max_size=20),
        max_leaves=16,
    )


def _small_enough_for_json(value: object) -> bool:
    return len(dumps(value).encode()) < CHUNK_SIZE


_BY_NAME: Final[Mapping[str, Callable[[], st.SearchStrategy[Any]]]] = {
    "raw": raw_values,
    "none": raw_values,
    "json": lambda: json_values().filter(sendable).filter(_small_enough_for_json),
    "binary": lambda: binary_values().filter(sendable),
    "binary-utf8": lambda: binary_values().filter(sendable),
    "MsgPack": lambda: msgpack_values().filter(sendable),
}
