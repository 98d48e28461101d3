"""Signaling vocabulary: the JSON text of a WebSocket frame, and typed messages.

:func:`decode` and :func:`encode` are each other's inverse for everything PeerJS says; what
a message bears beyond its known members is kept in ``extra``, so nothing is lost on the way.

Sources: peerjs 1.5.5 ``lib/negotiator.ts`` and ``lib/peer.ts``; peer 1.0.2 ``src/services``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import attrs

from . import jsontext
from .errors import DecodeError
from .extension import Extension
from .limits import DEFAULT_LIMITS, Limits

__all__ = [
    "Answer",
    "Candidate",
    "Expire",
    "Heartbeat",
    "IdTaken",
    "InvalidKey",
    "Leave",
    "Message",
    "Offer",
    "Open",
    "Refused",
    "Unknown",
    "decode",
    "encode",
]

_NOTHING: Mapping[str, Any] = {}


@attrs.frozen
class Open:
    """Server to client: you are registered."""


@attrs.frozen
class Refused:
    """Server to client: ``ERROR``; the socket closes next."""

    msg: str
    "The server's words, for people."


@attrs.frozen
class IdTaken:
    """Server to client: ``ID-TAKEN``, somebody else holds this id; the socket closes next."""

    msg: str = "ID is taken"


@attrs.frozen
class InvalidKey:
    """Server to client: ``INVALID-KEY``. Known to clients; today's server sends ERROR instead."""

    msg: str = ""


@attrs.frozen
class Heartbeat:
    """Client to server: still here."""


@attrs.frozen(kw_only=True)
class Offer:
    """Peer to peer: let us open a data or media connection."""

    src: str | None = None
    "The offerer, as stamped by the server; None on the way to it."
    dst: str | None = None
    "Whom it is for."
    kind: str
    '``"data"`` or ``"media"``.'
    connection_id: str
    "Chosen by the offerer; unique only together with the peer."
    sdp: str
    "The session description, opaque here."
    metadata: Any = None
    "Whatever the offering application attached; None stands for absent too."
    label: str | None = None
    "Data only. Absent: the connection id serves."
    reliable: bool | None = None
    "Data only: an ordered channel."
    serialization: str | None = None
    "Data only: decides for both ends."
    extra: Mapping[str, Any] = _NOTHING
    "Members of the payload that PeerJS does not know."

    @property
    def before_1_5(self) -> bool:
        """From peerjs 1.4 or older. They name their browser; 1.5 and 2.0 beta do not."""
        return "browser" in self.extra

    @property
    def extension(self) -> Extension | None:
        """What a peer of our own kind says beside PeerJS; None from any other."""
        return Extension.read(self.extra)


@attrs.frozen(kw_only=True)
class Answer:
    """Peer to peer: the answer to an offer."""

    src: str | None = None
    dst: str | None = None
    kind: str
    connection_id: str
    sdp: str
    extra: Mapping[str, Any] = _NOTHING

    @property
    def before_1_5(self) -> bool:
        """As :attr:`Offer.before_1_5`."""
        return "browser" in self.extra

    @property
    def extension(self) -> Extension | None:
        """As :attr:`Offer.extension`."""
        return Extension.read(self.extra)


@attrs.frozen(kw_only=True)
class Candidate:
    """Peer to peer: an ICE candidate found after the description was sent."""

    src: str | None = None
    dst: str | None = None
    kind: str
    connection_id: str
    candidate: Mapping[str, Any]
    "An RTCIceCandidateInit: candidate, sdpMid, sdpMLineIndex, usernameFragment."
    extra: Mapping[str, Any] = _NOTHING


@attrs.frozen(kw_only=True)
class Leave:
    """The peer ``src`` is gone. Without ``dst``, to the server: take me off."""

    src: str | None = None
    dst: str | None = None


@attrs.frozen(kw_only=True)
class Expire:
    """Server to sender: what you sent to ``src`` was never fetched. Names no connection."""

    src: str | None = None
    dst: str | None = None


@attrs.frozen(kw_only=True)
class Unknown:
    """A well-formed message of a type this version does not know: to be ignored."""

    type: str
    src: str | None = None
    dst: str | None = None
    payload: Any = None


Message = (
    Open
    | Refused
    | IdTaken
    | InvalidKey
    | Heartbeat
    | Offer
    | Answer
    | Candidate
    | Leave
    | Expire
    | Unknown
)


def decode(text: str | bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """The message in one WebSocket frame.

    Raises only :class:`~peerjs_proto.errors.DecodeError`, whose text names the fault and
    never quotes the message.
    """
    if len(text) > limits.signaling_bytes:
        raise DecodeError(f"signaling message of {len(text)} exceeds {limits.signaling_bytes}")
    frame = jsontext.loads(text, max_depth=limits.nesting)
    if not isinstance(frame, dict):
        raise DecodeError(f"signaling message is a JSON {type(frame).__name__}, not an object")
    type_ = _string(frame, "type", "message")
    src, dst = _optional_string(frame, "src"), _optional_string(frame, "dst")
    payload = frame.get("payload")
    match type_:
        case "OPEN":
            return Open()
        case "HEARTBEAT":
            return Heartbeat()
        case "LEAVE":
            return Leave(src=src, dst=dst)
        case "EXPIRE":
            return Expire(src=src, dst=dst)
        case "ERROR":
            return Refused(_told(payload))
        case "ID-TAKEN":
            return IdTaken(_told(payload))
        case "INVALID-KEY":
            return InvalidKey(_told(payload))
        case "OFFER" | "ANSWER" | "CANDIDATE":
            if not isinstance(payload, dict):
                raise DecodeError(f"{type_} without a payload object")
            return _decode_negotiation(type_, src, dst, payload)
    return Unknown(type=type_, src=src, dst=dst, payload=payload)


def encode(message: Message) -> str:
    """The JSON text of a message, in ASCII, as compact as JavaScript's.

    Raises :class:`~peerjs_proto.errors.UnsupportedValue` for metadata JSON cannot hold.
    """
    match message:
        case Open():
            frame: dict[str, Any] = {"type": "OPEN"}
        case Heartbeat():
            frame = {"type": "HEARTBEAT"}
        case Refused(msg):
            frame = {"type": "ERROR", "payload": {"msg": msg}}
        case IdTaken(msg):
            frame = {"type": "ID-TAKEN", "payload": {"msg": msg}}
        case InvalidKey(msg):
            frame = {"type": "INVALID-KEY", "payload": {"msg": msg}}
        case Leave():
            frame = {"type": "LEAVE"}
        case Expire():
            frame = {"type": "EXPIRE"}
        case Unknown():
            frame = {"type": message.type, "payload": message.payload}
        case Offer():
            frame = {"type": "OFFER", "payload": _offer_payload(message)}
        case Answer():
            payload = _session(message, "answer") | dict(message.extra)
            frame = {"type": "ANSWER", "payload": payload}
        case Candidate():
            payload = {
                "candidate": dict(message.candidate),
                "type": message.kind,
                "connectionId": message.connection_id,
            }
            frame = {"type": "CANDIDATE", "payload": payload | dict(message.extra)}
        case _:
            assert_never(message)
    for name in ("src", "dst"):
        if (value := getattr(message, name, None)) is not None:
            frame[name] = value
    return jsontext.dumps(frame)


def _decode_negotiation(
    type_: str, src: str | None, dst: str | None, payload: dict[str, Any]
) -> Offer | Answer | Candidate:
    kind = _string(payload, "type", type_)
    connection_id = _string(payload, "connectionId", type_)
    if type_ == "CANDIDATE":
        candidate = payload.get("candidate")
        if not isinstance(candidate, dict):
            raise DecodeError("CANDIDATE without a candidate object")
        return Candidate(
            src=src,
            dst=dst,
            kind=kind,
            connection_id=connection_id,
            candidate=candidate,
            extra=_rest(payload, "candidate", "type", "connectionId"),
        )
    session = payload.get("sdp")
    if not isinstance(session, dict):
        raise DecodeError(f"{type_} without a session description")
    sdp = _string(session, "sdp", type_)
    if type_ == "ANSWER":
        return Answer(
            src=src,
            dst=dst,
            kind=kind,
            connection_id=connection_id,
            sdp=sdp,
            extra=_rest(payload, "sdp", "type", "connectionId"),
        )
    known = ("sdp", "type", "connectionId", "metadata", "label", "reliable", "serialization")
    reliable = payload.get("reliable")
    return Offer(
        src=src,
        dst=dst,
        kind=kind,
        connection_id=connection_id,
        sdp=sdp,
        metadata=payload.get("metadata"),
        label=_optional_string(payload, "label"),
        # peerjs.js takes any truthy value here.
        reliable=None if reliable is None else bool(reliable),
        serialization=_optional_string(payload, "serialization"),
        extra=_rest(payload, *known),
    )


def _offer_payload(offer: Offer) -> dict[str, Any]:
    payload = _session(offer, "offer")
    optional = {
        "metadata": offer.metadata,
        "label": offer.label,
        "reliable": offer.reliable,
        "serialization": offer.serialization,
    }
    payload |= {name: value for name, value in optional.items() if value is not None}
    return payload | dict(offer.extra)


def _session(message: Offer | Answer, sdp_type: str) -> dict[str, Any]:
    return {
        "sdp": {"sdp": message.sdp, "type": sdp_type},
        "type": message.kind,
        "connectionId": message.connection_id,
    }


def _string(mapping: Mapping[str, Any], name: str, where: str) -> str:
    value = mapping.get(name)
    if not isinstance(value, str) or not value:
        raise DecodeError(f"{where} without a {name}")
    return value


def _optional_string(mapping: Mapping[str, Any], name: str) -> str | None:
    value = mapping.get(name)
    if value is not None and not isinstance(value, str):
        raise DecodeError(f"{name} is a JSON {type(value).__name__}, not a string")
    return value


def _told(payload: Any) -> str:
    """What a server says to people, however it says it, and never too much of it."""
    msg = payload.get("msg") if isinstance(payload, dict) else None
    return msg[:500] if isinstance(msg, str) else ""


def _rest(payload: dict[str, Any], *known: str) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name not in known}
