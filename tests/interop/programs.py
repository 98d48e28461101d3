"""Programs the interop tests need: skipped without them at home, failed without them in CI."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

__all__ = ["find_program"]


def find_program(name: str, *, install: str) -> str:
    """The path of a program, or the end of the test with a word on how to get it."""
    path = shutil.which(name)
    if path is None:
        _missing(f"{name} is missing: {install}")
    return path


def _missing(what: str) -> NoReturn:
    # A CI run that quietly skips the browser proves nothing, and nobody would notice.
    if os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)
