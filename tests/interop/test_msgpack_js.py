"""MsgPack beside npm's: the package that peerjs.js bundles, in one Node process a test."""

from __future__ import annotations

import math
import random
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from peerjs_proto.errors import DecodeError, UnsupportedValue
from peerjs_proto.limits import DEFAULT_LIMITS
from peerjs_proto.serialization import serializer_for
from peerjs_proto.serializer import CloseRequested, Message
from tests.interop.node_jobs import run_jobs

pytest.importorskip("msgpack", reason="MsgPack needs the extra msgpack")

_SCRIPT: Final = Path(__file__).parent / "js" / "msgpack.mjs"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def test_javascript_reads_what_we_send(node_modules: Path) -> None:
    rng = random.Random(1)
    values = [*_values(rng, 2000), list(range(70_000)), {"big": bytes(200_000), "é": "é" * 99_999}]
    # One stream, in frames that are whole messages or parts of them, as they leave us.
    frames = [frame.hex() for value in values for frame in _frames(value)]
    (answer,) = _run(node_modules, [{"decode": frames}])
    assert "error" not in answer
    for value, read in zip(values, answer["values"], strict=True):
        assert _same(value, _untag(read)), value


def test_javascript_reads_frames_cut_anywhere(node_modules: Path) -> None:
    values = _values(random.Random(2), 20)
    stream = b"".join(b"".join(_frames(value)) for value in values)
    jobs = [
        {"decode": [stream[at : at + size].hex() for at in range(0, len(stream), size)]}
        for size in (1, 2, 7)
    ]
    for answer in _run(node_modules, jobs):
        assert _same(values, _untag(answer["values"]))


def test_we_read_what_javascript_sends(node_modules: Path) -> None:
    values = [*_values(random.Random(3), 2000), list(range(70_000)), bytes(200_000)]
    answers = _run(node_modules, [{"encode": _tag(value)} for value in values])
    for value, answer in zip(values, answers, strict=True):
        assert _same(value, _read(answer["hex"])), value


def test_our_bytes_are_javascripts_wherever_numbers_are(node_modules: Path) -> None:
    """Whole numbers differ where Python knows a float from an int, and JavaScript does not."""
    values = [value for value in _values(random.Random(4), 2000) if not _has_whole_float(value)]
    answers = _run(node_modules, [{"encode": _tag(value)} for value in values])
    assert len(values) > 1000
    for value, answer in zip(values, answers, strict=True):
        assert b"".join(_frames(value)).hex() == answer["hex"], value


def test_integers_beyond_doubles_are_rounded_to_the_nearest(node_modules: Path) -> None:
    rng = random.Random(5)
    values = [rng.randrange(-(2**63), 2**64) for _ in range(500)] + [2**53 + 1, 2**64 - 1]
    (answer,) = _run(node_modules, [{"decode": [_frames(value)[0].hex() for value in values]}])
    assert [_untag(read) for read in answer["values"]] == [float(value) for value in values]


def test_dates(node_modules: Path) -> None:
    """JavaScript's have milliseconds; what is finer is cut off, towards 1970."""
    rng = random.Random(6)
    span = int((datetime.max - datetime.min) / timedelta(milliseconds=1))
    moments = [
        datetime.min.replace(tzinfo=UTC) + timedelta(milliseconds=rng.randrange(span))
        for _ in range(500)
    ]
    moments += [datetime.min.replace(tzinfo=UTC), _EPOCH, datetime(9999, 12, 31, tzinfo=UTC)]
    fine = [moment.replace(microsecond=rng.randrange(10**6)) for moment in moments]
    read, cut, *sent = _run(
        node_modules,
        [
            {"decode": [_frames(moment)[0].hex() for moment in moments]},
            {"decode": [_frames(moment)[0].hex() for moment in fine]},
            *({"encode": _tag(moment)} for moment in moments),
        ],
    )
    assert [_untag(value) for value in read["values"]] == moments
    for moment, value in zip(fine, cut["values"], strict=True):
        # The sum of its parts is rounded to a double far from 1970: a millisecond either way.
        assert abs(_untag(value) - moment) <= timedelta(milliseconds=1)
    assert [_read(answer["hex"]) for answer in sent] == moments
    assert [answer["hex"] for answer in sent] == [_frames(moment)[0].hex() for moment in moments]


def test_what_a_page_may_send(node_modules: Path) -> None:
    arrives: dict[str, Any] = {
        "undefined": None,
        "[undefined, {a: undefined}]": [None, {"a": None}],
        "-0": 0,
        "2 ** 53": 2.0**53,
        "NaN": math.nan,
        "-Infinity": -math.inf,
        "new ArrayBuffer(3)": {},
        "new DataView(new ArrayBuffer(3))": bytes(3),
        "new Float32Array([1])": b"\0\0\x80?",
        "new Date(NaN)": _EPOCH,
        "new Map([[1, 2]])": {},
        "({1: 2})": {"1": 2},
        "'\\ud83d'": "\ufffd",
        "'\\ud83d'.repeat(300)": "\ufffd" * 300,
        "({['__proto__']: 1})": {"__proto__": 1},
    }
    answers = _run(node_modules, [{"evaluate": source} for source in arrives])
    read = {source: _read(answer["hex"]) for source, answer in zip(arrives, answers, strict=True)}
    assert repr(read) == repr(arrives)  # tells nan from others, and 0 from 0.0


def test_what_a_page_cannot_send(node_modules: Path) -> None:
    jobs = [{"evaluate": source} for source in ("1n", "Symbol()", "(() => 1)")]
    assert all("Unrecognized object" in answer["error"] for answer in _run(node_modules, jobs))


def test_a_date_beyond_datetime_is_refused(node_modules: Path) -> None:
    for answer in _run(node_modules, [{"evaluate": f"new Date({t})"} for t in (8.64e15, -8.64e15)]):
        with pytest.raises(DecodeError, match="timestamp out of range"):
            _read(answer["hex"])


def test_what_a_page_would_not_survive_is_refused(node_modules: Path) -> None:
    jobs = [{"decode": [data, "01"]} for data in ("c0", "91c0", "81a95f5f70726f746f5f5f01")]
    null, inside, proto = _run(node_modules, jobs)
    assert null == {"values": [], "error": null["error"]}
    assert inside["values"] == [[None], _tag(1)]
    assert proto == {"values": [], "error": "DecodeError: The key __proto__ is not allowed"}
    for value in (None, {"__proto__": 1}, [{"__proto__": 1}]):
        with pytest.raises(UnsupportedValue):
            _frames(value)


def test_the_close_marker_is_that_of_peerjs(node_modules: Path) -> None:
    marker = serializer_for("MsgPack", DEFAULT_LIMITS).close_marker()
    assert isinstance(marker, bytes)
    encoded, decoded = _run(
        node_modules,
        [
            {"encode": _tag({"__peerData": {"type": "close"}})},
            {"decode": ["01" + marker.hex() + "02"]},
        ],
    )
    assert encoded["hex"] == marker.hex()
    assert decoded == {"values": [_tag(1)], "closed": True}
    assert list(serializer_for("MsgPack", DEFAULT_LIMITS).decode(marker, 0.0)) == [CloseRequested()]


# --- values -----------------------------------------------------------------------------------


def _values(rng: random.Random, count: int) -> list[Any]:
    """Values that both know exactly, alone and in structures."""
    alphabet = "abz\0\x7f\x80\x9fé߿ࠀ€\ufffd\uffff\U00010000😀\U0010ffff"

    def text() -> str:
        return "".join(rng.choices(alphabet, k=rng.choice([0, 1, 3, 7, 8, 31, 32, 300])))

    def number() -> int | float:
        match rng.randrange(3):
            case 0:
                near = rng.choice((1, -1)) * ((1 << rng.randrange(53)) + rng.randint(-2, 2))
                return max(1 - 2**53, min(near, 2**53 - 1))
            case 1:
                return rng.uniform(-1, 1) * math.ldexp(1, rng.randint(-1074, 1023))
            case _:
                return rng.choice((math.inf, -math.inf, 5e-324, 0.5, 1.0, -1e300, 2.0**53))

    def value(depth: int) -> Any:
        match rng.randrange(9 if depth else 6):
            case 0:
                return rng.choice([True, False])
            case 1 | 2:
                return number()
            case 3:
                return text()
            case 4:
                return rng.randbytes(rng.choice([0, 15, 16, 300]))
            case 5:
                return _EPOCH + timedelta(milliseconds=rng.randrange(-(2**45), 2**45))
            case 6:
                # No key like an integer: those JavaScript puts first.
                return {f"k{text()}": value(depth - 1) for _ in range(rng.randrange(18))}
            case 7:
                return [value(depth - 1) for _ in range(rng.randrange(18))]
            case _:
                return [None, value(depth - 1)]

    return [value(rng.randrange(3)) for _ in range(count)]


def _same(sent: Any, got: Any) -> bool:
    """Whether all is there; what number a whole one is, JavaScript does not say."""
    match sent:
        case list():
            return len(sent) == len(got) and all(map(_same, sent, got))
        case dict():
            return list(sent) == list(got) and all(_same(sent[key], got[key]) for key in sent)
        case bool() | None:
            return sent is got
        case int() | float():
            return isinstance(got, int | float) and sent == got
    return type(sent) is type(got) and bool(sent == got)


def _has_whole_float(value: Any) -> bool:
    match value:
        case list():
            return any(map(_has_whole_float, value))
        case dict():
            return any(map(_has_whole_float, value.values()))
    return isinstance(value, float) and value.is_integer() and abs(value) < 2**53


def _frames(value: Any) -> list[bytes]:
    frames = list(serializer_for("MsgPack", DEFAULT_LIMITS).encode(value).frames)
    return [frame for frame in frames if isinstance(frame, bytes)]


def _read(digits: str) -> Any:
    (message,) = serializer_for("MsgPack", DEFAULT_LIMITS).decode(bytes.fromhex(digits), 0.0)
    assert isinstance(message, Message)
    return message.value


# --- the other process ------------------------------------------------------------------------


def _run(node_modules: Path, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of js/msgpack.mjs, where the jobs and tagged values are described."""
    return run_jobs(_SCRIPT, node_modules, jobs)


def _tag(value: Any) -> Any:
    match value:
        case bool() | str() | None:
            return value
        case int() | float():
            return {"number": struct.pack(">d", value).hex()}
        case bytes():
            return {"bytes": value.hex()}
        case datetime():
            return {"date": (value - _EPOCH) // timedelta(milliseconds=1)}
        case list():
            return [_tag(item) for item in value]
    return {"map": [[key, _tag(item)] for key, item in value.items()]}


def _untag(value: Any) -> Any:
    match value:
        case {"number": bits}:
            return struct.unpack(">d", bytes.fromhex(bits))[0]
        case {"bytes": digits}:
            return bytes.fromhex(digits)
        case {"date": milliseconds}:
            return _EPOCH + timedelta(milliseconds=milliseconds)
        case {"map": entries}:
            return {key: _untag(item) for key, item in entries}
        case list():
            return [_untag(item) for item in value]
    return value
