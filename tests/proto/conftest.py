from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _deaf_collector() -> Iterator[None]:
    """wrtc hears of garbage collections, in Python: one at the very end of the stack, where some
    of these tests go, has it raise RecursionError into nowhere. It is there only where other
    tests have loaded it."""
    ears = [ear for ear in gc.callbacks if ear.__module__.split(".")[0] == "webrtc"]
    for ear in ears:
        gc.callbacks.remove(ear)
    yield
    gc.callbacks.extend(ears)
