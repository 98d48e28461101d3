"""WebSocket frames, as a server reads and writes them (RFC 6455, section 5).

A PeerServer's clients send small text messages, one frame each, nearly always whole in what one
read brings. That is what is fast here, and the reason for a codec of our own: with a general one,
reading a frame was a third of what relaying it costs. No extension is ever agreed to, so a frame
is its data.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

import attrs

try:
    try:
        from websockets.speedups import apply_mask
    except ImportError:  # it is compiled, and not everywhere
        from websockets.utils import apply_mask
except ImportError as error:
    raise ImportError(
        'a PeerServer needs websockets: pip install "peerjs-sansio[server]"'
    ) from error

__all__ = [
    "Close",
    "FrameReader",
    "Ping",
    "Pong",
    "ProtocolError",
    "accept_key",
    "close_frame",
    "close_reply",
    "ping_frame",
    "pong_frame",
    "text_frame",
]

TEXT: Final = 0x1
BINARY: Final = 0x2
CONTINUATION: Final = 0x0
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA


class ProtocolError(Exception):
    """What came is no WebSocket, or too much: the connection is to be closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@attrs.frozen
class Close:
    """The far side closes, or answers our close."""

    data: bytes
    "The payload: what an answer repeats."


@attrs.frozen
class Ping:
    data: bytes


@attrs.frozen
class Pong:
    pass


Received = str | bytes | Close | Ping | Pong


class FrameReader:
    """Turns bytes, however they are cut, into messages and control frames."""

    __slots__ = ("_max_bytes", "_partial", "_partial_is_text", "_unread")

    def __init__(self, max_bytes: int) -> None:
        """``max_bytes``: of one message, whatever number of frames it comes in."""
        self._max_bytes = max_bytes
        self._unread: bytes | bytearray = b""  # an unfinished frame
        self._partial: bytearray | None = None  # an unfinished message
        self._partial_is_text = False

    def feed(self, data: bytes) -> tuple[list[Received], ProtocolError | None]:
        """What is complete now, in order, and what was wrong behind it: the end, then."""
        if self._unread:
            self._unread += data
            data = bytes(self._unread)
        received: list[Received] = []
        position = 0
        try:
            while position < len(data):
                end = self._frame(data, position, received)
                if end is None:
                    break
                position = end
        except ProtocolError as error:
            self._unread = b""
            return received, error
        self._unread = bytearray(data[position:]) if position < len(data) else b""
        return received, None

    def _frame(self, data: bytes, start: int, received: list[Received]) -> int | None:
        """Read the frame at ``start``; where it ends, None if it is not all there."""
        if len(data) - start < 2:
            return None
        first, second = data[start], data[start + 1]
        length, position = second & 0x7F, start + 2
        if length == 126:
            length = int.from_bytes(data[position : position + 2], "big")
            position += 2
        elif length == 127:
            length = int.from_bytes(data[position : position + 8], "big")
            position += 8
        # A header that is not all there has said nothing of its length yet, but of all else.
        self._check(first, second, length if position <= len(data) else 0)
        if len(data) < position + 4 + length or position > len(data):
            return None
        end = position + 4 + length
        payload = apply_mask(data[position + 4 : end], data[position : position + 4])
        if first == 0x81 and self._partial is None:  # what nearly every frame is
            received.append(_text(payload))
        else:
            self._handle(first & 0x0F, bool(first & 0x80), payload, received)
        return end

    def _check(self, first: int, second: int, length: int) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise ProtocolError(1002, "no extension was agreed to")
        if not second & 0x80:
            raise ProtocolError(1002, "frames of a client are masked")
        if opcode >= 0x8:
            if opcode > PONG:
                raise ProtocolError(1002, "there is no such opcode")
            if second & 0x7F > 125 or not first & 0x80:
                raise ProtocolError(1002, "control frames are short and whole")
            return
        if opcode > BINARY:
            raise ProtocolError(1002, "there is no such opcode")
        if (opcode == CONTINUATION) != (self._partial is not None):
            raise ProtocolError(1002, "a message begins where none has ended, or the reverse")
        if length + len(self._partial or b"") > self._max_bytes:
            raise ProtocolError(1009, "it sent a message over the limit")

    def _handle(self, opcode: int, is_last: bool, payload: bytes, received: list[Received]) -> None:
        if opcode == PING:
            received.append(Ping(payload))
        elif opcode == PONG:
            received.append(Pong())
        elif opcode == CLOSE:
            _check_close(payload)
            received.append(Close(payload))
        else:
            if self._partial is None:
                self._partial, self._partial_is_text = bytearray(), opcode == TEXT
            self._partial += payload
            if is_last:
                message, self._partial = bytes(self._partial), None
                received.append(_text(message) if self._partial_is_text else message)


def text_frame(text: str) -> bytes:
    payload = text.encode()
    length = len(payload)
    if length < 126:
        return b"\x81%c%b" % (length, payload)
    if length < 65536:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), payload)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), payload)


def close_frame(code: int | None, reason: str = "") -> bytes:
    """None is a frame without a status, which the far side reads as 1005."""
    payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()[:123]
    return b"\x88%c%b" % (len(payload), payload)


def close_reply(close: Close) -> bytes:
    """The same frame back (5.5.1)."""
    return b"\x88%c%b" % (len(close.data), close.data)


def ping_frame() -> bytes:
    return b"\x89\x00"


def pong_frame(ping: Ping) -> bytes:
    return b"\x8a%c%b" % (len(ping.data), ping.data)


def accept_key(key: str) -> str | None:
    """``Sec-WebSocket-Accept`` for ``Sec-WebSocket-Key`` (4.2.2); None for what is no key."""
    try:
        if len(base64.b64decode(key, validate=True)) != 16:
            return None
    except ValueError:
        return None
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def _text(payload: bytes) -> str:
    try:
        return str(payload, "utf-8")
    except UnicodeDecodeError:
        raise ProtocolError(1007, "text is not UTF-8") from None


def _check_close(payload: bytes) -> None:
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (1000 <= code < 5000) or code in _RESERVED_CODES:
        raise ProtocolError(1002, "there is no such close code")
    _text(payload[2:])


_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_RESERVED_CODES: Final = frozenset({1004, 1005, 1006, *range(1015, 3000)})
"Never in a frame (7.4), or of no meaning yet: RFC 6455 and IANA's registry have 1000 to 1014."
