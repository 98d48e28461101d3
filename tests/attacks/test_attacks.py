"""Ours answers or closes, and serves everybody else; npm's does what docs/attacks.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.attacks.attack import Attack, strike
from tests.attacks.floods import FLOODS
from tests.attacks.table import ATTACKS, read_tables
from tests.attacks.target import Kind, Target, run_target
from tests.interop.npm import install_node_modules
from tests.interop.programs import find_program

# One process takes all that is over at once, one behind the other: it is the harder test.
QUICK: Final = [attack for attack in ATTACKS if attack not in FLOODS]


@pytest.fixture(scope="module")
def ours() -> Iterator[Target]:
    with run_target("ours", None) as target:
        yield target
        assert target.complaints() == ""


@pytest.fixture(scope="module")
def node_modules() -> Path:
    for program in ("node", "npm"):
        find_program(program, install="Node.js 20 or newer (Debian: apt install nodejs npm)")
    return install_node_modules()


@pytest.mark.trio
@pytest.mark.parametrize("attack", QUICK, ids=lambda attack: attack.name)
async def test_ours(attack: Attack, ours: Target) -> None:
    outcome = await strike(attack, ours)
    print(outcome)
    assert attack.faults(outcome) == []


@pytest.mark.trio
@pytest.mark.parametrize("attack", FLOODS, ids=lambda attack: attack.name)
async def test_a_flood_on_ours(attack: Attack) -> None:
    with run_target("ours", None) as target:
        outcome = await strike(attack, target)
        print(outcome)
        assert attack.faults(outcome) == []
        assert target.complaints() == ""


@pytest.mark.trio
@pytest.mark.parametrize(
    ("kind", "verdict"), [("npm", "deaf"), ("npm, embedded", "ends the process")]
)
async def test_null_on_npms(kind: Kind, verdict: str, node_modules: Path) -> None:
    # What the table says of them is still so. The rest is for nox -s attacks.
    (attack,) = (attack for attack in ATTACKS if attack.name == "`null`")
    with run_target(kind, node_modules) as target:
        assert (await strike(attack, target)).verdict == verdict


def test_the_document_has_every_attack_and_says_what_ours_does() -> None:
    rows = read_tables()
    assert list(rows) == [attack.name for attack in ATTACKS]
    for attack in ATTACKS:
        said = re.split(r" \| ", rows[attack.name])[1]
        assert said in attack.ours.split(" or "), attack.name
