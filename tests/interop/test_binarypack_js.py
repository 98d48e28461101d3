"""Ours beside npm's: the real packages in one Node process a test, over some thousand values."""

from __future__ import annotations

import json
import math
import random
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from peerjs_proto.binarypack import pack, unpack
from peerjs_proto.chunks import split
from peerjs_proto.limits import DEFAULT_LIMITS
from peerjs_proto.serialization import BinarySerializer
from tests.interop.programs import find_program

_SCRIPT: Final = Path(__file__).parent / "js" / "binarypack.mjs"


def test_javascript_reads_what_we_pack(node_modules: Path) -> None:
    rng = random.Random(1)
    values = [*_values(rng, 3000, _numbers(rng, 3000)), list(range(70_000))]
    answers = _run(node_modules, [{"unpack": pack(value).hex()} for value in values])
    for value, answer in zip(values, answers, strict=True):
        assert _same(value, _untag(answer["value"]), _as_read_by_javascript), value


def test_we_read_what_javascript_packs(node_modules: Path) -> None:
    rng = random.Random(2)
    values = _values(rng, 3000, [n for n in _numbers(rng, 3000) if abs(n) < 2**63 - 1024])
    answers = _run(node_modules, [{"pack": _tag(value)} for value in values])
    for value, answer in zip(values, answers, strict=True):
        assert _same(value, unpack(bytes.fromhex(answer["hex"])), _as_packed_by_javascript), value


def test_our_bytes_are_javascripts_wherever_it_reads_them_right(node_modules: Path) -> None:
    # Values that JavaScript holds exactly, or they would not be the same to begin with.
    values = [value for value in _numbers(random.Random(3), 4000) if float(value) == value]
    packed = _run(node_modules, [{"pack": _tag(value)} for value in values])
    theirs = [answer.get("hex", "") for answer in packed]
    read = _run(node_modules, [{"unpack": data} for data in theirs])
    differing = 0
    for value, data, answer in zip(values, theirs, read, strict=True):
        right = bool(data) and _untag(answer["value"]) == value
        if pack(value).hex() != data:
            assert not right, value
            differing += 1
        assert not right or unpack(bytes.fromhex(data)) == value
    assert 0 < differing < len(values)


def test_what_javascript_has_no_words_for(node_modules: Path) -> None:
    answers = _run(
        node_modules,
        [{"pack": _tag(value)} for value in (math.nan, math.inf, -math.inf, 5e-324)]
        + [{"unpack": pack(value).hex()} for value in (math.inf, -math.inf, 5e-324)],
    )
    assert answers[0] == {"hex": "cb0000000000000000"}
    assert "error" in answers[1]
    assert "error" in answers[2]
    assert unpack(bytes.fromhex(answers[3]["hex"])) < -1e200
    assert [_untag(answer["value"]) for answer in answers[4:6]] == [math.inf, -math.inf]
    assert 2.0**-1023 <= _untag(answers[6]["value"]) < 2.0**-1022


def test_the_chunks_are_those_of_peerjs(node_modules: Path) -> None:
    rng = random.Random(4)
    jobs = []
    ours = []
    for skip, size in enumerate([16_301, 32_600, 32_601, 300_000, 5_000_000]):
        packed = pack(rng.randbytes(size - 3 if size < 65_536 else size - 5))
        assert len(packed) == size
        jobs.append({"chunk": packed.hex(), "skip": 200 * skip})
        ours.append([frame.hex() for frame in split(packed, chunk_id=200 * skip + 1)])
    assert [answer["frames"] for answer in _run(node_modules, jobs)] == ours


def test_the_close_marker_is_that_of_peerjs(node_modules: Path) -> None:
    marker = BinarySerializer(DEFAULT_LIMITS).close_marker()
    assert isinstance(marker, bytes)
    (answer,) = _run(node_modules, [{"pack": _tag({"__peerData": {"type": "close"}})}])
    assert answer["hex"] == marker.hex()


# --- values -----------------------------------------------------------------------------------


def _numbers(rng: random.Random, count: int) -> list[int | float]:
    numbers: list[int | float] = []
    while len(numbers) < count:
        match rng.randrange(4):
            case 0:
                number: int | float = rng.choice([1, -1]) * 2 ** rng.randrange(65)
                number += rng.randint(-2050, 2050)
            case 1:
                number = rng.randint(-(2**40), 2**40)
            case 2:
                number = rng.uniform(-1, 1) * 2.0 ** rng.randint(-1000, 1023)
            case _:
                number = rng.choice([1, -1]) * math.nextafter(2.0 ** rng.randint(-60, 60), 0.0)
        if isinstance(number, float) or -(2**63) <= number < 2**64:
            numbers.append(number)
    return numbers


def _values(rng: random.Random, count: int, numbers: list[int | float]) -> list[Any]:
    """Values that either side can pack, alone and in structures."""
    alphabet = "abz\0\x7f\x80\x9fé߿ࠀ€\ufffd\uffff\U00010000😀\U0010ffff"

    def text() -> str:
        return "".join(rng.choices(alphabet, k=rng.choice([0, 1, 3, 15, 16, 300])))

    def value(depth: int) -> Any:
        match rng.randrange(8 if depth else 5):
            case 0:
                return rng.choice([None, True, False])
            case 1 | 2:
                return rng.choice(numbers)
            case 3:
                return text()
            case 4:
                return rng.randbytes(rng.choice([0, 15, 16, 300]))
            case 5:
                # No key like an integer: those JavaScript puts first.
                return {f"k{text()}": value(depth - 1) for _ in range(rng.randrange(18))}
            case _:
                return [value(depth - 1) for _ in range(rng.randrange(18))]

    return [value(rng.randrange(3)) for _ in range(count)] + ["é" * 70_000, bytes(70_000)]


def _same(sent: Any, got: Any, same_number: Callable[[float, float], bool]) -> bool:
    match sent:
        case list():
            return len(sent) == len(got) and all(
                _same(a, b, same_number) for a, b in zip(sent, got, strict=True)
            )
        case dict():
            return list(sent) == list(got) and all(
                _same(item, got[key], same_number) for key, item in sent.items()
            )
        case bool():
            return sent is got
        case int() | float():
            return same_number(sent, got)
    return type(sent) is type(got) and sent == got


def _as_read_by_javascript(sent: float, got: float) -> bool:
    if float(sent) == sent:
        return got == sent
    # docs/binarypack.md, "integers beyond 2**53".
    return math.isclose(got, sent, rel_tol=2.0**-51, abs_tol=2048 if sent < 0 else 0)


def _as_packed_by_javascript(sent: float, got: float) -> bool:
    if isinstance(sent, int) or sent.is_integer():
        return isinstance(got, int) and got == float(sent)  # its number is a double to begin with
    # docs/binarypack.md, "numbers with a fraction": wrong just below powers of two.
    return math.isclose(got, sent, rel_tol=1e-6)


# --- the other process ------------------------------------------------------------------------


def _run(node_modules: Path, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of js/binarypack.mjs, where the jobs and tagged values are described."""
    node = find_program("node", install="install Node.js 20 or newer (Debian: apt install nodejs)")
    done = subprocess.run(
        [node, _SCRIPT, node_modules],
        input=json.dumps(jobs),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def _tag(value: Any) -> Any:
    match value:
        case bool() | str() | None:
            return value
        case int() | float():
            return {"number": struct.pack(">d", value).hex()}
        case bytes():
            return {"bytes": value.hex()}
        case list():
            return [_tag(item) for item in value]
    return {"map": [[key, _tag(item)] for key, item in value.items()]}


def _untag(value: Any) -> Any:
    match value:
        case {"number": bits}:
            return struct.unpack(">d", bytes.fromhex(bits))[0]
        case {"bytes": digits}:
            return bytes.fromhex(digits)
        case {"map": entries}:
            return {key: _untag(item) for key, item in entries}
        case {"undefined": True}:
            return None
        case list():
            return [_untag(item) for item in value]
    return value
