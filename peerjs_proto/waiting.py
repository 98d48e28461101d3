"""Messages that wait in a PeerServer for ids that may still come."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from .server_io import ServerLimits

__all__ = ["WaitingMessage", "WaitingMessages"]


@attrs.frozen
class WaitingMessage:
    src: str
    text: str = attrs.field(repr=False)


class WaitingMessages:
    """One queue for each absent id, all of them within :class:`~.server_io.ServerLimits`."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._queues: dict[str, _Queue] = {}
        self.messages = self.bytes = 0
        "In all."

    @property
    def destinations(self) -> int:
        return len(self._queues)

    def put(self, src: str, dst: str, text: str, now: float) -> bool:
        """Keep a message; False if there is no room for it."""
        limits, size = self._limits, len(text.encode())
        queue = self._queues.get(dst)
        if queue is None:
            if len(self._queues) >= limits.waiting_destinations or len(dst) > limits.id_length:
                return False
            queue = _Queue(now)
        if (
            len(queue.messages) >= limits.waiting_messages
            or queue.size + size > limits.waiting_bytes
            or self.messages >= limits.waiting_messages_in_all
            or self.bytes + size > limits.waiting_bytes_in_all
        ):
            return False
        self._queues[dst] = queue
        queue.messages.append(WaitingMessage(src, text))
        queue.size += size
        self.messages += 1
        self.bytes += size
        return True

    def take(self, dst: str) -> list[WaitingMessage]:
        """What waited for this id, in order; it does no longer."""
        queue = self._queues.pop(dst, None)
        if queue is None:
            return []
        self.messages -= len(queue.messages)
        self.bytes -= queue.size
        return queue.messages

    def take_older(self, than: float) -> Iterator[tuple[str, list[WaitingMessage]]]:
        """The same for every id whose first message came at this time or before."""
        for dst, queue in list(self._queues.items()):
            if queue.since <= than:
                yield dst, self.take(dst)


@attrs.define(eq=False)
class _Queue:
    since: float
    messages: list[WaitingMessage] = attrs.field(factory=list)
    size: int = 0
