"""Signaling text into PeerProtocol, at any moment of a peer's life.

An input is lines. One that begins with ``!`` is what the application, WebRTC and the clock do,
as choices; any other is a message from the server. The first line may begin with ``#``: flags.
"""

from __future__ import annotations

from typing import Any, Final

from peerjs_proto import commands, events, messages
from peerjs_proto.backoff import Reconnect, Redial
from peerjs_proto.endpoint import Endpoint
from peerjs_proto.errors import (
    ConnectionClosed,
    DecodeError,
    Disconnected,
    LocalProtocolError,
)
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol

from .choices import Choices
from .watch_peer import PeerWatch

INVARIANT: Final = (
    "Whatever text a server sends, nothing is raised, what is refused changes nothing, "
    "an end is final, every wait has its deadline, and no more is held than Limits allow."
)

LIMITS: Final = Limits(
    signaling_bytes=16_384,
    nesting=12,
    candidate_bytes=400,
    early_candidates=2,
    early_connections=2,
    pending_connections=2,
    connections=3,
    redial_timeout=20.0,
)
REUSED, CALLS, NAMELESS, CLOSED, ONCE = 1, 2, 4, 8, 16


def check(data: bytes) -> None:
    lines = data.split(b"\n")
    flags = CALLS
    if lines[0].startswith(b"#"):
        flags = Choices(lines.pop(0)[1:]).below(256)
    life = _Life(flags)
    for line in lines:
        if line.startswith(b"!"):
            life.act(Choices(line[1:]))
        else:
            life.hear(line.decode("utf-8", "surrogateescape"))
    life.end()


class _Life:
    """One peer, from its start to its end."""

    def __init__(self, flags: int) -> None:
        self.now = 0.0
        self.core = PeerProtocol(
            Endpoint.parse("http://server.example/"),
            token="t",
            id=None if flags & NAMELESS else "bob",
            token_reused=bool(flags & REUSED),
            limits=LIMITS,
            media=bool(flags & CALLS),
            reconnect=None if flags & ONCE else Reconnect(attempts=4),
            random=lambda: 0.5,
        )
        self.watch = PeerWatch(self.core, LIMITS)
        self.core.start(self.now)
        if not flags & CLOSED:
            if flags & NAMELESS:
                self.core.receive_http(200, b"bob", self.now)
            self.core.socket_opened(self.now)
            if not flags & REUSED:
                self.core.receive_text('{"type":"OPEN"}', self.now)
        self.watch.drain()

    def hear(self, text: str) -> None:
        _survives_encoding(text)
        self.core.receive_text(text, self.now)
        asked, told = self.watch.drain()
        if any(isinstance(event, events.SignalingRefused) for event in told):
            # One of our own kind may be told so.
            assert all(_is_refusal(command) for command in asked), "what is refused changes nothing"
            # Whatever is relayed to us proves a registration: the one thing it may change.
            others = [e for e in told if not isinstance(e, events.SignalingRefused)]
            assert all(isinstance(event, events.PeerOpened) for event in others)

    def act(self, choices: Choices) -> None:
        try:
            self._act(choices)
        except (LocalProtocolError, ConnectionClosed, Disconnected):
            # Only the application's own doing raises, and then nothing has happened.
            assert self.watch.drain() == ([], [])
        asked, _ = self.watch.drain()
        early = sum(isinstance(command, commands.AddCandidate) for command in asked)
        assert early <= LIMITS.early_candidates

    def _act(self, choices: Choices) -> None:
        core, now = self.core, self.now
        op, number = choices.below(18), choices.one_of([*self.watch.known[::-1], 0])
        match op:
            case 0:
                core.accept(number, now)
            case 1:
                core.offer_made(number, "v=0")
            case 2:
                core.answer_made(number, "v=0")
            case 3:
                core.channel_opened(number, choices.one_of((16_384, 100, 0)))
            case 4:
                core.close(number, now, flush=choices.flip())
            case 5:
                self._pass(choices.one_of((0.3, 2.0, 5.0, 20.0, 130.0)))
            case 6:
                self.watch.dialled(self._connect(choices))
            case 7:
                self.watch.dialled(core.call("alice", connection_id=self._name(), now=now))
            case 8:
                core.media_connected(number)
            case 9:
                core.rtc_failed(number, "reason")
            case 10:
                core.channel_closed(number)
            case 11:
                core.socket_closed("reason", now)
            case 12:
                core.shut_down()
            case 16:
                core.disconnect()
            case 17:
                core.reconnect(now)
            case 13:
                core.receive_http(choices.one_of((200, 500)), choices.take(40), now)
            case 14:
                core.send(number, choices.value())
                while core.next_frame(number) is not None:
                    pass
            case _:
                core.receive_frame(number, choices.take(100), now)

    def _connect(self, choices: Choices) -> int:
        return self.core.connect(
            "alice",
            connection_id=self._name(),
            now=self.now,
            metadata=_nested(choices.below(16)),
            serialization=choices.one_of(("binary", "json", "raw")),
            reliable=choices.flip(),
            redial=Redial(timeout=20.0) if choices.flip() else None,
        )

    def _name(self) -> str:
        return f"c{len(self.watch.known)}"

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.core.handle_timeout(self.now)
        due = self.core.next_timeout()
        assert due is None or due > self.now, "what was due is done"

    def end(self) -> None:
        for number in self.watch.living - self.watch.offered:
            self.core.rtc_failed(number, "the end")
        self.watch.drain()
        # What others offered and nobody accepted goes by itself; and then nothing is left.
        self._pass(LIMITS.ring_timeout)
        self.watch.drain()
        assert not self.watch.living
        self.core.shut_down()
        self.watch.drain()
        assert self.core.next_timeout() is None


def _nested(depth: int) -> Any:
    return [_nested(depth - 1)] if depth else "metadata"


def _is_refusal(command: commands.Command) -> bool:
    if not isinstance(command, commands.SendText):
        return False
    said = messages.decode(command.text)
    extension = said.extension if isinstance(said, messages.Answer) else None
    return extension is not None and extension.refused is not None


def _survives_encoding(text: str) -> None:
    try:
        message: Any = messages.decode(text, LIMITS)
    except DecodeError:
        return
    assert messages.decode(messages.encode(message), LIMITS) == message
