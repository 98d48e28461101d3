"""Values from one peer to another and back, each compared with what was sent."""

from __future__ import annotations

import random
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import anyio
import anyio.lowlevel
import attrs

from peerjs_proto.errors import PeerError
from peerjs_trio.connection import DataConnection
from peerjs_trio.peer import Peer

from .report import Stopwatch

__all__ = ["SERIALIZATIONS", "Exchange", "exchange", "same"]

_TIMEOUT: Final = 60.0
"Seconds for everything in one serialization; a slow machine needs a tenth of it."


@attrs.define
class Exchange:
    """What came of one serialization."""

    serialization: str
    values: int = 0
    "How many crossed, each one way and the other."
    bytes: int = 0
    "In bytes and text among them, both ways."
    opened: float | None = None
    "Seconds until the connection was open; None if it never was."
    took: float = 0.0
    "Seconds for the values, or until it failed."
    faults: list[str] = attrs.field(factory=list)
    "In words; none if every value came back equal."


async def exchange(dialler: Peer, dialled: Peer, serialization: str) -> Exchange:
    """Open a connection, send every value each way, close. Raises nothing, hangs never."""
    outcome = Exchange(serialization)
    watch = Stopwatch()
    with anyio.move_on_after(_TIMEOUT) as bound:
        try:
            here = await dialler.connect(dialled.id, serialization=serialization, reliable=True)
            there = await _other_end(here, dialled)
            outcome.opened = watch.lap()
            for value in SERIALIZATIONS[serialization]:
                await _cross(here, there, value, outcome)
                await _cross(there, here, value, outcome)
                outcome.values += 1
            outcome.took = watch.lap()
            await here.aclose(flush=True)
            if [value async for value in there]:
                outcome.faults.append("something arrived that was never sent")
        except (PeerError, anyio.EndOfStream, StopAsyncIteration) as error:
            outcome.faults.append(f"{type(error).__name__}: {error}")
    # Interrupted, the connection may end before this task hears of it: that is no fault.
    await anyio.lowlevel.checkpoint()
    if bound.cancelled_caught:
        outcome.faults.append(f"not done after {_TIMEOUT:.0f} s")
    if outcome.faults:
        outcome.took = watch.lap()
    return outcome


async def _other_end(here: DataConnection, dialled: Peer) -> DataConnection:
    incoming = dialled.incoming_connections()
    while (there := await anext(incoming)).connection_id != here.connection_id:
        pass  # left over from an exchange that failed
    return there


async def _cross(
    sender: DataConnection, receiver: DataConnection, value: Any, outcome: Exchange
) -> None:
    await sender.send(value)
    received = await receiver.receive()
    if not same(received, value):
        outcome.faults.append(f"{reprlib.repr(value)} came as {reprlib.repr(received)}")
    if isinstance(value, bytes | str):
        outcome.bytes += len(value if isinstance(value, bytes) else value.encode())


def same(received: Any, sent: Any) -> bool:
    """Equal, and of the same types all the way down: True is not 1 here."""
    if type(received) is not type(sent):
        return False
    if isinstance(sent, dict):
        return received.keys() == sent.keys() and all(same(received[k], sent[k]) for k in sent)
    if isinstance(sent, list):
        return len(received) == len(sent) and all(map(same, received, sent))
    return bool(received == sent)


# --- the values ----------------------------------------------------------------------------------

_KIB: Final = 1024
_MIB: Final = 1024 * _KIB

_TEXTS: Final = [
    "",
    "hello",
    "naïve café, 日本語, \U0001f40d\U0001f469\u200d\U0001f680",
    "\x00\n\u2028",
]
_NUMBERS: Final = [0, -1, 127, 128, 65_536, -(2**31), 2**32, 2**53, 0.5, -0.1, 1e300]
_NESTED: Final = {"list": [1, [2, [3, []]], None, True], "map": {"": {}, "ключ": "значение"}}
_BLOBS: Final = [b"", bytes(range(256))]
_PLAIN: Final = [True, False, *_NUMBERS, *_TEXTS, [], {}, _NESTED]
# Above 16,300 bytes a message goes in chunks; no two of them are alike in random bytes.
_BIG: Final = random.Random(1).randbytes(4 * _MIB)
_BINARY: Final = [*_PLAIN, *_BLOBS, 2**64 - 1, {"blob": b"\x00\xff", "more": [b"", "text", None]}]

SERIALIZATIONS: Final[Mapping[str, Sequence[Any]]] = {
    "binary": [*_BINARY, "é" * _MIB, _BIG],
    "binary-utf8": [*_BINARY, _BIG[:_MIB]],
    "json": [*_PLAIN, "x" * 16_000],  # PeerJS sends no more than 16,299 bytes of JSON
    "raw": [*_TEXTS, *_BLOBS, "x" * 16_000, _BIG[: 256 * _KIB]],  # the largest single message
}
"""What PeerJS has built in, and values for each."""
