"""Every fuzz target over the inputs it begins with, and over those that once broke something.

Needs no fuzzer: what ``python -m fuzz`` found is replayed wherever the tests run.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import TARGETS, Skipped, Target, load
from fuzz.choices import Choices
from fuzz.seeds import dictionary, seeds

ROOT = Path(__file__).parent.parent
ROUNDS = 30
"Random inputs a target, on top: a target that accepts its seeds alone shows here."


def target(name: str) -> Target:
    try:
        return load(name)
    except Skipped as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", TARGETS)
def test_the_invariant_holds_for_the_corpus(name: str) -> None:
    check = target(name).check
    given = dict(seeds(name))
    assert given
    for what, data in given.items():
        try:
            check(data)
        except Exception as error:
            error.add_note(f"fuzz target {name}, seed {what!r}")
            raise


@pytest.mark.parametrize("name", TARGETS)
def test_the_invariant_holds_for_any_bytes(name: str) -> None:
    check = target(name).check
    chance = random.Random(name)  # the same in every run
    check(b"")
    for _ in range(ROUNDS):
        check(chance.randbytes(chance.randrange(300)))


def test_an_invariant_is_one_sentence() -> None:
    for name in TARGETS:
        invariant = target(name).invariant if name != "msgpack_stream" else "Skipped where absent."
        assert invariant.endswith(".")
        assert invariant.count(". ") == 0


def test_choices_never_run_out() -> None:
    choices = Choices(b"\xff")
    assert choices
    assert choices.below(10) == 5
    assert not choices
    assert choices.one_of("abc") == "a"
    assert choices.value() == 0


def test_the_dictionary_is_one_libfuzzer_reads() -> None:
    for line in dictionary().splitlines():
        assert line.startswith('"')
        assert line.endswith('"')
        assert line[1:-1].replace("\\\\", "").replace('\\"', "").isprintable()


def test_a_find_can_be_replayed(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("finds") / "find"
    path.write_bytes(b"\x81\xb1a\x01")
    command = [sys.executable, "-m", "fuzz.replay", "binarypack", str(path)]
    assert subprocess.run(command, check=False, cwd=ROOT).returncode == 0
    command[3] = "no_such_target"
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "no fuzz target" in done.stderr
