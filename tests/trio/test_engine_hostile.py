"""What a far side can do to an engine: end its own connection, and nothing else.

The far side is a bare aiortc, whose private methods put on the wire what no engine would.
"""

from __future__ import annotations

import asyncio
import logging
import random
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aioice.ice
import attrs
import pytest
import trio
from aiortc import (
    AudioStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)

from peerjs_trio.guest import Form, GuestLoop, open_guest_loop
from peerjs_trio.rtc.aiortc import AiortcSession
from peerjs_trio.rtc.engine import EngineFactory
from peerjs_trio.rtc.hosted import HostedConnection
from peerjs_trio.rtc.session import Session
from peerjs_trio.rtc.wrtc import WrtcSession
from tests.trio.guests import FORMS
from tests.trio.sides import ENGINES, Side, files_are_closed, files_in_use, pair

DCEP, TEXT, BINARY = 50, 51, 53
"SCTP payload protocol identifiers (RFC 8831, section 8)."

KIB = 1024


@attrs.define(eq=False)
class Raw:
    """A bare RTCPeerConnection with a channel of its own. All of it runs inside its loop."""

    guest: GuestLoop
    pc: RTCPeerConnection = attrs.field(init=False)
    channel: RTCDataChannel = attrs.field(init=False)
    received: list[str | bytes] = attrs.Factory(list)

    async def offer(self, prepare: Callable[[Raw], object] = lambda raw: None) -> str:
        self.pc = RTCPeerConnection(RTCConfiguration([]))
        self.channel = self.pc.createDataChannel("raw")
        self.channel.on("message", self.received.append)
        prepare(self)
        await self.pc.setLocalDescription(await self.pc.createOffer())
        sdp: str = self.pc.localDescription.sdp
        return sdp

    async def accept(self, sdp: str) -> None:
        opened = asyncio.Event()
        self.channel.on("open", opened.set)
        await self.pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        await opened.wait()

    async def put(self, protocol: int, data: bytes, stream: int | None = None) -> None:
        """Send ``data`` as it is, on the channel's stream or another."""
        sctp: Any = self.pc.sctp
        await sctp._send(self.channel.id if stream is None else stream, protocol, data)

    async def open_another(self) -> None:
        another = self.pc.createDataChannel("another")
        opened, closed = asyncio.Event(), asyncio.Event()
        another.on("open", opened.set)
        another.on("open", lambda: another.send("from another channel"))
        another.on("close", closed.set)
        await closed.wait()

    async def close(self) -> None:
        await self.pc.close()


async def whole_description(side: Side) -> str:
    """With candidates in it."""
    sdp = await side.description()
    if "\na=candidate:" in sdp:
        return sdp
    await side.until(lambda side: side.candidates)
    return sdp + "".join(f"a={found['candidate']}\r\n" for found in side.candidates)


@asynccontextmanager
async def raw_against(
    engine: EngineFactory, prepare: Callable[[Raw], object] = lambda raw: None
) -> AsyncIterator[tuple[Raw, Side]]:
    """A bare peer that called ours; both are open."""
    async with engine() as ours, open_guest_loop() as guest:
        raw, bob = Raw(guest), Side.on(ours)
        bob.connection.make_answer(await guest.run(raw.offer, prepare))
        await guest.run(raw.accept, await whole_description(bob))
        await bob.open()
        try:
            yield raw, bob
        finally:
            with trio.CancelScope(shield=True):
                await guest.run(raw.close)
        assert len(bob.ends) <= 1
        assert bob.threads == {threading.current_thread()}


def dcep_open(label: bytes) -> bytes:
    return struct.pack("!BBHLHH", 3, 0, 0, 0, len(label), 0) + label


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """We have nothing to say about it. The far side's aiortc may."""
    yield
    said = [record for record in caplog.get_records("call") if record.levelno >= logging.WARNING]
    assert not [record for record in said if not record.name.startswith("aio")]


pytestmark = pytest.mark.usefixtures("quiet")

ATTACKS: dict[str, Callable[[Raw], Awaitable[None]]] = {
    "text that is no UTF-8": lambda raw: raw.put(TEXT, b"\xff\xfe"),
    "the same channel again": lambda raw: raw.put(DCEP, dcep_open(b"raw")),
    "a label that is no UTF-8": lambda raw: raw.put(DCEP, dcep_open(b"\xff"), stream=100),
    "an answer to no question": lambda raw: raw.put(DCEP, b"\x02", stream=100),
}


LOST = "failed: the far side is gone without a goodbye"
"SCTP was not ended: what was under way is lost, and the application must know."


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.trio
async def test_an_attack_ends_its_own_connection(
    form: Form, attack: Callable[[Raw], Awaitable[None]]
) -> None:
    """Of libwebrtc none of these is one: test_engine_hostile_wrtc.py."""
    async with raw_against(ENGINES[f"aiortc-{form}"]) as (raw, bob):
        await raw.guest.run(raw.put, BINARY, b"before")
        await raw.guest.run(attack, raw)
        assert await bob.end() == LOST
        assert bob.frames == [b"before"]


HARMLESS: dict[str, Callable[[Raw], Awaitable[None]]] = {
    "data for a stream without a channel": lambda raw: raw.put(BINARY, b"lost", stream=100),
    "an unknown protocol": lambda raw: raw.put(99, b"lost"),
    "an unknown control message": lambda raw: raw.put(DCEP, b"\x99"),
    "a short control message": lambda raw: raw.put(DCEP, b"\x03"),
    "another channel": Raw.open_another,
}


@pytest.mark.parametrize("oddity", HARMLESS.values(), ids=HARMLESS.keys())
@pytest.mark.trio
async def test_an_oddity_is_passed_over(
    engine: EngineFactory, oddity: Callable[[Raw], Awaitable[None]]
) -> None:
    async with raw_against(engine) as (raw, bob):
        await raw.guest.run(oddity, raw)
        await raw.guest.run(raw.put, BINARY, b"after")
        await bob.until(lambda side: side.frames)
        assert bob.frames == [b"after"]
        assert bob.ends == []


@pytest.mark.trio
async def test_messages_in_the_packet_that_opens_are_not_lost(engine: EngineFactory) -> None:
    def send_on_open(raw: Raw) -> None:
        @raw.channel.on("open")
        def send() -> None:
            for number in range(50):
                raw.channel.send(str(number))

    async with raw_against(engine, send_on_open) as (_, bob):
        await bob.until(lambda side: len(side.frames) == 50)
        assert bob.frames == [str(number) for number in range(50)]


@pytest.mark.trio
async def test_offered_media_is_declined(engine: EngineFactory) -> None:
    async with raw_against(engine, lambda raw: raw.pc.addTrack(AudioStreamTrack())) as (raw, bob):
        assert "a=inactive" in await bob.description()
        bob.connection.send("hello")
        await raw.guest.run(raw.put, BINARY, b"hello")
        await bob.until(lambda side: side.frames)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.trio
async def test_closing_delivers_everything_over_a_lossy_network(
    form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(1)
    send_data = aioice.ice.StunProtocol.send_data

    async def lossy(protocol: aioice.ice.StunProtocol, data: bytes, addr: tuple[str, int]) -> None:
        if dice.random() > 0.03:
            await send_data(protocol, data, addr)

    burst = [number.to_bytes(2) * KIB for number in range(256)]
    async with pair(ENGINES[f"aiortc-{form}"]) as (alice, bob):
        monkeypatch.setattr(aioice.ice.StunProtocol, "send_data", lossy)
        for frame in burst:
            alice.connection.send(frame)
        alice.connection.close_channel()
        assert await bob.end() == "closed"
        assert bob.frames == burst
        assert await alice.end() == "closed"


async def close_dtls(raw: Raw) -> None:
    assert raw.pc.sctp is not None
    await raw.pc.sctp.transport.stop()


@pytest.mark.trio
async def test_a_closed_dtls_session_ends_the_connection(engine: EngineFactory) -> None:
    files = await files_in_use(engine)
    async with raw_against(engine) as (raw, bob):
        await raw.guest.run(close_dtls, raw)
        assert await bob.end() == LOST
    await files_are_closed(files)


@pytest.mark.trio
async def test_a_message_that_breaks_off_is_none(engine: EngineFactory) -> None:
    async def break_off(raw: Raw) -> None:
        sending = asyncio.create_task(raw.put(BINARY, bytes(1024 * KIB)))
        await asyncio.sleep(0.01)
        await raw.close()
        await sending

    async with raw_against(engine) as (raw, bob):
        await raw.guest.run(raw.put, BINARY, b"before")
        await raw.guest.run(break_off, raw)
        await bob.end()
        assert bob.frames == [b"before"]


@pytest.mark.trio
async def test_a_far_side_that_goes_while_we_send(engine: EngineFactory) -> None:
    async with raw_against(engine) as (raw, bob):
        for _ in range(64):
            bob.connection.send(bytes(64 * KIB))
        await raw.guest.run(raw.close)
        await bob.end()
        bob.connection.send(b"ignored")
        assert bob.connection.room == 0


@pytest.mark.trio
async def test_messages_larger_than_we_take_arrive_nevertheless(engine: EngineFactory) -> None:
    """No library enforces it. What one message can be is bounded by its buffers."""
    async with raw_against(engine) as (raw, bob):
        await raw.guest.run(raw.put, BINARY, bytes(1024 * KIB))
        await raw.guest.run(raw.put, BINARY, b"after")
        await bob.until(lambda side: len(side.frames) == 2)
        assert bob.frames == [bytes(1024 * KIB), b"after"]


@pytest.mark.trio
async def test_channel_after_channel_ends_the_connection(engine: EngineFactory) -> None:
    async def open_many(session: Session) -> None:
        for number in range(100):
            if isinstance(session, AiortcSession):
                assert session._pc is not None
                session._pc.createDataChannel(str(number))
            elif isinstance(session, WrtcSession):
                assert session._pc is not None
                session._pc.create_data_channel(str(number))

    async with pair(engine) as (alice, bob):
        connection = alice.connection
        assert isinstance(connection, HostedConnection)
        await connection._guest.run(open_many, connection.session)
        assert await bob.end() == "failed: the far side opens channel after channel"
        await alice.end()


@pytest.mark.trio
async def test_a_second_answer_fails_its_connection(engine: EngineFactory) -> None:
    async with raw_against(engine) as (_, bob):
        bob.connection.apply_answer(await bob.description())
        assert (await bob.end()).startswith("failed: negotiation failed: ")
