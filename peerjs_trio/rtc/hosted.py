"""An engine whose WebRTC lives in an asyncio guest loop: the half of it in trio's thread.

Each connection has two halves. ``HostedConnection``, here, lives in trio's thread and never
blocks; a :class:`~peerjs_trio.rtc.session.Session` lives in the guest loop and owns the
RTCPeerConnection. They talk through the guest's two queues, and each counter has one writer,
so the same code serves a stepped and a threaded loop.

No library here has receive backpressure: frames are handed on as they come. Whoever takes them
bounds them, and :mod:`~peerjs_trio.rtc.backlog` those on their way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVarTuple

import trio

from peerjs_proto.errors import MessageTooBig, NotOpenYet
from peerjs_trio.guest import Form, GuestLoop, open_guest_loop
from peerjs_trio.rtc.engine import IceServer, RtcConnection, RtcEngine, RtcSink
from peerjs_trio.rtc.session import HIGH_WATER, Session, SessionFactory, close_sessions

__all__ = ["HostedConnection", "open_hosted_engine"]

Ts = TypeVarTuple("Ts")


@asynccontextmanager
async def open_hosted_engine(
    session: SessionFactory,
    *,
    form: Form | None,
    prepare: Callable[[Sequence[IceServer]], None] = lambda ice_servers: None,
    aclose: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[RtcEngine]:
    """Open an engine for the length of a block; leaving it closes every connection and waits.

    ``form`` is the guest loop's, see :func:`peerjs_trio.guest.open_guest_loop`. In there run
    ``prepare``, which is :meth:`~peerjs_trio.rtc.engine.RtcEngine.prepare`, and ``aclose``, last.
    """
    async with open_guest_loop(form) as guest:
        engine = HostedEngine(guest, session, prepare)
        try:
            yield engine
        finally:
            with trio.CancelScope(shield=True):
                await engine.close()
                if aclose is not None:
                    await guest.run(aclose)


class HostedEngine:
    """The :class:`~peerjs_trio.rtc.engine.RtcEngine` on one guest loop."""

    def __init__(
        self,
        guest: GuestLoop,
        session: SessionFactory,
        prepare: Callable[[Sequence[IceServer]], None],
    ) -> None:
        self._guest = guest
        self._session = session
        self._prepare = prepare
        self._connections: set[HostedConnection] = set()

    def prepare(self, ice_servers: Sequence[IceServer]) -> None:
        self._guest.call(self._prepare, ice_servers)

    def open(self, sink: RtcSink, ice_servers: Sequence[IceServer]) -> RtcConnection:
        connection = HostedConnection(self._guest, sink, self._connections.discard)
        connection.session = self._session(self._guest, connection, ice_servers)
        self._connections.add(connection)
        return connection

    async def close(self) -> None:
        """Close what is still open, and wait for it: a few seconds at most."""
        for connection in self._connections:
            connection.close()
        await self._guest.run(close_sessions, [c.session for c in self._connections])


class HostedConnection:
    """The half in trio's thread: calls go out, reports come in, room is counted."""

    session: Session

    def __init__(
        self,
        guest: GuestLoop,
        sink: RtcSink,
        on_gone: Callable[[HostedConnection], object],
    ) -> None:
        self.sink: Final = sink
        self._guest = guest
        self._on_gone = on_gone
        self._max_message_size: int | None = None
        "None until the channel is open."
        self._handed_over = 0
        "Bytes sent, from the first on."
        self._silent = False
        "The end has been reported, or :meth:`close` called."
        self._closed = False

    def make_offer(self, label: str, *, ordered: bool) -> None:
        self._call(self.session.make_offer, label, ordered)

    def make_answer(self, offer: str) -> None:
        self._call(self.session.make_answer, offer)

    def apply_answer(self, sdp: str) -> None:
        self._call(self.session.apply_answer, sdp)

    def add_candidate(self, candidate: Mapping[str, Any]) -> None:
        self._call(self.session.add_candidate, candidate)

    @property
    def room(self) -> int:
        if self._max_message_size is None or self._silent:
            return 0
        # A frame on its way into the channel may count twice for a moment, never not at all.
        waiting = self._handed_over - self.session.taken
        return HIGH_WATER - waiting - self.session.buffered

    def send(self, frame: str | bytes | bytearray | memoryview) -> None:
        """Raises MessageTooBig, NotOpenYet, and UnicodeEncodeError for a lone surrogate."""
        if self._silent:
            return
        if self._max_message_size is None:
            raise NotOpenYet("the data channel is not open")
        data = frame if isinstance(frame, str | bytes) else bytes(frame)
        size = len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
        if size > self._max_message_size:
            raise MessageTooBig(f"{size} bytes; the far side takes {self._max_message_size}")
        self._handed_over += size
        self._guest.call(self.session.send, data, size)

    def close_channel(self) -> None:
        self._call(self.session.close_channel)

    def close(self) -> None:
        self._silent = True
        if not self._closed:
            self._closed = True
            self._guest.call(self.session.close)

    def _call(self, fn: Callable[[*Ts], object], *args: *Ts) -> None:
        if not self._silent:
            self._guest.call(fn, *args)

    # --- the session's reports, by way of GuestLoop.call_host ------------------------------

    def opened(self, max_message_size: int) -> None:
        if not self._silent:
            self._max_message_size = max_message_size
            self.sink.channel_opened(max_message_size)

    def arrived(self) -> None:
        frames = self.session.take_frames()
        if frames and not self._silent:
            self.sink.frames_received(frames)

    def tell(self, report: Callable[[*Ts], None], *args: *Ts) -> None:
        if not self._silent:
            report(*args)

    def tell_last(self, report: Callable[[*Ts], None], *args: *Ts) -> None:
        if not self._silent:
            self._silent = True
            report(*args)

    def gone(self) -> None:
        """Nothing is left to close."""
        self._closed = True
        self._on_gone(self)
