"""The streams of one HTTP connection: opened, ended, and whose turn it is to send.

What :class:`~peerjs_proto.http.HttpProtocol` stands on. Here is what happens to all streams alike;
there, what the calls and frames mean that cause it.
"""

from __future__ import annotations

from collections import deque

import attrs

from . import http_frames as frames
from .errors import (
    ConnectionClosed,
    LimitExceeded,
    LocalProtocolError,
    MessageTooBig,
    PeerError,
    RemoteProtocolError,
)
from .http_frames import Hello
from .http_io import (
    LARGEST_FRAME,
    Drained,
    Ended,
    Failed,
    GoAwayCode,
    HttpEvent,
    HttpLimits,
    RequestHead,
    ResetCode,
)
from .http_streams import Inflow, Outflow

__all__ = ["HttpConnection", "Stream"]


@attrs.define
class Stream:
    """One request and its response."""

    outflow: Outflow
    inflow: Inflow
    head: RequestHead
    responded: bool = False
    "The response's head has come, or was given."
    is_websocket: bool = False
    "It has been accepted as one."
    is_over: bool = False
    "Nothing is sent or received any more; a server may still work for it."


class HttpConnection:
    """What one side of a connection has under way, and what waits to go out."""

    def __init__(
        self, *, client: bool, limits: HttpLimits, agent: str, max_message_size: int
    ) -> None:
        if max_message_size < 1024:
            raise LocalProtocolError("a channel has to carry 1,024 bytes in one message")
        self._client = client
        self._limits = limits
        self._frame_bytes = min(max_message_size, LARGEST_FRAME)
        "Of the largest frame that can be sent."
        self._remote: Hello | None = None
        self._streams: dict[int, Stream] = {}
        self._open = 0
        "Streams that are not over."
        self._last = 0
        "The last stream that was opened."
        self._highest = 0
        "The last one that both sides know of."
        self._frames: deque[tuple[bytes, bool]] = deque()
        "Frames that cost no credit, and whether each answers one of the far side's."
        self._owing: dict[int, None] = {}
        "Streams whose far side is to get CREDIT: how much, is decided when it goes out."
        self._requests: dict[int, bytes] = {}
        "REQUESTs that have not gone out."
        self._turns: dict[int, None] = {}
        "Streams that have something to send; some may lack the credit."
        self._answers = 0
        self._most_answers = limits.answers + (0 if client else 2 * limits.streams)
        "A client that keeps to the rules can be owed two frames a request: a response, and DONE."
        self._answering = not client
        """Whether what is sent now answers the far side. All that a server sends does: its answers
        to requests that were given up again count until they are read."""
        self._events: deque[HttpEvent] = deque()
        self._leaving: str | None = None
        "Why no new requests go out, or are taken."
        self._error: PeerError | None = None
        "Why it is all over."
        self._frames.append((frames.hello_frame(limits, server=not client, agent=agent), False))

    # --- what comes out -------------------------------------------------------------------

    def next_frame(self) -> bytes | None:
        """The next message to send, or None. Ask when the channel has room."""
        if self._frames:
            frame, answers = self._frames.popleft()
            self._answers -= answers
            return frame
        while self._owing:
            number = _take_first(self._owing)
            inflow = self._streams[number].inflow
            if inflow.can_grant:  # a message that has become whole since counts
                return frames.credit_frame(number, inflow.grant())
        if self._requests:
            self._highest = next(iter(self._requests))
            return self._requests.pop(self._highest)
        while self._turns:
            number = _take_first(self._turns)
            stream = self._streams[number]
            if not stream.outflow.can_send:
                continue  # CREDIT puts it back
            frame = stream.outflow.next_frame()
            if not stream.outflow.is_drained:
                self._turns[number] = None
            else:
                self._events.append(Drained(number))
                self._finish(number, stream)
            return frame
        return None

    def next_event(self) -> HttpEvent | None:
        """What has happened, in order, or None. Ask after each call, :meth:`next_frame` too."""
        return self._events.popleft() if self._events else None

    @property
    def can_request(self) -> bool:
        """Whether a client may :meth:`request` now; else wait for Ready, or for a stream's end."""
        return (
            self._client
            and self._remote is not None
            and self._leaving is None
            and self._error is None
            and self._open < self._remote.streams
        )

    @property
    def is_leaving(self) -> bool:
        """Whether new requests are of no use on this connection: dial again."""
        return self._leaving is not None or self._error is not None

    @property
    def streams(self) -> int:
        """How many are not over."""
        return self._open

    def is_over(self, number: int) -> bool:
        """Whether nothing more is sent or received on this stream."""
        stream = self._streams.get(number)
        return stream is None or stream.is_over

    def is_drained(self, number: int) -> bool:
        """Whether all that was given to this stream has been handed out, or dropped."""
        stream = self._streams.get(number)
        return stream is None or stream.outflow.is_drained

    def connection_lost(self, error: PeerError | None = None) -> None:
        """There is no connection any more. Every stream that was not over ends with ``error``."""
        self._end(error or ConnectionClosed("the far side closed the connection"))
        self._frames.clear()

    # --- what happens to streams --------------------------------------------------------

    def _add(self, number: int, head: RequestHead) -> Stream:
        assert self._remote is not None, "nothing is opened before HELLO"
        outflow = Outflow(number, self._remote.window, self._frame_bytes)
        inflow = Inflow(self._limits.window, self._limits.message_bytes)
        stream = self._streams[number] = Stream(outflow, inflow, head)
        self._open += 1
        return stream

    def _finish(self, number: int, stream: Stream) -> None:
        """One direction may have ended: is it over now?"""
        if stream.is_over or not stream.outflow.finished or stream.is_websocket:
            return
        whole = stream.inflow.ended
        if self._client and not whole:
            return
        self._drop(number, stream)
        if not whole:
            self._send(frames.reset_frame(number, ResetCode.DONE, ""))

    def _drop(self, number: int, stream: Stream) -> None:
        """Both directions are over."""
        if not stream.outflow.is_drained:
            self._events.append(Drained(number))
        stream.outflow.drop()
        stream.inflow.drop()
        for waiting in (self._owing, self._requests, self._turns):
            waiting.pop(number, None)
        stream.is_over = True
        self._open -= 1
        if self._client:
            del self._streams[number]

    def _break_off(self, number: int, stream: Stream, error: RemoteProtocolError) -> None:
        """The far side has sent on this stream what cannot be."""
        self._drop(number, stream)
        self._events.append(Ended(number, error))
        self._refuse(number, error)

    def _refuse(self, number: int, error: RemoteProtocolError) -> None:
        too_large = isinstance(error, LimitExceeded)
        code = ResetCode.TOO_LARGE if too_large else ResetCode.INVALID
        self._send(frames.reset_frame(number, code, str(error)))

    def _grant(self, number: int, stream: Stream) -> None:
        if stream.inflow.can_grant:
            self._owing[number] = None

    def _has_something(self, number: int) -> None:
        if self._streams[number].outflow.can_send:
            self._turns.setdefault(number)

    def _check_size(self, frame: bytes) -> None:
        if len(frame) > self._frame_bytes:
            most = f"the far side takes {self._frame_bytes}"
            raise MessageTooBig(f"a head of {len(frame)} bytes; {most}")

    def _send(self, frame: bytes) -> None:
        self._frames.append((frame, self._answering))
        self._answers += self._answering
        if self._answers > self._most_answers and self._error is None:
            words = f"{self._answers} answers are waiting for the far side to read them"
            self._fail(RemoteProtocolError(words), GoAwayCode.OVERLOAD, "read what you ask for")

    def _fail(self, error: PeerError, code: GoAwayCode | None = None, reason: str = "") -> None:
        """The connection is over, by the far side's fault."""
        self._end(error)
        self._frames.clear()
        if code is not None:
            self._frames.append((frames.go_away_frame(code, reason), False))
        self._events.append(Failed(error))

    def _end(self, error: PeerError) -> None:
        if self._error is not None:
            return
        self._error = error
        for number, stream in list(self._streams.items()):
            if not stream.is_over:
                self._drop(number, stream)
                self._events.append(Ended(number, error))


def _take_first(waiting: dict[int, None]) -> int:
    number = next(iter(waiting))
    del waiting[number]
    return number
