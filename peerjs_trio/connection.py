"""DataConnection: one open data connection to another peer, as an anyio ObjectStream."""

from __future__ import annotations

from collections import deque
from typing import Any

import anyio
import anyio.lowlevel
import attrs
from anyio.abc import ObjectStream

from peerjs_proto.errors import (
    ConnectionClosed,
    ConnectTimeout,
    LimitExceeded,
    LocalProtocolError,
    PeerError,
)
from peerjs_proto.limits import Limits
from peerjs_proto.sdp import fingerprints, max_message_size

from .driver import Driver
from .fairness import Event, Turns, checkpoint_if_cancelled
from .rtc.engine import RtcConnection

__all__ = ["BrokenConnection", "ClosedConnection", "DataConnection", "Fingerprints"]


class ClosedConnection(ConnectionClosed, anyio.ClosedResourceError):
    """The data connection was closed by this side, before or meanwhile."""


class BrokenConnection(ConnectionClosed, anyio.BrokenResourceError):
    """The far side is gone. ``__cause__`` says why, where something went wrong."""


@attrs.frozen
class Fingerprints:
    """Of both sides' DTLS certificates, each as ``"sha-256 AB:CD:…"``, sorted.

    What crosses the connection is between the holders of exactly these. Whether the far side has
    the same two sets in mind, only the far side can say: a dishonest server may have swapped them
    on the way. Pairing asks it.
    """

    local: tuple[str, ...]
    remote: tuple[str, ...]


class DataConnection(ObjectStream[Any]):
    """Values to and from one remote peer.

    Made by :meth:`Peer.connect` and :meth:`Peer.incoming_connections`. Any task may send and
    any task may receive; messages go out in the order of the calls to :meth:`send`.
    """

    def __init__(
        self,
        driver: Driver,
        number: int,
        limits: Limits,
        *,
        peer: str,
        connection_id: str,
        label: str,
        metadata: Any,
        serialization: str,
        reliable: bool,
        redial: bool,
        dialled_by_them: bool,
    ) -> None:
        self.peer = peer
        "The remote peer's id."
        self.connection_id = connection_id
        "Chosen by whoever dialled; unique only together with :attr:`peer`."
        self.label = label
        "A name the dialler gave it; the connection id if none."
        self.metadata = metadata
        "Whatever JSON value the dialler attached."
        self.serialization = serialization
        'What the dialler chose: "binary", "json", "raw" …'
        self.reliable = reliable
        "Whether messages arrive in order. They all arrive either way."
        self.redial = redial
        "Whether the connection outlives its path."
        self.interrupted = False
        "With :attr:`redial`: there is no path at present. :meth:`send` waits for one."
        self._dialled_by_them = dialled_by_them
        self._local_sdp = self._remote_sdp = ""
        self._driver = driver
        self._number = number
        self._limits = limits
        self._rtc: RtcConnection | None = None
        self._inbox: deque[tuple[Any, int]] = deque()
        self._inbox_bytes = 0
        self._overflowed = False
        self._turns = Turns()
        self._arrived: Event | None = None
        "There where somebody waits in receive."
        self._sending: dict[int, Event] = {}
        "Those who wait in send, by serial, in order."
        self._settled = Event()
        self._gone = Event()
        self._error: PeerError | None = None
        self._sent = 0
        self._closing_here = False
        self._closed_here = False

    def __repr__(self) -> str:
        state = "opening"
        if self._has_settled:
            state = "interrupted" if self.interrupted else "open"
        if self._gone.is_set() or self._closing_here:
            state = "closed"
        return f"<DataConnection {state} to {self.peer!r}, {self.serialization}, {self.label!r}>"

    @property
    def is_open(self) -> bool:
        """Whether :meth:`send` can work."""
        return self._has_settled and not (self._gone.is_set() or self._closing_here)

    @property
    def max_message_size(self) -> int:
        """Bytes of the largest ``raw`` message that the far side takes, by its own description."""
        return max_message_size(self._remote_sdp)

    @property
    def fingerprints(self) -> Fingerprints:
        """What the two sides' certificates must look like, by the descriptions they have given.

        Raises LocalProtocolError with :attr:`redial`: each path has certificates of its own.
        """
        if self.redial:
            raise LocalProtocolError("a connection that redials has no fingerprints to rely on")
        return Fingerprints(fingerprints(self._local_sdp), fingerprints(self._remote_sdp))

    # --- sending --------------------------------------------------------------------------

    async def send(self, item: Any) -> None:
        """Send one value; waits while the channel's buffer is full.

        Cancelled before the first of it has gone out, nothing is sent; later the whole
        message is, and only the waiting ends. Raises UnsupportedValue for what the
        serialization cannot hold, MessageTooBig, and ConnectionClosed.

        Always raises a cancellation that is due. While there is room it lets other tasks run
        every half millisecond only, which is what makes many small messages fast.
        """
        await checkpoint_if_cancelled()
        self._check_open()
        with self._driver.turn() as core:
            try:
                serial = core.send(self._number, item)
            except ConnectionClosed as closed:
                raise BrokenConnection(str(closed)) from None
        if self._sent < serial:
            await self._wait_sent(serial)
        else:
            await self._turns.give_way()

    async def send_eof(self) -> None:
        """Not possible: WebRTC's data channels close in both directions at once."""
        raise LocalProtocolError("a data connection has no half-close; use aclose(flush=True)")

    # --- receiving ------------------------------------------------------------------------

    async def receive(self) -> Any:
        """The next value, in order of arrival.

        Raises anyio.EndOfStream when the far side has closed and everything is read,
        BrokenConnection when the connection was lost or the far side broke a rule or a limit,
        and ClosedConnection when this side has closed it. Lets others run as :meth:`send` does.
        """
        await checkpoint_if_cancelled()
        if self._inbox:
            await self._turns.give_way()
        while not self._inbox:
            if self._closed_here:
                raise ClosedConnection("the data connection was closed by this side")
            if self._gone.is_set():
                if self._error is None:
                    raise anyio.EndOfStream
                raise BrokenConnection(str(self._error)) from self._error
            if self._arrived is None:
                self._arrived = Event()
            await self._arrived.wait()
            self._turns.given()
        value, size = self._inbox.popleft()
        self._inbox_bytes -= size
        return value

    # --- closing --------------------------------------------------------------------------

    async def aclose(self, *, flush: bool = False) -> None:
        """Close the connection. What was not read is dropped; what was not sent as well,
        unless ``flush``: then it waits until the far side has everything.

        ``flush`` raises ConnectTimeout if that takes more than ``limits.flush_timeout``
        seconds, and BrokenConnection if the far side goes away before. Cancelling it closes
        at once.
        """
        was_open = self.is_open
        self._closing_here = True
        if not flush:
            self._close_here()
            await anyio.lowlevel.checkpoint()
            return
        try:
            with self._driver.turn() as core:
                core.close(self._number, anyio.current_time(), flush=True)
            await self._gone.wait()
        finally:
            error = self._error
            self._close_here()
        if was_open and isinstance(error, ConnectTimeout):
            raise error
        if was_open and error is not None:
            raise BrokenConnection(str(error)) from error
        await anyio.lowlevel.checkpoint()

    # --- what the peer tells it -----------------------------------------------------------

    async def _wait_open(self) -> None:
        """Returns when it is open; raises what kept it from opening."""
        try:
            await self._settled.wait()
        except BaseException:
            self._close_here()
            raise
        if self._error is not None:
            raise self._error

    @property
    def _has_settled(self) -> bool:
        """Whether it has opened, or has ended."""
        return self._settled.is_set()

    def _opened(self) -> None:
        self._settled.set()

    def _described(self, *, local: str = "", remote: str = "") -> None:
        """One of the two descriptions is known."""
        self._local_sdp = local or self._local_sdp
        self._remote_sdp = remote or self._remote_sdp

    def _interrupt(self, interrupted: bool) -> None:
        self.interrupted = interrupted

    def _received(self, value: Any, size: int) -> None:
        if self._closed_here or self._overflowed:
            return
        count, limits = len(self._inbox), self._limits
        # One message always fits, or a limit below the size of messages would stop them all.
        if count and (
            count >= limits.inbox_messages or self._inbox_bytes + size > limits.inbox_bytes
        ):
            self._overflowed = True
            waiting = f"{count} messages, {self._inbox_bytes} bytes, wait to be read"
            with self._driver.turn() as core:
                core.fail(self._number, LimitExceeded(f"the inbox is full: {waiting}"))
            return
        self._inbox.append((value, size))
        self._inbox_bytes += size
        if self._arrived is not None:
            self._wake_readers()

    def _pump(self) -> None:
        """Hand frames to the channel for as long as it has room."""
        rtc = self._rtc
        if rtc is None:
            return
        with self._driver.turn() as core:
            while rtc.room > 0 and (frame := core.next_frame(self._number)) is not None:
                rtc.send(frame)
            self._sent = max(self._sent, core.sent(self._number))
        while self._sending and (serial := next(iter(self._sending))) <= self._sent:
            self._sending.pop(serial).set()

    def _ended(self, error: PeerError | None) -> None:
        self._error = error
        self._rtc = None
        self._settled.set()
        self._gone.set()
        self._wake_readers()
        for done in self._sending.values():
            done.set()

    # --- inside ---------------------------------------------------------------------------

    async def _wait_sent(self, serial: int) -> None:
        """Returns when the message is out; cancelled, it takes it back if none of it is."""
        if not self._gone.is_set():
            self._sending[serial] = done = Event()
            try:
                await done.wait()
                self._turns.given()
            except anyio.get_cancelled_exc_class():
                self._sending.pop(serial, None)
                with self._driver.turn() as core:
                    core.withdraw(self._number, serial)
                raise
        if self._sent < serial:
            self._check_open()

    def _wake_readers(self) -> None:
        if self._arrived is not None:
            self._arrived.set()
            self._arrived = None

    def _close_here(self) -> None:
        self._closing_here = self._closed_here = True
        self._inbox.clear()
        self._inbox_bytes = 0
        with self._driver.turn() as core:
            core.close(self._number, anyio.current_time())

    def _check_open(self) -> None:
        if self._closing_here:
            raise ClosedConnection("the data connection was closed by this side")
        if self._gone.is_set():
            words = str(self._error or "the far side closed the data connection")
            raise BrokenConnection(words) from self._error
