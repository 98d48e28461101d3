"""The guest loop itself, in both of its forms, under the real clock and under a mock one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import outcome
import pytest
import trio
from trio.testing import MockClock

from peerjs_trio.guest import Form, open_guest_loop

from .guests import FORMS, Lasting, forever, form

__all__ = ["form"]

STILL = 0.2
"Seconds in which an idle guest is watched."

stepped = pytest.mark.skipif(
    "stepped" not in FORMS, reason="stepped loops need a selector with a file descriptor"
)


@pytest.mark.trio
async def test_timers_fire_in_order_and_never_early(form: Form) -> None:
    delays = [0.03, 0.01, 0.02, 0.0]

    async def main() -> list[tuple[float, float]]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        seen: list[tuple[float, float]] = []
        for delay in delays:
            loop.call_later(delay, lambda d: seen.append((d, loop.time() - start)), delay)
        await asyncio.sleep(max(delays) + 0.001)
        return seen

    async with open_guest_loop(form) as guest:
        seen = await guest.run(main)
    assert [delay for delay, _ in seen] == sorted(delays)
    assert all(after > delay - 0.001 for delay, after in seen)


@pytest.mark.trio
async def test_sockets_work_between_the_two_worlds(form: Form) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        hung_up.set()

    async def serve() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        guest.call_host(port.send_nowait, server.sockets[0].getsockname()[1])
        async with server:
            await hung_up.wait()

    hung_up = asyncio.Event()
    port, listening = trio.open_memory_channel[int](1)
    sent = os.urandom(1 << 20)
    got = bytearray()
    async with open_guest_loop(form) as guest, trio.open_nursery() as nursery:
        nursery.start_soon(guest.run, serve)
        stream = await trio.open_tcp_stream("127.0.0.1", await listening.receive())
        async with stream:
            nursery.start_soon(stream.send_all, sent)
            while len(got) < len(sent):
                got += await stream.receive_some()
    assert got == sent


@pytest.mark.trio
async def test_calls_from_other_threads_arrive(form: Form) -> None:
    async with open_guest_loop(form) as guest:
        done = trio.Event()
        report = partial(guest.call_host, done.set)
        await trio.to_thread.run_sync(guest.loop.call_soon_threadsafe, report)
        await done.wait()


@stepped
@pytest.mark.trio
async def test_a_stepped_loop_notices_what_is_given_to_it_between_its_steps() -> None:
    async with open_guest_loop("stepped") as guest:
        soon: Callable[[Callable[[], None]], object] = guest.loop.call_soon
        later = partial(guest.loop.call_later, 0.001)
        at = partial(guest.loop.call_at, guest.loop.time() + 0.001)
        for give in (soon, later, at):
            await trio.testing.wait_all_tasks_blocked()
            event = trio.Event()
            give(partial(guest.call_host, event.set))
            await event.wait()


@pytest.mark.trio
async def test_stop_does_not_stop_the_guest(form: Form) -> None:
    async with open_guest_loop(form) as guest:
        guest.call(guest.loop.stop)
        await guest.run(asyncio.sleep, 0.001)


@pytest.mark.trio
async def test_neither_side_starves_the_other(form: Form) -> None:
    passes = 0

    async def busy() -> None:
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    async with open_guest_loop(form) as guest:
        guest.call(lambda: guest.loop.create_task(busy()))
        while passes < 100:
            await trio.lowlevel.checkpoint()
        before = passes
        while passes < before + 100:
            await trio.lowlevel.checkpoint()


@pytest.mark.trio
async def test_asyncgen_hooks_are_each_sides_own(form: Form) -> None:
    async def hooks() -> Any:
        return sys.get_asyncgen_hooks()

    async with open_guest_loop(form) as guest:
        before = sys.get_asyncgen_hooks()
        inside = await guest.run(hooks)
        assert inside.firstiter == guest.loop._asyncgen_firstiter_hook  # type: ignore[attr-defined]
        assert sys.get_asyncgen_hooks() == before


# --- what wakes it ---------------------------------------------------------------------------


@attrs.define(eq=False)
class GuestSteps(trio.abc.Instrument):
    """Counts how often the guest's own tasks run, in a block."""

    count: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task.name.startswith("peerjs_trio.guest")

    async def __aenter__(self) -> GuestSteps:
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(self)


@pytest.mark.trio
async def test_an_idle_guest_does_not_wake(form: Form) -> None:
    async with open_guest_loop(form) as guest:
        guest.call(guest.loop.call_later, 3600, print)
        cancelled = await guest.run(_timer_cancelled_early)
        async with GuestSteps() as steps:
            await trio.sleep(STILL)
        assert cancelled.cancelled()
    assert steps.count == 0


async def _timer_cancelled_early() -> asyncio.TimerHandle:
    timer = asyncio.get_running_loop().call_later(STILL / 2, print)
    timer.cancel()
    return timer


@stepped
@pytest.mark.trio
async def test_calls_that_leave_nothing_to_do_wake_nothing() -> None:
    seen: list[int] = []
    async with open_guest_loop("stepped") as guest, GuestSteps() as steps:
        for number in range(100):
            guest.call(seen.append, number)
        assert seen == list(range(100))
    assert steps.count == 0


@stepped
@pytest.mark.trio
async def test_what_many_calls_leave_to_do_is_one_turn() -> None:
    seen: list[int] = []

    def leave(number: int) -> None:
        guest.loop.call_soon(guest.call_host, seen.append, number)

    async with open_guest_loop("stepped") as guest, GuestSteps() as steps:
        for number in range(100):
            guest.call(leave, number)
        assert not seen
    assert seen == list(range(100))
    assert steps.count == 1


@stepped
@pytest.mark.trio
async def test_what_arrives_is_one_turn() -> None:
    near, far = socket.socketpair()

    def read() -> None:
        guest.call_host(received.append, near.recv(1))

    received: list[bytes] = []
    with near, far:
        async with open_guest_loop("stepped") as guest:
            guest.call(guest.loop.add_reader, near, read)
            async with GuestSteps() as steps:
                far.send(b"x")
            guest.call(guest.loop.remove_reader, near)
    assert received == [b"x"]
    assert steps.count == 1


@pytest.mark.trio
async def test_a_deadline_may_move_either_way(form: Form) -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        seen: list[float] = []
        loop.call_later(3600, print)
        for delay in (0.02, 0.03, 0.01):  # each takes the place of the one before
            start, rung = loop.time(), loop.create_future()
            loop.call_later(delay / 2, print).cancel()
            loop.call_later(delay, rung.set_result, None)
            await rung
            seen.append(loop.time() - start - delay)
        return seen

    async with open_guest_loop(form) as guest:
        with trio.fail_after(60):
            late = await guest.run(main)
    assert min(late) > -0.001


@stepped
@pytest.mark.trio
async def test_an_alarm_that_rings_in_vain_is_set_anew() -> None:
    async with open_guest_loop("stepped") as guest:
        early = guest.loop.call_later(0.01, print)
        await trio.testing.wait_all_tasks_blocked()  # the alarm is set
        early.cancel()
        done = trio.Event()
        guest.loop.call_later(0.02, guest.call_host, done.set)
        with trio.fail_after(60):
            await done.wait()


@stepped
@pytest.mark.trio
async def test_a_deadline_from_outside_that_comes_nearer_is_kept() -> None:
    async with open_guest_loop("stepped") as guest:
        guest.loop.call_later(3600, print)
        await trio.testing.wait_all_tasks_blocked()
        done = trio.Event()
        guest.loop.call_later(0.01, guest.call_host, done.set)
        with trio.fail_after(60):
            await done.wait()


# --- what ends a program ---------------------------------------------------------------------


def test_a_keyboard_interrupt_during_a_pass_is_kept_for_trio(form: Form) -> None:
    lasting = Lasting()
    seen: list[str] = []

    def interrupted() -> None:
        seen.append("before")
        signal.raise_signal(signal.SIGINT)
        seen.append("after")

    async def main() -> None:
        async with open_guest_loop(form) as guest:
            await guest.run(lasting.begin)
            guest.call(interrupted)
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert seen == ["before", "after"]
    assert lasting.ended


def test_a_keyboard_interrupt_cancels_what_the_main_task_runs(form: Form) -> None:
    ended = False

    async def interrupted() -> None:
        nonlocal ended
        try:
            signal.raise_signal(signal.SIGINT)
            await forever()
        finally:
            await asyncio.sleep(0.001)
            ended = True

    async def main() -> None:
        async with open_guest_loop(form) as guest:
            await guest.run(interrupted)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert ended


@pytest.mark.parametrize("by", ["call", "callback"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_call_or_callback_can_end_the_program(
    form: Form, error: type[BaseException], by: str
) -> None:
    lasting = Lasting()
    seen: list[str] = []

    def end() -> None:
        raise error

    async def main() -> None:
        async with open_guest_loop(form) as guest:
            await guest.run(lasting.begin)
            if by == "call":
                guest.call(end)
            else:
                guest.call(guest.loop.call_soon, end)
            guest.call(lambda: guest.loop.call_soon(guest.call_host, seen.append, "after"))
            await trio.sleep_forever()

    with pytest.raises(error):
        trio.run(main)
    assert seen == ["after"]
    assert lasting.ended


# --- other clocks, other hosts ---------------------------------------------------------------


@pytest.mark.parametrize("form", [None, "thread"])
@pytest.mark.parametrize("autojump", [0, float("inf")])
def test_the_guests_timers_are_real_under_a_mock_clock(form: Form | None, autojump: float) -> None:
    async def nap() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.sleep(0.02)
        return loop.time() - start

    async def main() -> None:
        async with open_guest_loop(form) as guest:
            assert 0.019 < await guest.run(nap) < 10
            with pytest.raises(TimeoutError):
                await guest.run(asyncio.wait_for, forever(), 0.01)

    trio.run(main, clock=MockClock(autojump_threshold=autojump))


def test_a_stepped_guest_refuses_a_mock_clock() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="clock"):
            async with open_guest_loop("stepped"):
                pass

    trio.run(main, clock=MockClock())


def test_where_trio_is_asyncios_guest_the_loop_has_a_thread() -> None:
    async def trio_main() -> str:
        async with open_guest_loop() as guest:
            await guest.run(asyncio.sleep, 0.001)
        return "done"

    async def asyncio_main() -> str:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[outcome.Outcome[str]] = loop.create_future()
        trio.lowlevel.start_guest_run(
            trio_main,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            run_sync_soon_not_threadsafe=loop.call_soon,
            done_callback=done.set_result,
        )
        return (await done).unwrap()

    assert asyncio.run(asyncio_main()) == "done"
