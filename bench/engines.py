"""The engines by name, for the tables that compare them."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Final, Literal, cast

from peerjs_trio.guest import Form
from peerjs_trio.rtc.engine import EngineFactory

__all__ = ["FORMS", "EngineName", "engine_factory", "engines"]

EngineName = Literal["aiortc", "wrtc"]

FORMS: Final[tuple[Form, ...]] = ("stepped", "thread")
"""Of our guest loop."""

_MODULES: Final[dict[EngineName, str]] = {"aiortc": "aiortc", "wrtc": "webrtc"}


def engines() -> Sequence[EngineName]:
    """Those that are installed."""
    return [name for name, module in _MODULES.items() if importlib.util.find_spec(module)]


def engine_factory(name: EngineName, form: Form = "stepped") -> EngineFactory:
    """The ``engine=`` of ``open_peer``."""
    module = importlib.import_module(f"peerjs_trio.rtc.{name}")
    open_engine = getattr(module, f"open_{name}_engine")
    return cast(EngineFactory, lambda: open_engine(form=form))
