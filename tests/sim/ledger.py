"""What was sent and what arrived, connection by connection: in order, once, and nothing else."""

from __future__ import annotations

from typing import Any, Final

import attrs

from peerjs_proto.errors import PeerError

from .violation import Violation

__all__ = ["LARGE_FRAME", "End", "Ledger", "message"]

LARGE_FRAME: Final = 40_100
"Bytes, at most, of a message that ``raw`` sends in one frame."


@attrs.define(eq=False)
class End:
    """One peer's end of one data connection, as its application sees it."""

    key: str
    "Names it among all ends of a run."
    host: str
    id: str | None
    "The peer's."
    far_id: str
    connection_id: str
    dialled: bool
    reliable: bool
    serialization: str
    redials: bool
    "Whether its dialler asked for that; False at the end that was dialled."
    opened: bool = False
    interrupted: bool = False
    "It has no path at present, and is to have another."
    sent: int = 0
    received: int = 0
    seen: set[int] = attrs.field(factory=set)
    "Numbers received, where order is not kept."
    far: End | None = None
    "Whose messages arrive here."
    flushed: bool = False
    "Closed by its own application, once everything has arrived."
    closed: bool = False
    "Closed by its own application at once, or gone with its process."
    ended: bool = False
    error: PeerError | None = None


class Ledger:
    """All ends of one run."""

    def __init__(self) -> None:
        self.ends: dict[str, End] = {}

    def add(self, end: End) -> End:
        self.ends[end.key] = end
        return end

    def receive(self, end: End, value: Any) -> None:
        """Check a message that has arrived there."""
        sender, number = self._origin(end, value)
        where = f"{end.key} from {sender.key}"
        if number >= sender.sent:
            raise Violation(f"nothing is invented: message {number} at {where}")
        if value != message(sender, number):
            raise Violation(f"what arrives is what was sent: message {number} at {where}")
        if end.reliable:
            if number != end.received:
                raise Violation(
                    f"reliable connections deliver in order, each once: "
                    f"message {number} instead of {end.received} at {where}"
                )
        elif number in end.seen:
            raise Violation(f"no message arrives twice: {number} at {where}")
        else:
            end.seen.add(number)
        end.received += 1

    def check_whole(self, sender: End) -> None:
        """All that was sent there has arrived at the other end."""
        got = 0 if sender.far is None else sender.far.received
        if got != sender.sent:
            raise Violation(
                f"everything arrives in the end: {got} of {sender.sent} messages of {sender.key}"
            )

    def check_flushed(self) -> None:
        """Whoever closed by flushing, and heard of no error, was heard to the end.

        Unless the far side's application had closed the connection itself, or was killed.
        """
        by_connection: dict[str, list[End]] = {}
        for end in self.ends.values():
            by_connection.setdefault(end.connection_id, []).append(end)
        for end in self.ends.values():
            flushed = end.flushed and not end.closed and end.opened
            if flushed and end.ended and end.error is None:
                others = by_connection[end.connection_id]
                far = [other for other in others if other.dialled is not end.dialled]
                if not any(other.closed or other.error is not None for other in far):
                    self.check_whole(end)

    def _origin(self, end: End, value: Any) -> tuple[End, int]:
        """Whose message this is, and its number."""
        key, number = value.strip("\0").split()[:2] if isinstance(value, str) else value[:2]
        sender = self.ends.get(key)
        if sender is None or sender.connection_id != end.connection_id:
            raise Violation(f"nothing is invented: a message of {key} at {end.key}")
        if end.far is None and sender.far is None:
            end.far, sender.far = sender, end
        if end.far is not sender or sender.far is not end:
            raise Violation(f"no connection has two far sides: {end.key} and {sender.key}")
        return sender, int(number)


_SIZES = (0, 10, 100, 1000)


def message(end: End, number: int) -> Any:
    """The value that an end sends as its message of that number: some of them in chunks."""
    large = number % 23 == 7 and end.serialization != "json"
    size = LARGE_FRAME - 100 if large else _SIZES[number % 4]
    if end.serialization == "raw":
        # Text that begins so has to be told from the cores' own words.
        mark = "\0" * (number % 3)
        return f"{mark}{end.key} {number} {'.' * size}"
    return [end.key, number, "." * size]
