"""BinaryPack against npm's peerjs-js-binarypack, and chunks against npm's peerjs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from bench.measure import Timed, Timer, compare, timer
from bench.node import run_node
from bench.table import Table
from peerjs_proto.binarypack import pack, unpack
from peerjs_proto.limits import CHUNK_SIZE, DEFAULT_LIMITS
from peerjs_proto.serialization import BinarySerializer
from peerjs_proto.serializer import Frame, Message

__all__ = ["VALUES", "measure"]


def measure(rounds: int, *, quick: bool = False) -> Table:
    contests: list[tuple[Timer, Timer]] = []
    with run_node() as node:
        for out, back, value in _ROWS.values():
            packed = pack(value)
            contests += ((timer(_JOBS[job](value)), node.timer(job, packed)) for job in (out, back))
        timed = iter(compare(contests, rounds=rounds, quick=quick))
        return Table(
            f"µs of CPU, and how many times as fast as Node {node.version}",
            ["value", "pack", "Node", "ratio", "unpack", "Node", "ratio"],
            [[name, *_cells(next(timed)), *_cells(next(timed))] for name in _ROWS],
        )


def _cells(timed: Timed) -> tuple[float, float, float]:
    return timed.ours * 1e6, timed.theirs * 1e6, timed.ratio


def _pack(value: Any) -> Callable[[], Any]:
    return lambda: pack(value)


def _unpack(value: Any) -> Callable[[], Any]:
    packed = pack(value)
    return lambda: unpack(packed)


def _split(value: Any) -> Callable[[], Any]:
    return lambda: _frames(value)


def _join(value: Any) -> Callable[[], Any]:
    frames = _frames(value)

    def join() -> None:
        receiver = BinarySerializer(DEFAULT_LIMITS)
        (last,) = (found for frame in frames for found in receiver.decode(frame, 0.0))
        assert isinstance(last, Message)

    return join


def _frames(value: Any) -> list[Frame]:
    return list(BinarySerializer(DEFAULT_LIMITS).encode(value).frames)


_JOBS: Final = {"pack": _pack, "unpack": _unpack, "split": _split, "join": _join}


def _bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def _person(number: int) -> dict[str, Any]:
    """Ten keys: text, numbers and a list, as applications have them."""
    return {
        "id": number,
        "name": f"Person {number}",
        "email": f"person{number}@example.org",
        "age": 20 + number,
        "score": number * 1.1 + 0.05,
        "active": number % 2 == 0,
        "joined": 1_700_000_000_000 + number,
        "parent": None,
        "tags": ["chess", "music", "running"],
        "position": {"x": number * 10.5, "y": -number},
    }


_RANDOM: Final = random.Random(1)

VALUES: Final[Mapping[str, Any]] = {
    "1 MiB blob": _bytes(2**20),
    "small chat object": {
        "type": "message",
        "id": 4711,
        "from": "alice",
        "to": "bob",
        "text": "Hello Bob, shall we meet at noon?",
        "sent": 1_700_000_000_000,
        "read": False,
    },
    "10,000 floats": [_RANDOM.uniform(-1000, 1000) for _ in range(10_000)],
    "10,000 small ints": [_RANDOM.randrange(100) for _ in range(10_000)],
    # 8 times 12 keys, those of the position among them, and 4 above.
    "100-key nested object": {
        "north": {"first": _person(1), "second": _person(2)},
        "south": {f"{number}": _person(number) for number in range(3, 9)},
    },
    "100 KB of ASCII text": "The quick brown fox jumps over the lazy dog. " * 2222,
    "100 KB of other text": "Zwölf Boxkämpfer jagen Виктора über den großen 丘 😀 " * 1450,
    "16,300-byte chunk": {"__peerData": 1, "n": 7, "data": _bytes(CHUNK_SIZE), "total": 1227},
}
"""One for each row but the last."""

_ROWS: Final[Mapping[str, tuple[str, str, Any]]] = {
    **{name: ("pack", "unpack", value) for name, value in VALUES.items()},
    "20 MB, split and joined": ("split", "join", _bytes(20_000_000)),
}
