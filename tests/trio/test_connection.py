"""DataConnection: order, backpressure, bounds and ends, over fakes and virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest
import trio
import trio.testing

import peerjs_trio
from peerjs_proto.binarypack import pack
from peerjs_proto.limits import Limits
from peerjs_trio import DataConnection
from tests.trio.fakes import ROOM, FakeNetwork, FakeRtc, open_fake_network, virtual_time
from tests.trio.test_peer import dialled, join

pytestmark = pytest.mark.trio(run=virtual_time)

LIMITS = Limits(
    keep_alive=None,  # silence is what some of these tests are about
    inbox_messages=20,
    inbox_bytes=1_000_000,
    message_bytes=1_000_000,
    partial_bytes=1_000_000,
)


@attrs.define
class Line:
    """Two connected ends."""

    network: FakeNetwork
    ours: DataConnection
    theirs: DataConnection

    @property
    def our_rtc(self) -> FakeRtc:
        assert isinstance(self.ours._rtc, FakeRtc)
        return self.ours._rtc


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with (
        open_fake_network() as network,
        join(network, "alice", limits=LIMITS) as alice,
        join(network, "bob", limits=LIMITS) as bob,
    ):
        yield Line(network, *await dialled(alice, bob))


async def test_it_is_an_object_stream(line: Line) -> None:
    assert isinstance(line.ours, anyio.abc.ObjectStream)
    async with line.ours as stream:
        await stream.send({"a": b"b"})
        assert await line.theirs.receive() == {"a": b"b"}
    with pytest.raises(anyio.EndOfStream):
        await line.theirs.receive()
    with pytest.raises(peerjs_trio.LocalProtocolError, match="half-close"):
        await line.theirs.send_eof()


async def test_messages_of_many_tasks_go_out_in_the_order_of_their_calls(line: Line) -> None:
    big = b"x" * (ROOM * 3)
    async with anyio.create_task_group() as tasks:
        for n in range(10):
            tasks.start_soon(line.ours.send, [n, big])
            await anyio.lowlevel.checkpoint()
        for n in range(10):
            assert await line.theirs.receive() == [n, big]


async def test_send_waits_while_the_channel_is_full(line: Line) -> None:
    line.our_rtc.stalled = True
    with anyio.move_on_after(60) as scope:
        for _ in range(1000):
            await line.ours.send(b"x" * 1000)
    assert scope.cancelled_caught
    assert ROOM <= line.our_rtc.buffered <= ROOM + 2000


class StepsOf(trio.abc.Instrument):
    """How often each task of one name was resumed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps: Counter[trio.lowlevel.Task] = Counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task.name == self.name:
            self.steps[task] += 1


async def test_of_many_who_wait_to_send_only_those_are_woken_who_are_done(line: Line) -> None:
    instrument = StepsOf("sender")
    trio.lowlevel.add_instrument(instrument)
    async with trio.open_nursery() as tasks:
        for _ in range(50):
            tasks.start_soon(line.ours.send, b"x" * ROOM, name="sender")
        for _ in range(50):
            await line.theirs.receive()
    trio.lowlevel.remove_instrument(instrument)
    assert len(instrument.steps) == 50
    assert max(instrument.steps.values()) <= 3


async def test_senders_who_gave_up_waiting_are_forgotten(line: Line) -> None:
    line.our_rtc.stalled = True
    for _ in range(50):
        with anyio.move_on_after(1):
            await line.ours.send(b"x" * (ROOM * 2))
    assert not line.ours._sending
    line.our_rtc.stalled = False
    await line.ours.send("after")
    assert await line.theirs.receive() == b"x" * (ROOM * 2)  # begun: committed
    assert await line.theirs.receive() == "after"


async def test_sending_and_receiving_without_a_wait_let_others_run(line: Line) -> None:
    others = 0

    async def run() -> None:
        nonlocal others
        await anyio.lowlevel.checkpoint()
        others += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        while others < 1:
            await line.ours.send(b"")
            line.our_rtc.buffered = 0
        tasks.start_soon(run)
        while others < 2:
            line.our_rtc.sink.frames_received([b"\x01"])
            assert await line.ours.receive() == 1


async def test_many_messages_cost_no_step_of_their_task_each(line: Line) -> None:
    instrument = StepsOf("busy")
    trio.lowlevel.add_instrument(instrument)

    async def busy() -> None:
        for n in range(100):
            await line.ours.send(n)
        for n in range(100):
            assert await line.theirs.receive() == n

    async with trio.open_nursery() as tasks:
        tasks.start_soon(busy, name="busy")
        await anyio.sleep(10)
    trio.lowlevel.remove_instrument(instrument)
    assert instrument.steps.total() < 150  # not 200: as many as half milliseconds have gone by


async def test_sending_and_receiving_without_a_wait_can_be_cancelled(line: Line) -> None:
    line.our_rtc.sink.frames_received([b"\x01"])
    for call in (partial(line.ours.send, "never"), line.ours.receive):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await call()
        assert scope.cancelled_caught
    assert await line.ours.receive() == 1
    await line.ours.send("after")
    assert await line.theirs.receive() == "after"


async def test_a_cancelled_send_that_has_not_begun_is_not_sent(line: Line) -> None:
    line.our_rtc.stalled = True
    with anyio.move_on_after(60):
        await line.ours.send(b"x" * (ROOM * 2))  # begun: committed
    with anyio.move_on_after(60):
        await line.ours.send("never")
    line.our_rtc.stalled = False
    await line.ours.send("after")
    assert await line.theirs.receive() == b"x" * (ROOM * 2)
    assert await line.theirs.receive() == "after"


async def test_a_send_to_a_full_channel_ends_with_the_connection(line: Line) -> None:
    line.our_rtc.stalled = True
    async with anyio.create_task_group() as tasks:

        async def send() -> None:
            with pytest.raises(peerjs_trio.BrokenConnection):
                await line.ours.send(b"x" * (ROOM * 2))

        tasks.start_soon(send)
        await anyio.sleep(1)
        await line.theirs.aclose()


@pytest.mark.parametrize("value", [object(), None, {"a": [{1}]}, {1: 2}])
async def test_what_cannot_be_sent_is_refused_and_nothing_else(line: Line, value: Any) -> None:
    with pytest.raises(peerjs_trio.UnsupportedValue) as caught:
        await line.ours.send(value)
    assert isinstance(caught.value, TypeError)
    await line.ours.send("fine")
    assert await line.theirs.receive() == "fine"


# --- ends ----------------------------------------------------------------------------------------


async def test_after_our_own_close(line: Line) -> None:
    await line.theirs.send("unread")
    await line.ours.aclose()
    await line.ours.aclose()
    with pytest.raises(anyio.ClosedResourceError):
        await line.ours.receive()
    with pytest.raises(anyio.ClosedResourceError):
        await line.ours.send(1)
    assert not line.ours.is_open
    assert "closed" in repr(line.ours)


async def test_after_the_far_sides_close(line: Line) -> None:
    await line.ours.send("last")
    await line.ours.aclose(flush=True)
    assert [value async for value in line.theirs] == ["last"]
    with pytest.raises(anyio.EndOfStream):
        await line.theirs.receive()
    with pytest.raises(peerjs_trio.ConnectionClosed) as caught:
        await line.theirs.send(1)
    assert isinstance(caught.value, anyio.BrokenResourceError)
    assert caught.value.type == "connection-closed"


async def test_a_flush_waits_for_everything(line: Line) -> None:
    values = [f"{n}" * 30_000 for n in range(10)]
    async with anyio.create_task_group() as tasks:
        for value in values:
            tasks.start_soon(line.ours.send, value)
        await trio.testing.wait_all_tasks_blocked()
        await line.ours.aclose(flush=True)
    assert sorted([value async for value in line.theirs]) == values


async def test_a_cancelled_flush_closes_at_once(line: Line) -> None:
    line.our_rtc.stalled = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(line.ours.send, b"x" * 1000)
        await anyio.sleep(1)
        with anyio.move_on_after(5) as scope:
            await line.ours.aclose(flush=True)
        assert scope.cancelled_caught
    assert not line.ours.is_open
    with pytest.raises(anyio.EndOfStream):
        await line.theirs.receive()


async def test_a_flush_to_a_side_that_takes_nothing_times_out(line: Line) -> None:
    line.our_rtc.stalled = True
    with anyio.move_on_after(1):
        await line.ours.send(b"x" * (ROOM * 2))
    with pytest.raises(peerjs_trio.ConnectTimeout, match="30 s"):
        await line.ours.aclose(flush=True)


async def test_a_flush_whose_far_side_goes_away_says_so(line: Line) -> None:
    line.our_rtc.stalled = True
    with anyio.move_on_after(1):
        await line.ours.send(b"x" * (ROOM * 2))
    async with anyio.create_task_group() as tasks:

        async def flush() -> None:
            with pytest.raises(peerjs_trio.BrokenConnection, match="before everything was sent"):
                await line.ours.aclose(flush=True)

        tasks.start_soon(flush)
        await anyio.sleep(1)
        await line.theirs.aclose()


async def test_a_receiver_elsewhere_wakes_up_at_the_close(line: Line) -> None:
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            with pytest.raises(peerjs_trio.ClosedConnection):
                await line.ours.receive()

        tasks.start_soon(read)
        await anyio.sleep(1)
        await line.ours.aclose()


async def test_a_lost_connection_says_so_after_what_had_arrived(line: Line) -> None:
    await line.theirs.send("arrived")
    await anyio.sleep(1)
    line.our_rtc.sink.failed("ICE failed")
    assert await line.ours.receive() == "arrived"
    with pytest.raises(anyio.BrokenResourceError, match="ICE failed"):
        await line.ours.receive()


# --- a far side that breaks rules and limits -----------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [b"", b"\xdd\xff\xff\xff\xff", b"\xc4", b"\x91" * 1_000_000, "text", b"\xb1\xff"],
    ids=lambda frame: repr(frame[:6]),
)
async def test_a_malformed_frame_ends_this_connection_alone(line: Line, frame: Any) -> None:
    line.our_rtc.inject(b"\x05", frame, b"\x06")
    assert await line.ours.receive() == 5
    with pytest.raises(peerjs_trio.BrokenConnection) as caught:
        await line.ours.receive()
    assert isinstance(caught.value.__cause__, peerjs_trio.DecodeError)


@pytest.mark.parametrize(
    "frames", [[b"\x01"] * 100, [b"\xdc\xff\xff" + b"\xc0" * 65535] * 3], ids=["many", "large"]
)
async def test_an_inbox_that_nobody_reads_is_bounded(line: Line, frames: list[bytes]) -> None:
    line.our_rtc.inject(*frames)
    await anyio.sleep(1)
    assert not line.ours.is_open
    assert len(line.ours._inbox) <= LIMITS.inbox_messages
    for _ in range(len(line.ours._inbox)):
        await line.ours.receive()
    with pytest.raises(peerjs_trio.BrokenConnection, match="inbox is full") as caught:
        await line.ours.receive()
    assert isinstance(caught.value.__cause__, peerjs_trio.LimitExceeded)


def chunk(id: int, n: int, total: int, data: bytes = b"x") -> bytes:
    return pack({"__peerData": id, "n": n, "data": data, "total": total})


BOMBS = {
    "a total of 2**32": [chunk(1, 0, 2**32)],
    "messages never finished": [chunk(n, 0, 2) for n in range(1, 1000)],
    "more bytes than a message may have": [chunk(1, n, 1000, b"x" * 16_300) for n in range(1000)],
    "pieces of one byte": [chunk(1, n, 100_000) for n in range(20_000)],
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_chunk_bombs_end_this_connection_alone(line: Line, bomb: str) -> None:
    line.our_rtc.inject(*BOMBS[bomb])
    with pytest.raises(peerjs_trio.BrokenConnection) as caught:
        await line.ours.receive()
    assert isinstance(caught.value.__cause__, peerjs_trio.LimitExceeded)


async def test_many_messages_pass_a_small_inbox_that_is_read(line: Line) -> None:
    async with anyio.create_task_group() as tasks:

        async def send() -> None:
            for n in range(1000):
                await line.ours.send([n, b"x" * 9000])
            await line.ours.aclose(flush=True)

        tasks.start_soon(send)
        assert [value[0] async for value in line.theirs] == list(range(1000))


async def test_cancelling_a_receive_loses_nothing(line: Line) -> None:
    for _ in range(20):
        with trio.CancelScope() as scope:
            scope.cancel()
            await line.theirs.receive()
    await line.ours.send("still here")
    for _ in range(20):
        with anyio.move_on_after(0.001):
            value = await line.theirs.receive()
            break
    else:
        value = await line.theirs.receive()
    assert value == "still here"
