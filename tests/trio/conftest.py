from __future__ import annotations

import pytest

from peerjs_trio.rtc.engine import EngineFactory
from tests.trio.sides import ENGINES


@pytest.fixture(params=ENGINES.values(), ids=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> EngineFactory:
    """Every engine of ours, in every form of the guest loop."""
    factory: EngineFactory = request.param
    return factory
