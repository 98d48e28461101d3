"""The engines of ours by name, for the tables that compare them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Final, Literal, cast

from bench.rtc.pair import has_bare, has_ours
from peerjs_trio.guest import Form
from peerjs_trio.rtc.engine import EngineFactory

__all__ = ["FORMS", "EngineName", "bare_engines", "engine_factory", "engines"]

EngineName = Literal["aiortc", "wrtc"]

_NAMES: Final[tuple[EngineName, ...]] = ("aiortc", "wrtc")

FORMS: Final[tuple[Form, ...]] = ("stepped", "thread")


def engines() -> Sequence[EngineName]:
    """Those of ours that are installed."""
    return [name for name in _NAMES if has_ours(name)]


def bare_engines() -> Sequence[EngineName]:
    """Those that are installed, whether we can use them or not."""
    return [name for name in _NAMES if has_bare(name)]


def engine_factory(name: EngineName, form: Form = "stepped") -> EngineFactory:
    """The ``engine=`` of ``open_peer``."""
    module = importlib.import_module(f"peerjs_trio.rtc.{name}")
    open_engine = getattr(module, f"open_{name}_engine")
    return cast(EngineFactory, lambda: open_engine(form=form))
