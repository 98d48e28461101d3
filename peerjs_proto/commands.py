"""What the core asks of its runtime. Each is carried out at once and answered by an input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = [
    "AddCandidate",
    "ApplyAnswer",
    "CloseChannel",
    "CloseRtc",
    "CloseSocket",
    "Command",
    "FetchId",
    "FramesReady",
    "MakeAnswer",
    "MakeMediaAnswer",
    "MakeMediaOffer",
    "MakeOffer",
    "OpenSocket",
    "SendText",
]


@attrs.frozen
class FetchId:
    """GET this URL; answer with ``receive_http`` or ``http_failed``."""

    url: str


@attrs.frozen
class OpenSocket:
    """Open a WebSocket; answer with ``socket_opened`` or ``socket_closed``."""

    url: str = attrs.field(repr=False)
    "Bears the token: not for logs."


@attrs.frozen
class SendText:
    """Send a text frame to the server. Dropped without a word if the socket is gone."""

    text: str = attrs.field(repr=False)


@attrs.frozen
class CloseSocket:
    """Close the WebSocket after what was sent; give up one that is not open yet.

    From now on, tell nothing of this socket: another may follow, and there is no telling them
    apart.
    """


@attrs.frozen
class MakeOffer:
    """Make an RTCPeerConnection, a data channel in it, and an offer: ``offer_made``."""

    connection: int
    "The core's own number for the connection; every answer names it."
    label: str
    ordered: bool


@attrs.frozen
class MakeAnswer:
    """Make an RTCPeerConnection for the far side's offer, and an answer: ``answer_made``."""

    connection: int
    sdp: str = attrs.field(repr=False)


@attrs.frozen
class MakeMediaOffer:
    """Make an RTCPeerConnection with our tracks, and an offer: ``offer_made``.

    With a data channel beside them: peerjs 1.5.5 labels it ``undefined``, and its end tells
    the far side that the call is over (``channel_closed``).
    """

    connection: int


@attrs.frozen
class MakeMediaAnswer:
    """Make an RTCPeerConnection for a call, with or without tracks: ``answer_made``."""

    connection: int
    sdp: str = attrs.field(repr=False)


@attrs.frozen
class ApplyAnswer:
    """Give the far side's answer to the RTCPeerConnection.

    ``channel_opened`` should follow for data, ``media_connected`` for media.
    """

    connection: int
    sdp: str = attrs.field(repr=False)


@attrs.frozen
class AddCandidate:
    """Give the far side's candidate to the RTCPeerConnection. No answer."""

    connection: int
    candidate: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen
class FramesReady:
    """Something waits to be sent: call ``next_frame`` for as long as the channel has room."""

    connection: int


@attrs.frozen
class CloseChannel:
    """Close the data channel once all frames have arrived there: ``channel_closed``."""

    connection: int


@attrs.frozen
class CloseRtc:
    """Close the RTCPeerConnection now. No answer; tell nothing more of it.

    The number is not used again, but by a connection with redial: another MakeOffer or
    MakeAnswer may follow.
    """

    connection: int


Command = (
    FetchId
    | OpenSocket
    | SendText
    | CloseSocket
    | MakeOffer
    | MakeAnswer
    | MakeMediaOffer
    | MakeMediaAnswer
    | ApplyAnswer
    | AddCandidate
    | FramesReady
    | CloseChannel
    | CloseRtc
)
