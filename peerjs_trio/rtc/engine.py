"""What the runtime needs of a WebRTC engine: the core's commands in, its inputs out.

Nothing here blocks and nothing is awaited: a call starts the work, and what comes of it
arrives later at the :class:`RtcSink`, always in the trio thread, outside the engine's own
call stack. An engine that can do that for libwebrtc, aiortc or a simulation is enough.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

import attrs

__all__ = ["EngineFactory", "Frame", "IceServer", "RtcConnection", "RtcEngine", "RtcSink"]

Frame = str | bytes
"""One data channel message: text or binary."""

A_DAY: Final = 86400.0
"Seconds that the convention recommends for short-lived credentials."


@attrs.frozen
class IceServer:
    """A STUN or TURN server, in the words of WebRTC's RTCIceServer."""

    urls: str | Sequence[str]
    "``stun:host:port``, ``turn:host:port?transport=udp`` …"
    username: str | None = None
    "For TURN."
    credential: str | None = attrs.field(default=None, repr=False)
    "For TURN. Never logged."

    @classmethod
    def short_lived(
        cls,
        urls: str | Sequence[str],
        *,
        secret: str | bytes,
        name: str = "",
        ttl: float = A_DAY,
        now: float | None = None,
    ) -> IceServer:
        """A TURN server with credentials made on the spot, which expire by themselves.

        :param secret: what the server was given too: coturn's ``static-auth-secret``, with
            ``use-auth-secret``. Not for programs that strangers run: they need a service of
            yours that calls this, and get what it returns.
        :param name: whoever they are for; it goes into the server's logs.
        :param ttl: seconds they last. A relay that exists then goes on.
        :param now: seconds since 1970; the clock's if not given. It must agree with the server's.

        The convention is draft-uberti-behave-turn-rest-00, section 2.2: the user name is the
        time of expiry and a name, the credential base64(HMAC-SHA1(secret, user name)).
        """
        expiry = int((time.time() if now is None else now) + ttl)
        username = f"{expiry}:{name}" if name else str(expiry)
        key = secret.encode() if isinstance(secret, str) else secret
        digest = hmac.digest(key, username.encode(), "sha1")
        return cls(urls, username, base64.b64encode(digest).decode())

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
