"""Whatever a peer does that may ask: it gets its fate, and another is answered as before."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
import trio

from tests.http.peer_attacks import PEER_SECTIONS, Attacker, PeerAttack
from tests.http.test_serve import device, flood, network
from tests.http.test_session import App, get
from tests.trio.fakes import FakeNetwork, virtual_time

__all__ = ["network"]

pytestmark = pytest.mark.trio(run=virtual_time)

ATTACKS = [attack for section in PEER_SECTIONS.values() for attack in section]


class Target(App):
    """Counts what it is made to do."""

    running = 0
    most = 0
    resting = anyio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not self.running:
            self.resting = anyio.Event()
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.running -= 1
            if not self.running:
                self.resting.set()

    async def _flood(self, scope: Any, receive: Any, send: Any) -> None:
        await flood(scope, receive, send)

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/deaf":
            await super()._websocket(scope, receive, send)
        else:
            await send({"type": "websocket.accept"})
            await trio.sleep_forever()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_attack(attack: PeerAttack, network: FakeNetwork) -> None:
    app = Target()
    async with device(network, app) as it, it.session() as bystander:
        attacker = Attacker(await it.dial(it.mallory))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attacker.read)
            await attack.run(attacker)
            await attacker.until(attack.fate)
            tasks.cancel_scope.cancel()
        assert attack.fate in attacker.seen
        assert app.most <= 101
        assert (await get(bystander, "/echo"))[0] == 201
        await attacker.connection.aclose()
        with trio.fail_after(100):
            await app.resting.wait()
