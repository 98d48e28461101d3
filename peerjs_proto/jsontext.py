"""Strict JSON, for signaling and for the ``json`` serialization.

Strict on the way in: one JSON value in well-formed UTF-8, within bounds, and nothing that could
not be sent on again. Strict on the way out: JavaScript's ``JSON.parse`` reads what we meant.
:class:`Refused` and :func:`well_formed` are shared with the other serializations, so that all of
them speak of values, and treat text, in the same way.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, Final, NoReturn

from .errors import DecodeError, UnsupportedValue
from .limits import DEFAULT_LIMITS

__all__ = ["Refused", "dumps", "loads", "loads_counted", "well_formed"]


def loads(text: str | bytes, *, max_depth: int) -> Any:
    """The value of one JSON text; see :func:`loads_counted`.

    Raises:
        DecodeError: and nothing else, for any input at all.
    """

    def bound(text: str) -> int:
        # There are no more levels than brackets, and most texts have few: no need to look closer.
        if text.count("[") + text.count("{") > max_depth:
            _measure(text, max_depth=max_depth, max_items=None)
        return 0

    return _load(text, bound)[0]


def loads_counted(
    text: str | bytes, *, max_depth: int, max_items: int | None = None
) -> tuple[Any, int]:
    """The value of one JSON text, and how many values and keys are in it, itself included.

    ``[]`` has a depth of 1. The count is exact but for empty lists and maps, which count twice.
    Of equal keys the last one wins, as in JavaScript. An escaped lone surrogate, which
    ``JSON.stringify`` writes for text cut in the middle of an emoji, is read as U+FFFD.

    Raises:
        DecodeError: and nothing else: no JSON, bad UTF-8, too deep, more than ``max_items``,
            ``NaN``, ``Infinity``, or a number that JavaScript would read as infinite.
    """
    return _load(text, lambda text: _measure(text, max_depth=max_depth, max_items=max_items))


def _load(text: str | bytes, bound: Callable[[str], int]) -> tuple[Any, int]:
    try:
        if isinstance(text, str):
            text.encode()  # a lone surrogate that is no escape came from no wire
        else:
            text = str(text, "utf-8")
        items = bound(text)
        if _SURROGATE_ESCAPE.search(text):
            text = _ESCAPES.sub(_replace_lone_surrogate, text)
        # What decode() does, without two regular expressions for the space around it.
        text = text.strip(_SPACE)
        value, end = _DECODER.raw_decode(text)
    except DecodeError:
        raise
    except RecursionError:
        raise DecodeError("JSON nested too deeply") from None
    except UnicodeError:
        raise DecodeError("JSON text is not well-formed UTF-8") from None
    except ValueError as error:
        # The decoder's own text names what it missed and where, and quotes no payload.
        raise DecodeError(f"not JSON: {error}") from None
    if end != len(text):
        raise DecodeError("not JSON: something stands behind it")
    return value, items


def dumps(value: Any, *, max_depth: int = DEFAULT_LIMITS.nesting) -> str:
    """``value`` as compact JSON, with no ASCII escapes: it is sent as UTF-8.

    Takes None, bool, int, float, str, list, tuple and dict with str keys. An instance of a
    subclass goes as its base: an ``IntEnum`` as a number, a ``NamedTuple`` as a list, an
    ``OrderedDict`` as a map. Lone surrogates become U+FFFD.

    Raises:
        UnsupportedValue: for any other type, NaN, the infinities, integers from 10**308 on
            (JavaScript reads infinity), values deeper than ``max_depth`` or inside themselves.
    """
    try:
        _check(value, max_depth)
        return well_formed(_ENCODER.encode(value))
    except Refused as refused:
        raise refused.error() from None
    except RecursionError:
        raise Refused.too_deep().error() from None


def well_formed(text: str) -> str:
    """``text`` as a plain str that UTF-8 can hold.

    Lone surrogates become U+FFFD and pairs of them the character they stand for: what
    JavaScript's ``TextEncoder`` and ``RTCDataChannel.send`` do (Encoding Standard, USVString).
    """
    if type(text) is str and text.isascii():
        return text  # most are, and large ones should not be copied
    try:
        return str.encode(text).decode()
    except UnicodeEncodeError:
        return str.encode(text, "utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class Refused(Exception):
    """A value that cannot be sent, on its way out of the value around it.

    Raised where the trouble is; each list or map it passes adds its own step with :meth:`under`.
    """

    def __init__(self, what: str, why: str = "") -> None:
        super().__init__(what)
        self._what = what
        self._why = f": {why}" if why else ""
        self._path: list[str] = []

    @classmethod
    def type_of(cls, value: object) -> Refused:
        """Its type has no form in this serialization."""
        return cls(_a(value))

    @classmethod
    def key(cls, key: object) -> Refused:
        """A key that is no text."""
        return cls(f"{_a(key)} as a key", "keys are str")

    @classmethod
    def too_deep(cls) -> Refused:
        """Deeper than the bound; a value inside itself is deeper than any."""
        return cls(_TOO_DEEP)

    def under(self, step: int | str) -> None:
        """It sits in a list or map, at the index or key ``step``."""
        text = json.dumps(step, ensure_ascii=False) if isinstance(step, str) else str(step)
        self._path.append(f"[{text if len(text) <= 40 else text[:39] + '…'}]")

    def error(self) -> UnsupportedValue:
        """What the caller of a serializer gets to see."""
        steps = self._path[::-1]
        if len(steps) > 10:
            steps[5:-4] = ["[…]"]
        return UnsupportedValue(f"cannot send {self._what} at value{''.join(steps)}{self._why}")


def _measure(text: str, *, max_depth: int, max_items: int | None) -> int:
    """Bound what parsing ``text`` could cost before it is parsed; return its item count."""
    marks = _STRINGS.sub("", text)
    opened = marks.count("[") + marks.count("{")
    items = 1 + opened + marks.count(",") + marks.count(":")
    if max_items is not None and items > max_items:
        raise DecodeError(f"JSON of more than {max_items} values")
    if opened > max_depth:  # else it cannot be too deep
        depth = 0
        for mark in _BRACKETS.finditer(marks):
            depth += 1 if mark[0] in "[{" else -1
            if depth > max_depth:
                raise DecodeError(f"JSON nested more than {max_depth} deep")
    return items


def _check(value: object, depth: int) -> None:
    """Raise Refused unless JSON has a form for ``value`` within ``depth`` more levels."""
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if not -_INT_BOUND < value < _INT_BOUND:
            raise Refused("an int of more than 308 digits", "JavaScript reads infinity")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Refused(float.__repr__(value), "JSON has no form for it")
    elif isinstance(value, dict):
        if depth <= 0:
            raise Refused.too_deep()
        for key, item in value.items():
            if not isinstance(key, str):
                raise Refused.key(key)
            try:
                _check(item, depth - 1)
            except Refused as refused:
                refused.under(key)
                raise
    elif isinstance(value, list | tuple):
        if depth <= 0:
            raise Refused.too_deep()
        for index, item in enumerate(value):
            try:
                _check(item, depth - 1)
            except Refused as refused:
                refused.under(index)
                raise
    else:
        raise Refused.type_of(value)


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _replace_lone_surrogate(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape["lone"] else escape[0]


def _parse_int(digits: str) -> int:
    if len(digits.lstrip("-")) > 308:
        raise DecodeError("JSON number out of range")
    return int(digits)


def _parse_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise DecodeError("JSON number out of range")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise DecodeError(f"{name} is not JSON")


_TOO_DEEP: Final = "a value that is nested too deeply, or contains itself,"
_INT_BOUND: Final = 10**308
"The last power of ten a double can hold: beyond it JavaScript knows no numbers."

_STRINGS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
"A string, or an unended one to the end of the text: it always matches, so it is linear."
_BRACKETS: Final = re.compile(r"[\[\]{}]")
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD]")
_ESCAPES: Final = re.compile(
    r"""\\(?: u[dD][89abAB][0-9a-fA-F]{2} \\u[dD][c-fC-F][0-9a-fA-F]{2}
            | (?P<lone> u[dD][89a-fA-F][0-9a-fA-F]{2} )
            | . )""",
    re.DOTALL | re.VERBOSE,
)
"Every escape, so that the second backslash of a pair is never taken for the first of another."

_SPACE: Final = " \t\n\r"

_DECODER: Final = json.JSONDecoder(
    parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse_constant
)
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
)
