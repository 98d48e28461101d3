"""BinaryPack, ours beside npm's: random values and random bytes, and every difference has a name.

``python -m tests.interop.differential --cases 200000 [--seed N]``, from the root of the
repository. The names are those of the rows in docs/binarypack.md; a difference without one ends
the run with its seed, the case and both results.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from peerjs_proto.binarypack import pack, unpack
from peerjs_proto.errors import DecodeError
from peerjs_proto.jsontext import well_formed
from tests.interop.npm import install_node_modules
from tests.interop.npm_binarypack import UNDEFINED, run_node, tag, untag
from tests.interop.random_values import random_bytes, random_value

__all__ = ["NAMES", "Unexplained", "run_cases"]

NAMES: Final = frozenset(
    {
        "NaN",
        "denormal doubles",
        "depth",
        "float32",
        "infinities",
        "integers below -2**31",
        "integers beyond 2**53",
        "integers beyond 64 bits",
        "integers from 2**63 on",
        "keys that are no text",
        "lone surrogates",
        "malformed UTF-8",
        "numbers with a fraction",
        "order of keys",
        "the key `__proto__`",
        "keys that JavaScript looks for",
        "trailing bytes",
        "truncated input",
        "undefined",
        "unknown type bytes",
        "whole numbers",
        "zero",
    }
)
"""Every difference that may be: rows of docs/binarypack.md."""


class Unexplained(Exception):
    """The two differ, and no row of the docs says that they may."""


def run_cases(seed: str, cases: int, node_modules: Path) -> Counter[str]:
    """How often each difference was met in so many random cases.

    Raises:
        Unexplained: the text has the case and both results.
    """
    rng = random.Random(seed)
    met: Counter[str] = Counter()
    thirds = [cases // 3, cases // 3, cases - 2 * (cases // 3)]
    for compare, count in zip((_we_pack, _we_read, _both_read), thirds, strict=True):
        met.update(compare(rng, count, node_modules))
    return met


def _we_pack(rng: random.Random, count: int, node_modules: Path) -> Iterator[str]:
    """We pack, JavaScript reads."""
    values = [random_value(rng, sendable=True) for _ in range(count)]
    answers = run_node(node_modules, [{"unpack": pack(value).hex()} for value in values])
    for value, answer in zip(values, answers, strict=True):
        yield from _explain(value, answer, read_by_javascript)


def _we_read(rng: random.Random, count: int, node_modules: Path) -> Iterator[str]:
    """JavaScript packs, we read."""
    values = [random_value(rng, sendable=False) for _ in range(count)]
    answers = run_node(node_modules, [{"pack": tag(value)} for value in values])
    for value, answer in zip(values, answers, strict=True):
        if "hex" in answer:
            got = {"value": unpack(bytes.fromhex(answer["hex"]))}
            yield from _explain(value, got, packed_by_javascript)
        else:
            yield _why_javascript_throws(value) or _unexplained(value, answer)


def _both_read(rng: random.Random, count: int, node_modules: Path) -> Iterator[str]:
    """Both read the same bytes."""
    jobs = []
    ours = []
    for _ in range(count):
        data = random_bytes(rng)
        try:
            value, refusal = unpack(data), None
        except DecodeError as error:
            refusal = _why_we_refuse(str(error))
            yield refusal
            if refusal != "trailing bytes":
                # What follows may be any count. ``dd ff ff ff ff`` would end the process by
                # memory, so JavaScript never gets to see it; nor is there a value to compare.
                continue
            end = re.search(r"ends at byte (\d+)", str(error))
            assert end
            value = unpack(data[: int(end[1])])  # JavaScript reads so far, and no further
        jobs.append({"unpack": data.hex()})
        ours.append(value)
    answers = run_node(node_modules, jobs)
    for job, value, answer in zip(jobs, ours, answers, strict=True):
        try:
            yield from _explain(value, answer, read_by_javascript)
        except Unexplained as error:
            raise Unexplained(f"bytes {job['unpack']}: {error}") from None


def _explain(value: Any, answer: dict[str, Any], number: _Rule) -> set[str]:
    """The names of all differences between a value and what became of it."""
    names: set[str] = set()
    if "error" in answer:
        _unexplained(value, answer)
    got = answer["value"]
    try:
        _compare(value, untag(got) if number is read_by_javascript else got, number, names)
    except Unexplained as error:
        raise Unexplained(f"{error}, in {value!r:.2000} and {answer!r:.2000}") from None
    return names


# --- the table of docs/binarypack.md, as code --------------------------------------------------

_Rule = Callable[[Any, Any], str | None]
"Of a number and what became of it: the name of the difference; None: they are the same."


def _compare(sent: Any, got: Any, number: _Rule, names: set[str]) -> None:
    """Add the names of differences to ``names``."""
    match sent:
        case bool() | None | bytes():
            same = type(sent) is type(got) and sent == got
            if not same:
                _unexplained(sent, got)
        case int() | float():
            if type(got) not in (int, float):
                _unexplained(sent, got)
            if name := number(sent, got):
                names.add(name)
        case str():
            if got != sent:
                if got != well_formed(sent):
                    _unexplained(sent, got)
                names.add("lone surrogates")
        case list():
            if type(got) is not list or len(sent) != len(got):
                _unexplained(sent, got)
            for one, other in zip(sent, got, strict=True):
                _compare(one, other, number, names)
        case {"BYTES_PER_ELEMENT": _} if number is packed_by_javascript and got == b"":
            names.add("keys that JavaScript looks for")
        case dict():
            if type(got) is not dict:
                _unexplained(sent, got)
            _compare_maps(sent, got, number, names)
        case _:
            if sent is not UNDEFINED or got is not None:
                _unexplained(sent, got)
            names.add("undefined")


def _compare_maps(
    sent: dict[str, Any], got: dict[str, Any], number: _Rule, names: set[str]
) -> None:
    arrive = {well_formed(key): item for key, item in sent.items()}
    if list(arrive) != list(sent):
        names.add("lone surrogates")
    if number is read_by_javascript and arrive.pop("__proto__", arrive) is not arrive:
        names.add("the key `__proto__`")
    if list(arrive) != list(got):
        if _as_javascript_orders(arrive) != list(got):
            _unexplained(list(arrive), list(got))
        names.add("order of keys")
    for key, item in arrive.items():
        _compare(item, got[key], number, names)


def _as_javascript_orders(keys: dict[str, Any]) -> list[str]:
    """Those that are array indices come first, in numerical order."""
    indices = [key for key in keys if re.fullmatch("0|[1-9][0-9]{0,9}", key, re.ASCII)]
    indices = sorted((key for key in indices if int(key) < 2**32 - 1), key=int)
    return [*indices, *(key for key in keys if key not in set(indices))]


def read_by_javascript(sent: float, got: float) -> str | None:
    """A number of ours, exact, and the double that JavaScript's decoder makes of its bytes."""
    if sent == got:
        return None
    size = abs(got)
    if isinstance(sent, int):
        if 2**63 - 1024 < sent < 2**63 and got == -(2.0**63):
            return "integers from 2**63 on"
        if sent > 2**53 and got == float(sent):
            return "integers beyond 2**53"
        if sent > 2**53 and math.isclose(got, sent, rel_tol=2.0**-51):
            return "integers beyond 2**53"
        if sent < 0 and abs(int(got) - sent) <= 2048:
            return "integers below -2**31"
    elif math.isnan(sent):
        if got in (math.inf, -math.inf):
            return "NaN"
        if 2.0**128 <= size < 2.0**129:
            return "float32"
    elif math.isinf(sent):
        if size == 2.0**128 and got * sent > 0:
            return "float32"
    elif sent == 0:
        if size in (2.0**-1023, 2.0**-127):
            return "zero" if size == 2.0**-1023 else "float32"
    elif abs(sent) < 2.0**-1022:
        if 2.0**-1023 <= size <= 2.0**-1022 and got * sent >= 0:
            return "denormal doubles"
    elif abs(sent) < 2.0**-126 and 2.0**-127 <= size <= 2.0**-126 and (got > 0) == (sent > 0):
        return "float32"
    return _unexplained(sent, got)


def packed_by_javascript(sent: float, got: float) -> str | None:
    """A double of JavaScript's, and what we read of the bytes that its encoder makes of it."""
    if sent == got:
        if isinstance(sent, float) and sent == 0 and math.copysign(1, sent) < 0:
            return "zero"
        return None if type(sent) is type(got) else "whole numbers"
    sent = float(sent)  # an int beyond 2**53 was rounded on its way to JavaScript
    if sent == got:
        return "integers beyond 2**53"
    if math.isnan(sent) and type(got) is float and got == 0:
        return "NaN"
    if sent == 2.0**63 and got == -(2**63):
        return "integers from 2**63 on"
    if sent == 2.0**64 and got == 0:
        return "integers beyond 64 bits"
    if 0 < abs(sent) < 2.0**-1022:
        return "denormal doubles"  # garbage
    # Just below a power of two it is off a little; at one, by half.
    if not sent.is_integer() and (
        math.isclose(got, sent, rel_tol=1e-6) or math.isclose(got, sent / 2, rel_tol=1e-6)
    ):
        return "numbers with a fraction"
    return _unexplained(sent, got)


def _why_javascript_throws(value: Any) -> str | None:
    """On packing ``value``: the first thing in it that it throws for."""
    match value:
        case int() | float() if math.isinf(value):
            return "infinities"
        case int() | float() if not -(2.0**63) <= value <= 2.0**64:
            return "integers beyond 64 bits"
        case list():
            return next(filter(None, map(_why_javascript_throws, value)), None)
        case dict():
            if "hasOwnProperty" in value or "constructor" in value:
                return "keys that JavaScript looks for"
            return next(filter(None, map(_why_javascript_throws, value.values())), None)
    return None


def _why_we_refuse(message: str) -> str:
    """The row behind the text of a DecodeError."""
    for words, name in _REFUSALS.items():
        if words in message:
            return name
    return _unexplained(message, "a DecodeError that says something new")


_REFUSALS: Final = {
    "cut short": "truncated input",
    "exceeds the bytes": "truncated input",
    "value ends at": "trailing bytes",
    "no type byte": "unknown type bytes",
    "is not UTF-8": "malformed UTF-8",
    "is not text": "keys that are no text",
    "nested too deeply": "depth",
}


def _unexplained(sent: Any, got: Any) -> NoReturn:
    raise Unexplained(f"{sent!r:.500} became {got!r:.500}")


# --- the program ------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.interop.differential")
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    node_modules = install_node_modules()
    met: Counter[str] = Counter()
    done = 0
    for batch in range(-(-options.cases // _BATCH)):
        cases = min(_BATCH, options.cases - done)
        seed = f"{options.seed}/{batch}"
        try:
            met += run_cases(seed, cases, node_modules)
        except Unexplained as error:
            print(f"seed {options.seed}, batch {batch}: {error}")
            sys.exit(1)
        done += cases
        print(f"{done} of {options.cases} cases", flush=True)
    for name in sorted(NAMES):
        print(f"{met[name]:8}  {name}")
    print(f"seed {options.seed}: no difference without a name")


_BATCH: Final = 5000

if __name__ == "__main__":
    main()
