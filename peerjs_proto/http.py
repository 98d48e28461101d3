"""HTTP over a data connection, without I/O: many requests at once, bodies and WebSockets.

The protocol is in docs/http-over-webrtc.md. Frames go in by :meth:`HttpProtocol.receive_frame` and
come out of :meth:`HttpProtocol.next_frame`; what has happened comes out of ``next_event``. There is
no clock in it: time limits are whoever's who waits.
"""

from __future__ import annotations

from collections import deque
from typing import Final, assert_never

import attrs

from . import http_frames as frames
from .errors import (
    ConnectionClosed,
    DecodeError,
    LimitExceeded,
    LocalProtocolError,
    MessageTooBig,
    NotOpenYet,
    PeerError,
    RemoteProtocolError,
)
from .http_frames import END, MORE, TEXT, Frame, Hello, Type
from .http_io import (
    DEFAULT_HTTP_LIMITS,
    LARGEST_FRAME,
    BodyNotNeeded,
    CloseReceived,
    DataReceived,
    Drained,
    Ended,
    Failed,
    GoAwayCode,
    GoingAway,
    HttpEvent,
    HttpLimits,
    MessageReceived,
    Ready,
    RequestHead,
    RequestReceived,
    ResetCode,
    ResponseHead,
    ResponseReceived,
    StreamReset,
)
from .http_streams import Inflow, Outflow
from .jsontext import well_formed

__all__ = ["HttpProtocol"]

LAST_STREAM: Final = (1 << 32) - 1
"The largest number of a stream. Whoever has used it dials again."


@attrs.define
class _Stream:
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


class HttpProtocol:
    """One side of one connection.

    :param client: whether this side has dialled, and asks; the other answers.
    :param agent: a name and version for the far side's people, of 128 bytes at most.
    :param max_message_size: bytes that the data channel carries in one message, at least 1,024.

    Calls raise LocalProtocolError for what the protocol does not allow, and ConnectionClosed for a
    stream or a connection that is over; both change nothing. What the far side does wrong never
    raises: it resets its stream, or is :class:`~peerjs_proto.http_io.Failed`.
    """

    def __init__(
        self,
        *,
        client: bool,
        limits: HttpLimits = DEFAULT_HTTP_LIMITS,
        agent: str = "",
        max_message_size: int = LARGEST_FRAME,
    ) -> None:
        if max_message_size < 1024:
            raise LocalProtocolError("a channel has to carry 1,024 bytes in one message")
        self._client = client
        self._limits = limits
        self._frame_bytes = min(max_message_size, LARGEST_FRAME)
        "Of the largest frame that can be sent."
        self._remote: Hello | None = None
        self._streams: dict[int, _Stream] = {}
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

    # --- what goes in, from the far side -----------------------------------------------------

    def receive_frame(self, data: str | bytes) -> None:
        """One message of the connection. Never raises."""
        if self._error is not None:
            return
        self._answering = True
        try:
            self._receive(self._split(data))
        except RemoteProtocolError as error:
            self._fail(error, GoAwayCode.PROTOCOL, str(error))
        finally:
            self._answering = not self._client

    def connection_lost(self, error: PeerError | None = None) -> None:
        """There is no connection any more. Every stream that was not over ends with ``error``."""
        self._end(error or ConnectionClosed("the far side closed the connection"))
        self._frames.clear()

    # --- what goes in, from a client -------------------------------------------------------

    def request(self, head: RequestHead, *, end: bool) -> int:
        """Send a request's head; the number of its stream.

        :param end: whether it has no body. False for a WebSocket.

        Raises NotOpenYet unless :attr:`can_request`, and MessageTooBig for a head larger than a
        frame of the far side's.
        """
        if not self._client:
            raise LocalProtocolError("a server sends no requests")
        if head.websocket and end:
            raise LocalProtocolError(_NO_END)
        self._check_going()
        if not self.can_request or self._remote is None:
            raise NotOpenYet("the far side takes no request now")
        number = self._last + 1
        frame = frames.request_frame(number, head, end=end)
        self._check_size(frame)
        self._last = number
        stream = self._add(number, head)
        stream.outflow.ended = stream.outflow.finished = end
        self._requests[number] = frame
        if number == LAST_STREAM:
            self._leaving = "the connection has no numbers for streams left"
        return number

    # --- what goes in, from a server -------------------------------------------------------

    def respond(self, number: int, head: ResponseHead, *, end: bool) -> None:
        """Send a response's head.

        :param end: whether it has no body, as after HEAD, and with 204 and 304. A WebSocket is
            accepted with 101, and False.
        """
        stream = self._stream(number)
        if self._client or stream.responded:
            raise LocalProtocolError("one response a request, from the server")
        if misfit := head.misfit(stream.head, end=end):
            raise LocalProtocolError(misfit)
        frame = frames.response_frame(number, head, end=end)
        self._check_size(frame)
        stream.responded = True
        stream.is_websocket = head.status == 101
        if stream.head.websocket and not stream.is_websocket:
            stream.inflow.ended = True  # what was refused has no body
        self._send(frame)
        if end:
            stream.outflow.ended = stream.outflow.finished = True
            self._finish(number, stream)

    def release(self, number: int) -> None:
        """A server is done with a request, whatever became of it. Until then it counts as one."""
        stream = self._streams.get(number)
        if stream is None:
            return
        if not stream.is_over:
            self.reset(number, ResetCode.FAILED, "the server ended before its response")
        self._streams.pop(number, None)

    # --- what goes in, from both -----------------------------------------------------------

    def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Send a part of a body, of any size. Drained tells when all of it is handed out."""
        stream = self._stream(number)
        if stream.is_websocket or (stream.head.websocket and self._client):
            raise LocalProtocolError("a WebSocket sends messages")
        if not self._client and not stream.responded:
            raise LocalProtocolError("a response's head comes before its body")
        if data or end:
            stream.outflow.add(data, END if end else 0)
            self._has_something(number)
        else:
            stream.outflow.check_open()

    def send_message(self, number: int, value: str | bytes) -> None:
        """Send a message of a WebSocket. Drained tells when all of it is handed out.

        Lone surrogates become U+FFFD, as in a browser. Raises MessageTooBig for more than the far
        side takes.
        """
        stream = self._websocket(number)
        if isinstance(value, str):
            data, flags = well_formed(value).encode(), TEXT
        else:
            data, flags = value, 0
        most = self._remote.message if self._remote else 0
        if len(data) > most:
            raise MessageTooBig(f"a message of {len(data)} bytes; the far side takes {most}")
        stream.outflow.add(data, flags | MORE)
        self._has_something(number)

    def close(self, number: int, code: int = 1000, reason: str = "") -> None:
        """Close a WebSocket, behind what was sent. CloseReceived follows.

        :param reason: for people; 123 bytes of it are sent.
        """
        if not frames.is_close_code(code):
            raise LocalProtocolError("a WebSocket is closed with a code of 1000 to 4999")
        self._websocket(number).outflow.close(code, reason)
        self._has_something(number)

    def reset(self, number: int, code: int = ResetCode.CANCELLED, reason: str = "") -> None:
        """End a stream at once, both ways; nothing more comes of it. Late ones are ignored.

        A request that has not gone out never does.
        """
        stream = self._streams.get(number)
        if stream is not None and not stream.is_over:
            frame = frames.reset_frame(number, code, reason)
            is_known = number not in self._requests
            self._drop(number, stream)
            if is_known:
                self._send(frame)

    def consumed(self, number: int, cost: int) -> None:
        """The application has taken what cost this. Late words are ignored."""
        stream = self._streams.get(number)
        if stream is not None:
            stream.inflow.consumed(cost)
            self._grant(number, stream)

    def go_away(self, reason: str = "") -> None:
        """Take, or send, no new requests. Those under way go on."""
        if self._leaving is None and self._error is None:
            self._leaving = "this side is closing the connection"
            self._send(frames.go_away_frame(GoAwayCode.CLOSING, reason))

    # --- frames, by type ---------------------------------------------------------------------

    def _split(self, data: str | bytes) -> Frame | None:
        if isinstance(data, str):
            raise RemoteProtocolError("a text message among the frames")
        if len(data) > self._limits.frame_bytes:
            raise RemoteProtocolError(f"a frame of {len(data)} bytes")
        return frames.split_frame(data)

    def _receive(self, frame: Frame | None) -> None:
        if frame is None:
            return  # of a later version
        if self._remote is None and frame.type not in (Type.HELLO, Type.GOAWAY):
            raise RemoteProtocolError(f"{frame.type.name} before HELLO")
        match frame.type:
            case Type.HELLO:
                self._receive_hello(frames.decode_hello(frame.payload))
            case Type.GOAWAY:
                self._receive_go_away(*frames.decode_code(frame.payload))
            case Type.REQUEST:
                self._receive_request(frame)
            case Type.RESPONSE | Type.DATA | Type.CREDIT | Type.RESET | Type.CLOSE:
                if frame.stream > self._highest:
                    raise RemoteProtocolError(f"{frame.type.name} for a stream that never was")
                stream = self._streams.get(frame.stream)
                if stream is not None and not stream.is_over:
                    self._receive_on(stream, frame)
            case _:
                assert_never(frame.type)

    def _receive_on(self, stream: _Stream, frame: Frame) -> None:
        number = frame.stream
        match frame.type:
            case Type.RESPONSE:
                self._receive_response(number, stream, frame)
            case Type.DATA if stream.is_websocket:
                self._receive_message(number, stream, frame)
            case Type.DATA:
                self._receive_data(number, stream, frame)
            case Type.CREDIT:
                stream.outflow.credit += frames.decode_credit(frame.payload)
                if stream.outflow.credit >= 1 << 32:
                    raise RemoteProtocolError("more credit than any window has")
                self._has_something(number)
            case Type.RESET:
                self._receive_reset(number, stream, *frames.decode_code(frame.payload))
            case _:  # CLOSE
                self._receive_close(number, stream, *frames.decode_code(frame.payload))

    def _receive_hello(self, hello: Hello) -> None:
        if self._remote is not None:
            raise RemoteProtocolError("a second HELLO")
        if not hello.versions & set(frames.VERSIONS):
            listed = ", ".join(map(str, sorted(hello.versions)[:8]))
            words = f"the far side speaks versions {listed or 'none'} of the protocol, this one 1"
            self._fail(RemoteProtocolError(words), GoAwayCode.VERSION, "this side speaks 1")
            return
        self._remote = hello
        self._frame_bytes = min(self._frame_bytes, hello.frame)
        self._events.append(Ready(hello.agent))

    def _receive_go_away(self, code: int, reason: str) -> None:
        self._leaving = self._leaving or "the far side is closing the connection"
        self._events.append(GoingAway(code, reason))
        if code != GoAwayCode.CLOSING:
            self._fail(RemoteProtocolError(f"the far side ended the connection: {reason}"))

    def _receive_request(self, frame: Frame) -> None:
        number = frame.stream
        if self._client:
            raise RemoteProtocolError("a request from a server")
        if number <= self._highest:
            raise RemoteProtocolError("a stream's number was used twice")
        self._last = self._highest = number
        # Those that are over and still worked for count as well, twice the number at most: a
        # response may have ended while the application has something to do after it.
        most = self._limits.streams
        if self._leaving is not None or self._open >= most or len(self._streams) >= 2 * most:
            words = "too many at once" if self._leaving is None else "no new requests are taken"
            self._send(frames.reset_frame(number, ResetCode.REFUSED, words))
            return
        ended = bool(frame.flags & END)
        try:
            head = frames.decode_request(frame.payload, self._limits)
        except RemoteProtocolError as error:
            self._refuse(number, error)
            return
        if head.websocket and ended:
            self._refuse(number, RemoteProtocolError(_NO_END))
            return
        stream = self._add(number, head)
        stream.inflow.ended = ended
        self._events.append(RequestReceived(number, head, ended))

    def _receive_response(self, number: int, stream: _Stream, frame: Frame) -> None:
        if not self._client or stream.responded:
            raise RemoteProtocolError("a response that no request has asked for")
        ended = bool(frame.flags & END)
        try:
            head = frames.decode_response(frame.payload, self._limits)
        except RemoteProtocolError as error:
            self._break_off(number, stream, error)
            return
        if misfit := head.misfit(stream.head, end=ended):
            self._break_off(number, stream, RemoteProtocolError(misfit))
            return
        stream.responded = True
        stream.is_websocket = head.status == 101
        if stream.head.websocket and not stream.is_websocket:
            stream.outflow.drop()
        stream.inflow.ended = ended
        self._events.append(ResponseReceived(number, head, ended))
        self._finish(number, stream)

    def _receive_data(self, number: int, stream: _Stream, frame: Frame) -> None:
        if stream.inflow.ended or (stream.head.websocket and not stream.responded):
            raise RemoteProtocolError("DATA where none can be")
        if self._client and not stream.responded:
            raise RemoteProtocolError("a body before its head")
        cost = stream.inflow.receive(frame.payload, frame.flags)
        ended = stream.inflow.ended
        self._events.append(DataReceived(number, frame.payload, cost, ended))
        if ended:
            self._finish(number, stream)

    def _receive_message(self, number: int, stream: _Stream, frame: Frame) -> None:
        try:
            message = stream.inflow.receive_message(frame.payload, frame.flags)
        except (LimitExceeded, DecodeError) as error:
            self._break_off(number, stream, error)
            return
        if message is not None:
            self._events.append(MessageReceived(number, message.value, message.cost))
        self._grant(number, stream)

    def _receive_reset(self, number: int, stream: _Stream, code: int, reason: str) -> None:
        is_whole = self._client and stream.responded and stream.inflow.ended
        self._drop(number, stream)
        if code == ResetCode.DONE and is_whole:
            self._events.append(BodyNotNeeded(number))
        else:
            self._events.append(Ended(number, StreamReset(code, reason)))

    def _receive_close(self, number: int, stream: _Stream, code: int, reason: str) -> None:
        if not stream.is_websocket:
            raise RemoteProtocolError("CLOSE for what is no WebSocket")
        if not frames.is_close_code(code):
            words = f"a WebSocket was closed with the code {code}"
            self._break_off(number, stream, RemoteProtocolError(words))
            return
        answered = stream.outflow.finished
        self._drop(number, stream)
        self._events.append(CloseReceived(number, code, reason))
        if not answered:
            self._send(frames.close_frame(number, code, ""))

    # --- inside ---------------------------------------------------------------------------

    def _add(self, number: int, head: RequestHead) -> _Stream:
        assert self._remote is not None, "nothing is opened before HELLO"
        outflow = Outflow(number, self._remote.window, self._frame_bytes)
        inflow = Inflow(self._limits.window, self._limits.message_bytes)
        stream = self._streams[number] = _Stream(outflow, inflow, head)
        self._open += 1
        return stream

    def _finish(self, number: int, stream: _Stream) -> None:
        """One direction may have ended: is it over now?"""
        if stream.is_over or not stream.outflow.finished or stream.is_websocket:
            return
        whole = stream.inflow.ended
        if self._client and not whole:
            return
        self._drop(number, stream)
        if not whole:
            self._send(frames.reset_frame(number, ResetCode.DONE, ""))

    def _drop(self, number: int, stream: _Stream) -> None:
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

    def _break_off(self, number: int, stream: _Stream, error: RemoteProtocolError) -> None:
        """The far side has sent on this stream what cannot be."""
        self._drop(number, stream)
        self._events.append(Ended(number, error))
        self._refuse(number, error)

    def _refuse(self, number: int, error: RemoteProtocolError) -> None:
        too_large = isinstance(error, LimitExceeded)
        code = ResetCode.TOO_LARGE if too_large else ResetCode.INVALID
        self._send(frames.reset_frame(number, code, str(error)))

    def _grant(self, number: int, stream: _Stream) -> None:
        if stream.inflow.can_grant:
            self._owing[number] = None

    def _has_something(self, number: int) -> None:
        if self._streams[number].outflow.can_send:
            self._turns.setdefault(number)

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
        self._answers = 0
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

    def _stream(self, number: int) -> _Stream:
        stream = self._streams.get(number)
        if not 0 < number <= self._last:
            raise LocalProtocolError(f"there is no stream {number}")
        if stream is None or stream.is_over:
            raise ConnectionClosed("the stream is over")
        return stream

    def _websocket(self, number: int) -> _Stream:
        stream = self._stream(number)
        if not stream.is_websocket:
            raise LocalProtocolError("the stream is no WebSocket, or not yet")
        return stream

    def _check_going(self) -> None:
        if self._error is not None:
            raise ConnectionClosed(str(self._error))
        if self._leaving is not None:
            raise ConnectionClosed(self._leaving)

    def _check_size(self, frame: bytes) -> None:
        if len(frame) > self._frame_bytes:
            most = f"the far side takes {self._frame_bytes}"
            raise MessageTooBig(f"a head of {len(frame)} bytes; {most}")


def _take_first(waiting: dict[int, None]) -> int:
    number = next(iter(waiting))
    del waiting[number]
    return number


_NO_END: Final = "a WebSocket has no end before its beginning"
