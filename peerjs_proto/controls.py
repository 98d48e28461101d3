"""Words of our own on a data channel, between our own peers: text frames that begin with U+0000.

Of PeerJS's serializations ``raw`` alone sends text that could begin so; it gets a second one in
front. Binary frames, and all other text, are what they always were.
"""

from __future__ import annotations

from typing import Final

from .errors import DecodeError
from .serializer import Frame

__all__ = ["BYE", "beat", "escape", "is_control", "read_beat", "unescape"]

_MARK: Final = "\0"

BYE: Final = "\0."
"The connection is over, as was wanted; without it, a channel that closes may come back."

_DIGITS: Final = 18
"Of a count of frames: no connection lives long enough for more."


def beat(taken: int, coming: int = 0) -> str:
    """Still here; that many of your frames have been taken, and so many bytes come next."""
    return f"{_MARK}{taken}+{coming}" if coming else f"{_MARK}{taken}"


def read_beat(frame: str) -> tuple[int, int]:
    """How many frames have been taken, and how many bytes come next. Raises DecodeError."""
    taken, _, coming = frame[1:].partition("+")
    return _count(taken), _count(coming) if coming else 0


def _count(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS):
        raise DecodeError("a control frame that is none")
    return int(digits)


def is_control(frame: Frame) -> bool:
    """Whether it is a word of ours, and not the application's."""
    return isinstance(frame, str) and frame[:1] == _MARK and frame[1:2] != _MARK


def escape(frame: Frame) -> Frame:
    """An application's frame, as it crosses."""
    return _MARK + frame if isinstance(frame, str) and frame[:1] == _MARK else frame


def unescape(frame: Frame) -> Frame:
    """And back, where it is not :func:`is_control`."""
    return frame[1:] if isinstance(frame, str) and frame[:1] == _MARK else frame
