"""A feed of items that are pushed from one side and iterated over from the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

__all__ = ["Feed"]

T = TypeVar("T")


class Feed(Generic[T]):
    """An asynchronous iterator that can be left and taken up again, by any number of tasks.

    Not an async generator: those must be closed by whoever breaks out of their loop.
    """

    def __init__(self, maxlen: int | None = None) -> None:
        self._items: deque[T] = deque(maxlen=maxlen)
        self._ended = False
        self._error: Exception | None = None
        self._news = anyio.Event()

    def part(self, wanted: Callable[[T], bool]) -> Feed[T]:
        """A new one, bounded and ended as this one is, with those items of it that are wanted."""
        feed: Feed[T] = Feed(self._items.maxlen)
        feed._items.extend(item for item in self._items if wanted(item))
        feed._ended, feed._error = self._ended, self._error
        self._items = deque((i for i in self._items if not wanted(i)), maxlen=self._items.maxlen)
        return feed

    def put(self, item: T) -> T | None:
        """Add an item. Beyond ``maxlen`` the oldest is forgotten, and returned."""
        full = len(self._items) == self._items.maxlen
        forgotten = self._items.popleft() if full else None
        self._items.append(item)
        self._wake()
        return forgotten

    def end(self, error: Exception | None = None) -> None:
        """No more will come. What is there is still handed out, then iteration ends, or raises."""
        self._ended, self._error = True, error
        self._wake()

    def resume(self) -> None:
        """More will come after all."""
        self._ended, self._error = False, None

    def __aiter__(self) -> Feed[T]:
        return self

    async def __anext__(self) -> T:
        await anyio.lowlevel.checkpoint()
        while not self._items:
            if self._error is not None:
                raise type(self._error)(*self._error.args)
            if self._ended:
                raise StopAsyncIteration
            await self._news.wait()
        return self._items.popleft()

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()
