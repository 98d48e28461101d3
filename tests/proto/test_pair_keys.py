"""Keys by generations, ids by epochs: nobody is shut out, whatever gets lost on the way."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peerjs_proto.endpoint import validate_id
from peerjs_proto.pair_keys import (
    DAY,
    EPOCH,
    PairKeys,
    epoch_end,
    following,
    id_secret_of,
    own_id,
    remote_ids,
    tag_of,
    token_of,
)

SECRET = b"i" * 32


def test_a_young_key_stays() -> None:
    keys = PairKeys(b"k" * 32, since=0.0)
    assert keys.proved(1, DAY - 1, b"e" * 32) == (keys, None)
    assert keys.key_of(1) == b"k" * 32
    assert keys.key_of(0) is None
    assert keys.key_of(2) is None


def test_an_old_key_is_followed_by_another_and_both_are_good() -> None:
    keys, told = PairKeys(b"k" * 32, since=0.0).proved(1, DAY, b"e" * 32)
    assert told == b"e" * 32
    assert keys.key_of(1) == b"k" * 32
    assert keys.key_of(2) == following(b"k" * 32, b"e" * 32)
    # Whoever missed it is told again, and the same.
    assert keys.proved(1, 9 * DAY, b"f" * 32) == (keys, b"e" * 32)
    # Its first proof begins its day: what proved it may not be on a disk yet.
    keys, told = keys.proved(2, 9 * DAY, b"f" * 32)
    assert told is None
    assert keys.proved(2, 10 * DAY - 1, b"f" * 32) == (keys, None)
    newest, told = keys.proved(2, 10 * DAY, b"f" * 32)
    assert told == b"f" * 32
    assert newest.key_of(1) is None
    assert newest.key_of(2) == keys.key


def test_a_clock_that_was_wrong_keeps_no_key_for_years() -> None:
    keys, told = PairKeys(b"k" * 32, since=1e12).proved(1, 0.0, b"e" * 32)
    assert told == b"e" * 32
    assert keys.since is None


@attrs.define
class Tab:
    """A page, or a process, in the middle of a handshake."""

    generation: int
    key: bytes
    answer: bytes | None = None


class Lossy(RuleBasedStateMachine):
    """A device, and tabs that share one store: messages are lost, and so is the last write."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.count = 0.0, 0
        self.device = PairKeys(b"k" * 32, since=0.0)
        self.store = self.on_disk = (1, b"k" * 32)
        self.tabs: list[Tab] = []
        self.answered: list[Tab] = []

    @rule(seconds=st.sampled_from([1.0, DAY / 2, DAY, 3 * DAY]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.on_disk = self.store

    @rule()
    def begin(self) -> None:
        self.tabs.append(Tab(*self.store))

    @precondition(lambda self: self.tabs)
    @rule(data=st.data(), arrives=st.booleans())
    def prove(self, data: st.DataObject, arrives: bool) -> None:
        tab = self.tabs.pop(data.draw(st.integers(0, len(self.tabs) - 1)))
        if not arrives or self.device.key_of(tab.generation) != tab.key:
            return  # lost, or a tab that has slept for days: it begins again
        self.count += 1
        entropy = self.count.to_bytes(32, "big")
        self.device, tab.answer = self.device.proved(tab.generation, self.now, entropy)
        self.answered.append(tab)

    @precondition(lambda self: self.answered)
    @rule(data=st.data(), arrives=st.booleans())
    def learn(self, data: st.DataObject, arrives: bool) -> None:
        tab = self.answered.pop(data.draw(st.integers(0, len(self.answered) - 1)))
        if arrives and tab.answer is not None and tab.generation + 1 > self.store[0]:
            self.store = (tab.generation + 1, following(tab.key, tab.answer))

    @rule()
    def crash(self) -> None:
        """What the browser had not written yet is gone, and its tabs with it."""
        self.store = self.on_disk
        self.tabs, self.answered = [], []

    @invariant()
    def what_is_stored_is_good(self) -> None:
        for generation, key in (self.store, self.on_disk):
            assert self.device.key_of(generation) == key


TestLossy = Lossy.TestCase


@given(st.floats(0, 1e11), st.floats(-EPOCH / 2, EPOCH / 2))
def test_clocks_that_differ_by_half_a_month_find_the_device(now: float, skew: float) -> None:
    ids = remote_ids(SECRET, now + skew)
    assert own_id(SECRET, now) in ids
    assert len(set(ids)) == 3
    assert ids[0] == own_id(SECRET, now + skew)
    if abs(skew) < DAY:
        assert own_id(SECRET, now) in ids[:2]


@given(st.binary(min_size=32, max_size=32), st.floats(0, 1e11))
def test_an_id_is_one_that_peerjs_takes(secret: bytes, now: float) -> None:
    validate_id(own_id(secret, now))
    assert own_id(secret, now) != own_id(secret, epoch_end(now))
    assert epoch_end(now) > now


def test_what_is_told_does_not_tell_the_rest() -> None:
    identity = b"d" * 32
    id_secret = id_secret_of(identity)
    id = own_id(id_secret, 0.0)
    assert len({identity.hex(), id_secret.hex(), id, token_of(identity, id)}) == 4
    assert token_of(identity, id) != token_of(id_secret, id)
    assert tag_of(id_secret).isalpha()
    assert len(tag_of(id_secret)) == 4
