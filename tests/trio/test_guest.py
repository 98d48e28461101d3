"""The guest loop, in both of its forms, under the real clock and under a mock one."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import outcome
import pytest
import sniffio
import trio
from trio.testing import MockClock

import peerjs_trio.guest_loop
from peerjs_trio.guest import Form, GuestLoop, open_guest_loop

FORMS: list[Form] = ["stepped", "thread"]
if sys.platform == "win32":
    FORMS.remove("stepped")

STILL = 0.2
"Seconds in which an idle guest is watched."


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    chosen: Form = request.param
    return chosen


def open_files() -> int | None:
    """How many files this process has open; None where it cannot be known."""
    path = Path("/proc/self/fd")
    return len(list(path.iterdir())) if path.exists() else None


World = tuple[str | None, bool, bool]
"The async library, whether an asyncio loop runs here, whether this is trio's thread."


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


@attrs.define
class Lasting:
    """A task of the loop that has begun, and takes its time to end."""

    ended: bool = False
    task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self.task = asyncio.create_task(self._last())
        await asyncio.sleep(0)

    async def _last(self) -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.001)
            self.ended = True


# --- run -------------------------------------------------------------------------------------


@pytest.mark.trio
async def test_run_gives_the_result(form: Form) -> None:
    async def add(a: int, b: int) -> int:
        await asyncio.sleep(0.001)
        return a + b

    async with open_guest_loop(form) as guest:
        assert await guest.run(add, 1, 2) == 3


@pytest.mark.trio
async def test_run_raises_the_exception(form: Form) -> None:
    async def fail() -> None:
        raise KeyError("mine")

    def fail_at_once() -> Any:
        raise KeyError("mine")

    async with open_guest_loop(form) as guest:
        for fn in (fail, fail_at_once):
            with pytest.raises(KeyError, match="mine"):
                await guest.run(fn)


@pytest.mark.trio
async def test_a_trio_cancellation_cancels_the_asyncio_task_and_waits_for_its_end(
    form: Form,
) -> None:
    seen: list[str] = []

    async def slow_to_go(started: Callable[[], None]) -> None:
        try:
            started()
            await forever()
        finally:
            seen.append("cancelled")
            await asyncio.sleep(0.01)
            seen.append("gone")

    async with open_guest_loop(form) as guest:
        with trio.CancelScope() as scope:
            await guest.run(slow_to_go, lambda: guest.call_host(scope.cancel))
        assert scope.cancelled_caught
        assert seen == ["cancelled", "gone"]


@pytest.mark.trio
async def test_what_was_done_in_spite_of_a_cancellation_counts(form: Form) -> None:
    async def finish_anyway(started: Callable[[], None]) -> str:
        try:
            started()
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "done"

    async with open_guest_loop(form) as guest:
        with trio.CancelScope() as scope:
            assert await guest.run(finish_anyway, lambda: guest.call_host(scope.cancel)) == "done"
            with pytest.raises(trio.Cancelled):
                await trio.lowlevel.checkpoint()


@pytest.mark.trio
async def test_an_exception_during_cancellation_counts(form: Form) -> None:
    async def fail_on_cancel(started: Callable[[], None]) -> None:
        try:
            started()
            await forever()
        finally:
            raise KeyError("mine")

    async with open_guest_loop(form) as guest:
        with trio.CancelScope() as scope, pytest.raises(KeyError):
            await guest.run(fail_on_cancel, lambda: guest.call_host(scope.cancel))


@pytest.mark.trio
async def test_run_in_a_cancelled_scope_is_cancelled(form: Form) -> None:
    async with open_guest_loop(form) as guest:
        with trio.CancelScope() as scope:
            scope.cancel()
            await guest.run(forever)
        assert scope.cancelled_caught


@pytest.mark.trio
async def test_a_cancellation_inside_asyncio_is_told_apart(form: Form) -> None:
    async def cancel_myself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await forever()

    async with open_guest_loop(form) as guest:
        with pytest.raises(asyncio.CancelledError):
            await guest.run(cancel_myself)


@pytest.mark.trio
async def test_run_brings_the_callers_context(form: Form) -> None:
    variable = contextvars.ContextVar("variable", default="unset")

    async def read() -> str:
        return variable.get()

    async with open_guest_loop(form) as guest:
        variable.set("set")
        assert await guest.run(read) == "set"


@pytest.mark.trio
async def test_many_runs_at_once(form: Form) -> None:
    results: list[int] = []

    async def echo(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async with open_guest_loop(form) as guest:

        async def one(number: int) -> None:
            results.append(await guest.run(echo, number))

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(one, number)
    assert sorted(results) == list(range(200))


# --- call and call_host ----------------------------------------------------------------------


@pytest.mark.trio
async def test_calls_arrive_in_order_and_so_do_their_answers(form: Form) -> None:
    seen: list[int] = []
    done = trio.Event()
    async with open_guest_loop(form) as guest:
        for number in range(1000):
            guest.call(guest.call_host, seen.append, number)
        guest.call(guest.call_host, done.set)
        await done.wait()
    assert seen == list(range(1000))


@pytest.mark.trio
async def test_no_call_is_lost_however_the_sides_interleave(form: Form) -> None:
    seen: list[int] = []
    done = trio.Event()
    async with open_guest_loop(form) as guest:
        for number in range(5000):
            guest.call(guest.call_host, seen.append, number)
            if number % 3 == 0:
                await trio.lowlevel.checkpoint()
        guest.call(guest.call_host, done.set)
        with trio.fail_after(60):
            await done.wait()
    assert seen == list(range(5000))


@pytest.mark.trio
async def test_each_side_runs_in_its_own_world(form: Form) -> None:
    def world() -> World:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            running = False
        else:
            running = True
        library = sniffio.current_async_library()  # which is what anyio asks, too
        return library, running, threading.current_thread() is trio_thread

    trio_thread = threading.current_thread()
    in_trio = ("trio", False, True)
    worlds: list[World] = []
    done = trio.Event()

    async def in_task() -> World:
        await anyio.lowlevel.checkpoint()
        return world()

    async with open_guest_loop(form) as guest:
        in_asyncio = ("asyncio", True, form == "stepped")
        assert await guest.run(in_task) == in_asyncio
        guest.call(lambda: worlds.append(world()))
        guest.call(guest.call_host, lambda: worlds.append(world()))
        guest.call(guest.call_host, done.set)
        await done.wait()
        assert worlds == [in_asyncio, in_trio]
        assert world() == in_trio


@pytest.mark.trio
async def test_a_failed_call_is_logged_without_values_and_the_rest_goes_on(
    form: Form, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(secret: str) -> None:
        raise ValueError(secret)

    async with open_guest_loop(form) as guest:
        done = trio.Event()
        guest.call(fail, "hunter2")
        guest.call(guest.loop.call_soon, fail, "hunter2")
        guest.call(guest.loop.call_later, 0.001, fail, "hunter2")
        guest.call(lambda: guest.loop.call_later(0.01, guest.call_host, done.set))
        await done.wait()
    assert [record.name for record in caplog.records] == ["peerjs_trio"] * 3
    assert "ValueError" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.trio
async def test_an_unretrieved_task_exception_is_logged_without_values(
    form: Form, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(secret: str) -> None:
        raise ValueError(secret)

    async def orphan() -> None:
        task = asyncio.create_task(fail("hunter2"))
        await asyncio.wait([task])
        del task
        gc.collect()

    async with open_guest_loop(form) as guest:
        await guest.run(orphan)
    assert "ValueError" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.trio
async def test_a_failed_host_call_ends_the_block(form: Form) -> None:
    seen: list[str] = []

    lasting = Lasting()

    async def main() -> None:
        async with open_guest_loop(form) as guest:
            await guest.run(lasting.begin)
            guest.call(lambda: guest.call_host(lambda: 1 // 0))
            guest.call(lambda: guest.call_host(seen.append, "the next one"))
            await trio.sleep_forever()

    with pytest.raises(ZeroDivisionError):
        await main()
    assert seen == ["the next one"]
    assert lasting.ended


@pytest.mark.trio
async def test_an_exception_of_the_body_leaves_as_it_is(form: Form) -> None:
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        async with open_guest_loop(form):
            raise error
    assert caught.value is error


@pytest.mark.trio
async def test_an_outer_cancellation_gets_through(form: Form) -> None:
    lasting = Lasting()
    with trio.CancelScope() as scope:
        async with open_guest_loop(form) as guest:
            await guest.run(lasting.begin)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert lasting.ended


@pytest.mark.trio
async def test_after_the_block_nothing_can_be_asked(form: Form) -> None:
    async with open_guest_loop(form) as guest:
        pass
    with pytest.raises(RuntimeError, match="ended"):
        guest.call(print)
    with pytest.raises(RuntimeError, match="ended"):
        await guest.run(forever)


# --- the loop itself -------------------------------------------------------------------------


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


@pytest.mark.skipif("stepped" not in FORMS, reason="stepped loops need a selector with an fd")
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


class DriverSteps(trio.abc.Instrument):
    """Counts how often the guest's own tasks run."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += "peerjs_trio.guest" in task.name


@pytest.mark.trio
async def test_an_idle_guest_does_not_wake(form: Form) -> None:
    steps = DriverSteps()
    async with open_guest_loop(form) as guest:
        guest.call(guest.loop.call_later, 3600, print)
        cancelled = await guest.run(_timer_cancelled_early)
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(steps)
        await trio.sleep(STILL)
        trio.lowlevel.remove_instrument(steps)
        assert cancelled.cancelled()
    assert steps.count == 0


async def _timer_cancelled_early() -> asyncio.TimerHandle:
    timer = asyncio.get_running_loop().call_later(STILL / 2, print)
    timer.cancel()
    return timer


# --- leaving ---------------------------------------------------------------------------------


@pytest.mark.trio
async def test_leaving_ends_all_that_runs_and_leaves_nothing(form: Form) -> None:
    async def generate() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            ended.append("generator")

    async def task(name: str) -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.001)
            ended.append(name)
            if name == "parent":
                spawned.append(asyncio.get_running_loop().create_task(task("child")))
                await asyncio.sleep(0)

    async def prepare() -> None:
        loop = asyncio.get_running_loop()
        spawned.append(loop.create_task(task("parent")))
        await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
        await loop.run_in_executor(None, threading.get_ident)
        generators.append(generate())
        await anext(generators[0])

    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            loop = asyncio.get_running_loop()
            spawned.append(loop.create_task(self.close_at_the_end(transport)))

        def connection_lost(self, exc: Exception | None) -> None:
            ended.append("socket")

        async def close_at_the_end(self, transport: asyncio.BaseTransport) -> None:
            try:
                await forever()
            finally:
                transport.close()

    ended: list[str] = []
    spawned: list[asyncio.Task[None]] = []
    generators: list[AsyncIterator[int]] = []
    await trio.to_thread.run_sync(threading.get_ident)  # trio keeps one thread in store
    threads, files = set(threading.enumerate()), open_files()
    async with open_guest_loop(form) as guest:
        await guest.run(prepare)
    assert sorted(ended) == ["child", "generator", "parent", "socket"]
    assert all(task.done() for task in spawned)
    assert set(threading.enumerate()) <= threads
    assert open_files() == files
    assert guest.loop.is_closed()


@pytest.mark.trio
async def test_leaving_cancels_the_runs_of_others(form: Form) -> None:
    outcomes: list[outcome.Outcome[None]] = []

    async def other(guest: GuestLoop) -> None:
        outcomes.append(await outcome.acapture(guest.run, forever))

    async with trio.open_nursery() as nursery, open_guest_loop(form) as guest:
        nursery.start_soon(other, guest)
        await trio.testing.wait_all_tasks_blocked()
    assert isinstance(outcomes[0], outcome.Error)
    assert isinstance(outcomes[0].error, asyncio.CancelledError)


@pytest.mark.trio
async def test_a_task_that_does_not_end_is_left_alone_and_named(
    form: Form, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(peerjs_trio.guest_loop, "CLOSE_TIMEOUT", 0.01)

    async def stubborn() -> None:
        while True:
            try:
                await forever()
            except asyncio.CancelledError:
                pass
            except GeneratorExit:
                return

    def start() -> None:
        guest.loop.create_task(stubborn(), name="stubborn one")

    async with open_guest_loop(form) as guest:
        guest.call(start)
    assert "stubborn one" in caplog.text
    gc.collect()


@pytest.mark.trio
async def test_many_loops_in_one_run(form: Form) -> None:
    async def one() -> None:
        async with open_guest_loop(form) as guest:
            for _ in range(20):
                await guest.run(asyncio.sleep, 0.001)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(one)


def test_many_runs_one_after_the_other(form: Form) -> None:
    async def main() -> None:
        async with open_guest_loop(form) as guest:
            await guest.run(asyncio.sleep, 0)

    files = open_files()
    for _ in range(10):
        trio.run(main)
    assert open_files() == files


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


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_asyncio_callback_can_end_the_program(form: Form, error: type[BaseException]) -> None:
    lasting = Lasting()
    seen: list[str] = []

    def end() -> None:
        raise error

    async def main() -> None:
        async with open_guest_loop(form) as guest:
            await guest.run(lasting.begin)
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
