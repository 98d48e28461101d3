"""One of several PeerServers that share their ids, by way of a store that all of them can reach.

Pure: a runtime calls the store and listens to the node's channel there::

    node.connected(name, now)                   # the store is there, with a channel of that name
    exchange = node.next_exchange(now)          # None for nothing to ask; one at a time
    node.answered(exchange, replies, now)
    node.receive(payload, now)                  # something came over the channel
    node.forward(command, now)                  # what ServerProtocol.next_forward() says
    node.disconnected()                         # the store is gone, or does not answer
    node.handle_timeout(now)                    # at next_timeout(), or whenever

After any of them it looks at :meth:`ClusterNode.next_settled`, at the core's commands, which these
calls add to, and at :meth:`ClusterNode.next_exchange`.

The store keeps who is registered where, and what waits for those who are not; it forgets a node
that has not been heard of for the length of its *lease*. Which requests there are, and what they
mean, is in ``peerjs_trio/bus/exchange.lua``; docs/cluster.md has the whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Final

from .claims import Claims, digest
from .cluster_io import (
    Claim,
    ClusterStatistics,
    Exchange,
    Fetch,
    Moved,
    Parcel,
    Question,
    Reply,
    Request,
    Tick,
    read_payload,
)
from .errors import LocalProtocolError
from .post import Expiry, Post
from .rooms import RoomCall, RoomRefusal, RoomResult
from .server import ServerProtocol
from .server_io import Credentials, Forward

__all__ = ["ClusterNode", "room_outcome"]


class ClusterNode:
    """What one server knows of the others. See the module's text for the contract."""

    def __init__(
        self,
        core: ServerProtocol,
        *,
        lease: float = 15.0,
        counted: bool = True,
    ) -> None:
        """
        Args:
            core: Whose clients these are. What waits here and in the store is within its limits.
            lease: Seconds after which a node that is not heard of is taken for dead.
            counted: Whether the store says of a message how many heard it, so that a node which
                is gone is known at once. A Redis Cluster does not.

        Raises:
            LocalProtocolError: for a lease that is not above zero.
        """
        if lease <= 0:
            raise LocalProtocolError("the lease of a node is positive")
        self._core = core
        self._lease = lease
        self._post = Post(core, counted=counted)
        self._name: str | None = None
        self._ready = False
        self._requests: deque[Request] = deque()
        self._settled: deque[Claim | Question] = deque()
        self._questions: dict[Question, None] = {}
        self._claims = Claims(core, self._requests.append, self._settled.append)
        self._expiries: list[tuple[Expiry, int]] = []
        self._exchanges = 0
        self._tend_at = self._heard_at = self._renewed_at = 0.0
        self._lapsed = False
        self._unheard = 0  # looks at the store since
        self._look_at = 0.0

    @property
    def ready(self) -> bool:
        """Whether the others can be reached, and know of all clients here."""
        return self._ready

    def statistics(self) -> ClusterStatistics:
        """How things stand."""
        return ClusterStatistics(
            letters=len(self._post),
            letter_bytes=self._post.bytes,
            forwarded=self._post.forwarded,
            parked=self._post.parked,
            given_up=self._post.given_up,
            exchanges=self._exchanges,
        )

    # --- the store comes and goes -------------------------------------------------------------

    def connected(self, name: str, now: float) -> None:
        """The store can be reached, and the channel of ``name`` is listened to.

        Args:
            name: Nobody has ever had it, this node neither: what was said to its former one is
                lost, and the lease of that ends by itself.
        """
        self._name = self._post.name = name
        self._lapsed = False
        self._unheard, self._heard_at, self._renewed_at = 0, now, now
        self._tend(now, first=True)
        self._claims.connected()

    def disconnected(self) -> None:
        """The store is away: ids are given out, and messages wait, as on a server of its own."""
        self._name = None
        self._ready = False
        self._core.set_others(False)
        self._post.disconnected()
        self._requests.clear()
        self._expiries.clear()
        self._claims.disconnected()
        self._settled.extend(self._questions)
        self._questions.clear()

    def is_lost(self, now: float) -> bool:
        """Whether to connect anew: the node does not hear itself, or the others think it dead."""
        is_deaf = self._unheard >= DEAF_LOOKS and now - self._heard_at >= DEAF
        return self._name is not None and (self._lapsed or is_deaf)

    def leave(self) -> None:
        """This node stops: in the next exchange it says so."""
        self._requests.append(Request("leave", (), _ignore))

    # --- clients ------------------------------------------------------------------------------

    def claim(self, credentials: Credentials, nonce: str) -> Claim:
        """Ask for an id. The answer is in ``granted``, once :meth:`next_settled` says so.

        Args:
            nonce: Something that no claim has ever had.
        """
        return self._claims.claim(credentials, nonce)

    def registered(self, claim: Claim, client: int) -> None:
        """The client of this claim is on, as ``client``: deliver what waits for it."""
        self._claims.registered(claim, client)

    def release(self, claim: Claim) -> None:
        """The client of this claim is gone, or was never on."""
        self._claims.release(claim)

    # --- what else the runtime wants to know --------------------------------------------------

    def ask(self, name: str, *arguments: str | bytes | int) -> Question:
        """Ask the store something; :meth:`next_settled` says when there is a reply."""
        question = Question()
        if self._name is None:
            self._settled.append(question)
        else:
            self._questions[question] = None
            self._requests.append(Request(name, arguments, partial(self._answer, question)))
        return question

    def ask_for_room(self, call: RoomCall) -> Question:
        """One of the calls about rooms; :func:`room_outcome` reads the reply."""
        limits = self._core.limits
        return self.ask(
            "room",
            *(call.action, call.id, digest(call.id, call.token), call.room, int(call.is_open)),
            *(limits.room_members, limits.rooms_per_client),
        )

    def next_settled(self) -> Claim | Question | None:
        """What has been answered next; None for now nothing more."""
        return self._settled.popleft() if self._settled else None

    def _answer(self, question: Question, reply: Reply, now: float) -> None:
        question.reply = reply
        del self._questions[question]
        self._settled.append(question)

    # --- messages -----------------------------------------------------------------------------

    def forward(self, message: Forward, now: float) -> None:
        """Have a message delivered to wherever its destination is, or its sender told EXPIRE."""
        self._post.post(message, now)

    def receive(self, payload: bytes, now: float) -> None:
        """Something came over the channel of this node."""
        match read_payload(payload):
            case Tick():
                self._unheard, self._heard_at = 0, now
            case Parcel() as parcel:
                self._post.receive(parcel)
            case Fetch(id):
                self._claims.waited_for(id)
            case Moved(nonce, id):
                self._claims.moved(id, nonce)

    def _fetched(self, id: str, reply: Reply, now: float) -> None:
        for text in reply[1::2]:
            if not self._core.receive_forwarded(id, str(text, "utf-8")):
                return  # it is gone: the rest waits for it, or for its end
        if reply:
            self._forget(id, reply[-2])

    def _forget(self, id: str, last: int) -> None:
        self._requests.append(Request("forget", (id, last), _ignore))

    # --- the store ----------------------------------------------------------------------------

    def next_exchange(self, now: float) -> Exchange | None:
        """What to ask of the store next; None for nothing.

        There is one at a time: what comes up meanwhile goes with the next one, all at once.
        """
        if self._name is None:
            return None
        for expiry, last in self._expiries:
            if expiry.untold == 0 and not expiry.failed:
                self._forget(expiry.dst, last)
        self._expiries = [one for one in self._expiries if one[0].untold > 0]
        requests: list[Request] = []
        while self._requests and len(requests) < BATCH:
            requests.append(self._requests.popleft())
        to_fetch = self._claims.to_fetch
        for id in list(to_fetch)[:BATCH_FETCHES]:
            del to_fetch[id]
            requests.append(Request("fetch", (id,), partial(self._fetched, id)))
        requests.extend(self._post.requests(now))
        if not requests:
            return None
        self._exchanges += 1
        return Exchange(self._head(self._name), requests)

    def answered(self, exchange: Exchange, replies: Sequence[Reply], now: float) -> None:
        """What the store said to it. Whoever gets none says :meth:`disconnected`."""
        for request, reply in zip(exchange.requests, replies, strict=True):
            request.settle(reply, now)
        # Once the others know of all clients here, they can be counted on.
        if not self._ready and self._claims.are_known:
            self._ready = True
            self._core.set_others(True)

    def _head(self, name: str) -> tuple[str | int, ...]:
        limits = self._core.limits
        return (
            name,
            _milliseconds(self._lease),
            _milliseconds(self._core.expire_timeout),
            limits.waiting_messages,
            limits.waiting_bytes,
            limits.waiting_destinations,
            limits.waiting_messages_in_all,
            limits.waiting_bytes_in_all,
        )

    # --- time ---------------------------------------------------------------------------------

    def next_timeout(self) -> float:
        """When to call :meth:`handle_timeout`."""
        return self._look_at

    def handle_timeout(self, now: float) -> None:
        """Renew the lease, and look for what has not arrived. Legal early and late."""
        self._look_at = now + BEAT
        if self._name is not None and now >= self._tend_at:
            self._tend(now)
        self._post.handle_timeout(now, in_touch=now - self._renewed_at < DEAF)

    def _tend(self, now: float, *, first: bool = False) -> None:
        self._tend_at = now + min(TEND_INTERVAL, self._lease / 3)
        self._requests.append(Request("tend", (), partial(self._tended, first)))

    def _tended(self, first: bool, reply: Reply, now: float) -> None:
        had_lease, again, *expiries = reply
        self._lapsed = self._lapsed or not (first or had_lease)
        if not self._lapsed:
            self._renewed_at = now
        self._unheard += 1
        if again:
            self._tend_at = now
        for dst, last, *senders in expiries:
            names = [str(name, "utf-8") for name in senders]
            told = list(zip(names[::2], names[1::2], strict=True))
            self._expiries.append((self._post.expire(str(dst, "utf-8"), told, now), last))


def room_outcome(question: Question) -> RoomResult | RoomRefusal | None:
    """What came of a call about a room; None if the store is away."""
    match question.reply:
        case [b"", was_in_room, *members]:
            ids = [str(member, "utf-8") for member in members]
            return RoomResult(ids, was_in_room=was_in_room == 1)
        case [bytes(refusal)]:
            return RoomRefusal[str(refusal, "utf-8")]
    return None


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _ignore(reply: Reply, now: float) -> None:
    pass


BEAT: Final = 0.25
"""Seconds between two looks at what has not arrived: a quarter of what it has for that."""

TEND_INTERVAL: Final = 1.0
"""Seconds between two looks at what waits in the store, as often as a server of its own does."""

DEAF: Final = 3.0
"""Seconds without a word on the own channel, where one comes with each look at the store."""

DEAF_LOOKS: Final = 3
"""And as many of these: a server that has had no time for them is not deaf."""

BATCH: Final = 512
"""Requests in one exchange besides messages: each takes Redis some microseconds."""

BATCH_FETCHES: Final = 8
"""Ids whose waiting messages are fetched in one exchange: up to 1 MiB each."""
