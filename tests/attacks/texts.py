"""Against JSON: messages that are none, or that are meant to hurt whoever reads them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tests.attacks.attack import Attack
from tests.attacks.target import Target
from tests.attacks.wire import TEXT, frame, open_client

__all__ = ["TEXTS"]


def _says(text: str) -> Callable[[Target], Awaitable[str]]:
    """A client that says this, and is asked what has become of it."""

    async def run(target: Target) -> str:
        async with open_client(target, "attacker") as wire:
            await wire.send(frame(TEXT, text.encode()))
            return await wire.fate()

    return run


def _offer(payload: str) -> str:
    return f'{{"type":"OFFER","dst":"bystander-1","payload":{payload}}}'


_MESSAGES: Final[Mapping[str, str]] = {
    "`null`": "null",
    "`5`": "5",
    "`true`": "true",
    "a string": '"text"',
    "a list": "[]",
    "an empty object": "{}",
    "nothing": "",
    "half an object": '{"type":',
    "a byte order mark": '\ufeff{"type":"HEARTBEAT"}',
    "100,000 lists in each other": "[" * 100_000,
    "40,000 objects in each other": '{"a":' * 40_000 + "1" + "}" * 40_000,
    "an OFFER with 60,000 lists in each other": _offer("[" * 60_000 + "]" * 60_000),
    "an OFFER with 10,000 members": _offer(json.dumps({str(n): n for n in range(10_000)})),
    "every member twice": '{"type":"LEAVE","type":"OFFER","dst":"attacker","dst":"nobody"}',
    "members called `__proto__`": _offer('{"__proto__":{"type":"x"},"constructor":{}}'),
    "for `__proto__`": '{"type":"OFFER","dst":"__proto__"}',
    "a `type` that is a list": '{"type":["OFFER"],"dst":"bystander-1"}',
    "a `dst` that is a list": '{"type":"OFFER","dst":["bystander-1"]}',
    "a `dst` that is an object": '{"type":"OFFER","dst":{"toString":1}}',
    "a `dst` that is a number": '{"type":"OFFER","dst":5}',
    "a `dst` of 200,000 characters": '{"type":"OFFER","dst":"' + "x" * 200_000 + '"}',
    "a number of 100,000 digits": _offer("1" * 100_000),
    "a number beyond all numbers": _offer("1e999999"),
    "NaN": _offer("NaN"),
    "half a surrogate pair": _offer('"\\ud800"'),
    "NUL in a string": _offer('"\\u0000"'),
    "an OPEN": '{"type":"OPEN","dst":"bystander-1"}',
    "an ID-TAKEN": '{"type":"ID-TAKEN","dst":"bystander-1"}',
    "an ERROR": '{"type":"ERROR","dst":"bystander-1","payload":{"msg":"x"}}',
    "an EXPIRE": '{"type":"EXPIRE","dst":"bystander-1"}',
    "somebody else's name": '{"type":"OFFER","dst":"bystander-1","src":"bystander-2"}',
}

TEXTS: Final = [Attack(name, _says(text), "goes on") for name, text in _MESSAGES.items()]
