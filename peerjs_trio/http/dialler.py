"""Dialler: the connection that requests go through, made again when it is lost."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from functools import partial
from typing import Any, Final, TypeVar

import anyio
import anyio.abc
import attrs

from peerjs_proto.errors import ConnectionClosed, ConnectTimeout, PeerError
from peerjs_proto.http_io import HTTP_LABEL, HttpLimits
from peerjs_trio.connection import BrokenConnection, DataConnection
from peerjs_trio.http.session import HttpSession, open_session
from peerjs_trio.pairing import Pair, Pairings, connect_paired, prove
from peerjs_trio.peer import Peer

__all__ = ["Dialler", "Line", "Proof"]

_GREETING: Final = 10.0
"Seconds for a far side that is connected to ask for a proof, and to say what it can do."

T = TypeVar("T")


@attrs.frozen
class Proof:
    """What the far side may ask for before it speaks HTTP."""

    secret: str | None = attrs.field(default=None, repr=False)
    pairings: Pairings | None = None


@attrs.define(eq=False)
class Line:
    """One dial, and what came of it."""

    settled: anyio.Event = attrs.Factory(anyio.Event)
    session: HttpSession | None = None
    error: PeerError | None = None
    scope: anyio.CancelScope = attrs.Factory(anyio.CancelScope)

    @property
    def is_usable(self) -> bool:
        """Whether new requests may go by it, now or when it is open."""
        return not self.settled.is_set() or (self.session is not None and self.session.is_open)

    def end_if_idle(self) -> None:
        """Close one that takes no more requests and has none."""
        if not self.is_usable and self.session is not None:
            with self.session.turn() as core:
                if core.streams == 0:
                    self.scope.cancel()


class Dialler:
    """Keeps one connection for all requests; whoever finds it lost waits for the next."""

    def __init__(
        self,
        peer: Peer,
        remote: str | Pair,
        *,
        proof: Proof,
        metadata: Any,
        limits: HttpLimits,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self._dial = (
            partial(connect_paired, peer, remote)
            if isinstance(remote, Pair)
            else partial(peer.connect, remote)
        )
        self._proof = proof
        self._metadata = metadata
        self._limits = limits
        self._tasks = tasks
        self._line: Line | None = None

    async def line(self) -> Line:
        """One that is open; dials where there is none.

        All who wait share one dial, which goes on if they give up. Raises the PeerError that it
        ended with.
        """
        line = self._line
        if line is None or not line.is_usable:
            if line is not None:
                line.end_if_idle()
            line = self._line = Line()
            self._tasks.start_soon(self._keep, line)
        await line.settled.wait()
        if line.error is not None:
            raise line.error
        return line

    # --- inside ---------------------------------------------------------------------------

    async def _keep(self, line: Line) -> None:
        """Dial, and stay until the connection is over."""
        try:
            with line.scope:
                connection, first = await self._connect()
                async with open_session(
                    connection, client=True, limits=self._limits, first=first
                ) as session:
                    await _hear(session.wait_ready())
                    if not session.is_open:
                        raise BrokenConnection("the peer has ended the connection at once")
                    line.session = session
                    line.settled.set()
                    await session.wait_closed()
        except PeerError as error:
            line.error = error
        finally:
            if not line.settled.is_set():
                line.error = line.error or ConnectionClosed("the transport is closed")
                line.settled.set()

    async def _connect(self) -> tuple[DataConnection, str | bytes | None]:
        """A connection, proven where that was asked for, and what was read of it too many."""
        connection = await self._dial(
            label=HTTP_LABEL,
            metadata=self._metadata,
            serialization="raw",
            reliable=True,
        )
        try:
            proof = self._proof
            words = prove(connection, secret=proof.secret, pairings=proof.pairings, within=math.inf)
            return connection, await _hear(words)
        except BaseException:
            await connection.aclose()
            raise


async def _hear(words: Awaitable[T]) -> T:
    """What the far side has to say first. Raises ConnectTimeout where it says nothing."""
    with anyio.move_on_after(_GREETING):
        return await words
    raise ConnectTimeout(f"the peer has not spoken HTTP within {_GREETING:g} s")
