"""What the tables of ``nox -s sim -- --scale`` are made of, in small."""

from __future__ import annotations

import pytest

from peerjs_proto.backoff import Reconnect

from .scale import costs, recover

NO_JITTER = Reconnect(jitter=0.0)


@pytest.mark.parametrize("down", [1.0, 60.0])
def test_all_come_back(down: float) -> None:
    recovery = recover(300, Reconnect(), down, backlog=16)
    assert 0 <= recovery.half <= recovery.most <= recovery.all
    assert recovery.all < 20 + Reconnect().longest
    assert recovery.attempts >= 1


def test_jitter_keeps_them_from_coming_all_at_once() -> None:
    herd, crowd = recover(300, NO_JITTER, 2.0, 16), recover(300, Reconnect(), 2.0, 16)
    assert herd.peak == 300
    assert herd.given_up > 2 * crowd.given_up
    assert herd.all > 2 * crowd.all


def test_the_same_herd_comes_back_in_the_same_way() -> None:
    assert recover(50, Reconnect(), 3.0, 4) == recover(50, Reconnect(), 3.0, 4)


def test_costs_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    costs(20)
    table = {line[:24].strip(): line[24:].split() for line in capsys.readouterr().out.split("\n")}
    assert table["registers"][1] == "1.00"
    assert table["is there for a minute"][:2] == ["12.00", "0.00"]
    # An OFFER or an ANSWER, and three candidates each.
    assert float(table["dials, and is dialled"][1]) == 8.0
