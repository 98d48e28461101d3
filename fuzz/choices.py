"""Bytes as a source of choices: a structured input that a fuzzer can still mutate.

When the bytes run out every choice is the first one, so any bytes at all are an input.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, TypeVar

__all__ = ["Choices"]

_T = TypeVar("_T")

_EDGES = (0, 7, 8, 15, 16, 31, 32, 52, 53, 62, 63, 64)
"Powers of two where some format changes its mind."


class Choices:
    """Reads choices from the front of ``data``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._room = 20_000  # characters of long text, in all

    def __bool__(self) -> bool:
        """Whether anything is left to decide."""
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes, or what is left of them."""
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def below(self, count: int) -> int:
        """0 to ``count - 1``; one byte, or two where ``count`` is above 256."""
        return int.from_bytes(self.take(1 if count <= 256 else 2)) % count

    def flip(self) -> bool:
        return self.below(2) == 1

    def one_of(self, options: Sequence[_T]) -> _T:
        return options[self.below(len(options))]

    def integer(self) -> int:
        """Any of 72 bits, and often one near a power of two."""
        if self.flip():
            near = (1 << self.one_of(_EDGES)) + self.below(5) - 2
            return -near if self.flip() else near
        return int.from_bytes(self.take(1 + self.below(9)), signed=True)

    def float(self) -> float:
        if self.flip():
            return float(self.integer())
        return float(struct.unpack(">d", self.take(8).ljust(8, b"\0"))[0])

    def text(self) -> str:
        """Any text, with lone surrogates too."""
        return self.take(self.below(40)).decode("utf-8", "surrogateescape")

    def value(self, depth: int = 5) -> Any:
        """Something an application may send: not everything has a form in every serialization."""
        kind = self.below(9 if depth else 7)
        match kind:
            case 0:
                return self.below(256)
            case 1:
                return self.one_of((None, False, True))
            case 2:
                return self.integer()
            case 3:
                return self.float()
            case 4:
                return self.text()
            case 5:
                return self.take(self.below(40))
            case 6:  # long ones cost the fuzzer nothing
                units: tuple[str | bytes, ...] = ("x", "é", "\U0001f600", b"\0", b"\xff")
                size = min(self.below(20_000), self._room)
                self._room -= size
                return self.one_of(units) * size
            case 7:
                return [self.value(depth - 1) for _ in range(self.below(20))]
            case _:
                return {self.text(): self.value(depth - 1) for _ in range(self.below(20))}
