"""What the tests of the guest loop share."""

from __future__ import annotations

import asyncio
import sys

import attrs
import pytest

from peerjs_trio.guest import Form

__all__ = ["FORMS", "Lasting", "forever", "form"]

FORMS: list[Form] = ["stepped", "thread"]
if sys.platform == "win32":
    FORMS.remove("stepped")


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    chosen: Form = request.param
    return chosen


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


@attrs.define
class Lasting:
    """A task of the loop that has begun, and takes its time to end."""

    ended: bool = False
    task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self.task = asyncio.create_task(self._last())
        await asyncio.sleep(0)

    async def _last(self) -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.001)
            self.ended = True
