"""Functions of one's own, named as ``module:function``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import reduce
from typing import Any

from .config import ConfigError

__all__ = ["load_hook"]


def load_hook(name: str, place: str) -> Callable[..., Any]:
    """The function; modules are looked for in the current directory too.

    Args:
        place: Where the name was given, for errors.

    Raises:
        ConfigError: there is no such module or function, or the module fails.
    """
    module, _, path = name.partition(":")
    if "" not in sys.path:  # a program that pip has installed has only what pip has
        sys.path.insert(0, "")
    try:
        found = reduce(getattr, path.split("."), importlib.import_module(module))
    except Exception as error:
        raise ConfigError(f"{place}: {name}: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ConfigError(f"{place}: {name} is no function")
    return found
