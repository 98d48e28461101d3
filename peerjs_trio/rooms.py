"""Rooms: peers of one network find each other at their server, without knowing any id.

::

    async with open_peer(server=…) as peer, open_room(peer) as room:
        async for change in room.watch():
            match change:
                case Joined(id): ...
                case Left(id): ...
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import anyio
import anyio.lowlevel

from peerjs_proto.errors import Disconnected, PeerError, ServerUnavailable
from peerjs_proto.room_client import (
    DEFAULT_POLLING,
    Joined,
    Left,
    Polling,
    RoomChange,
    RoomQuestion,
    RoomQuestions,
    RoomWatch,
    Schedule,
    check_room_name,
    is_final,
)
from peerjs_proto.session import Registration
from peerjs_proto.states import Session

from .background import open_background
from .peer import Peer
from .websocket import TransportError

__all__ = ["Joined", "Left", "PeerRoom", "Polling", "RoomChange", "open_room"]

T = TypeVar("T")

_GOODBYE = 3.0
"Seconds at most to leave a room at the end of its block."

_log = logging.getLogger("peerjs_trio")


@asynccontextmanager
async def open_room(
    peer: Peer, name: str | None = None, *, polling: Polling = DEFAULT_POLLING
) -> AsyncGenerator[PeerRoom]:
    """Be in a room for as long as the block lasts, also after a loss of the server.

    :param name: of the room, where the server has named ones; None is the room of all peers that
        come from our public address.
    :param polling: how often :meth:`PeerRoom.watch` asks, and the waits after errors.

    Raises what :meth:`PeerRoom.join` does. Whatever goes wrong later is tried again, and logged.
    """
    room = PeerRoom(peer, name, polling=polling)
    await room.join()
    async with open_background() as tasks:
        tasks.start_soon(room._stay)
        try:
            yield room
        finally:
            tasks.cancel_scope.cancel()
            with (
                suppress(PeerError),
                anyio.CancelScope(shield=True),
                anyio.move_on_after(_GOODBYE),
            ):
                await room.leave()


class PeerRoom:
    """One room, as one peer sees it.

    Membership ends with the peer's socket. :func:`open_room` and :meth:`watch` join again after
    each loss of the server; who does neither calls :meth:`join` again.
    """

    def __init__(
        self, peer: Peer, name: str | None = None, *, polling: Polling = DEFAULT_POLLING
    ) -> None:
        """Nothing is asked yet. For the arguments see :func:`open_room`."""
        self._peer = peer
        self._name = None if name is None else check_room_name(name)
        self._polling = polling
        self._id: str | None = self._name
        self._joined_in = 0
        "Number of the registration in which we have joined."
        self._wanted = True
        self._watching: set[anyio.CancelScope] = set()
        self._asking = anyio.Lock()

    def __repr__(self) -> str:
        return f"<PeerRoom {self._id!r} of {self._peer.id!r}>"

    @property
    def id(self) -> str | None:
        """Its name, or what the server calls that of our network; None until it has said so."""
        return self._id

    async def join(self) -> tuple[str, ...]:
        """Come into the room, so that others see us; the ids of all who are in it, ours included.

        Raises Disconnected without a server, ServerError where there are no rooms or this one is
        closed or full, InvalidKey, ServerUnavailable, and DecodeError or LimitExceeded for an
        answer that is none.
        """
        async with self._asking:
            self._wanted = True
            return await self._join()

    async def members(self) -> tuple[str, ...]:
        """The ids of all who are in the room, ours included. Joins it where we are not.

        Raises what :meth:`join` does.
        """
        async with self._asking:
            self._wanted = True
            return await self._members()

    async def leave(self) -> bool:
        """Go out of the room; whether we were in it. Whoever watches it is at the end.

        Raises what :meth:`join` does.
        """
        self._wanted = False
        for scope in self._watching:
            scope.cancel()
        async with self._asking:
            self._joined_in = 0
            if self._id is None:
                return False
            return await self._ask(self._questions(self._registration).leave(self._id))

    def watch(self) -> AsyncIterator[RoomChange]:
        """Who comes and goes: first everybody who is there as Joined, then each change.

        We ourselves are left out. The server is asked while somebody waits for a change, every
        ``polling.interval`` seconds. While it is lost, or answers with an error that may pass,
        nothing is told; after that, what is different.

        Joins the room where we are not in it. Ends when we leave the room, or the peer is closed.
        Raises ServerError and InvalidKey when the server lets us in no more, and, as
        :meth:`Peer.incoming_connections`, what has ended the registration for good.
        """
        return _Changes(self)

    # --- inside ---------------------------------------------------------------------------

    async def _join(self) -> tuple[str, ...]:
        registration = self._registration
        questions = self._questions(registration)
        id = await self._ask(questions.id()) if self._name is None else self._name
        members = await self._ask(questions.join(id))
        left, self._id, self._joined_in = self._id, id, registration.number
        if left not in (None, id):
            # We have come to another network, and the server, which knows us still, left us there.
            with suppress(PeerError):
                await self._ask(questions.leave(left))
        return members

    async def _members(self) -> tuple[str, ...]:
        registration = self._registration
        if self._id is None or registration.number != self._joined_in:
            return await self._join()
        members = await self._ask(self._questions(registration).members(self._id))
        # The server has forgotten us, or the room.
        return members if registration.id in members else await self._join()

    async def _stay(self) -> None:
        """Join again when the peer has come back to its server."""
        async for state in self._peer.states():
            if state is Session.OPEN:
                await self._join_again()

    async def _join_again(self) -> None:
        schedule = Schedule(self._polling, random.random)
        while self._wanted and self._peer.is_open:
            try:
                async with self._asking:
                    if self._registration.number != self._joined_in:
                        await self._join()
            except PeerError as error:
                if not self._peer.is_open:
                    return  # lost meanwhile, which somebody else tells
                wait = schedule.failed(anyio.current_time())
                _log.warning("could not join the room again: %s", error)
                if is_final(error):
                    return
                await anyio.sleep(wait)
            else:
                return

    @property
    def _registration(self) -> Registration:
        registration = self._peer._core.registration
        if registration is None:
            raise Disconnected("rooms are the server's, and there is no connection to it")
        return registration

    def _questions(self, registration: Registration) -> RoomQuestions:
        return RoomQuestions(registration, self._peer._limits)

    async def _ask(self, question: RoomQuestion[T]) -> T:
        patience = self._peer._limits.server_timeout
        try:
            with anyio.fail_after(patience):
                status, body = await self._peer._transport.request(
                    question.method, question.url, max_bytes=question.max_bytes + 1
                )
        except TransportError as error:
            raise ServerUnavailable(f"asked about a room: {error}") from error
        except TimeoutError:
            words = f"asked about a room, the server did not answer within {patience:g} s"
            raise ServerUnavailable(words) from None
        return question.read(status, body)


class _Changes:
    """What :meth:`PeerRoom.watch` returns. It does all of its work while somebody waits.

    Not an async generator: those must be closed by whoever breaks out of their loop.
    """

    def __init__(self, room: PeerRoom) -> None:
        self._room = room
        self._watch = RoomWatch(room._peer.id)
        self._schedule = Schedule(room._polling, random.random)

    def __aiter__(self) -> _Changes:
        return self

    async def __anext__(self) -> RoomChange:
        await anyio.lowlevel.checkpoint()
        while (change := self._watch.next_change()) is None:
            if not self._room._wanted:
                raise StopAsyncIteration
            # Leaving the room ends the wait, and a request that is under way.
            with anyio.CancelScope() as scope:
                self._room._watching.add(scope)
                try:
                    await anyio.sleep_until(self._schedule.due)
                    if not await self._registered():
                        raise StopAsyncIteration
                    await self._poll()
                finally:
                    self._room._watching.discard(scope)
        return change

    async def _poll(self) -> None:
        """Ask once; raises what ends the watch."""
        try:
            async with self._room._asking:
                members = await self._room._members()
        except PeerError as error:
            wait = self._schedule.failed(anyio.current_time())
            if is_final(error):
                raise
            if self._room._peer.is_open:  # else somebody else tells
                _log.warning("cannot see who is in a room: %s; again in %.1f s", error, wait)
        else:
            self._schedule.answered(anyio.current_time())
            self._watch.receive(members)

    async def _registered(self) -> bool:
        """True once the peer is; False if it never will be. Raises what it has given up with."""
        peer = self._room._peer
        async for state in peer.states():
            failure = peer._failure
            if state is Session.OPEN:
                return True
            if state is Session.LOST and failure and not isinstance(failure, Disconnected):
                raise type(failure)(*failure.args)
        return False
