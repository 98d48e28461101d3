"""The short form of what ``nox -s soak`` does for half an hour and more."""

from __future__ import annotations

from typing import Final

import pytest

from peerjs_trio import Limits, Reconnect
from peerjs_trio.rtc.choice import EngineName
from tests.soak.connects import soak_connects
from tests.soak.outages import soak_outages

pytestmark = pytest.mark.trio

ENGINES: Final[tuple[EngineName, ...]] = ("aiortc", "wrtc")

KILLS: Final = 3


@pytest.mark.parametrize("engine", ENGINES)
async def test_connects_leave_nothing(engine: EngineName) -> None:
    series = await soak_connects(engine, 40, blocks=2)
    assert series.faults() == [], series.table()


async def test_the_server_is_killed_again_and_again() -> None:
    quick = Reconnect(first=0.5, longest=0.5)
    limits = Limits(connect_timeout=3.0)  # for a dial that dies with the server
    series, tally = await soak_outages(
        "aiortc", kills=KILLS, every=2.0, reconnect=quick, limits=limits
    )
    assert series.faults() == [], series.table()
    assert (tally.kills, tally.registrations) == (KILLS, 2 * KILLS)
    assert tally.connections > len(tally.failed_dials)
    assert tally.messages > 1000
