"""Against RFC 6455: frames that may not be, and frames that are too much."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from tests.attacks.attack import Attack
from tests.attacks.target import Target
from tests.attacks.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    frame,
    open_client,
    open_wire,
    upgrade,
)

__all__ = ["FRAMES"]

_MIB: Final = 1 << 20


def _heartbeat(size: int) -> bytes:
    """A message that either server takes, in so many bytes."""
    return b'{"type":"HEARTBEAT"}'.ljust(size)


def _sends(*pieces: bytes) -> Callable[[Target], Awaitable[str]]:
    """A registered client that sends this, and is asked what has become of it."""

    async def run(target: Target) -> str:
        async with open_client(target, "attacker") as wire:
            await wire.send(*pieces)
            return await wire.fate()

    return run


async def _hundred_mebibytes(target: Target) -> str:
    """A message as large as npm's `ws` takes by default, in one frame."""
    async with open_client(target, "attacker") as wire:
        first = _heartbeat(_MIB)
        await wire.send(frame(TEXT, length=100 * _MIB), first, *[b" " * _MIB] * 99)
        return await wire.fate(10)


async def _fragments_without_end(target: Target) -> str:
    async with open_client(target, "attacker") as wire:
        await wire.send(frame(TEXT, b" " * _MIB, fin=False))
        await wire.send(*[frame(CONTINUATION, b" " * _MIB, fin=False)] * 60)
        return await wire.fate(5)


async def _empty_fragments(target: Target) -> str:
    async with open_client(target, "attacker") as wire:
        await wire.send(frame(TEXT, _heartbeat(20), fin=False))
        await wire.send(*[frame(CONTINUATION, fin=False) * 10_000] * 20)
        await wire.send(frame(CONTINUATION))
        return await wire.fate(10)


async def _byte_by_byte(target: Target) -> str:
    async with open_client(target, "attacker") as wire:
        for byte in frame(TEXT, _heartbeat(500)):
            if not await wire.send(bytes([byte])):
                break
        return await wire.fate()


async def _small_pieces(target: Target) -> str:
    """Whoever copies what there is at each piece copies 300 MiB."""
    async with open_client(target, "attacker") as wire:
        whole = frame(TEXT, _heartbeat(250_000))
        for start in range(0, len(whole), 100):
            await wire.send(whole[start : start + 100])
            await trio.lowlevel.checkpoint()
        return await wire.fate(10)


async def _pings(target: Target) -> str:
    """Each asks for a pong, and nobody reads those."""
    async with open_client(target, "attacker", receive_buffer=4096) as wire:
        await wire.push(frame(PING, bytes(125)) * 1000, times=100, seconds=5)
        return await wire.end(10)


async def _bomb(target: Target) -> str:
    """A mebibyte in a kilobyte, compressed, though that was not agreed on."""
    compress = zlib.compressobj(9, wbits=-15)
    bomb = compress.compress(b" " * _MIB) + compress.flush(zlib.Z_SYNC_FLUSH)
    async with open_wire(target) as wire:
        wire.id = "attacker"
        offered = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
        await wire.send(upgrade("attacker", "token", offered))
        agreed = "permessage-deflate" in (await wire.head()).lower()
        await wire.message()
        await wire.send(frame(TEXT, bomb, rsv=4))
        return ("agreed, " if agreed else "") + await wire.fate()


async def _after_goodbye(target: Target) -> str:
    async with open_client(target, "attacker") as wire:
        await wire.send(frame(CLOSE, (1000).to_bytes(2)), frame(TEXT, b"null") * 1000)
        return await wire.end(5)


def _closes(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2) + reason)


FRAMES: Final = [
    Attack("an opcode that is none", _sends(frame(3, b"x")), "closed 1002"),
    Attack("a control opcode that is none", _sends(frame(0xB)), "closed 1002"),
    *(
        Attack(f"reserved bit {rsv}", _sends(frame(TEXT, b"{}", rsv=4 >> rsv - 1)), "closed 1002")
        for rsv in (1, 2, 3)
    ),
    Attack("a frame without a mask", _sends(frame(TEXT, b"{}", masked=False)), "closed 1002"),
    Attack("a ping in fragments", _sends(frame(PING, b"x", fin=False)), "closed 1002"),
    Attack("a ping of 126 bytes", _sends(frame(PING, bytes(126))), "closed 1002"),
    Attack("the rest of nothing", _sends(frame(CONTINUATION, b"x")), "closed 1002"),
    Attack(
        "a message inside a message",
        _sends(frame(TEXT, b"x", fin=False), frame(TEXT, b"y")),
        "closed 1002",
    ),
    Attack("a close of one byte", _sends(frame(CLOSE, b"x")), "closed 1002"),
    *(
        Attack(f"a close with code {code}", _sends(_closes(code)), "closed 1002")
        for code in (0, 999, 1005, 1006, 1015, 2999, 65535)
    ),
    Attack("a close whose reason is not UTF-8", _sends(_closes(1000, b"\xff")), "closed 1007"),
    Attack("more after the close", _after_goodbye, "closed 1000"),
    Attack("text that is not UTF-8", _sends(frame(TEXT, b'{"type":"\xff"}')), "closed 1007"),
    Attack("text with half a character", _sends(frame(TEXT, b'"\xe2\x82')), "closed 1007"),
    Attack("text with a surrogate", _sends(frame(TEXT, b'"\xed\xa0\x80"')), "closed 1007"),
    Attack("binary that is not UTF-8", _sends(frame(BINARY, b"\xff\xfe\x00")), "goes on"),
    Attack(
        "a frame of 2^63 bytes, announced",
        _sends(frame(TEXT, length=1 << 63)),
        "closed 1002 or closed 1009",
    ),
    Attack("a frame of 2^62 bytes, announced", _sends(frame(TEXT, length=1 << 62)), "closed 1009"),
    Attack("a frame of 90 MiB, announced", _sends(frame(TEXT, length=90 * _MIB)), "closed 1009"),
    Attack("a message of 100 MiB, sent", _hundred_mebibytes, "closed 1009"),
    Attack("fragments without end, 60 MiB", _fragments_without_end, "closed 1009"),
    Attack("200,000 empty fragments", _empty_fragments, "goes on"),
    Attack("a message byte by byte", _byte_by_byte, "goes on"),
    Attack("a message in 2,500 pieces", _small_pieces, "goes on"),
    Attack("100,000 pings, no pong read", _pings, "closed"),
    Attack("a compression bomb", _bomb, "closed 1002"),
]
