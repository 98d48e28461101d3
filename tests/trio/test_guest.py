"""The guest loop in both of its forms: what crosses between the sides, and the end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import outcome
import pytest
import sniffio
import trio

import peerjs_trio.guest_loop
from peerjs_trio.guest import Form, GuestLoop, open_guest_loop

from .guests import Lasting, forever, form

__all__ = ["form"]


def open_files() -> int | None:
    """How many files this process has open; None where it cannot be known."""
    path = Path("/proc/self/fd")
    return len(list(path.iterdir())) if path.exists() else None


World = tuple[str | None, bool, bool]
"The async library, whether an asyncio loop runs here, whether this is trio's thread."


# --- run -------------------------------------------------------------------------------------


@pytest.mark.trio
async def test_run_gives_the_result(form: Form) -> None:
    async def add(a: int, b: int) -> int:
        await asyncio.sleep(0.001)
        return a + b

    async with open_guest_loop(form) as guest:
        assert await guest.run(add, 1, 2) == 3


@pytest.mark.trio
async def test_many_calls_let_a_threaded_loop_go_on_between_them() -> None:
    order: list[int | str] = []
    async with open_guest_loop("thread") as guest:
        guest.call(lambda: guest.loop.call_soon(order.append, "the loop's own"))
        for n in range(2000):
            guest.call(order.append, n)
        await guest.run(asyncio.sleep, 0)
    assert order.index("the loop's own") < 1000
    order.remove("the loop's own")
    assert order == list(range(2000))


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
async def test_a_call_out_of_a_call_comes_after_it(form: Form) -> None:
    seen: list[str] = []
    done = trio.Event()

    def outer() -> None:
        guest.call(inner)
        seen.append("outer")

    def inner() -> None:
        seen.append("inner")
        guest.call_host(done.set)

    async with open_guest_loop(form) as guest:
        guest.call(outer)
        await done.wait()
    assert seen == ["outer", "inner"]


@pytest.mark.trio
async def test_calls_go_to_and_fro(form: Form) -> None:
    left = 1000
    done = trio.Event()

    def from_host() -> None:
        # Now in a call itself, now in a callback that it leaves behind.
        if left % 2:
            guest.call(from_loop)
        else:
            guest.call(lambda: guest.loop.call_soon(from_loop))

    def from_loop() -> None:
        nonlocal left
        left -= 1
        guest.call_host(from_host if left else done.set)

    async with open_guest_loop(form) as guest:
        from_host()
        with trio.fail_after(60):
            await done.wait()


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
