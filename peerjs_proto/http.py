"""HTTP over a data connection, without I/O: many requests at once, bodies and WebSockets.

The protocol is in docs/http-over-webrtc.md. Frames go in by :meth:`HttpProtocol.receive_frame` and
come out of :meth:`HttpProtocol.next_frame`; what has happened comes out of ``next_event``. There is
no clock in it: time limits are whoever's who waits.
"""

from __future__ import annotations

from typing import Final, assert_never

from . import http_frames as frames
from .errors import (
    ConnectionClosed,
    DecodeError,
    LimitExceeded,
    LocalProtocolError,
    MessageTooBig,
    NotOpenYet,
    RemoteProtocolError,
)
from .http_connection import HttpConnection, Stream
from .http_frames import END, MORE, TEXT, Frame, Hello, Type
from .http_io import (
    DEFAULT_HTTP_LIMITS,
    LARGEST_FRAME,
    BodyNotNeeded,
    CloseReceived,
    DataReceived,
    Ended,
    GoAwayCode,
    GoingAway,
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
from .jsontext import well_formed

__all__ = ["HttpProtocol"]

LAST_STREAM: Final = (1 << 32) - 1
"The largest number of a stream. Whoever has used it dials again."


class HttpProtocol(HttpConnection):
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
        super().__init__(
            client=client, limits=limits, agent=agent, max_message_size=max_message_size
        )

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

    def _receive_on(self, stream: Stream, frame: Frame) -> None:
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

    def _receive_response(self, number: int, stream: Stream, frame: Frame) -> None:
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

    def _receive_data(self, number: int, stream: Stream, frame: Frame) -> None:
        if stream.inflow.ended or (stream.head.websocket and not stream.responded):
            raise RemoteProtocolError("DATA where none can be")
        if self._client and not stream.responded:
            raise RemoteProtocolError("a body before its head")
        cost = stream.inflow.receive(frame.payload, frame.flags)
        ended = stream.inflow.ended
        self._events.append(DataReceived(number, frame.payload, cost, ended))
        if ended:
            self._finish(number, stream)

    def _receive_message(self, number: int, stream: Stream, frame: Frame) -> None:
        try:
            message = stream.inflow.receive_message(frame.payload, frame.flags)
        except (LimitExceeded, DecodeError) as error:
            self._break_off(number, stream, error)
            return
        if message is not None:
            self._events.append(MessageReceived(number, message.value, message.cost))
        self._grant(number, stream)

    def _receive_reset(self, number: int, stream: Stream, code: int, reason: str) -> None:
        is_whole = self._client and stream.responded and stream.inflow.ended
        self._drop(number, stream)
        if code == ResetCode.DONE and is_whole:
            self._events.append(BodyNotNeeded(number))
        else:
            self._events.append(Ended(number, StreamReset(code, reason)))

    def _receive_close(self, number: int, stream: Stream, code: int, reason: str) -> None:
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

    # --- checks of calls ---------------------------------------------------------------------

    def _stream(self, number: int) -> Stream:
        stream = self._streams.get(number)
        if not 0 < number <= self._last:
            raise LocalProtocolError(f"there is no stream {number}")
        if stream is None or stream.is_over:
            raise ConnectionClosed("the stream is over")
        return stream

    def _websocket(self, number: int) -> Stream:
        stream = self._stream(number)
        if not stream.is_websocket:
            raise LocalProtocolError("the stream is no WebSocket, or not yet")
        return stream

    def _check_going(self) -> None:
        if self._error is not None:
            raise ConnectionClosed(str(self._error))
        if self._leaving is not None:
            raise ConnectionClosed(self._leaving)


_NO_END: Final = "a WebSocket has no end before its beginning"
