"""The fast engine: WebRTC by wrtc, which is libwebrtc, Chrome's own, in Python.

Its threads of C++ do ICE, DTLS and SCTP; they post what happens to the asyncio loop that a
connection was made in, so its listeners run where all else of a session runs. Its API is
W3C's, in snake_case. It trickles: our description goes out at once, and candidates follow as
they are found. A far side that vanishes is noticed after some 20 s, and reported as a failure.

Messages that come while the loop does not run wait in wrtc's queue, and nobody can bound that
from outside: who blocks trio's thread pays with memory, for as long as that takes. Once the loop
runs, ``rtc/backlog.py`` does.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import webrtc

from peerjs_trio.guest import Form
from peerjs_trio.rtc.backlog import BEHIND, Backlog
from peerjs_trio.rtc.engine import Frame, IceServer, RtcEngine
from peerjs_trio.rtc.hosted import open_hosted_engine
from peerjs_trio.rtc.session import LOW_WATER, Session, ascii_label
from peerjs_trio.rtc.troubles import BAD_CREDENTIALS, SILENT, IceTroubles, failure, refusal

__all__ = ["TESTED_VERSIONS", "open_wrtc_engine"]

_log = logging.getLogger("peerjs_trio")

TESTED_VERSIONS: Final = frozenset({"0.1.0"})
"Of wrtc, which promises no compatibility between versions before its 1.0."

GOODBYE: Final = 0.5
"Seconds a far side has for hearing that a connection ends. It takes a round trip."

USER_INITIATED_ABORT: Final = 12
"An SCTP cause code: how libwebrtc and aiortc say that a connection is closed."

UNREACHABLE: Final = 701
"W3C's code, in webrtc-pc section 4.8.2, for a server from which nothing came."

_URL: Final = re.compile(r"(stun|turn)(s?):(\[[^]]*\]|[^:?]*)(:\d+)?(\?transport=\w+)?")

_warned: set[str] = set()


@asynccontextmanager
async def open_wrtc_engine(*, form: Form | None = None) -> AsyncIterator[RtcEngine]:
    """Open an engine for the length of a block; leaving it closes every connection and waits.

    ``form`` is the guest loop's, see :func:`peerjs_trio.guest.open_guest_loop`. Needs the extra
    ``fast``. A version of wrtc that we have not tested is named in a warning, once.
    """
    version = importlib.metadata.version("wrtc")
    if version not in TESTED_VERSIONS | _warned:
        tested = ", ".join(sorted(TESTED_VERSIONS))
        _log.warning("wrtc %s is not a version that was tested with this: %s", version, tested)
        _warned.add(version)
    try:
        session = partial(WrtcSession, troubles=IceTroubles())
        async with open_hosted_engine(session, form=form) as engine:
            yield engine
    finally:
        # wrtc closes a loop's pipe when it notices that the loop is closed: at the start of any
        # garbage collection. This is the smallest.
        gc.collect(0)


class WrtcSession(Session):
    """One RTCPeerConnection of wrtc."""

    _pc: webrtc.RTCPeerConnection | None = None
    _channel: webrtc.RTCDataChannel | None = None
    _backlog: Backlog | None = None
    _sctp: webrtc.RTCSctpTransport | None = None
    _abort: int | None = None
    "Why SCTP was aborted, if it was: a cause code of RFC 9260, section 3.3.10."
    _reachable = False
    _silent: set[str]
    "URLs of servers that did not answer by way of one interface or another."

    # --- negotiation ----------------------------------------------------------------------

    async def _offer(self, label: str, ordered: bool) -> str:
        pc = self._open()
        init = webrtc.RTCDataChannelInit(ordered=ordered)
        self._adopt(pc.create_data_channel(ascii_label(label), init))
        offer = await pc.create_offer()
        await pc.set_local_description(offer)
        return offer.sdp

    async def _answer(self, offer: str) -> str:
        pc = self._open()
        await pc.set_remote_description(webrtc.RTCSessionDescriptionInit("offer", offer))
        self._has_description()
        for transceiver in pc.get_transceivers():
            transceiver.direction = "inactive"  # or its media would be decoded, for nobody
        answer = await pc.create_answer()
        await pc.set_local_description(answer)
        return answer.sdp

    async def _apply(self, answer: str) -> None:
        description = webrtc.RTCSessionDescriptionInit("answer", answer)
        await self._open().set_remote_description(description)
        self._has_description()

    async def _add_candidate(self, init: Mapping[str, Any]) -> None:
        assert self._pc is not None
        await self._pc.add_ice_candidate(webrtc.RTCIceCandidateInit.from_json(init))

    def _open(self) -> webrtc.RTCPeerConnection:
        if self._pc is None:
            servers = [
                webrtc.RTCIceServer(
                    urls=server.all_urls,
                    username=server.username,
                    credential=server.credential,
                )
                for server in self._ice_servers
            ]
            self._pc = webrtc.RTCPeerConnection(webrtc.RTCConfiguration(ice_servers=servers))
            # Of all that is public this answers by way of the queue that messages come by.
            self._backlog = Backlog(self._pc.get_stats)
            self._silent = set()
            self._pc.on("icecandidate", self._on_candidate)
            self._pc.on("icecandidateerror", self._on_candidate_error)
            self._pc.on("datachannel", self._on_datachannel)
            self._pc.on("iceconnectionstatechange", self._on_state)
            self._pc.on("connectionstatechange", self._on_state)
        return self._pc

    def _on_candidate(self, event: webrtc.RTCPeerConnectionIceEvent) -> None:
        if event.candidate is None:
            for url in self._silent:
                self._troubles.add(self._given(url)[0], SILENT)
            if not self._reachable:
                self._fail("this machine has no network interface besides loopback")
        elif event.candidate.candidate:  # an empty one says that there are no more
            self._reachable = True
            if event.url:
                self._silent.discard(event.url)
                self._troubles.forget(self._given(event.url)[0])
            self._tell(self._host.sink.candidate_found, event.candidate.to_json())

    def _on_candidate_error(self, event: webrtc.RTCPeerConnectionIceErrorEvent) -> None:
        url, server = self._given(event.url)
        if event.error_code in BAD_CREDENTIALS:
            self._troubles.add(url, refusal(server))
        elif event.error_code == UNREACHABLE:
            self._silent.add(event.url)
        else:
            self._troubles.add(url, failure(event.error_code))

    def _given(self, url: str) -> tuple[str, IceServer]:
        """A server, and its URL as the application wrote it; libwebrtc writes it in full."""
        for server in self._ice_servers:
            for given in server.all_urls:
                if _in_full(given) == url:
                    return given, server
        return url, IceServer(url)

    # --- the channel ----------------------------------------------------------------------

    def _on_datachannel(self, event: webrtc.RTCDataChannelEvent) -> None:
        if self._channel is None:
            self._adopt(event.channel)
        else:
            event.channel.close()
            self._on_other_channel()

    def _adopt(self, channel: webrtc.RTCDataChannel) -> None:
        self._channel = channel
        channel.buffered_amount_low_threshold = LOW_WATER
        channel.on("message", self._on_message_event)
        channel.on("open", lambda _: self._on_channel_open())
        channel.on("bufferedamountlow", lambda _: self._on_room())
        channel.on("error", self._on_error)
        channel.on("close", lambda _: self._on_channel_close())
        if channel.ready_state == "open":
            self._on_channel_open()

    def _on_channel_open(self) -> None:
        assert self._pc is not None
        self._sctp = self._pc.sctp  # once it is here, its state changes as events come
        self._on_open()

    def _on_message_event(self, event: webrtc.MessageEvent) -> None:
        assert self._backlog is not None
        if isinstance(event.data, webrtc.Blob):  # which must be asked for
            return
        self._on_message(event.data)
        if self._backlog.passed(len(event.data)):
            self._fail(BEHIND)

    @property
    def buffered(self) -> int:
        return 0 if self._channel is None else self._channel.buffered_amount

    def _send(self, frame: Frame) -> None:
        if self._channel is not None and self._channel.ready_state == "open":
            self._channel.send(frame)

    def _close_channel(self) -> bool:
        if self._channel is None or self._channel.ready_state == "connecting":
            return False
        self._channel.close()
        return True

    # --- the end --------------------------------------------------------------------------

    def _on_state(self, event: webrtc.Event) -> None:
        assert self._pc is not None
        if self._pc.ice_connection_state == "failed":
            self._on_ice_failed()
        elif self._pc.connection_state == "failed":
            self._on_dtls_failed()

    def _on_error(self, event: webrtc.RTCErrorEvent) -> None:
        self._abort = event.error.sctp_cause_code

    def _on_channel_close(self) -> None:
        # Who says goodbye resets the stream or aborts SCTP. Without that, SCTP or DTLS go down
        # first, the one or the other, and take the channel with them.
        if self._abort is not None:
            self._on_close(goodbye=self._abort == USER_INITIATED_ABORT)
        else:
            self._on_close(
                goodbye=self._sctp is not None
                and self._sctp.state == "connected"
                and self._sctp.transport.state == "connected"
            )

    async def _close(self, operator: asyncio.Task[None] | None) -> None:
        if self._backlog is not None:
            self._backlog.close()
        if self._channel is not None and self._channel.ready_state != "closed":
            # The end of a connection is one datagram, which may be lost; that of a channel is
            # repeated until the far side has it.
            closed = asyncio.Event()
            self._channel.on("close", lambda _: closed.set())
            self._channel.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await closed.wait()
        if self._pc is not None:
            self._pc.close()


def _in_full(url: str) -> str:
    """As libwebrtc names a server: with its port and transport (RFC 7064 and 7065)."""
    match = _URL.fullmatch(url)
    if match is None:
        return url
    kind, secure, host, port, transport = match.groups()
    port = port or (":5349" if secure else ":3478")
    if kind == "turn":
        transport = transport or f"?transport={'tcp' if secure else 'udp'}"
    return f"{kind}{secure}:{host}{port}{transport or ''}"
