"""Ours beside npm's: the real packages in one Node process a test, over some thousand values."""

from __future__ import annotations

import math
import random
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path

from peerjs_proto.binarypack import pack, unpack
from peerjs_proto.chunks import split
from peerjs_proto.limits import DEFAULT_LIMITS
from peerjs_proto.serialization import BinarySerializer
from tests.interop.differential import NAMES, run_cases
from tests.interop.npm_binarypack import run_node, tag, untag
from tests.interop.random_values import random_number

_DOCS = Path(__file__).parents[2] / "docs" / "binarypack.md"


def test_every_difference_has_a_name(node_modules: Path) -> None:
    # The same code with other seeds: python -m tests.interop.differential
    met = run_cases("some thousands", 6000, node_modules)
    assert set(met) <= NAMES
    assert met["trailing bytes"]
    assert met["integers below -2**31"]


def test_every_name_is_in_the_docs() -> None:
    assert set(re.findall(r"^\| ([^|]+?) \|", _DOCS.read_text("utf-8"), re.M)) >= NAMES


def test_long_values_are_read(node_modules: Path) -> None:
    values = ["é" * 70_000, bytes(70_000), list(range(70_000)), [0.5] * 70_000]
    answers = run_node(node_modules, [{"unpack": pack(value).hex()} for value in values])
    assert [untag(answer["value"]) for answer in answers] == values


def test_our_bytes_are_javascripts_wherever_it_reads_them_right(node_modules: Path) -> None:
    # Values that JavaScript holds exactly, or they would not be the same to begin with.
    rng = random.Random(3)
    values = [random_number(rng, sendable=True) for _ in range(4000)]
    values = [value for value in values if float(value) == value]
    packed = run_node(node_modules, [{"pack": tag(value)} for value in values])
    theirs = [answer.get("hex", "") for answer in packed]
    read = run_node(node_modules, [{"unpack": data} for data in theirs])
    differing = 0
    for value, data, answer in zip(values, theirs, read, strict=True):
        right = bool(data) and untag(answer["value"]) == value
        if pack(value).hex() != data:
            assert not right, value
            differing += 1
        assert not right or unpack(bytes.fromhex(data)) == value
    assert 0 < differing < len(values)


def test_what_javascript_has_no_words_for(node_modules: Path) -> None:
    answers = run_node(
        node_modules,
        [{"pack": tag(value)} for value in (math.nan, math.inf, -math.inf, 5e-324)]
        + [{"unpack": pack(value).hex()} for value in (math.inf, -math.inf, 5e-324)],
    )
    assert answers[0] == {"hex": "cb0000000000000000"}
    assert "error" in answers[1]
    assert "error" in answers[2]
    assert unpack(bytes.fromhex(answers[3]["hex"])) < -1e200
    assert [untag(answer["value"]) for answer in answers[4:6]] == [math.inf, -math.inf]
    assert 2.0**-1023 <= untag(answers[6]["value"]) < 2.0**-1022


def test_javascript_reads_dates_that_went_as_text(node_modules: Path) -> None:
    day = date(2024, 2, 29)
    moments = [
        datetime(2024, 2, 29, 12, 30, 15, 678_000, timezone(timedelta(hours=5, minutes=30))),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC),
    ]
    texts = unpack(pack([day, *moments], dates_as_text=True))
    answers = run_node(node_modules, [{"date": text} for text in texts])
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    midnight = datetime.combine(day, time(), UTC)
    for answer, moment in zip(answers, [midnight, *moments], strict=True):
        assert untag(answer["value"]) == (moment - epoch) / timedelta(milliseconds=1)


def test_the_chunks_are_those_of_peerjs(node_modules: Path) -> None:
    rng = random.Random(4)
    jobs = []
    ours = []
    for skip, size in enumerate([16_301, 32_600, 32_601, 300_000, 5_000_000]):
        packed = pack(rng.randbytes(size - 3 if size < 65_536 else size - 5))
        assert len(packed) == size
        jobs.append({"chunk": packed.hex(), "skip": 200 * skip})
        ours.append([frame.hex() for frame in split(packed, chunk_id=200 * skip + 1)])
    assert [answer["frames"] for answer in run_node(node_modules, jobs)] == ours


def test_the_close_marker_is_that_of_peerjs(node_modules: Path) -> None:
    marker = BinarySerializer(DEFAULT_LIMITS).close_marker()
    assert isinstance(marker, bytes)
    (answer,) = run_node(node_modules, [{"pack": tag({"__peerData": {"type": "close"}})}])
    assert answer["hex"] == marker.hex()
