"""What argparse makes of a text, for more than one command."""

from __future__ import annotations

import argparse

__all__ = ["seconds"]


def seconds(text: str) -> float:
    """A time limit: more than nothing, and up to a day."""
    number = float(text)
    if not 0 < number <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds: up to a day")
    return number
