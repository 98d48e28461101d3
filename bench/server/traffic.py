"""What clients of a PeerServer send, as bytes made beforehand, and what they hear, taken apart."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from bench.signaling import OFFER

__all__ = [
    "CLOSE",
    "HEARTBEAT",
    "NUMBER",
    "OPENED",
    "get_id",
    "handshake",
    "ids",
    "masked",
    "offer",
    "pong",
    "take_frames",
    "unmasked",
]

_MASK: Final = 0x5A
"All four bytes of every mask: still one that a server has to take off, yet put on by a table."
_MASKED: Final = bytes(byte ^ _MASK for byte in range(256))

OPENED: Final = b'{"type":"OPEN"}'
"What ends the registration of a client."

NUMBER: Final = b"dc_"
"Before the eleven digits that number an OFFER, where its connection id would be."
_CONNECTION_ID: Final = "dc_k8xj3m2q9fa"

_HEADERS: Final = (
    "Host: 127.0.0.1:{port}\r\n"
    "Pragma: no-cache\r\n"
    "Cache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36\r\n"
    "Origin: http://127.0.0.1:8000\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-US,en;q=0.9\r\n"
)
"What Chromium says with every request."


def ids(seed: int) -> Iterator[str]:
    """Ids such as ``GET /peerjs/id`` gives out; the same ones for the same seed."""
    rng = random.Random(seed)
    while True:
        yield str(UUID(int=rng.getrandbits(128), version=4))


def handshake(port: int, id: str) -> bytes:
    """Chromium's, for peerjs.js."""
    target = f"/peerjs?key=peerjs&id={id}&token=k8xj3m2q9fa&version=1.5.5"
    return (
        f"GET {target} HTTP/1.1\r\n"
        f"{_HEADERS.format(port=port)}"
        "Connection: Upgrade\r\n"
        "Upgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    ).encode()


def get_id(port: int, *, last: bool) -> bytes:
    """A request for an id; ``last``: the only one of its connection."""
    connection = "close" if last else "keep-alive"
    return (
        "GET /peerjs/id?ts=17325234567890.123456&version=1.5.5 HTTP/1.1\r\n"
        f"{_HEADERS.format(port=port)}"
        f"Connection: {connection}\r\n"
        "Accept: */*\r\n\r\n"
    ).encode()


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame from a client."""
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | opcode, 0x80 | length))
    else:
        head = bytes((0x80 | opcode, 0x80 | 126)) + length.to_bytes(2, "big")
    return head + bytes((_MASK,) * 4) + unmasked(payload)


def unmasked(payload: bytes) -> bytes:
    """The payload of a frame that :func:`masked` made; and the other way round."""
    return payload.translate(_MASKED)


def offer(dst: str, number: int = 0) -> bytes:
    """The frame of an OFFER of 2 KB."""
    text = OFFER.replace('"bob"', f'"{dst}"')
    return masked(0x1, text.replace(_CONNECTION_ID, f"dc_{number:011d}").encode())


def pong(payload: bytes) -> bytes:
    """The answer to a ping."""
    return masked(0xA, payload)


HEARTBEAT: Final = masked(0x1, b'{"type":"HEARTBEAT"}')
CLOSE: Final = masked(0x8, (1000).to_bytes(2, "big"))


def take_frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Opcodes and payloads of the whole frames from a server, and the rest."""
    frames: list[tuple[int, bytes]] = []
    at = 0
    while len(data) >= at + 2:
        begin, length = at + 2, data[at + 1]
        if length == 126:
            begin, length = at + 4, int.from_bytes(data[at + 2 : at + 4], "big")
        elif length == 127:
            begin, length = at + 10, int.from_bytes(data[at + 2 : at + 10], "big")
        if len(data) < begin + length:
            break
        frames.append((data[at] & 0x0F, data[begin : begin + length]))
        at = begin + length
    return frames, data[at:]
