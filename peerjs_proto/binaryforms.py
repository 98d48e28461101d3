"""The forms of BinaryPack: type bytes, and what stands behind them.

As peerjs-js-binarypack 2.1.0 writes and reads them. All numbers are big-endian.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

__all__ = ["ARRAY", "CONSTANTS", "MAP", "RAW", "READ", "TEXT", "WRITE", "Kind"]


class Kind(NamedTuple):
    """What has a size: its type byte for sizes 0 to 15, and the one before a uint16.

    The type byte before a uint32 is ``long + 1``.
    """

    short: int
    long: int


MAP: Final = Kind(0x80, 0xDE)
ARRAY: Final = Kind(0x90, 0xDC)
RAW: Final = Kind(0xA0, 0xDA)
TEXT: Final = Kind(0xB0, 0xD8)

_NUMBERS: Final = dict(zip(range(0xCA, 0xD4), "fdBHIQbhiq", strict=True))
WRITE: Final = {lead: Struct(f">B{letter}") for lead, letter in _NUMBERS.items()}
"A type byte and its number, of each form a number has."
READ: Final = {lead: Struct(f">x{letter}") for lead, letter in _NUMBERS.items()}
"The same, without the type byte that is known by now."

CONSTANTS: Final = {
    **{number & 0xFF: number for number in range(-0x20, 0x80)},
    **dict.fromkeys((0xC1, 0xD4, 0xD5, 0xD6, 0xD7), None),  # undefined
    0xC0: None,
    0xC2: False,
    0xC3: True,
}
"What is a type byte and no more."
