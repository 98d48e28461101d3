"""A nursery for a context manager that works beside its block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

__all__ = ["open_background"]


@asynccontextmanager
async def open_background() -> AsyncIterator[trio.Nursery]:
    """Run tasks for as long as the block lasts.

    The block's own exception comes out as it is, not inside a group: a failed assertion
    reads as one, and ``pytest.raises`` sees what was raised. What fails in the background
    comes out in a group, because it was not the block's doing.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        except Exception as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
