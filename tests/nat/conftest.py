from __future__ import annotations

from collections.abc import Iterator

import pytest

from peerjs_trio.rtc.choice import EngineName
from tests.nat.namespaces import Network, open_network


@pytest.fixture
def network() -> Iterator[Network]:
    """Hosts that are this test's alone."""
    with open_network() as network:
        yield network


@pytest.fixture(params=["aiortc", "wrtc"])
def engine(request: pytest.FixtureRequest) -> EngineName:
    """Runs the test once with each of our WebRTC engines."""
    name: EngineName = request.param
    return name
