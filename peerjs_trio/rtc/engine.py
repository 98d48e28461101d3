"""What the runtime needs of a WebRTC engine: the core's commands in, its inputs out.

Nothing here blocks and nothing is awaited: a call starts the work, and what comes of it
arrives later at the :class:`RtcSink`, always in the trio thread, outside the engine's own
call stack. An engine that can do that for libwebrtc, aiortc or a simulation is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import attrs

__all__ = ["EngineFactory", "Frame", "IceServer", "RtcConnection", "RtcEngine", "RtcSink"]

Frame = str | bytes
"""One data channel message: text or binary."""


@attrs.frozen
class IceServer:
    """A STUN or TURN server, in the words of WebRTC's RTCIceServer."""

    urls: str | Sequence[str]
    "``stun:host:port``, ``turn:host:port?transport=udp`` …"
    username: str | None = None
    "For TURN."
    credential: str | None = attrs.field(default=None, repr=False)
    "For TURN. Never logged."

    @property
    def all_urls(self) -> list[str]:
        """One or several, as a list."""
        return [self.urls] if isinstance(self.urls, str) else list(self.urls)


class RtcSink(Protocol):
    """Where one connection's news goes. Called in the trio thread, in the order it happened."""

    def offer_made(self, sdp: str) -> None:
        """Answers :meth:`RtcConnection.make_offer`."""

    def answer_made(self, sdp: str) -> None:
        """Answers :meth:`RtcConnection.make_answer`."""

    def candidate_found(self, candidate: Mapping[str, Any]) -> None:
        """An RTCIceCandidateInit of ours that is in no description; an engine may find none."""

    def channel_opened(self, max_message_size: int) -> None:
        """The data channel is open; the far side takes messages of that many bytes at most."""

    def frames_received(self, frames: Sequence[Frame]) -> None:
        """Messages, in order of arrival. None comes before :meth:`channel_opened`."""

    def room_made(self) -> None:
        """The channel has drained: :attr:`RtcConnection.room` is positive. May come unasked."""

    def channel_closed(self) -> None:
        """The far side, or our own :meth:`RtcConnection.close_channel`, ended the channel."""

    def failed(self, reason: str) -> None:
        """ICE, DTLS or the engine itself failed; nothing more comes. ``reason`` is for people."""


class RtcConnection(Protocol):
    """One RTCPeerConnection with one data channel. After :meth:`close`, every call is ignored."""

    def make_offer(self, label: str, *, ordered: bool) -> None:
        """Make the data channel, then an offer, with candidates in it or before they are found."""

    def make_answer(self, offer: str) -> None:
        """Apply the far side's offer and answer it; its data channel arrives later."""

    def apply_answer(self, sdp: str) -> None:
        """Apply the far side's answer to our offer."""

    def add_candidate(self, candidate: Mapping[str, Any]) -> None:
        """Apply one of the far side's candidates, an RTCIceCandidateInit. A bad one is ignored."""

    @property
    def room(self) -> int:
        """Bytes the channel takes now without buffering too much; 0 or less means wait.

        0 before the channel is open and after its end.
        """
        ...

    def send(self, frame: str | bytes | bytearray | memoryview) -> None:
        """Send one message. Counts against :attr:`room` at once.

        Raises MessageTooBig for what the far side does not take, NotOpenYet before the channel
        is open, and UnicodeEncodeError for a lone surrogate: the core does none of these.
        """

    def close_channel(self) -> None:
        """Close the data channel when all that was sent has arrived; ``channel_closed`` follows.

        What the far side still sends may be dropped from now on, as W3C's channels do.
        """

    def close(self) -> None:
        """End at once and say no more. What it holds is freed before the engine's block is left."""


class RtcEngine(Protocol):
    """Makes connections. One engine serves one peer; its block owns everything it made."""

    def prepare(self, ice_servers: Sequence[IceServer]) -> None:
        """Called once, before the first :meth:`open`: what connections are going to be given.

        May do nothing; an engine that has to find out which servers work can begin here.
        """

    def open(self, sink: RtcSink, ice_servers: Sequence[IceServer]) -> RtcConnection:
        """A new connection that reports to ``sink``."""
        ...


class EngineFactory(Protocol):
    """Opens an engine for the length of a block; leaving it closes every connection and waits."""

    def __call__(self) -> AbstractAsyncContextManager[RtcEngine]: ...
