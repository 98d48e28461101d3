"""What a core has to say, in order, until somebody takes it."""

from __future__ import annotations

from collections import deque

import attrs

from .commands import Command
from .events import Event

__all__ = ["Outbox"]


@attrs.define
class Outbox:
    """Shared by the parts of one peer, so that their words stay in order."""

    commands: deque[Command] = attrs.field(factory=deque)
    events: deque[Event] = attrs.field(factory=deque)
