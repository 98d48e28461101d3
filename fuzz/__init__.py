"""Fuzz targets for peerjs_proto. How to run them stands in README.md beside this file.

A target is a module of this package with ``INVARIANT``, what holds for any input, in one
sentence, and ``check(data)``, which raises where it does not. Targets know nothing of the fuzzer.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Final, NamedTuple, cast

__all__ = ["TARGETS", "Skipped", "Target", "load"]

TARGETS: Final = (
    "signaling_peer",
    "signaling_server",
    "binarypack",
    "chunks",
    "msgpack_stream",
    "two_peers",
    "server_clients",
    "http_streams",
    "fence",
    "http_proxy",
    "pairing",
)


class Skipped(Exception):
    """What a target is about is not there; the text says what is missing."""


class Target(NamedTuple):
    """One module of this package, as the runners see it."""

    name: str
    invariant: str
    check: Callable[[bytes], None]


def load(name: str) -> Target:
    """Import a target. Raises Skipped, and ValueError for a name that is none."""
    if name not in TARGETS:
        raise ValueError(f"no fuzz target {name!r}; there are {', '.join(TARGETS)}")
    module = importlib.import_module(f"fuzz.{name}")
    return Target(name, module.INVARIANT, cast(Callable[[bytes], None], module.check))
