"""An engine whose loop is slow: what is given up under way leaves nothing either."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any, Final, cast

import pytest
import trio

from peerjs_trio.guest import GuestLoop
from peerjs_trio.rtc.engine import EngineFactory
from tests.trio.sides import Side, files_are_closed, open_files

pytestmark = pytest.mark.trio

PASSES: Final = 12
"Of the loop, for which it is slow: opening sockets takes some of them."


async def test_what_is_closed_while_it_opens_its_sockets(engine: EngineFactory) -> None:
    async with engine() as slow:
        first = Side.on(slow)
        first.connection.make_offer("label", ordered=True)
        await first.description()
        files = Counter(open_files())  # with what a library opens once for all
        guest: GuestLoop = cast(Any, slow)._guest

        def be_slow(passes: int) -> None:
            time.sleep(0.1)
            if passes > 0:
                guest.loop.call_soon(be_slow, passes - 1)

        offering = [Side.on(slow) for _ in range(5)]
        for side in offering:
            side.connection.make_offer("label", ordered=True)
        guest.call(be_slow, PASSES)
        for side in offering:
            await trio.lowlevel.checkpoint()  # at another stage each
            side.connection.close()
        await files_are_closed(files)
