from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from peerjs_trio.rtc import ice_servers
from peerjs_trio.rtc.engine import EngineFactory
from tests.trio.ice import Coturn, run_coturn
from tests.trio.sides import ENGINES


@pytest.fixture(params=ENGINES.values(), ids=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> EngineFactory:
    """Every engine of ours, in every form of the guest loop."""
    factory: EngineFactory = request.param
    return factory


@pytest.fixture(scope="session")
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    """A real TURN and STUN server on loopback."""
    with run_coturn(tmp_path_factory.mktemp("coturn")) as running:
        yield running


@pytest.fixture
def endless_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections wait for an answer for ever."""
    monkeypatch.setattr(ice_servers, "GRACE", math.inf)


@pytest.fixture
def endless_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent server is asked for ever: whoever waited for that would wait for ever, too."""
    monkeypatch.setattr(ice_servers, "PATIENCE", None)
