"""What aiortc takes for an attack, libwebrtc passes over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from peerjs_trio.guest import Form
from tests.trio.guests import FORMS
from tests.trio.sides import ENGINES
from tests.trio.test_engine_hostile import ATTACKS, BINARY, Raw, quiet, raw_against

__all__ = ["quiet"]

pytestmark = pytest.mark.usefixtures("quiet")

TEXT = "text that is no UTF-8"


@pytest.mark.parametrize("name", sorted(ATTACKS.keys() - {"a label that is no UTF-8"}))
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.trio
async def test_an_oddity_is_passed_over(form: Form, name: str) -> None:
    attack: Callable[[Raw], Awaitable[None]] = ATTACKS[name]
    async with raw_against(ENGINES[f"wrtc-{form}"]) as (raw, bob):
        await raw.guest.run(attack, raw)
        await raw.guest.run(raw.put, BINARY, b"after")
        await bob.until(lambda side: b"after" in side.frames)
        assert bob.frames[:-1] == (["\ufffd\ufffd"] if name == TEXT else [])
        assert bob.ends == []
