"""What an RTC engine owes the runtime: every one of ours, in both forms of the guest loop."""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import trio

from peerjs_proto.errors import MessageTooBig, NotOpenYet
from peerjs_trio.rtc.aiortc import open_aiortc_engine
from peerjs_trio.rtc.engine import EngineFactory, Frame, IceServer, RtcConnection
from tests.trio.ice import UdpServer, udp_server
from tests.trio.sides import (
    ENGINES,
    Rewrite,
    Side,
    connect,
    files_are_closed,
    files_in_use,
    introduce,
    pair,
)

KIB = 1024
MIB = 1024 * KIB


# --- messages --------------------------------------------------------------------------------


@pytest.mark.trio
async def test_messages_cross_both_ways_as_they_are(engine: EngineFactory) -> None:
    messages: list[Frame] = ["text", b"bytes", "", b"", "Grüße 🎈", bytes(range(256)), "last"]
    async with pair(engine) as (alice, bob):
        for message in messages:
            alice.connection.send(message)
            bob.connection.send(message)
        for side in (alice, bob):
            await side.until(lambda side: len(side.frames) == len(messages))
            assert side.frames == messages
            assert [type(frame) for frame in side.frames] == [type(m) for m in messages]
        assert alice.threads == bob.threads == {threading.current_thread()}


@pytest.mark.trio
async def test_a_description_has_one_fingerprint(engine: EngineFactory) -> None:
    # Of several Chrome remembers the last, and then a proof does not cover the same on both sides.
    async with pair(engine) as (alice, bob):
        for side in (alice, bob):
            (fingerprint,) = re.findall("^a=fingerprint:(.*)", side.sdp or "", re.MULTILINE)
            assert fingerprint.startswith("sha-256 ")


@pytest.mark.trio
async def test_buffers_are_sent_as_bytes(engine: EngineFactory) -> None:
    async with pair(engine) as (alice, bob):
        buffer = bytearray(b"before")
        alice.connection.send(buffer)
        alice.connection.send(memoryview(b"a view")[2:])
        buffer[:] = b"after!"
        await bob.until(lambda side: len(side.frames) == 2)
        assert bob.frames == [b"before", b"view"]


@pytest.mark.trio
async def test_a_burst_arrives_in_order_and_waits_for_room(engine: EngineFactory) -> None:
    burst = [f"{number} {'x' * (number % 997)}" for number in range(10_000)]
    async with pair(engine) as (alice, bob):
        highest = alice.connection.room
        assert highest >= 256 * KIB
        await alice.send_all(burst)
        await bob.until(lambda side: len(side.frames) == len(burst))
        assert bob.frames == burst
        await alice.until(lambda side: side.connection.room > highest // 2)


@pytest.mark.trio
async def test_room_ends_and_is_made_again(engine: EngineFactory) -> None:
    async with pair(engine) as (alice, bob):
        sent = 0
        # A loop in a thread drains while we fill, but by far not as fast.
        while alice.connection.room > 0:
            alice.connection.send(b"x" * 64 * KIB)
            sent += 1
        await alice.until(lambda side: side.rooms)
        assert alice.connection.room > 0
        await bob.until(lambda side: len(side.frames) == sent)


@pytest.mark.trio
async def test_room_counts_what_was_sent_at_once() -> None:
    # A stepped loop does not run between two statements, so here the figures are exact.
    async with pair(partial(open_aiortc_engine, form="stepped")) as (alice, _):
        before = alice.connection.room
        alice.connection.send(b"x" * 1000)
        assert alice.connection.room == before - 1000
        alice.connection.send("é" * 1000)
        assert alice.connection.room == before - 3000


@pytest.mark.parametrize("size", [64 * KIB, 256 * KIB])
@pytest.mark.trio
async def test_large_messages_arrive_whole(engine: EngineFactory, size: int) -> None:
    message = bytes(range(256)) * (size // 256)
    async with pair(engine) as (alice, bob):
        for _ in range(4):
            alice.connection.send(message)
            bob.connection.send(message)
        for side in (alice, bob):
            await side.until(lambda side: len(side.frames) == 4)
            assert side.frames == [message] * 4


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("a=max-message-size:1000\r\n", 1000),
        ("a=max-message-size:999999999\r\n", 256 * KIB),
        ("a=max-message-size:1073741823\r\n", 256 * KIB),  # Firefox
        ("a=max-message-size:0\r\n", 256 * KIB),
        ("", 64 * KIB),
    ],
)
@pytest.mark.trio
async def test_the_far_sides_description_bounds_a_message(
    engine: EngineFactory, line: str, size: int
) -> None:
    async with engine() as ours:
        alice, bob = Side.on(ours), Side.on(ours)
        await connect(alice, bob, answer=partial(re.sub, r"a=max-message-size:\d+\r\n", line))
        assert alice.max_message_size == size
        with pytest.raises(MessageTooBig):
            alice.connection.send(b"x" * (size + 1))
        with pytest.raises(MessageTooBig):
            alice.connection.send("é" * (size // 2 + 1))
        alice.connection.send(b"x" * size)
        await bob.until(lambda side: side.frames)
        assert bob.frames == [b"x" * size]


@pytest.mark.trio
async def test_before_the_channel_is_open_there_is_no_room(engine: EngineFactory) -> None:
    async with engine() as ours:
        alice = Side.on(ours)
        alice.connection.make_offer("label", ordered=True)
        assert alice.connection.room <= 0
        with pytest.raises(NotOpenYet):
            alice.connection.send(b"early")


@pytest.mark.trio
async def test_many_connections_on_one_engine(engine: EngineFactory) -> None:
    async with engine() as ours:
        pairs = [(Side.on(ours), Side.on(ours)) for _ in range(5)]
        async with trio.open_nursery() as nursery:
            for alice, bob in pairs:
                nursery.start_soon(connect, alice, bob)
        for number, (alice, _) in enumerate(pairs):
            alice.connection.send(str(number))
        for number, (_, bob) in enumerate(pairs):
            await bob.until(lambda side: side.frames)
            assert bob.frames == [str(number)]


@pytest.mark.parametrize("label", ["", "Grüße 🎈", "x" * 100_000])
@pytest.mark.trio
async def test_any_label_will_do(engine: EngineFactory, label: str) -> None:
    async with engine() as ours:
        await connect(Side.on(ours), Side.on(ours), label=label)


# --- closing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.trio
async def test_closing_the_channel_delivers_all_that_was_sent(
    engine: EngineFactory, ordered: bool
) -> None:
    burst = [number.to_bytes(4) * (16 * KIB) for number in range(256)]  # 16 MiB
    async with pair(engine, ordered=ordered) as (alice, bob):
        for frame in burst:
            alice.connection.send(frame)
        alice.connection.close_channel()
        assert await bob.end() == "closed"
        assert sorted(map(bytes, bob.frames)) == burst  # type: ignore[arg-type]
        if ordered:
            assert bob.frames == burst
        assert await alice.end() == "closed"


@pytest.mark.trio
async def test_closing_from_both_sides_at_once(engine: EngineFactory) -> None:
    async with pair(engine) as (alice, bob):
        for side in (alice, bob):
            side.connection.send(b"x" * 256 * KIB)
            side.connection.close_channel()
        for side in (alice, bob):
            assert await side.end() == "closed"
            # W3C lets a channel that closes drop what comes; aiortc delivers it.
            assert side.frames in ([b"x" * 256 * KIB], [])


@pytest.mark.trio
async def test_closing_a_channel_that_never_opened(engine: EngineFactory) -> None:
    async with engine() as ours:
        alice = Side.on(ours)
        alice.connection.make_offer("label", ordered=True)
        await alice.description()
        alice.connection.close_channel()
        assert await alice.end() == "closed"
        bob = Side.on(ours)
        bob.connection.close_channel()
        assert await bob.end() == "closed"


@pytest.mark.trio
async def test_closing_a_connection_is_told_to_the_far_side_alone(engine: EngineFactory) -> None:
    async with pair(engine) as (alice, bob):
        alice.connection.close()
        assert await bob.end() == "closed"
        assert alice.ends == []


@pytest.mark.trio
async def test_a_closed_connection_ignores_every_call(engine: EngineFactory) -> None:
    def ask_for_everything(connection: RtcConnection) -> None:
        connection.make_offer("label", ordered=True)
        connection.make_answer("no sdp")
        connection.apply_answer("no sdp")
        connection.add_candidate({})
        connection.send(b"x" * MIB)
        connection.close_channel()
        connection.close()
        assert connection.room <= 0

    async with engine() as ours:
        alice, bob, carol = (Side.on(ours) for _ in range(3))
        await connect(alice, bob)
        alice.connection.close()
        ask_for_everything(alice.connection)
        await bob.end()
        ask_for_everything(bob.connection)
    for side in (alice, bob, carol):
        ask_for_everything(side.connection)
    assert (alice.ends, bob.ends, carol.ends) == ([], ["closed"], [])


# --- negotiation -----------------------------------------------------------------------------


def no_candidates(sdp: str) -> str:
    return re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", sdp)


async def candidates(side: Side) -> list[Mapping[str, Any]]:
    """Some that the side can be reached by: those in its description, or those told apart."""
    sdp = await side.description()
    lines = re.findall(r"a=(candidate:.*)\r\n", sdp)
    if not lines:
        await side.until(lambda side: side.candidates)
    ufrag = re.findall(r"a=ice-ufrag:(.*)\r\n", sdp)[0]
    rest = {"sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": ufrag}
    return [{"candidate": line, **rest} for line in lines] or side.candidates


@pytest.mark.trio
async def test_candidates_may_come_before_the_description(engine: EngineFactory) -> None:
    async with engine() as hers, engine() as his:
        alice, bob = Side.on(hers), Side.on(his)
        alice.connection.make_offer("label", ordered=True)
        for candidate in await candidates(alice):
            bob.connection.add_candidate(candidate)
        bob.connection.make_answer(no_candidates(await alice.description()))
        for candidate in await candidates(bob):
            alice.connection.add_candidate(candidate)
        alice.connection.apply_answer(no_candidates(await bob.description()))
        await alice.open()
        await bob.open()


@pytest.mark.trio
async def test_candidates_are_those_of_rtcicecandidateinit() -> None:
    """One by one they come with all that a browser wants to know."""
    async with ENGINES["wrtc-stepped"]() as ours:
        alice = Side.on(ours)
        alice.connection.make_offer("label", ordered=True)
        sdp = await alice.description()
        await alice.until(lambda side: side.candidates)
        ufrag = re.findall(r"a=ice-ufrag:(.*)\r\n", sdp)[0]
        for candidate in alice.candidates:
            assert candidate == {
                "candidate": candidate["candidate"],
                "sdpMid": "0",
                "sdpMLineIndex": 0,
                "usernameFragment": ufrag,
            }
            assert candidate["candidate"].startswith("candidate:")


BAD_CANDIDATES: list[dict[str, object]] = [
    {},
    {"candidate": ""},
    {"candidate": None, "sdpMid": "0"},
    {"candidate": 1, "sdpMid": "0"},
    {"candidate": "candidate:", "sdpMid": "0"},
    {"candidate": "candidate:1 1 udp x y z typ host", "sdpMid": "0"},
    {"candidate": "candidate:1 1 udp 1 nonsense 1 typ host", "sdpMid": "0"},
    {"candidate": "candidate:1 1 udp 1 192.0.2.1 99999999 typ host", "sdpMid": "0"},
    {"candidate": "candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype", "sdpMid": "0"},
    {"candidate": "candidate:1 77 udp 1 192.0.2.1 1 typ host", "sdpMid": "0"},
    {"candidate": "candidate:1 1 udp 1 192.0.2.1 1 typ host"},
    {"candidate": "candidate:1 1 udp 1 192.0.2.1 1 typ host", "sdpMid": [], "sdpMLineIndex": {}},
    {"candidate": "candidate:1 1 udp 1 192.0.2.1 1 typ host", "sdpMid": "elsewhere"},
    {"candidate": "candidate:1 1 udp 1 nobody.local 1 typ host", "sdpMid": "0"},
    {"candidate": "candidate:1 1 udp 1 \ud800.local 1 typ host", "sdpMid": "0"},
]


@pytest.mark.trio
async def test_bad_candidates_do_no_harm(
    engine: EngineFactory, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine() as ours:
        alice, bob = Side.on(ours), Side.on(ours)
        introduce(alice, bob)
        for candidate in BAD_CANDIDATES:
            bob.connection.add_candidate(candidate)
        alice.connection.make_offer("label", ordered=True)
        await candidates(alice)  # too many bad ones, and no more are taken
        bob.connection.make_answer(await alice.description())
        for candidate in BAD_CANDIDATES * 20:
            bob.connection.add_candidate(candidate)
        alice.connection.apply_answer(await bob.description())
        await alice.open()
        await bob.open()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def without(pattern: str) -> Rewrite:
    return lambda sdp: re.sub(pattern, "", sdp)


BAD_DESCRIPTIONS: dict[str, Rewrite] = {
    "empty": lambda sdp: "",
    "nonsense": lambda sdp: "nonsense",
    "binary": lambda sdp: "\0" * 1000,
    "cut": lambda sdp: sdp[: len(sdp) // 2],
    "no credentials": without(r"a=ice-(ufrag|pwd):.*\r\n"),
    "no fingerprint": without(r"a=fingerprint:.*\r\n"),
    "no data": lambda sdp: sdp.replace("m=application", "m=audio"),
    "bad candidate": lambda sdp: sdp + "a=candidate:1 1 udp\r\n",
    "bad size": lambda sdp: sdp + "a=max-message-size:x\r\n",
    "many sections": lambda sdp: sdp + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * 1000,
    "many candidates": lambda sdp: sdp + "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n" * 1000,
}


@pytest.mark.parametrize("spoil", BAD_DESCRIPTIONS.values(), ids=BAD_DESCRIPTIONS.keys())
@pytest.mark.trio
async def test_a_bad_description_fails_its_connection_alone(
    engine: EngineFactory, spoil: Rewrite, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine() as ours:
        alice, bob, carol = (Side.on(ours) for _ in range(3))
        alice.connection.make_offer("label", ordered=True)
        offer = await alice.description()
        bob.connection.make_answer(spoil(offer))
        assert (await bob.end()).startswith("failed: ")
        carol.connection.make_answer(offer)
        alice.connection.apply_answer(spoil(await carol.description()))
        assert (await alice.end()).startswith("failed: ")
        await connect(Side.on(ours), Side.on(ours))
        assert len(alice.ends) == len(bob.ends) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.trio
async def test_an_answer_without_an_offer_fails(engine: EngineFactory) -> None:
    async with engine() as ours:
        alice = Side.on(ours)
        alice.connection.apply_answer("v=0\r\n")
        assert (await alice.end()).startswith("failed: ")


@pytest.mark.trio
async def test_no_path_is_a_failure_of_ice(engine: EngineFactory) -> None:
    """And one of DTLS would be worse: a path that is not there is no attack."""

    def nowhere(candidate: Mapping[str, Any]) -> Mapping[str, Any]:
        line = re.sub(
            r"( udp \d+ \S+) \d+ ", rf"\1 {silent.getsockname()[1]} ", candidate["candidate"]
        )
        return {**candidate, "candidate": line}

    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("", 0))
        async with engine() as ours:
            alice, bob = Side.on(ours), Side.on(ours)
            alice.connection.make_offer("label", ordered=True)
            bob.connection.make_answer(no_candidates(await alice.description()))
            answer = no_candidates(await bob.description())
            alice.connection.apply_answer(answer + "a=end-of-candidates\r\n")
            for candidate in await candidates(bob):
                alice.connection.add_candidate(nowhere(candidate))
            assert (await alice.end()).startswith("failed: ICE failed")


@pytest.mark.trio
async def test_another_certificate_is_a_failure(engine: EngineFactory) -> None:
    def forged(sdp: str) -> str:
        return re.sub(
            r"(a=fingerprint:\S+) ([0-9A-F]{2})",
            lambda match: f"{match[1]} {int(match[2], 16) ^ 1:02X}",
            sdp,
        )

    async with engine() as ours:
        alice, bob = Side.on(ours), Side.on(ours)
        introduce(alice, bob)
        alice.connection.make_offer("label", ordered=True)
        bob.connection.make_answer(await alice.description())
        alice.connection.apply_answer(forged(await bob.description()))
        assert (await alice.end()).startswith("failed: DTLS failed")
        assert alice.frames == []


@pytest.mark.parametrize("url", ["nonsense", "stun:", "https://example.org", "stun:x:y"])
@pytest.mark.trio
async def test_a_server_that_is_none_fails_the_connection(engine: EngineFactory, url: str) -> None:
    async with engine() as ours:
        alice = Side.on(ours, [IceServer(url)])
        alice.connection.make_offer("label", ordered=True)
        assert (await alice.end()).startswith("failed: negotiation failed: ")


# --- leaving the engine's block --------------------------------------------------------------


@pytest.mark.trio
async def test_leaving_ends_connections_in_every_stage(
    engine: EngineFactory, caplog: pytest.LogCaptureFixture
) -> None:
    threads = set(threading.enumerate())
    async with udp_server() as silent, udp_server(1) as moody:
        await leave_in_every_stage(engine, silent, moody)
    assert set(threading.enumerate()) <= threads
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def leave_in_every_stage(engine: EngineFactory, silent: UdpServer, moody: UdpServer) -> None:
    files = await files_in_use(engine)
    async with engine() as hers, engine() as his:
        sides = [Side.on(hers)]

        asked = Side.on(hers)
        asked.connection.make_offer("label", ordered=True)

        offering, answering, applying, resolving = (Side.on(hers) for _ in range(4))
        for side in (offering, answering, applying, resolving):
            side.connection.make_offer("label", ordered=True)
        offer = await offering.description()

        for other in (answering, applying, resolving):
            far = Side.on(his)
            introduce(other, far)
            far.connection.make_answer(await other.description())
            if other is not answering:
                other.connection.apply_answer(await far.description())
            if other is resolving:
                far.connection.add_candidate(BAD_CANDIDATES[-2])
            sides += [far, other]

        asking = Side.on(his, [silent.stun, silent.turn])
        asking.connection.make_offer("label", ordered=True)
        await silent.asked()

        gathering = Side.on(his, [moody.stun])
        gathering.connection.make_offer("label", ordered=True)
        await moody.asked(2)  # of aiortc's engine: by us, and now by aiortc

        early = Side.on(his)
        early.connection.make_answer(offer)

        failing = Side.on(his)
        failing.connection.make_answer("nonsense")

        for act in (
            lambda side: None,
            lambda side: side.connection.close(),
            lambda side: side.connection.close_channel(),
        ):
            alice, bob = Side.on(hers), Side.on(his)
            await connect(alice, bob)
            for _ in range(32):
                alice.connection.send(b"x" * 64 * KIB)
                bob.connection.send(b"x" * 64 * KIB)
            act(alice)
            sides += [alice, bob]

    told = [side.ends.copy() for side in sides]
    await files_are_closed(files)
    assert [side.ends for side in sides] == told


@pytest.mark.trio
async def test_a_cancellation_outside_leaves_nothing_either(engine: EngineFactory) -> None:
    threads, files = set(threading.enumerate()), await files_in_use(engine)
    with trio.CancelScope() as scope:
        async with pair(engine) as (alice, _):
            alice.connection.send(b"x" * 64 * KIB)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert set(threading.enumerate()) <= threads
    await files_are_closed(files)


@pytest.mark.trio
async def test_engines_end_one_by_one(engine: EngineFactory) -> None:
    """aioice shares its mDNS socket among all loops of a thread, or would like to."""
    files = await files_in_use(engine)
    async with engine() as lasting:
        alice, bob = Side.on(lasting), Side.on(lasting)
        await connect(alice, bob)
        async with engine() as short:
            carol, dave = Side.on(short), Side.on(short)
            await connect(carol, dave)
            carol.connection.add_candidate(BAD_CANDIDATES[-2])
            alice.connection.add_candidate(BAD_CANDIDATES[-2])
            carol.connection.send("still here")
            await dave.until(lambda side: side.frames)
        alice.connection.send("still here")
        await bob.until(lambda side: side.frames)
    await files_are_closed(files)
