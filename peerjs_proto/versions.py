"""What to say of a connection that another version of peerjs offers and nothing here can read.

Facts from the sources of peerjs 1.3.2, 1.4.7, 1.5.0 to 1.5.5 and 2.0.0-beta.3; all of them, with
what is done about each, are in ``docs/versions.md``.
"""

from __future__ import annotations

from collections.abc import Collection

from .messages import Offer

__all__ = ["explain_unknown"]

_ADD_ONS = {
    "MsgPack": "the add-on serializer.msgpack of peerjs 1.5",
    "Cbor": "the add-on serializer.cbor of peerjs 1.5.0 to 1.5.3",
}


def explain_unknown(offer: Offer, known: Collection[str]) -> str:
    """Why an OFFER whose serialization is not among ``known`` is refused, and what would help."""
    name = offer.serialization
    if name is None:
        return "offers a data connection with no serialization; every peerjs names one"
    if name in _ADD_ONS:
        whose = _ADD_ONS[name]
    elif offer.before_1_5:
        whose = "which peerjs before 1.5 takes for raw, as it does every name it does not know"
    else:
        whose = "which is no version of peerjs's own: its application must have added it"
    return (
        f"offers a data connection in {name[:40]!r}, {whose}; "
        f"understood here: {', '.join(sorted(known))}"
    )
