"""Ids that change with the month: a device that is reachable under them, and how to find it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc

from peerjs_proto.errors import LocalProtocolError, PeerUnavailable
from peerjs_proto.pair_keys import epoch_end

from .store import Pair, Pairings

if TYPE_CHECKING:
    from peerjs_trio.connection import DataConnection
    from peerjs_trio.peer import Peer

__all__ = ["connect_paired", "stay_reachable"]

_LOOK = 1.0
"Seconds between looks whether an old id's last connection has ended."

_LONGEST_SLEEP = 3600.0
"Seconds after which the clock is looked at again: it may be set, and machines sleep."


async def connect_paired(peer: Peer, pair: Pair, **options: Any) -> DataConnection:
    """Connect to a device that we are paired with, under whatever id it has today.

    Takes what :meth:`peerjs_trio.Peer.connect` does, and raises it: PeerUnavailable where the
    device is under none of its ids. Who answers has proved nothing yet: call :func:`prove`.
    """
    ids = pair.remote_ids()
    if not ids:
        raise LocalProtocolError(f"{pair.name} is no device: it reaches us, and not we it")
    for id in ids[:-1]:
        try:
            return await peer.connect(id, **options)
        except PeerUnavailable:
            continue
    return await peer.connect(ids[-1], **options)


async def stay_reachable(
    pairings: Pairings, work: Callable[[Peer], Coroutine[Any, Any, object]], **options: Any
) -> None:
    """Be where those who are paired with us look: do ``work`` with a peer of our id, for good.

    When the id's month is over, the next one is opened beside it, with ``work`` of its own; the
    old one is closed when its connections have ended. Takes what :func:`peerjs_trio.open_peer`
    does but id and token, and raises what that and ``work`` do. Ends when it is cancelled.
    """
    from peerjs_trio.peer import open_peer

    async with anyio.create_task_group() as tasks:
        while True:
            now = pairings.clock()
            opening = partial(
                open_peer, pairings.own_id(now), token=pairings.own_token(now), **options
            )
            over = await tasks.start(_one_id, opening, work)
            while (left := epoch_end(now) - pairings.clock()) > 0:  # noqa: ASYNC110 - a clock
                await anyio.sleep(min(left, _LONGEST_SLEEP))
            over.set()


async def _one_id(
    opening: Callable[[], Any],
    work: Callable[[Peer], Coroutine[Any, Any, object]],
    *,
    task_status: anyio.abc.TaskStatus[anyio.Event],
) -> None:
    """Work under one id until it is over, and its connections have ended."""
    over = anyio.Event()
    async with AsyncExitStack() as stack:
        peer: Peer = await stack.enter_async_context(opening())
        tasks = await stack.enter_async_context(anyio.create_task_group())
        task_status.started(over)
        tasks.start_soon(work, peer)
        await over.wait()
        await peer.disconnect()  # nobody new: the next id is where they go
        while peer.connections:  # noqa: ASYNC110 - nothing announces the last one's end
            await anyio.sleep(_LOOK)
        tasks.cancel_scope.cancel()
