from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peerjs_proto.pair_codes import LIFETIME, Code, Codes


def fail(codes: Codes, now: float, times: int = 3) -> None:
    for _ in range(times):
        code = codes.take(now)
        assert code
        assert not codes.settle(code, proved=False, now=now)


def test_three_tries_and_then_another_code() -> None:
    codes = Codes()
    assert codes.take(0.0) is None
    assert codes.wanted_at(5.0) == 5.0
    codes.show("1", 5.0)
    assert codes.wanted_at(5.0) == 5.0 + LIFETIME
    fail(codes, 6.0)
    assert codes.take(6.0) is None
    assert codes.wanted_at(7.0) == 7.0


def test_tries_at_one_time_count() -> None:
    codes = Codes()
    codes.show("1", 0.0)
    taken = [codes.take(1.0) for _ in range(3)]
    assert all(taken)
    assert codes.take(1.0) is None
    # Until the last of them is over, the code stays on the screen: it may be the right one.
    assert codes.wanted_at(2.0) == LIFETIME
    assert taken[2]
    assert codes.settle(taken[2], proved=True, now=2.0)
    assert codes.wanted_at(2.0) == 2.0
    assert taken[0]
    assert not codes.settle(taken[0], proved=True, now=2.0), "a code is for one"


def test_a_code_grows_old() -> None:
    codes = Codes()
    codes.show("1", 0.0)
    begun = codes.take(LIFETIME - 1)
    assert codes.take(LIFETIME) is None
    assert codes.wanted_at(LIFETIME) == LIFETIME
    assert begun
    assert codes.settle(begun, proved=True, now=LIFETIME + 1), "who has begun may end"


def test_who_goes_on_guessing_waits_longer_and_longer() -> None:
    codes, now, waits = Codes(), 0.0, []
    for _ in range(12):
        codes.show("1", now)
        fail(codes, now)
        assert codes.take(now) is None
        waits.append(codes.wanted_at(now) - now)
        now = codes.wanted_at(now)
    assert waits == [0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    codes.show("1", now)
    code = codes.take(now)
    assert code
    assert codes.settle(code, proved=True, now=now)
    codes.show("2", now)
    fail(codes, now)
    assert codes.wanted_at(now) == now, "forgiven with a pairing"


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.codes, self.now, self.shown = Codes(), 0.0, 0
        self.taken: list[Code] = []
        self.tries: dict[str, int] = {}
        self.uses: dict[str, int] = {}

    @rule(seconds=st.sampled_from([0.0, 1.0, 30.0, 700.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self.codes.wanted_at(self.now) <= self.now:
            self.shown += 1
            self.codes.show(str(self.shown), self.now)

    @rule()
    def take(self) -> None:
        if code := self.codes.take(self.now):
            assert code.text == str(self.shown)
            self.taken.append(code)
            self.tries[code.text] = self.tries.get(code.text, 0) + 1

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), proved=st.booleans())
    def settle(self, data: st.DataObject, proved: bool) -> None:
        code = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        if self.codes.settle(code, proved=proved, now=self.now):
            self.uses[code.text] = self.uses.get(code.text, 0) + 1

    @invariant()
    def no_code_is_tried_more_than_thrice_or_used_twice(self) -> None:
        assert all(tries <= 3 for tries in self.tries.values())
        assert all(uses == 1 for uses in self.uses.values())
        assert self.codes.wanted_at(self.now) <= self.now + 3600.0


TestAnyOrder = AnyOrder.TestCase
