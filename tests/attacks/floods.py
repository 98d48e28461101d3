"""Against memory and time: too many, too much, too slow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from random import Random
from typing import Final

import trio

from tests.attacks.attack import Attack
from tests.attacks.target import ALIVE_TIMEOUT, HEAD_TIMEOUT, Target
from tests.attacks.wire import TEXT, Wire, frame, offer, open_client, open_wire, upgrade

__all__ = ["FLOODS"]

_SDP: Final = "x" * 2000
"As long as that of an OFFER."

_HELD_BACK: Final = 5000
"Messages in three seconds: ServerLimits has 2,600, and what comes in one read."


# --- slow ------------------------------------------------------------------------------------


async def _slow_heads(target: Target) -> str:
    """A hundred requests that never end, a byte at a time."""

    async def dribble(wire: Wire) -> None:
        while True:
            await wire.send(b"x")
            await trio.sleep(0.1)

    async with _many(target, 100) as wires, trio.open_nursery() as nursery:
        for wire in wires:
            await wire.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
            nursery.start_soon(dribble, wire)
        verdict = await _all_end(wires, HEAD_TIMEOUT + 3)
        nursery.cancel_scope.cancel()
        return verdict


async def _silent_sockets(target: Target) -> str:
    async with _many(target, 500) as wires:
        return await _all_end(wires, HEAD_TIMEOUT + 3)


async def _slow_frames(target: Target) -> str:
    """Clients who never get to the end of a message, and so never say a word."""
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        wires = [
            await stack.enter_async_context(open_client(target, f"attacker-{n}")) for n in range(50)
        ]

        async def dribble(wire: Wire) -> None:
            await wire.send(frame(TEXT, length=1000))
            while True:
                await wire.send(b" ")
                await trio.sleep(0.1)

        for wire in wires:
            nursery.start_soon(dribble, wire)
        verdict = await _all_end(wires, ALIVE_TIMEOUT + 3)
        nursery.cancel_scope.cancel()
        return verdict


async def _unread_messages(target: Target) -> str:
    """One client never reads, another sends it 50 MiB. What becomes of the first?"""
    async with (
        open_client(target, "deaf", receive_buffer=4096) as deaf,
        open_client(target, "attacker") as attacker,
    ):
        await attacker.push(offer("deaf", "x" * 60_000), times=800, seconds=10)
        return await _was_cut_off(deaf, target)


async def _unread_replies(target: Target) -> str:
    """Requests one behind the other, and nobody reads the answers."""
    async with open_wire(target, receive_buffer=4096) as wire:
        taken = await wire.push(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 500, times=100, seconds=3)
        return await _all_end([wire], 10) if taken else "not read on"


async def _was_cut_off(wire: Wire, target: Target) -> str:
    """Whether the server has given a client up: its id is free again then."""
    async with open_wire(target) as heir:
        await heir.send(upgrade(wire.id, "another"))
        await heir.status()
        message = await heir.message()
    return "closed" if message is not None and b"OPEN" in message[1] else "kept"


# --- many ------------------------------------------------------------------------------------


async def _registrations(target: Target) -> str:
    """A thousand clients, as fast as they can register."""
    async with _many(target, 1000) as wires:
        answered = 0
        for start in range(0, len(wires), 50):
            batch = wires[start : start + 50]
            for n, wire in enumerate(batch, start):
                wire.id = f"attacker-{n}"
                await wire.send(upgrade(wire.id))
            for wire in batch:
                answered += await wire.status(10) == "101" and await wire.message() is not None
        return f"{answered} registered"


async def _comings_and_goings(target: Target) -> str:
    """The same client, registered and gone a thousand times."""
    for _ in range(1000):
        async with open_wire(target) as wire:
            await wire.send(upgrade("attacker"))
            if await wire.status(10) != "101":
                return "refused"
    async with open_client(target, "afterwards") as wire:
        return await wire.fate(5)


async def _noise(target: Target) -> str:
    """Clients who send anything, and are gone: the same anything each time."""
    random = Random(6)
    for n in range(200):
        async with open_client(target, f"attacker-{n}") as wire:
            valid = offer("nobody", "x" * random.randrange(300)) * 3
            at = random.randrange(len(valid))
            await wire.send(valid[:at] + random.randbytes(random.randrange(200)) + valid[at:])
            await wire.end(0.01)
    async with open_client(target, "afterwards") as wire:
        return await wire.fate()


async def _hijack(target: Target) -> str:
    """Somebody's id, with a thousand wrong tokens."""
    for n in range(1000):
        async with open_wire(target) as wire:
            await wire.send(upgrade("bystander-1", f"guess{n}"))
            await wire.status(10)
            message = await wire.message()
            if message is None or b"ID-TAKEN" not in message[1]:
                return "taken"
    return "refused"


async def _messages(target: Target) -> str:
    """As many as go out in three seconds, from one client to itself."""
    relayed = 0
    async with open_client(target, "attacker") as wire, trio.open_nursery() as nursery:
        nursery.start_soon(partial(wire.push, offer("attacker", "x") * 100, times=10**6, seconds=3))
        with trio.move_on_after(3):
            while await wire.message() is not None:
                relayed += 1
        nursery.cancel_scope.cancel()
    return "read slower" if relayed < _HELD_BACK else "goes on"


async def _many_who_never_come(target: Target) -> str:
    """Dials to ever new ids: each has a queue of its own. By many, as one is not heard so fast."""
    verdicts = set[str]()

    async def dial(number: int) -> None:
        dials = (offer(f"nobody-{number}-{n}", _SDP) for n in range(2000))
        async with open_client(target, f"attacker-{number}") as wire:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wire.drain)
                await wire.push(b"".join(dials), times=1, seconds=10)
                nursery.cancel_scope.cancel()
            verdicts.add(await wire.fate(10))

    async with trio.open_nursery() as nursery:
        for number in range(15):
            nursery.start_soon(dial, number)
    return ", ".join(sorted(verdicts))


async def _one_who_never_comes(target: Target) -> str:
    """Large messages that wait for one id: 100 MiB."""
    async with open_client(target, "attacker") as wire:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.drain)
            await wire.push(offer("nobody", "x" * 200_000), times=500, seconds=10)
            nursery.cancel_scope.cancel()
        return await wire.fate(10)


async def _all_end(wires: list[Wire], patience: float) -> str:
    verdicts = set[str]()

    async def watch(wire: Wire) -> None:
        verdict = await wire.end(patience)
        verdicts.add("closed" if verdict.startswith("closed") else verdict)

    async with trio.open_nursery() as nursery:
        for wire in wires:
            nursery.start_soon(watch, wire)
    return ", ".join(sorted(verdicts))


@asynccontextmanager
async def _many(target: Target, count: int) -> AsyncIterator[list[Wire]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_wire(target)) for _ in range(count)]


FLOODS: Final = [
    Attack("100 requests that never end", _slow_heads, "closed"),
    Attack("500 sockets that say nothing", _silent_sockets, "closed"),
    Attack("50 messages that never end", _slow_frames, "closed"),
    Attack("a client that reads nothing of 50 MiB", _unread_messages, "closed"),
    Attack("50,000 requests, no answer read", _unread_replies, "closed"),
    Attack("1,000 clients at once", _registrations, "1000 registered", memory=24),
    Attack("1,000 comings and goings", _comings_and_goings, "goes on"),
    Attack("200 clients who send noise", _noise, "goes on"),
    Attack("1,000 guesses of a token", _hijack, "refused"),
    Attack("messages for three seconds", _messages, "read slower"),
    # ServerLimits.waiting_destinations of 2 KB each, and as much again for what is around them.
    Attack("dials to 30,000 who never come", _many_who_never_come, "goes on", memory=48),
    Attack("100 MiB for one who never comes", _one_who_never_comes, "goes on"),
]
