"""Messages of one node for clients of others: where they have to go, and whether they arrived.

A message (a *letter*, as long as it is on its way) is looked up in the store by its first way, and
by the next one goes straight to the node that was named. All letters for a node go in one parcel,
with the receipts for those that came from it. Whatever is not acknowledged in time is parked in
the store, and so is what a node did not take: it may arrive twice, but is not lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Final

import attrs

from . import messages
from .cluster_io import Parcel, Reply, Request, write_parcels
from .server import ServerProtocol
from .server_io import Forward

__all__ = ["Expiry", "Post"]


class Post:
    """Used by :class:`~peerjs_proto.cluster.ClusterNode`; see there for the arguments."""

    def __init__(self, core: ServerProtocol, *, counted: bool) -> None:
        self.name = ""
        "Of the node, to those that answer."
        self.forwarded = self.parked = self.given_up = 0
        self.bytes = 0
        self._core = core
        self._counted = counted
        self._last_number = 0
        self._letters: dict[int, _Letter] = {}  # all of them, in the order they came
        self._unrouted: deque[_Letter] = deque()
        self._outgoing: dict[str, deque[_Letter]] = {}
        self._sent: dict[int, _Letter] = {}  # in the order they were sent
        self._receipts: dict[str, _Receipts] = {}
        self._places: dict[str, str] = {}  # where an id was, the last time
        # Sender and destination of what was parked, and when; and of what the store may have
        # forgotten since.
        self._parked: dict[tuple[str, str], float] = {}
        self._doubtful: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        """How many letters there are."""
        return len(self._letters)

    # --- in -----------------------------------------------------------------------------------

    def post(self, message: Forward, now: float) -> None:
        """A message for somebody who is not here."""
        text = message.text.encode()
        letter = _Letter(0, message.src, message.dst, text, message.waits, now)
        limits = self._core.limits
        if (
            len(self._letters) >= limits.waiting_messages_in_all
            or self.bytes + len(text) > limits.waiting_bytes_in_all
            or len(letter.dst) > limits.id_length
        ):
            # Better told at once than never.
            if letter.waits:
                self._give_up(letter)
            return
        self._add(letter)
        place = self._places.get(letter.dst) if self.name else None
        if place is None:
            self._unrouted.append(letter)
        else:
            self._send_to(place, letter)

    def expire(self, dst: str, senders: list[tuple[str, str]], now: float) -> Expiry:
        """Tell these (each with the node it is at) that ``dst`` never came."""
        expiry = Expiry(dst)
        for src, node in senders:
            text = _expire(src, dst)
            if node == self.name:
                self._core.receive_forwarded(src, text)
            else:
                letter = _Letter(0, dst, src, text.encode(), False, now, expiry=expiry)
                expiry.untold += 1
                self._add(letter)
                self._send_to(node, letter)
        return expiry

    def receive(self, parcel: Parcel) -> None:
        """Deliver what came from another node, and learn what became of our own."""
        for number in parcel.arrived:
            if (letter := self._letters.get(number)) is not None:
                self.forwarded += 1
                self._finish(letter)
        for number in parcel.strayed:
            if (letter := self._sent.pop(number, None)) is not None:
                self._route_again(letter)
        if parcel.messages:
            receipts = self._receipts.setdefault(parcel.node, _Receipts())
            for number, dst, text in parcel.messages:
                here = self._core.receive_forwarded(dst, text)
                (receipts.arrived if here else receipts.strayed).append(number)

    def disconnected(self) -> None:
        """The store is away: everything that is on its way starts again, once it is back."""
        self.name = ""
        self._sent.clear()
        self._outgoing.clear()
        self._receipts.clear()
        self._places.clear()
        for letter in list(self._letters.values()):
            if letter.expiry is not None:
                self._fail(letter)  # it is still due in the store, or the store has forgotten it
        self._unrouted = deque(self._letters.values())
        self._doubtful |= self._parked
        self._parked.clear()

    # --- out ----------------------------------------------------------------------------------

    def requests(self, now: float) -> Iterator[Request]:
        """What to ask of the store next, within what one call should hold."""
        room = BATCH_BYTES
        while self._unrouted and room > 0:
            letter = self._unrouted.popleft()
            if letter.number in self._letters:
                room -= len(letter.text)
                how = "never" if not letter.waits else "wait" if letter.returned else "go"
                yield Request(
                    "route",
                    (letter.src, letter.dst, how, letter.text),
                    partial(self._routed, letter),
                )
        for node in list(self._outgoing.keys() | self._receipts.keys()):
            yield self._parcel(node, now)

    def _parcel(self, node: str, now: float) -> Request:
        waiting = self._outgoing.get(node, _NOTHING)
        receipts = self._receipts.pop(node, _NO_RECEIPTS)
        letters: list[_Letter] = []
        room = BATCH_BYTES
        while waiting and room > 0:
            letter = waiting.popleft()
            if letter.number in self._letters:
                room -= len(letter.text)
                letter.sent = now
                self._sent[letter.number] = letter
                letters.append(letter)
        if not waiting:
            self._outgoing.pop(node, None)
        contents = ((letter.number, letter.dst, letter.text) for letter in letters)
        data = write_parcels(self.name, receipts.arrived, receipts.strayed, contents)
        return Request("publish", (node, data), partial(self._published, node, letters))

    def _routed(self, letter: _Letter, reply: Reply, now: float) -> None:
        """Where the store says it goes, or what it has done with it."""
        if letter.number not in self._letters:
            return
        if isinstance(reply, bytes):
            node = str(reply, "utf-8")
            self._remember(letter.dst, node)
            self._send_to(node, letter)
        elif reply > 0:
            self.parked += 1
            self._remember_parked(letter, now)
            self._finish(letter)
        elif reply == 0:
            self._give_up(letter)
        else:
            self._finish(letter)

    def _published(self, node: str, letters: list[_Letter], reply: Reply, now: float) -> None:
        if self._counted and reply == 0:
            # Nobody listens there any more.
            for id in [id for id, place in self._places.items() if place == node]:
                del self._places[id]
            for letter in letters:
                if self._sent.pop(letter.number, None) is not None:
                    self._route_again(letter)

    # --- time ---------------------------------------------------------------------------------

    def handle_timeout(self, now: float, *, in_touch: bool) -> None:
        """Look for what has not arrived.

        Args:
            in_touch: Whether the store has known all the time that this node is there. Else it
                may have given something up, and found no sender to tell.
        """
        for letter in list(self._sent.values()):
            if now - letter.sent < ACKNOWLEDGE_TIMEOUT:
                break
            del self._sent[letter.number]
            self._route_again(letter)
        for letter in list(self._letters.values()):
            if now - letter.born < self._core.expire_timeout:
                break
            self._give_up(letter)
        for pair, since in list(self._parked.items()):
            if not in_touch or now - since < self._core.expire_timeout + EXPIRING:
                break
            del self._parked[pair]
        for pair, since in list(self._doubtful.items()):
            if now - since >= self._core.expire_timeout:
                del self._doubtful[pair]
                self._core.receive_forwarded(pair[0], _expire(*pair))

    # --- one letter ---------------------------------------------------------------------------

    def _add(self, letter: _Letter) -> None:
        self._last_number += 1
        letter.number = self._last_number
        self._letters[letter.number] = letter
        self.bytes += len(letter.text)

    def _send_to(self, node: str, letter: _Letter) -> None:
        self._outgoing.setdefault(node, deque()).append(letter)

    def _route_again(self, letter: _Letter) -> None:
        """It was not taken where it went to."""
        self._places.pop(letter.dst, None)
        if letter.returned and not letter.waits:
            self._fail(letter)
        else:
            letter.returned = True
            self._unrouted.append(letter)

    def _give_up(self, letter: _Letter) -> None:
        if letter.waits:
            self.given_up += 1
            self._core.receive_forwarded(letter.src, _expire(letter.src, letter.dst))
        self._fail(letter)

    def _fail(self, letter: _Letter) -> None:
        if letter.expiry is not None:
            letter.expiry.failed = True
        self._finish(letter)

    def _finish(self, letter: _Letter) -> None:
        if self._letters.pop(letter.number, None) is not None:
            self._sent.pop(letter.number, None)
            self.bytes -= len(letter.text)
            if letter.expiry is not None:
                letter.expiry.untold -= 1

    def _remember(self, id: str, node: str) -> None:
        self._places.pop(id, None)
        self._places[id] = node
        if len(self._places) > PLACES:
            del self._places[next(iter(self._places))]

    def _remember_parked(self, letter: _Letter, now: float) -> None:
        """Until it has been fetched or given up: should the store go, its sender is told."""
        pair = letter.src, letter.dst
        self._parked.pop(pair, None)  # the latest is the last
        if len(self._parked) + len(self._doubtful) < self._core.limits.waiting_messages_in_all:
            self._parked[pair] = now


@attrs.define(eq=False)
class Expiry:
    """Senders of messages for one id are being told that it never came."""

    dst: str
    untold: int = 0
    failed: bool = False
    "Whether one of them could not be told. The store has it done again."


@attrs.define(eq=False)
class _Letter:
    number: int
    src: str
    dst: str
    text: bytes = attrs.field(repr=False)
    waits: bool
    born: float
    sent: float = 0.0
    returned: bool = False
    "Whether it has been somewhere and was not taken."
    expiry: Expiry | None = None


@attrs.define(eq=False)
class _Receipts:
    arrived: list[int] = attrs.field(factory=list)
    strayed: list[int] = attrs.field(factory=list)


def _expire(src: str, dst: str) -> str:
    return messages.encode(messages.Expire(src=dst, dst=src))


ACKNOWLEDGE_TIMEOUT: Final = 1.0
"""Seconds. Two trips through a store that is near take a millisecond or two."""

EXPIRING: Final = 10.0
"""Seconds until the store has surely given up what it should: twice what one who does that has."""

BATCH_BYTES: Final = 512 * 1024
"""In one parcel. Redis holds up all others while it copies one, some 0.1 ms."""

PLACES: Final = 65_536
"""Ids whose node is remembered: as many as messages can wait. A hundred bytes each."""

_NOTHING: Final[deque[_Letter]] = deque()
_NO_RECEIPTS: Final = _Receipts()
