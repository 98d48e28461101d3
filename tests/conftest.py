"""How long Hypothesis looks (``--hypothesis-profile`` picks another way), and ``--by-hand``."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# No deadline: how long one example takes says more about the machine than about the code.
settings.register_profile("usual", deadline=None)
settings.register_profile("thorough", deadline=None, max_examples=2000)
# The same few examples for every mutant, and no time spent on a smaller failure.
settings.register_profile(
    "mutation",
    deadline=None,
    max_examples=25,
    stateful_step_count=20,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("usual")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--by-hand", action="store_true", help="also run what takes too long for every day"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--by-hand"):
        return
    kept = [item for item in items if item.get_closest_marker("by_hand") is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept
