from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from .redis_server import RedisServer, redis_server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests of a file. Each takes a name of its own on it."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


# coredis 6.9 closes the streams inside of a connection only where that came about.
LITTER = "ignore:Exception ignored in.*MemoryObject:pytest.PytestUnraisableExceptionWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "bus":
            item.add_marker(pytest.mark.filterwarnings(LITTER))


@pytest.fixture(autouse=True)
def _sweep() -> Iterator[None]:
    """Have the warnings of a test in that test."""
    yield
    gc.collect()


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> str:
    """What anyio runs on."""
    backend: str = request.param
    return backend
