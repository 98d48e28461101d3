"""The two directions of one stream: what may be sent, and what has been received."""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs

from .errors import DecodeError, LimitExceeded, LocalProtocolError, RemoteProtocolError
from .http_frames import END, MORE, OVERHEAD, TEXT, close_frame, data_frame

__all__ = ["COST", "Inflow", "Message", "Outflow"]

COST: Final = 32
"""What a DATA costs beside its bytes. Without it a sender of empty messages could send any number
of them, and each takes memory here."""


@attrs.define
class Outflow:
    """What this side sends on one stream, as far as the far side's credit goes."""

    stream: int
    credit: int
    frame_bytes: int
    "Of the largest frame that may be sent."
    ended: bool = False
    "END or CLOSE has been added, and nothing can be behind it."
    finished: bool = False
    "The same has been handed out."
    _parts: deque[tuple[memoryview, int]] = attrs.field(factory=deque)
    "What is left of each part of a body or message, and its flags. MORE: say so where it is cut."
    _close: bytes | None = None

    @property
    def is_drained(self) -> bool:
        """Whether all that was added has been handed out."""
        return not self._parts and self._close is None

    @property
    def can_send(self) -> bool:
        """Whether :meth:`next_frame` would return one."""
        if not self._parts:
            return self._close is not None
        data, flags = self._parts[0]
        return self.credit >= COST + min(1, len(data)) or _is_free(data, flags)

    def add(self, data: bytes, flags: int) -> None:
        """A part of a body, or a whole message. Raises LocalProtocolError after the end."""
        self.check_open()
        self.ended = bool(flags & END)
        self._parts.append((memoryview(data), flags))

    def close(self, code: int, reason: str) -> None:
        """Close a WebSocket, behind the messages that were added."""
        self.check_open()
        self.ended = True
        self._close = close_frame(self.stream, code, reason)

    def check_open(self) -> None:
        """Raises LocalProtocolError after the end."""
        if self.ended:
            raise LocalProtocolError("the end of this stream has been sent already")

    def drop(self) -> None:
        """The far side wants nothing more."""
        self._parts.clear()
        self._close = None
        self.ended = self.finished = True

    def next_frame(self) -> bytes:
        """To be asked for while :attr:`can_send`."""
        if not self._parts:
            frame, self._close = self._close, None
            assert frame is not None, "there is nothing to send"
            self.finished = True
            return frame
        data, flags = self._parts[0]
        if _is_free(data, flags):
            taken = 0
        else:
            taken = min(len(data), self.frame_bytes - OVERHEAD, self.credit - COST)
            self.credit -= COST + taken
        if taken < len(data):
            self._parts[0] = data[taken:], flags
            flags &= ~END
        else:
            self._parts.popleft()
            flags &= ~MORE
            self.finished = bool(flags & END)
        return data_frame(self.stream, data[:taken], flags)


def _is_free(data: memoryview, flags: int) -> bool:
    return not data and bool(flags & END)


@attrs.frozen
class Message:
    """A whole message of a WebSocket, and what it cost."""

    value: str | bytes
    cost: int


@attrs.define
class Inflow:
    """What this side receives on one stream, and the credit that it gives for it."""

    window: int
    message_bytes: int
    ended: bool = False
    "END or CLOSE has come."
    _credit: int = attrs.field(init=False)
    "What the far side may still send."
    _held: int = 0
    "What has come and is whole, and was not taken."
    _partial: bytearray = attrs.field(factory=bytearray)
    _partial_flags: int | None = None

    def __attrs_post_init__(self) -> None:
        self._credit = self.window

    def receive(self, payload: bytes, flags: int) -> int:
        """A part of a body; what it cost. Raises RemoteProtocolError for a broken rule."""
        if flags & ~END:
            raise RemoteProtocolError("flags of a WebSocket's on a body")
        self.ended = bool(flags & END)
        if not payload and self.ended:
            return 0
        if not payload:
            raise RemoteProtocolError("a part of a body without a byte in it")
        cost = self._pay(payload)
        self._held += cost
        return cost

    def receive_message(self, payload: bytes, flags: int) -> Message | None:
        """A part of a message; the message if it is whole.

        Raises LimitExceeded where it is too large, DecodeError where its text is none, and
        another RemoteProtocolError for a broken rule.
        """
        if flags & END:
            raise RemoteProtocolError("END on a WebSocket")
        self._pay(payload)
        if self._partial_flags not in (None, flags & TEXT):
            raise RemoteProtocolError("a message that is text and binary")
        if len(self._partial) + len(payload) > self.message_bytes:
            raise LimitExceeded(f"a message of more than {self.message_bytes} bytes")
        if flags & MORE:
            self._partial += payload
            self._partial_flags = flags & TEXT
            return None
        whole = bytes(self._partial) + payload if self._partial else payload
        self._partial, self._partial_flags = bytearray(), None
        try:
            value = whole.decode() if flags & TEXT else whole
        except UnicodeDecodeError:
            raise DecodeError("a text message that is no UTF-8") from None
        cost = COST + len(whole)
        self._held += cost
        return Message(value, cost)

    def consumed(self, cost: int) -> None:
        """The application has taken what cost this. Raises LocalProtocolError for too much."""
        if not 0 <= cost <= self._held:
            raise LocalProtocolError("more was taken than there is")
        self._held -= cost

    @property
    def can_grant(self) -> bool:
        """Whether :meth:`grant` would give any: half a window at a time is enough."""
        return not self.ended and self._missing * 2 >= self.window

    def grant(self) -> int:
        """The credit that the far side is given now."""
        credit = self._missing
        self._credit += credit
        return credit

    def drop(self) -> None:
        """Nothing more is received."""
        self.ended = True
        self._partial = bytearray()

    @property
    def _missing(self) -> int:
        """Negative where a message larger than the window was not taken."""
        return self.window - self._credit - self._held

    def _pay(self, payload: bytes) -> int:
        cost = COST + len(payload)
        if cost > self._credit:
            raise RemoteProtocolError("more was sent than there was credit for")
        self._credit -= cost
        return cost
