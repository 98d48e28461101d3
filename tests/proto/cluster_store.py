"""The store of a cluster in memory: what ``peerjs_trio/bus/exchange.lua`` does, in Python.

``tests/bus/test_exchange.py`` holds it against that on a real Redis.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import attrs

__all__ = ["Holder", "Store"]

EXPIRING = 5000
SWEPT_IDS, SWEPT_LISTS = 1000, 20


@attrs.define
class Holder:
    node: str
    nonce: str
    digest: str


@attrs.define
class Waiting:
    number: int
    time: int
    src: str
    text: bytes


class Store:
    """Takes the arguments of an exchange; keeps what is published in ``published``."""

    def __init__(self) -> None:
        self.now = 1_000_000
        "Milliseconds."
        self.published: list[tuple[str, bytes]] = []
        self.listening: set[str] | None = None
        "Names of the nodes whose channels are heard; None for anybody's."
        self.ids: dict[str, Holder] = {}
        self.nodes: dict[str, int] = {}
        self.at: defaultdict[str, set[str]] = defaultdict(set)
        self.waiting: dict[str, list[Waiting]] = {}
        self.due: dict[str, int] = {}
        self.number = 0
        self.rooms: dict[str, list[str]] = {}

    def exchange(self, arguments: Sequence[str | bytes | int]) -> list[Any]:
        """The replies, as coredis has them."""
        self.me = str(arguments[0])
        self.lease, self.expire, *self.limits = (int(number) for number in arguments[1:8])
        replies = []
        rest = list(arguments[8:])
        while rest:
            request = getattr(self, f"do_{rest.pop(0)!s}")
            count = request.__code__.co_argcount - 1
            replies.append(request(*rest[:count]))
            del rest[:count]
        return replies

    # --- requests -----------------------------------------------------------------------------

    def do_tend(self) -> list[Any]:
        had_lease = int(self.is_alive(self.me))
        self.nodes[self.me] = self.now + self.lease
        self.do_publish(self.me, b"T")
        again = 0
        gone = sorted((end, node) for node, end in self.nodes.items() if end <= self.now)[:1]
        for _, node in gone:
            again = 1
            left = list(self.at[node])[:SWEPT_IDS]
            for id in left:
                self.at[node].discard(id)
                if id in self.ids and self.ids[id].node == node:
                    del self.ids[id]
                    self.leave_rooms(id)
            if len(left) < SWEPT_IDS:
                del self.nodes[node], self.at[node]
        lists = sorted((end, dst) for dst, end in self.due.items() if end <= self.now)[:SWEPT_LISTS]
        if len(lists) == SWEPT_LISTS:
            again = 1
        reply: list[Any] = [had_lease, again]
        for _, dst in lists:
            self.due[dst] = self.now + EXPIRING
            messages = self.waiting.get(dst, [])
            expiry: list[Any] = [dst.encode(), messages[-1].number if messages else 0]
            for src in dict.fromkeys(message.src for message in messages):
                if (home := self.home(src)) is not None:
                    expiry += [src.encode(), home.encode()]
            reply.append(expiry)
        return reply

    def do_claim(self, id: str, nonce: str, digest: str, again: int) -> list[int]:
        older = self.ids.get(id)
        if older is not None and older.nonce != nonce:
            if self.is_alive(older.node) and (older.digest != digest or again):
                return [0, 0]
            if older.digest != digest:
                self.leave_rooms(id)
            if older.node != self.me:
                self.do_publish(older.node, f"M{older.nonce} {id}".encode())
        if older is not None and older.node != self.me:
            self.at[older.node].discard(id)
        self.ids[id] = Holder(self.me, nonce, digest)
        self.at[self.me].add(id)
        return [1, int(id in self.waiting)]

    def do_release(self, id: str, nonce: str) -> int:
        holder = self.ids.get(id)
        if holder is not None and (holder.node, holder.nonce) == (self.me, nonce):
            del self.ids[id]
            self.at[self.me].discard(id)
            self.leave_rooms(id)
        return 1

    def do_route(self, src: str, dst: str, how: str, text: bytes) -> int | bytes:
        node = self.home(dst)
        other = node if node != self.me else None
        if how == "never":
            return other.encode() if other else -1
        if other and how != "wait":
            return other.encode()
        parked = self.park(src, dst, text)
        if node and parked:
            self.do_publish(node, b"F" + dst.encode())
        return parked

    def do_publish(self, node: str, data: bytes) -> int:
        heard = self.listening is None or node in self.listening
        if heard:
            self.published.append((node, data))
        return int(heard)

    def do_fetch(self, id: str) -> list[Any]:
        reply: list[Any] = []
        if self.home(id) == self.me:
            for message in self.waiting.get(id, []):
                reply += [message.number, message.text]
        return reply

    def do_forget(self, dst: str, last: int) -> int:
        left = [message for message in self.waiting.get(dst, []) if message.number > last]
        if left:
            self.waiting[dst] = left
            self.due[dst] = left[0].time + self.expire
        else:
            self.waiting.pop(dst, None)
            self.due.pop(dst, None)
        return 1

    def do_everybody(self) -> list[bytes]:
        return [id.encode() for id, holder in self.ids.items() if self.is_alive(holder.node)]

    def do_room(
        self,
        action: str,
        id: str,
        digest: str,
        name: str,
        is_open: int,
        max_members: int,
        max_rooms: int,
    ) -> list[Any]:
        if self.home(id) is None:
            return [b"UNKNOWN"]
        if self.ids[id].digest != digest:
            return [b"BAD_TOKEN"]
        members = self.rooms.get(name, [])
        was = int(id in members)
        if action == "leave":
            self.rooms[name] = [member for member in members if member != id]
            return [b"", was]
        members = [member for member in members if self.home(member) is not None]
        if action == "join":
            if not is_open:
                return [b"CLOSED"]
            if not was:
                if len(members) >= max_members:
                    return [b"FULL"]
                if sum(id in others for others in self.rooms.values()) >= max_rooms:
                    return [b"TOO_MANY"]
                members.append(id)
        elif not is_open and not was:
            return [b"", 0]
        self.rooms[name] = members
        return [b"", was, *(member.encode() for member in members)]

    def do_leave(self) -> int:
        self.nodes[self.me] = 0
        return 1

    # --- what they share ----------------------------------------------------------------------

    def is_alive(self, node: str) -> bool:
        return self.nodes.get(node, 0) > self.now

    def home(self, id: str) -> str | None:
        holder = self.ids.get(id)
        return holder.node if holder is not None and self.is_alive(holder.node) else None

    def leave_rooms(self, id: str) -> None:
        for members in self.rooms.values():
            if id in members:
                members.remove(id)

    def park(self, src: str, dst: str, text: bytes) -> int:
        max_messages, max_bytes, max_ids, max_messages_in_all, max_bytes_in_all = self.limits
        messages = self.waiting.get(dst, [])
        everything = [message for one in self.waiting.values() for message in one]
        if (
            len(messages) >= max_messages
            or (not messages and len(self.due) >= max_ids)
            or sum(len(message.text) for message in messages) + len(text) > max_bytes
            or len(everything) >= max_messages_in_all
            or sum(len(message.text) for message in everything) + len(text) > max_bytes_in_all
        ):
            return 0
        self.number += 1
        if not messages:
            self.due[dst] = self.now + self.expire
        self.waiting[dst] = [*messages, Waiting(self.number, self.now, src, text)]
        return 1
