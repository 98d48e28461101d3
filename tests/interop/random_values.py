"""Random values and bytes for BinaryPack, with a liking for the corners."""

from __future__ import annotations

import math
import random
from typing import Any, Final

from peerjs_proto.binarypack import pack
from tests.interop.npm_binarypack import UNDEFINED

__all__ = ["random_bytes", "random_number", "random_value"]


def random_value(rng: random.Random, *, sendable: bool, depth: int | None = None) -> Any:
    """A value of any kind.

    ``sendable``: one that our ``pack`` takes; else one that JavaScript has, and every number in
    it is a float or an int that a double can hold nearly.
    """
    if depth is None:
        depth = rng.choice([0, 0, 1, 2, 3])
    match rng.randrange(9 if depth else 6):
        case 0:
            return rng.choice([None, True, False, None if sendable else UNDEFINED])
        case 1 | 2:
            return random_number(rng, sendable=sendable)
        case 3 | 4:
            return _text(rng)
        case 5:
            return rng.randbytes(_size(rng))
        case 6:
            return {
                _key(rng, sendable): random_value(rng, sendable=sendable, depth=depth - 1)
                for _ in range(_count(rng))
            }
        case 7:
            # Numbers of one kind: these are read many at a time.
            kind, count = rng.randrange(_KINDS), rng.randrange(100)
            return [random_number(rng, sendable=sendable, kind=kind) for _ in range(count)]
    return [random_value(rng, sendable=sendable, depth=depth - 1) for _ in range(_count(rng))]


def random_number(rng: random.Random, *, sendable: bool, kind: int | None = None) -> float:
    """A number near a border of some form, or anywhere; sendable: one our ``pack`` takes."""
    sign = rng.choice([1, -1])
    number: float
    match rng.randrange(_KINDS) if kind is None else kind:
        case 0:
            number = sign * 2 ** rng.randrange(66) + rng.randint(-2050, 2050)
        case 1:
            number = sign * rng.getrandbits(rng.randrange(1, 66))
        case 2:
            number = rng.randint(-40, 200)
        case 3:
            number = rng.uniform(-1, 1) * 2.0 ** rng.randint(-1000, 1023)
        case 4:
            number = sign * math.nextafter(2.0 ** rng.randint(-60, 60), rng.choice([0.0, math.inf]))
        case 5:
            number = sign * 2.0 ** rng.randint(-1074, 1023)
        case 6:
            number = rng.choice([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 2.0**64])
        case _:
            number = rng.uniform(-1000, 1000)
    beyond = isinstance(number, int) and not -(2**63) <= number < 2**64
    if sendable and (number != number or beyond):
        return random_number(rng, sendable=sendable)
    return number


_KINDS: Final = 8


def random_bytes(rng: random.Random) -> bytes:
    """Any bytes, and packed values with something done to them."""
    if rng.random() < 0.2:
        return rng.randbytes(rng.randrange(1, 40))
    if rng.random() < 0.005:
        return b"\x91" * rng.randrange(60, 70) + b"\x00"
    if rng.random() < 0.4:
        return _forms(rng, 3)
    value = random_value(rng, sendable=True, depth=rng.randrange(3))
    data = bytearray(pack(value)[:2000])
    for _ in range(rng.choice([0, 1, 1, 2, 4])):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                data[at : at + 1] = rng.randbytes(1)
            case 1:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 2:
                del data[at : at + rng.randrange(1, 9)]
            case _:
                data[at:at] = data[: rng.randrange(1, 40)]
    return bytes(data)


def _forms(rng: random.Random, depth: int) -> bytes:
    """Well-formed bytes in every form, longer than needed or not; nearly always read by us."""
    match rng.randrange(7 if depth else 5):
        case 0:
            return bytes([rng.choice([*range(0x80), *range(0xC0, 0xC4), *range(0xD4, 0xD8)])])
        case 1 | 2:
            lead = rng.randrange(0xCA, 0xD4)
            size = (4, 8, 1, 2, 4, 8, 1, 2, 4, 8)[lead - 0xCA]
            body = rng.choice(
                [bytes(size), b"\xff" * size, rng.randbytes(size), rng.randbytes(size)]
            )
            if rng.random() < 0.3:
                body = rng.choice([b"\x00", b"\x7f", b"\x80", b"\xff"]) + body[1:]
            return bytes([lead]) + body
        case 3:
            text = _text(rng)[:40].encode(errors="replace")
            return _head(rng, 0xB0, 0xD8, len(text)) + text
        case 4:
            data = rng.randbytes(rng.randrange(20))
            return _head(rng, 0xA0, 0xDA, len(data)) + data
        case 5:
            items = [_forms(rng, depth - 1) for _ in range(rng.randrange(5))]
            if rng.random() < 0.2:
                items *= 20
            return _head(rng, 0x90, 0xDC, len(items)) + b"".join(items)
    keys = [_key(rng, sendable=False).encode(errors="replace") for _ in range(rng.randrange(5))]
    entries = [_head(rng, 0xB0, 0xD8, len(key)) + key + _forms(rng, depth - 1) for key in keys]
    return _head(rng, 0x80, 0xDE, len(entries)) + b"".join(entries)


def _head(rng: random.Random, short: int, long: int, size: int) -> bytes:
    match rng.randrange(4 if size < 16 else 2):
        case 0:
            return bytes([long]) + size.to_bytes(2, "big")
        case 1:
            return bytes([long + 1]) + size.to_bytes(4, "big")
    return bytes([short + size])


def _text(rng: random.Random) -> str:
    alphabet = "abcdefghijklmnopqrstuvwxyz 0123456789"
    if rng.random() < 0.6:
        alphabet += "\0\x7f\x80\x9fé߿ࠀ€\ufffd\uffff\U00010000😀\U0010ffff"
    if rng.random() < 0.1:
        alphabet += "\ud800\udbff\udc00\udfff"
    return "".join(rng.choices(alphabet, k=_size(rng)))


def _key(rng: random.Random, sendable: bool) -> str:
    match rng.randrange(12):
        case 0:
            return str(rng.choice([rng.randrange(20), rng.randrange(2**33), 2**32 - 1, "01", "-1"]))
        case 1:
            return rng.choice(_WORDS)
        case 2 if not sendable:
            return "__proto__"
    return _text(rng)[:20]


_WORDS: Final = ("", "length", "toString", "hasOwnProperty", "constructor", "BYTES_PER_ELEMENT")


def _size(rng: random.Random) -> int:
    if rng.random() < 0.002:
        return rng.choice([65_535, 65_536, 70_000])
    return rng.choice([0, 1, 2, 3, 5, 8, 15, 16, 17, 300])


def _count(rng: random.Random) -> int:
    return rng.choice([0, 1, 2, 3, 5, 15, 16, 17])
