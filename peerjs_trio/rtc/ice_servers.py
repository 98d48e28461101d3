"""Which STUN and TURN servers to give to aiortc: one of each kind, and only if it answers.

aiortc gathers candidates in one step. Nothing can be sent before its end, five seconds are
spent on a server that does not answer, and of a list it takes the first STUN and the first
TURN server alone. So every server is asked beforehand for a sign of life, in the way aiortc is
going to ask it (``probe.py``), whether it is there, and a TURN server whether it takes the
credentials. None of it leaves anything behind in the server.

That begins when the peer is opened, and connections wait for ``GRACE`` seconds from then on at
most, the offer and the answer of one together. A server that takes longer serves later ones; one
that is known to be dead is not waited for at all.

One thing is left to aiortc's own five seconds: a server that answers us and then is silent
when aiortc asks, or that one of several network interfaces does not reach.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from peerjs_trio.rtc.engine import IceServer
from peerjs_trio.rtc.probe import Refused, Target, open_line, targets
from peerjs_trio.rtc.troubles import SILENT, IceTroubles, refusal

__all__ = ["IceServers"]

_log = logging.getLogger("peerjs_trio")

GRACE: Final = 0.4
"Seconds from the first question to a server until connections stop waiting for it."

PATIENCE: Final = 5.0
"Seconds until a silent server is dead: aiortc would not wait longer either."

AGAIN: Final = 10.0
"Seconds until a server is asked again, if it is still in use; nobody waits for that."

MEMORY: Final = 60.0
"Seconds from one question to the next after which the last answer counts for nothing."

MAX_SERVERS: Final = 32
"URLs of one list that are asked; the rest is ignored."


class IceServers:
    """What one guest loop knows of STUN and TURN servers. All of it runs inside that loop."""

    def __init__(self, troubles: IceTroubles) -> None:
        self._troubles = troubles
        self._known: dict[IceServer, _Server] = {}
        self._slow: set[str] = set()
        self._spared: set[tuple[str, ...]] = set()
        "What the log has already been told."

    def prepare(self, servers: Sequence[IceServer]) -> None:
        """Ask them all now, so that no connection has to wait for the answers."""
        with suppress(ValueError):  # is for the connection to raise
            for target in targets(servers)[:MAX_SERVERS]:
                if target.kind:
                    self._ask(target)

    async def usable(self, servers: Sequence[IceServer]) -> list[IceServer]:
        """The first STUN and the first TURN server that answer, with one URL each.

        Takes up to ``GRACE`` seconds, and none where all is known. Every other one is named in
        the log: those that do not serve in a warning. Raises ValueError for a URL that is none,
        before anything is sent.
        """
        every = targets(servers)
        for target in every[MAX_SERVERS:]:
            self._troubles.add(target.url, f"stands behind {MAX_SERVERS} others")
        asked = []
        for target in every[:MAX_SERVERS]:
            if target.kind:
                asked.append((target, self._ask(target)))
            else:
                self._troubles.add(target.url, "is of a kind that aiortc cannot use")
        usable = []
        for kind in ("STUN", "TURN"):
            of_kind = [(target, server) for target, server in asked if target.kind == kind]
            for number, (target, server) in enumerate(of_kind, 1):
                trouble = await server.trouble()
                if trouble is None:
                    self._troubles.forget(target.url)
                    self._spare(target.url, [other.url for other, _ in of_kind[number:]])
                    usable.append(target.server)
                    break
                self._troubles.add(target.url, trouble)
        return usable

    async def aclose(self) -> None:
        """Stop asking; every socket is closed."""
        probes = {server.probe for server in self._known.values()}
        for probe in probes:
            probe.cancel()
        if probes:
            await asyncio.wait(probes)

    def _ask(self, target: Target) -> _Server:
        server = self._known.get(target.server)
        if server is None:
            self._forget()
            server = self._known[target.server] = _Server(target, self._slow, self._troubles)
        server.ask()
        return server

    def _forget(self) -> None:
        self._known = {key: server for key, server in self._known.items() if not server.is_stale()}

    def _spare(self, chosen: str, others: list[str]) -> None:
        if others and (chosen, *others) not in self._spared:
            self._spared.add((chosen, *others))
            _log.info("aiortc uses %s and none of these: %s", chosen, ", ".join(others))


class _Server:
    """What is known of one server, with one pair of credentials."""

    def __init__(self, target: Target, slow: set[str], troubles: IceTroubles) -> None:
        self._target = target
        self._troubles = troubles
        self._slow = slow
        """URLs whose last answer came after the grace. Asked anew, they would always be too
        late: they count as alive until they are known to be dead."""
        self._asked_at: float | None = None
        self._alive: bool | None = None
        "None: not known yet, or no longer."
        self._refusal: str | None = None
        self.probe: asyncio.Task[None]

    def ask(self) -> None:
        """Ask for a sign of life, unless that is under way or not long ago."""
        now = asyncio.get_running_loop().time()
        if self._asked_at is not None:
            if not self.probe.done() or now < self._asked_at + AGAIN:
                return
            if self.is_stale():
                self._alive = None
        if self._alive is None and self._target.url in self._slow:
            self._alive = True
        self._asked_at = now
        self.probe = asyncio.create_task(self._learn())

    def is_stale(self) -> bool:
        assert self._asked_at is not None
        old = asyncio.get_running_loop().time() > self._asked_at + MEMORY
        return old and self.probe.done()

    async def trouble(self) -> str | None:
        """Why it cannot be used, as far as that is known when ``GRACE`` is over."""
        assert self._asked_at is not None
        if self._alive is None:
            left = self._asked_at + GRACE - asyncio.get_running_loop().time()
            await asyncio.wait({self.probe}, timeout=max(0, left))
        if self._alive is None:
            return "has not answered yet"
        return self._refusal if self._alive else SILENT

    async def _learn(self) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        slow = False
        # Whatever goes wrong here, be it a name, a route or a certificate, goes wrong in aiortc.
        try:
            async with asyncio.timeout(PATIENCE), open_line(self._target) as line:
                await line.greet()
                slow = clock() > began + GRACE
                self._alive = True  # whoever cannot wait for more takes it as it is
                if self._target.kind == "TURN":
                    await line.show_credentials()
            self._refusal = None
        except Refused:
            self._refusal = refusal(self._target.server)
            self._troubles.add(self._target.url, self._refusal)  # for who did not wait
        except Exception as error:
            self._alive = False
            _log.debug("%s %s: %s", self._target.url, SILENT, type(error).__name__)
        (self._slow.add if slow else self._slow.discard)(self._target.url)
