"""Alice's end of one data connection, with nothing between a test and its core."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from peerjs_proto import commands, events
from peerjs_proto.errors import DecodeError, LimitExceeded, PeerError
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.serialization import SERIALIZATIONS
from peerjs_proto.serializer import CloseRequested, Frame, Incoming, Message, Outgoing, Serializer
from peerjs_proto.testing.world import ENDPOINT

__all__ = ["LIMITS", "Channel"]

LIMITS = Limits(
    connect_timeout=20.0,
    heartbeat_interval=1e9,  # not what is looked at here
    flush_timeout=30.0,
    flush_linger=0.25,
    partial_timeout=60.0,
)


class Channel:
    """Alice's end of a data connection to Bob, open at 0.0 s."""

    def __init__(
        self,
        serialization: str = "json",
        *,
        reliable: bool = True,
        limits: Limits = LIMITS,
        opened: bool = True,
    ) -> None:
        self.core = PeerProtocol(
            ENDPOINT,
            id="alice",
            token="t",
            limits=limits,
            serializations={**SERIALIZATIONS, "words": Words},
        )
        self.core.start(0.0)
        self.core.socket_opened(0.0)
        self.core.receive_text('{"type":"OPEN"}', 0.0)
        self.commands()
        self.events()
        self.number = self.core.connect(
            "bob",
            connection_id="dc_1",
            now=0.0,
            label="chat",
            metadata={"hi": 1},
            serialization=serialization,
            reliable=reliable,
        )
        if opened:
            self.core.offer_made(self.number, "ours")
            self.answer()
            self.core.channel_opened(self.number, 262_144)
            self.commands()
            self.events()

    def answer(self) -> None:
        payload = {"type": "data", "connectionId": "dc_1", "sdp": {"type": "answer", "sdp": "v"}}
        frame = {"type": "ANSWER", "src": "bob", "dst": "alice", "payload": payload}
        self.core.receive_text(json.dumps(frame), 0.0)

    def commands(self) -> list[commands.Command]:
        return list(iter(self.core.next_command, None))

    def events(self) -> list[events.Event]:
        return list(iter(self.core.next_event, None))

    def frames(self) -> list[Frame]:
        return list(iter(lambda: self.core.next_frame(self.number), None))

    def receive(self, frame: Frame, now: float) -> None:
        self.core.receive_frame(self.number, frame, now)

    def flush(self, now: float) -> None:
        self.core.close(self.number, now, flush=True)

    @property
    def due(self) -> float | None:
        """When this connection is due, or None: the server's heartbeats are far off."""
        due = self.core.next_timeout()
        return None if due == LIMITS.heartbeat_interval else due

    def is_closed(self, error: type[PeerError] | None = None, match: str = "") -> bool:
        """Whether it has ended, with such an error, and asked for the end of all under it."""
        told = self.events()
        if not told:
            return False
        (closed,) = told
        assert isinstance(closed, events.DataConnectionClosed)
        assert closed.connection == self.number
        assert type(closed.error) is (type(None) if error is None else error)
        assert match in str(closed.error)
        assert self.commands()[-1] == commands.CloseRtc(self.number)
        assert self.due is None
        return True


class Words(Serializer):
    """Many messages in one frame, ``bye`` among them; what is older than 5 s cannot be left out."""

    name = "words"

    def __init__(self, limits: Limits) -> None:
        self._since: float | None = None

    @property
    def deadline(self) -> float | None:
        return None if self._since is None else self._since + 5.0

    def encode(self, value: Any) -> Outgoing:
        return Outgoing(len(value), iter([*value.split(), " "]))

    def decode(self, frame: Frame, now: float) -> Iterable[Incoming]:
        for word in str(frame).split():
            if word == "bad":
                raise DecodeError("bad word")
            if word == "wait":
                self._since = now
            else:
                yield CloseRequested() if word == "bye" else Message(word, len(word))

    def expire(self, now: float) -> int:
        if self.deadline is not None and now >= self.deadline:
            raise LimitExceeded("waited in vain")
        return 0
