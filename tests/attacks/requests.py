"""Against HTTP: heads that are too much, two requests in one, and paths that lead elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from tests.attacks.attack import Attack
from tests.attacks.target import Target
from tests.attacks.wire import open_client, open_wire, upgrade

__all__ = ["REQUESTS"]


def _asks(*lines: str, body: str = "") -> Callable[[Target], Awaitable[str]]:
    """One request, its status, and whether there was an answer to a second."""
    return _sends(("\r\n".join((*lines, "Host: x", "", "")) + body).encode("latin-1"))


def _sends(data: bytes) -> Callable[[Target], Awaitable[str]]:
    async def run(target: Target) -> str:
        async with open_wire(target) as wire:
            await wire.send(data)
            verdict = await wire.status(4)
            if verdict in ("closed", "waits"):
                return verdict
            second = await wire.status(0.3)
            return f"{verdict}, and {second}" if second.isdigit() else verdict

    return run


async def _spoofed_address(target: Target) -> str:
    """The room of another network, by saying that one comes from there."""
    rooms = set[bytes]()
    async with open_client(target, "attacker"), open_wire(target) as wire:
        for name in ("X-Nothing", "X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP", "Forwarded"):
            asked = f"GET /peerjs/attacker/token/room/id HTTP/1.1\r\nHost: x\r\n{name}: 192.0.2.7"
            await wire.send(f"{asked}\r\n\r\n".encode())
            if await wire.status() != "200":
                return "no rooms"
            rooms.add(wire.body)
    return f"{len(rooms)} room"


async def _anothers_room(target: Target) -> str:
    async with open_client(target, "attacker"), open_wire(target) as wire:
        room = "0" * 40
        await wire.send(
            f"POST /peerjs/attacker/token/room/{room}/join HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )
        return await wire.status()


def _path(target: str) -> Callable[[Target], Awaitable[str]]:
    return _asks(f"GET {target} HTTP/1.1")


def _upgrade(old: str, new: str) -> Callable[[Target], Awaitable[str]]:
    changed = upgrade("attacker").replace(old.encode(), new.encode())
    return _sends(changed)


# What would be asked in another's name, if somebody read the first request shorter than we do.
_SMUGGLED: Final = "GET /peerjs/id HTTP/1.1\r\nHost: x\r\n\r\n"
_POST: Final = "POST /peerjs/id HTTP/1.1"

_SMUGGLING: Final = [
    Attack(
        "two lengths, one by chunks",
        _asks(
            _POST, "Content-Length: 4", "Transfer-Encoding: chunked", body="0\r\n\r\n" + _SMUGGLED
        ),
        "400",
    ),
    Attack(
        "two lengths",
        _asks(_POST, "Content-Length: 0", "Content-Length: 44", body=_SMUGGLED),
        "400",
    ),
    Attack("a length below zero", _asks(_POST, "Content-Length: -1", body=_SMUGGLED), "400"),
    Attack("a length with a sign", _asks(_POST, "Content-Length: +0", body=_SMUGGLED), "400"),
    Attack("a length of 30 digits", _asks(_POST, "Content-Length: " + "9" * 30), "400 or 404"),
    Attack(
        "a coding that is none",
        _asks(_POST, "Transfer-Encoding: xchunked", body="0\r\n\r\n" + _SMUGGLED),
        "404 or 501",
    ),
    Attack(
        "a chunk without a size",
        _asks(_POST, "Transfer-Encoding: chunked", body="x\r\n" + _SMUGGLED),
        "400 or 404",
    ),
    Attack("a header that goes on", _asks("GET / HTTP/1.1", "A: b", " c: d"), "400"),
    Attack("a space before the colon", _asks(_POST, "Content-Length : 44", body=_SMUGGLED), "400"),
    Attack("a header without a colon", _asks("GET / HTTP/1.1", "nonsense"), "400"),
    # A pattern that can be matched in many ways tries them all where none fits.
    Attack("a header that is nearly one", _asks("GET / HTTP/1.1", "A: " + "a" * 60 + "\1"), "400"),
    Attack("a line that is nearly one", _asks("GET /" + "a" * 60 + "\1 HTTP/1.1"), "400"),
    Attack("NUL in a header", _asks("GET / HTTP/1.1", "A: \0"), "400"),
    Attack("a carriage return in a header", _asks("GET / HTTP/1.1", "A: b\rC: d"), "400"),
    Attack(
        "lines that end in LF alone",
        _sends(b"GET /peerjs/id HTTP/1.1\nHost: x\n\n"),
        "400 or closed",
    ),
    Attack("no Host", _sends(b"GET / HTTP/1.1\r\n\r\n"), "400"),
    Attack("two Hosts", _asks("GET / HTTP/1.1", "Host: y"), "400"),
    Attack("HTTP/9.9", _asks("GET / HTTP/9.9"), "505"),
    Attack("HTTP/2, without asking", _sends(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "505"),
]

_PATHS: Final = [
    Attack("`//peerjs/id`", _path("//peerjs/id"), "404"),
    Attack("`/x/../peerjs/id`", _path("/x/../peerjs/id"), "404"),
    Attack("`/../../etc/passwd`", _path("/../../etc/passwd"), "404"),
    Attack("`/%2e%2e/%2e%2e/etc/passwd`", _path("/%2e%2e/%2e%2e/etc/passwd"), "404"),
    Attack("`/..%2f..%2fetc%2fpasswd`", _path("/..%2f..%2fetc%2fpasswd"), "404"),
    Attack("`/peerjs%2fid`", _path("/peerjs%2fid"), "404"),
    Attack("`/peerjs/id%00`", _path("/peerjs/id%00"), "404"),
    Attack("`/%` and nothing after it", _path("/%/peers"), "401"),
    Attack("`/%ff/peers`", _path("/%ff/peers"), "401"),
    Attack("NUL in the path", _path("/\0"), "400"),
    Attack("a path that is Latin-1", _path("/\xe4"), "400"),
    Attack("`http://elsewhere.example/etc`", _path("http://elsewhere.example/etc"), "404"),
    Attack("no path", _path("peerjs"), "404"),
    Attack("CONNECT", _asks("CONNECT elsewhere.example:443 HTTP/1.1"), "404"),
    Attack("TRACE", _asks("TRACE / HTTP/1.1"), "404"),
]

_UPGRADES: Final = [
    Attack("a WebSocket by HTTP/1.0", _upgrade("HTTP/1.1", "HTTP/1.0"), "404"),
    Attack("a WebSocket by POST", _upgrade("GET", "POST"), "404"),
    Attack("a WebSocket of version 8", _upgrade("Version: 13", "Version: 8"), "400 or 426"),
    Attack("a WebSocket without a key", _upgrade("Sec-WebSocket-Key", "X-Key"), "400"),
    Attack("a WebSocket with a short key", _upgrade("dGhlIHNhbXBsZSBub25jZQ==", "eA=="), "400"),
    Attack("a WebSocket somewhere else", _upgrade("/peerjs?", "/elsewhere?"), "400 or 404"),
]

_SIZES: Final = [
    Attack("a header of 1 MiB", _sends(b"GET / HTTP/1.1\r\nA: " + b"a" * (1 << 20)), "431"),
    Attack("a path of 1 MiB", _sends(b"GET /" + b"a" * (1 << 20)), "431"),
    Attack("100,000 headers", _sends(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000), "431"),
    Attack("1 MiB of empty lines", _sends(b"\r\n" * (1 << 19)), "400 or 431"),
    Attack("1 MiB of zeros", _sends(bytes(1 << 20)), "400 or 431"),
    Attack("a body of 8 MiB", _asks(_POST, "Content-Length: 8388608", body="x" * (8 << 20)), "404"),
    Attack("TLS", _sends(bytes.fromhex("16030100c8010000c40303") + bytes(200)), "400"),
]

_ROOMS: Final = [
    Attack("an address in a header, for its room", _spoofed_address, "1 room"),
    Attack("joining a room by its id", _anothers_room, "403"),
]

REQUESTS: Final = [*_SIZES, *_SMUGGLING, *_PATHS, *_UPGRADES, *_ROOMS]
