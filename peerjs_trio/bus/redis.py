"""A hub's :class:`~peerjs_trio.hub.Bus` on Redis, by way of ``coredis``, on trio and on asyncio.

The rules are :class:`peerjs_proto.cluster.ClusterNode`'s; here are its calls and its channel. One
task calls Redis, with all that there is to ask at that time; one listens; one keeps time. When any
of it fails, all of it is begun anew, under a new name.
"""

from __future__ import annotations

import hashlib
import logging
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.abc
import anyio.lowlevel

try:
    from coredis.exceptions import NoScriptError, RedisError
except ImportError as error:
    raise ImportError('a bus needs coredis: pip install "peerjs-sansio[redis]"') from error

from peerjs_proto.backoff import Backoff
from peerjs_proto.cluster import BEAT, ClusterNode, room_outcome
from peerjs_proto.cluster_io import Claim, ClusterStatistics, Exchange, Question
from peerjs_proto.server_io import Credentials, Forward, HttpReply, HttpRequest

from .addresses import Client, RedisAddress

if TYPE_CHECKING:
    from peerjs_trio.hub import Hub

__all__ = ["RedisBus"]

_log: Final = logging.getLogger("peerjs.server")
# It logs every attempt that fails with a traceback; what there is to say of it is said here.
logging.getLogger("coredis").setLevel(logging.CRITICAL + 1)


class RedisBus:
    """Shares the ids of a server with all that have the same Redis and name. For one server."""

    def __init__(self, url: str, *, name: str = "default", lease: float = 15.0) -> None:
        """
        Args:
            url: See :meth:`RedisAddress.parse`.
            name: Of those that belong together; part of every key and channel.
            lease: Seconds after which a server that is not heard of is taken for dead, and its
                ids are free for anybody. The same for all.

        Raises:
            ValueError: for an address that is none, or a name with braces.
        """
        if not name or set(name) & {"{", "}"}:
            raise ValueError("the name of a bus is not empty and has no braces")
        if lease <= 0:
            raise ValueError("the lease on a bus is positive")
        self.address: Final = RedisAddress.parse(url)
        self._tag = f"{{peerjs:{name}}}"
        self._lease = lease
        self._hub: Hub | None = None
        self._wake = anyio.Event()
        self._waiters: dict[Claim | Question, anyio.Event] = {}
        self._everybody: tuple[float, list[str] | None] = (0.0, None)
        self._was_ready = False

    def __repr__(self) -> str:
        return f"<RedisBus {self.address} {self._tag}>"

    @property
    def healthy(self) -> bool:
        """Whether Redis, and by it the others, can be reached."""
        return self._was_ready

    def statistics(self) -> ClusterStatistics:
        """How things stand; for a bus that runs."""
        return self._node.statistics()

    # --- what a hub asks of it ----------------------------------------------------------------

    async def claim(self, credentials: Credentials) -> Claim | None:
        """Take an id for a client; None if somebody with another token has it.

        While Redis is away, it is taken here, and the others hear of it later.
        """
        claim = self._node.claim(credentials, uuid.uuid4().hex)
        try:
            await self._wait_for(claim)
        except BaseException:
            self.release(claim)
            raise
        return claim if claim.granted else None

    async def registered(self, claim: Claim, client: int) -> None:
        """The client is on, as ``client``: deliver what waits for it."""
        self._node.registered(claim, client)
        self._wake.set()

    def release(self, claim: Claim) -> None:
        """The client is gone. Does not wait."""
        self._node.release(claim)
        self._wake.set()

    def forward(self, message: Forward) -> None:
        """Deliver a message to wherever its destination is. Does not wait."""
        self._node.forward(message, anyio.current_time())
        self._wake.set()

    async def respond(self, hub: Hub, request: HttpRequest, network: str) -> HttpReply | None:
        """The answer to what no server knows alone: ids and rooms; None for anything else."""
        rooms = hub.core.rooms
        if (call := rooms.call(request, network)) is not None:
            question = self._node.ask_for_room(call)
            await self._wait_for(question)
            outcome = room_outcome(question)
            return None if outcome is None else rooms.reply(request, call, outcome)
        if hub.core.lists_ids(request):
            return hub.core.respond(
                request,
                fresh_id=lambda: "",
                now=anyio.current_time(),
                everybody=await self._ids(),
            )
        return None

    async def _ids(self) -> list[str] | None:
        asked_at, ids = self._everybody
        now = anyio.current_time()
        if ids is None or now - asked_at >= _EVERYBODY_TIMEOUT:
            question = self._node.ask("everybody")
            await self._wait_for(question)
            if question.reply is None:
                return None
            ids = [str(id, "utf-8") for id in question.reply]
            self._everybody = now, ids
        return ids

    async def _wait_for(self, open: Claim | Question) -> None:
        event = self._waiters[open] = anyio.Event()
        self._turn()
        try:
            await event.wait()
        finally:
            del self._waiters[open]

    # --- running ------------------------------------------------------------------------------

    async def run(
        self, hub: Hub, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Work for this hub, until cancelled; started once it is known whether Redis is there."""
        self._hub = hub
        is_counted = self.address.kind != "cluster"
        self._node = ClusterNode(hub.core, lease=self._lease, counted=is_counted)
        self._name = ""
        self._started: anyio.abc.TaskStatus[None] | None = task_status
        self._failures = 0
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep_time)
                while True:
                    try:
                        await self._connect()
                    except BaseException as error:
                        # coredis makes errors of its own out of a cancellation, or beside it:
                        # then they come in one group.
                        await anyio.lowlevel.checkpoint_if_cancelled()
                        if not isinstance(error, Exception):
                            raise
                        self._failed(error)
                    await anyio.sleep(_BACKOFF.delay(self._failures - 1, random.random()))
        finally:
            with anyio.move_on_after(CLOSE_TIMEOUT, shield=True), suppress(Exception):
                await self._leave()

    async def _connect(self) -> None:
        """Be connected, until something fails."""
        name = uuid.uuid4().hex
        channel = f"{self._tag}:node:{name}"
        async with (
            self.address.open(CALL_TIMEOUT) as client,
            client.connection_pool.acquire(primary=True) as connection,
            # coredis's own PubSub comes back by itself, without a word on what it has missed.
            aclosing(connection.push_messages) as pushes,
            anyio.create_task_group() as tasks,
        ):
            connection.send_command(b"SUBSCRIBE", channel)
            with anyio.fail_after(CALL_TIMEOUT):
                await anext(pushes)
            self._name = name
            self._node.connected(name, anyio.current_time())
            self._wake.set()
            tasks.start_soon(self._listen, pushes)
            tasks.start_soon(self._watch)
            await self._call(client)

    async def _call(self, client: Client) -> None:
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while (exchange := self._node.next_exchange(anyio.current_time())) is not None:
                replies = await self._evaluate(client, exchange)
                self._node.answered(exchange, replies, anyio.current_time())
                self._turn()
                if self._node.ready and not self._was_ready:
                    self._succeeded()

    async def _evaluate(self, client: Client, exchange: Exchange) -> list[Any]:
        keys, arguments = [self._tag], exchange.arguments
        try:
            replies = await client.evalsha(_DIGEST, keys=keys, args=arguments)
        except NoScriptError:
            replies = await client.eval(SCRIPT, keys=keys, args=arguments)
        if not isinstance(replies, list):
            raise RedisError("an answer that is none")
        return replies

    async def _listen(self, pushes: AsyncIterator[Any]) -> None:
        async for _, _, payload in pushes:
            self._node.receive(payload, anyio.current_time())
            self._turn()
            self._wake.set()

    async def _watch(self) -> None:
        while True:
            await anyio.sleep(BEAT)
            if self._node.is_lost(anyio.current_time()):
                raise RedisError("nothing is heard of it, or it has not heard of us for too long")

    async def _leave(self) -> None:
        """Free the ids of this server now, not when its lease ends."""
        if self._name and self._was_ready:
            self._was_ready = False
            async with self.address.open(CLOSE_TIMEOUT) as client:
                self._node.leave()
                exchange = self._node.next_exchange(anyio.current_time())
                if exchange is not None:
                    await self._evaluate(client, exchange)

    async def _keep_time(self) -> None:
        while True:
            await anyio.sleep_until(self._node.next_timeout())
            self._node.handle_timeout(anyio.current_time())
            self._turn()
            self._wake.set()

    def _turn(self) -> None:
        """Carry out what came of a call of the node's."""
        while (open := self._node.next_settled()) is not None:
            if (event := self._waiters.get(open)) is not None:
                event.set()
        assert self._hub is not None
        self._hub.perform()

    # --- Redis comes and goes -----------------------------------------------------------------

    def _succeeded(self) -> None:
        if self._failures:
            _log.warning("The bus at %s is back", self.address)
        self._failures = 0
        self._was_ready = True
        self._tell_started()

    def _failed(self, error: Exception) -> None:
        self._node.disconnected()
        self._turn()
        if not self._failures:
            _log.warning(
                "The bus at %s is away, and this server on its own: %s", self.address, _why(error)
            )
        self._failures += 1
        self._was_ready = False
        self._tell_started()

    def _tell_started(self) -> None:
        if self._started is not None:
            self._started.started()
            self._started = None


def _why(error: BaseException | None) -> str:
    """What went wrong first, with what it comes of. What Redis says of a password is not it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    texts = []
    while error is not None:
        texts.append(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        error = error.__cause__
    return "; ".join(texts)


CALL_TIMEOUT: Final = 5.0
"""Seconds for connecting to Redis, and for each answer of it. A busy server takes its time too."""

CLOSE_TIMEOUT: Final = 1.0
"""Seconds a server that stops takes to say so on the bus."""

_EVERYBODY_TIMEOUT: Final = 1.0
"""Seconds a list of all ids is good for: it is long, and anybody may ask for it."""

_BACKOFF: Final = Backoff(first=0.1, factor=2.0, longest=3.0, jitter=0.5)

SCRIPT: Final = resources.files("peerjs_trio.bus").joinpath("exchange.lua").read_text("utf-8")
_DIGEST: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
