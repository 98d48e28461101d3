"""The ``peerjs`` command: one module a subcommand, each with ``add_parser`` and ``run``."""

from __future__ import annotations

import argparse
from importlib import metadata

__all__ = ["port", "version"]


def version() -> str:
    """Of the installed distribution."""
    try:
        return metadata.version("peerjs-sansio")
    except metadata.PackageNotFoundError:
        return "(not installed)"  # run from a checkout


def port(text: str) -> int:
    """A port as an argument; 0 is one that is free."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port: 0 to 65535")
    return number
