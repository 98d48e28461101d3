"""A task group for the tasks behind a block, which leaves the block's own exception alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc

__all__ = ["open_background"]


@asynccontextmanager
async def open_background() -> AsyncIterator[anyio.abc.TaskGroup]:
    """Tasks that live as long as the block; they are cancelled when it is left.

    A bare task group would wrap what the block raises in an ExceptionGroup, and the user of
    ``async with open_peer()`` has not asked for one. Only where a task of ours fails as well
    (a bug) do both come out in a group.
    """
    cancelled = anyio.get_cancelled_exc_class()
    raised: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            try:
                yield tasks
            except cancelled:
                raise
            except BaseException as error:
                # A nursery in the block makes groups of cancellations, which are for their scopes.
                if isinstance(error, BaseExceptionGroup) and error.subgroup(cancelled):
                    raise
                raised = error
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if raised is None:
            raise
        raise BaseExceptionGroup(group.message, [raised, *group.exceptions]) from None
    if raised is not None:
        raise raised
