"""What options take: from text (command line, environment), and from TOML values (file)."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf, isfinite
from typing import Any, Final

import attrs

from peerjs_proto.addresses import Proxies
from peerjs_proto.errors import LocalProtocolError

__all__ = [
    "FLAG",
    "HOOK",
    "MILLISECONDS",
    "PATH",
    "PORT",
    "PROXIES",
    "SECONDS",
    "TABLE",
    "TEXT",
    "TEXTS",
    "Kind",
    "choice",
    "number",
]


@attrs.frozen
class Kind:
    """One kind of value. Both functions raise ValueError for what is not allowed."""

    word: str
    "What stands for the value in the help: ``--port PORT``."
    allowed: str
    "What it may be, in words, for errors."
    read: Callable[[str], Any]
    "From text."
    take: Callable[[Any], Any]
    "From what TOML makes of it."


def number(
    word: str, *, whole: bool = True, most: float = inf, scale: float = 1, none: bool = False
) -> Kind:
    """A number from 0 to ``most``; what comes out is divided by ``scale``.

    Args:
        none: Whether 0 stands for None.
    """

    def take(value: Any) -> float | None:
        # True is a number in Python, but not in TOML.
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise _not_allowed(value)
        if not 0 <= value <= most or not isfinite(value):
            raise _not_allowed(value)
        if none and value == 0:
            return None
        return value if scale == 1 else value / scale

    allowed = "a whole number" if whole else "a number"
    allowed += ", 0 or more" if most == inf else f", 0 to {most:g}"
    allowed += "; 0 for none" if none else ""
    return Kind(word, allowed, lambda text: take(int(text) if whole else float(text)), take)


def choice(*words: str) -> Kind:
    """One of these words."""

    def take(value: Any) -> str:
        if value not in words:
            raise _not_allowed(value)
        return str(value)

    return Kind("|".join(words), " or ".join(f'"{word}"' for word in words), take, take)


def _take_text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _not_allowed(value)
    return value


def _take_texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise _not_allowed(value)
    return [_take_text(text) for text in value]


def _read_texts(text: str) -> list[str]:
    return re.findall(r"[^,\s]+", text)


def _take_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _not_allowed(value)
    return value


def _read_flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise _not_allowed(text)
    return text == "true"


def _take_table(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _not_allowed(value)
    return {name: _take_text(text) for name, text in value.items()}


def _take_hook(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", value):
        raise _not_allowed(value)
    return value


def _take_proxies(value: Any) -> Proxies:
    text = ",".join(_take_texts(value)) if isinstance(value, list) else str(value).lower()
    try:
        return Proxies.parse(text)
    except LocalProtocolError as error:
        raise _not_allowed(value) from error


def _not_allowed(value: Any) -> ValueError:
    return ValueError(f"{value!r} is not allowed here")


TEXT: Final = Kind("TEXT", "a text", _take_text, _take_text)
TEXTS: Final = Kind("TEXT", "a list of texts", _read_texts, _take_texts)
PATH: Final = Kind("FILE", "the name of a file", _take_text, _take_text)
FLAG: Final = Kind("", "true or false", _read_flag, _take_flag)
TABLE: Final = Kind("", "texts by names", _take_table, _take_table)
HOOK: Final = Kind("MODULE:FUNCTION", "a text like module:function", _take_hook, _take_hook)
PROXIES: Final = Kind("NETWORK", "true, false or a list of networks", _take_proxies, _take_proxies)
PORT: Final = number("PORT", most=65535)
SECONDS: Final = number("SECONDS", whole=False)
MILLISECONDS: Final = number("MILLISECONDS", whole=False, scale=1000)
