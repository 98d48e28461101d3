"""What a far side sends faster than we take is bounded, wherever it waits."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from peerjs_trio.guest import Form
from peerjs_trio.rtc import backlog, session
from peerjs_trio.rtc.backlog import Backlog
from peerjs_trio.rtc.hosted import HostedConnection
from peerjs_trio.rtc.wrtc import WrtcSession, open_wrtc_engine
from tests.trio.guests import form
from tests.trio.sides import ENGINES, LIMIT, Side, connect, pair

__all__ = ["form"]

MANY = 10_000
"Messages: more than fit anywhere, once the bounds are lowered."

TOO_FAST = "failed: the far side sends faster than this side takes"


@pytest.fixture
def low_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "ASK_MESSAGES", 100)
    monkeypatch.setattr(backlog, "ASK_BYTES", 100)
    monkeypatch.setattr(backlog, "MAX_MESSAGES", 1000)
    monkeypatch.setattr(backlog, "MAX_BYTES", 1000)


def hosted(side: Side) -> HostedConnection:
    assert isinstance(side.connection, HostedConnection)
    return side.connection


def flood(sender: Side, sent: threading.Event) -> None:
    """In the sender's loop: as fast as it can, without a look at any buffer."""
    session = hosted(sender).session
    assert isinstance(session, WrtcSession)
    assert session._channel is not None
    for _ in range(MANY):
        session._channel.send(b"x")
    session._channel.buffered_amount_low_threshold = 0
    session._channel.on("bufferedamountlow", lambda _: sent.set())


@pytest.mark.trio
async def test_a_far_side_too_fast_for_a_loop_is_ended(form: Form, low_bounds: None) -> None:
    async with open_wrtc_engine(form="thread") as hers, open_wrtc_engine(form=form) as his:
        alice, bob = Side.on(hers), Side.on(his)
        await connect(alice, bob)
        sent = threading.Event()
        hosted(alice)._guest.call(flood, alice, sent)
        hosted(bob)._guest.call(sent.wait, LIMIT)  # his loop is behind: it waits right here
        assert await bob.end() == TOO_FAST
        assert len(bob.frames) < MANY
        assert await alice.end() == "closed"


@pytest.mark.parametrize("name", ["aiortc-thread", "wrtc-thread"])
@pytest.mark.parametrize("bound", ["MAX_MESSAGES", "MAX_BYTES"])
@pytest.mark.trio
async def test_a_far_side_too_fast_for_trio_is_ended(
    name: str, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pair(ENGINES[name]) as (alice, bob):
        monkeypatch.setattr(session, bound, 1000)
        for _ in range(MANY):
            alice.connection.send("x")
        until = time.monotonic() + LIMIT
        while hosted(bob).session._closing is None and time.monotonic() < until:
            time.sleep(0.01)  # noqa: ASYNC251 - trio's thread is busy
        assert await bob.end() == TOO_FAST
        assert len(bob.frames) <= 1001
        assert await alice.end() == "closed"


@pytest.mark.parametrize("size", [0, 1, 500])
def test_prompt_answers_are_asked_for_without_end(size: int, low_bounds: None) -> None:
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1
        if asked % 2:
            raise RuntimeError("closed")

    async def run() -> None:
        backlog = Backlog(ask)
        for _ in range(MANY):
            assert not backlog.passed(size)
            await asyncio.sleep(0)

    asyncio.run(run())
    assert asked > 50


@pytest.mark.parametrize(("size", "messages"), [(0, 1001), (10, 101), (5000, 1)])
def test_what_comes_before_an_answer_was_waiting(
    size: int, messages: int, low_bounds: None
) -> None:
    async def run() -> None:
        backlog = Backlog(asyncio.Event().wait)
        for _ in range(100):
            assert not backlog.passed(1)  # then it asks
        for _ in range(messages - 1):
            assert not backlog.passed(size)
        assert backlog.passed(size)
        backlog.close()

    asyncio.run(run())
