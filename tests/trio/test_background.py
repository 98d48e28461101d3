"""What comes out of a block with tasks behind it.

In runs of our own: pytest-trio takes cancellations that come out of a test for the end of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
import trio
import trio.testing

from peerjs_trio.background import open_background


async def work() -> None:
    """Ends with a group of cancellations, as peers do."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trio.sleep_forever)
        await trio.sleep_forever()


async def fail_at_the_end() -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise ZeroDivisionError


async def run_in_a_nursery(*tasks: Callable[[], Awaitable[None]]) -> str:
    """A block with a nursery of its own, which a task behind it ends."""
    async with open_background() as background:

        async def stop() -> None:
            await trio.testing.wait_all_tasks_blocked()
            background.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for task in (work, *tasks):
                nursery.start_soon(task)
            background.start_soon(stop)
    return "went on"


def test_groups_of_cancellations_stay_inside() -> None:
    assert trio.run(run_in_a_nursery) == "went on"


def test_an_error_among_them_comes_out_alone() -> None:
    with pytest.raises(BaseExceptionGroup) as raised:
        trio.run(run_in_a_nursery, fail_at_the_end)
    assert raised.group_contains(ZeroDivisionError)
    assert not raised.group_contains(trio.Cancelled)


def test_an_error_of_the_block_is_in_no_group() -> None:
    async def main() -> None:
        async with open_background() as background:
            background.start_soon(trio.sleep_forever)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trio.run(main)
