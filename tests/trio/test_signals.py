"""stop_on_signal in one process; tests/interop/faults/test_our_end.py has it in two."""

from __future__ import annotations

import os
import signal

import pytest
import trio
import trio.testing

from peerjs_trio import Stop, stop_on_signal

pytestmark = [
    pytest.mark.trio,
    pytest.mark.skipif(os.name == "nt", reason="Windows cannot send itself signals"),
]

STOPS = ["SIGINT", "SIGTERM", "SIGHUP"]


@pytest.mark.parametrize("name", STOPS)
async def test_the_block_is_left_and_the_program_goes_on(name: str) -> None:
    before = signal.getsignal(signal.Signals[name])
    left = False
    with trio.fail_after(10):
        async with stop_on_signal() as stop:
            try:
                signal.raise_signal(signal.Signals[name])
                await trio.sleep_forever()
            finally:
                left = True
    assert left
    assert stop == Stop(signal.Signals[name])
    assert signal.getsignal(signal.Signals[name]) is before


async def test_without_a_signal_nothing_happens() -> None:
    before = [signal.getsignal(signal.Signals[name]) for name in STOPS]
    async with stop_on_signal() as stop:
        await trio.testing.wait_all_tasks_blocked()
    assert stop.signal is None
    assert [signal.getsignal(signal.Signals[name]) for name in STOPS] == before


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with stop_on_signal():
            raise ZeroDivisionError


async def test_only_those_that_were_named() -> None:
    with trio.fail_after(10), trio.open_signal_receiver(signal.SIGTERM) as outside:
        async with stop_on_signal(signal.SIGHUP) as stop:
            signal.raise_signal(signal.SIGTERM)
            async for _ in outside:
                break
            signal.raise_signal(signal.SIGHUP)
            await trio.sleep_forever()
    assert stop.signal == signal.SIGHUP


async def test_the_second_one_is_not_ours() -> None:
    with trio.fail_after(10), trio.open_signal_receiver(signal.SIGTERM) as outside:
        async with stop_on_signal():
            try:
                signal.raise_signal(signal.SIGTERM)
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):  # something that takes long to close
                    signal.raise_signal(signal.SIGTERM)
                    async for number in outside:
                        assert number == signal.SIGTERM
                        break


async def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with stop_on_signal(signal.SIGHUP) as stop:
            signal.raise_signal(signal.SIGHUP)
            await trio.testing.wait_all_tasks_blocked()
        assert stop.signal is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_in_another_thread_it_says_so() -> None:
    async def enter() -> None:
        async with stop_on_signal():
            raise AssertionError("there are no signals here")

    with pytest.raises(RuntimeError, match="main thread"):
        await trio.to_thread.run_sync(trio.run, enter)
