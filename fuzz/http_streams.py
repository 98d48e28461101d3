"""HTTP over WebRTC: a core, its application, and a far side that breaks the rules it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from peerjs_proto import http_frames as frames
from peerjs_proto.errors import ConnectionClosed, LocalProtocolError
from peerjs_proto.http import HttpProtocol
from peerjs_proto.http_io import (
    BodyNotNeeded,
    CloseReceived,
    DataReceived,
    Drained,
    Ended,
    Failed,
    GoingAway,
    HttpEvent,
    HttpLimits,
    MessageReceived,
    Ready,
    RequestHead,
    RequestReceived,
    ResponseHead,
)

from .choices import Choices

INVARIANT: Final = (
    "Whatever frames come, in whatever order, nothing is raised, what is refused changes nothing, "
    "every stream ends once, an end is final, and no more is held than HttpLimits allow."
)

LIMITS: Final = HttpLimits(
    window=1100,
    frame_bytes=1024,
    head_bytes=400,
    headers=3,
    message_bytes=2000,
    answers=8,
    streams=3,
)
STREAMS: Final = 4
"That the far side allows, if it is a server."

HEADS: Final[tuple[bytes, ...]] = (
    b'{"method":"GET","path":"/"}',
    b'{"method":"GET","path":"/","websocket":true}',
    b'{"method":"POST","path":"/a?b","headers":[["a","b"],["a","\xc3\xa9"]]}',
    b'{"method":"HEAD","path":"/"}',
    b'{"status":200}',
    b'{"status":101}',
    b'{"status":204,"headers":[["x","y"]]}',
    b'{"status":200,"headers":[["a","b"],["a","b"],["a","b"],["a","b"]]}',
)


def check(data: bytes) -> None:
    play = _Play(Choices(data))
    while play.choices:
        play.act()
    play.end()


class _Play:
    """The core, and what has come of it so far."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.client = choices.flip()
        self.core = HttpProtocol(client=self.client, limits=LIMITS)
        self.known: list[int] = []
        "Streams, in the order in which they were opened."
        self.ended: set[int] = set()
        self.untaken: dict[int, int] = {}
        self.own_words = 0
        "RESETs and GOAWAYs that the application asked for, and that may wait."
        self.failed = False
        if choices.below(8):
            self.receive(b'\0\0\0\0\0{"versions":[1],"window":3000,"streams":4,"message":9000}')

    def act(self) -> None:
        choices = self.choices
        match choices.below(16):
            case 0 | 1 | 2 | 3 | 4 | 5:
                self.receive(self.frame())
            case 6:
                head = RequestHead("GET", "/", websocket=choices.flip())
                self.call(lambda core: self.known.append(core.request(head, end=choices.flip())))
            case 7 | 8:
                number, answer = self.stream(), ResponseHead(choices.one_of((200, 101, 204)))
                self.call(lambda core: core.respond(number, answer, end=choices.flip()))
            case 9:
                number, size = self.stream(), choices.below(3000)
                self.call(lambda core: core.send(number, bytes(size), end=choices.flip()))
            case 10:
                number, size = self.stream(), choices.below(3000)
                value: str | bytes = bytes(size) if choices.flip() else "\xe9" * size
                self.call(lambda core: core.send_message(number, value))
            case 11:
                number, code = self.stream(), choices.one_of((1000, 4999, 0))
                self.call(lambda core: core.close(number, code, choices.text()))
            case 12:
                number, code = self.stream(), choices.one_of((1, 0, -1, 0x10000))
                self.own_words += 1
                self.call(lambda core: core.reset(number, code, choices.text()))
            case 13:
                number, cost = self.stream(), choices.below(1200)
                self.call(lambda core: core.consumed(number, cost), took=(number, cost))
            case 14:
                for _ in range(1 + choices.below(20)):
                    frame = self.core.next_frame()
                    assert frame is None or len(frame) <= 65_536
                    self.examine()
            case _:
                self.part()

    def part(self) -> None:
        number = self.stream()
        self.own_words += 1
        match self.choices.below(16):
            case 0:
                self.call(lambda core: core.go_away(self.choices.text()))
            case 1:
                self.core.connection_lost()
                self.examine()
                assert self.core.next_frame() is None
            case _:
                self.call(lambda core: core.release(number))

    def end(self) -> None:
        self.core.connection_lost()
        self.examine()
        assert self.core.streams == 0
        assert self.core.next_frame() is None
        assert self.core.is_leaving

    # --- the far side ---------------------------------------------------------------------

    def stream(self) -> int:
        """A stream that there is, or may be, or one that there is not."""
        choice = self.choices.below(8)
        return self.known[-1 - choice] if choice < len(self.known) else choice - 1

    def number(self) -> int:
        """The same, as a frame can have it."""
        return max(0, self.stream())

    def frame(self) -> str | bytes:
        choices = self.choices
        match choices.below(16):
            case 0 | 1 | 2 if not self.client:
                number = self.core._highest + 1 + choices.below(2)
                return self.headed(frames.Type.REQUEST, number, HEADS[: len(HEADS) // 2])
            case 0 | 1 | 2 | 3:
                return self.headed(frames.Type.RESPONSE, self.number(), HEADS[4:])
            case 4 | 5 | 6:
                return frames.data_frame(self.number(), bytes(1 + choices.below(1018)), 0)
            case 7 | 8 | 9:
                number, flags = self.number(), choices.one_of((4, 1, 0, 2, 6, 3))
                return frames.data_frame(number, choices.take(choices.below(8)), flags)
            case 10:
                return frames.credit_frame(self.number(), choices.one_of((1, 5000, 0, 0xFFFFFFFF)))
            case 11:
                return frames.reset_frame(self.number(), choices.below(8), choices.text())
            case 12:
                code = choices.one_of((1000, 1005, 3))
                return frames.close_frame(self.number(), code, choices.text())
            case 13:
                return frames.go_away_frame(choices.below(3), choices.text())
            case 14:
                return choices.text()
            case _:
                return choices.take(1 + choices.below(60))

    def headed(self, type: frames.Type, number: int, heads: tuple[bytes, ...]) -> bytes:
        head = self.choices.one_of(heads)
        if self.choices.below(8) == 7:  # anything else in its place
            at = self.choices.below(len(head))
            head = head[:at] + self.choices.take(1 + self.choices.below(8)) + head[at + 1 :]
        return bytes((type,)) + number.to_bytes(4, "big") + bytes((self.choices.below(2),)) + head

    def receive(self, frame: str | bytes) -> None:
        self.core.receive_frame(frame)
        self.examine()

    # --- what must hold -------------------------------------------------------------------

    def call(
        self, what: Callable[[HttpProtocol], Any], took: tuple[int, int] | None = None
    ) -> None:
        before = repr(self.core.__dict__)
        try:
            what(self.core)
        except (LocalProtocolError, ConnectionClosed):
            assert repr(self.core.__dict__) == before, "what is refused changes nothing"
        else:
            if took is not None and took[0] in self.untaken:
                self.untaken[took[0]] -= took[1]
        self.examine()

    def examine(self) -> None:
        core = self.core
        while (event := core.next_event()) is not None:
            self.told(event)
        assert core.streams <= (STREAMS if self.client else LIMITS.streams)
        assert len(core._streams) <= 2 * LIMITS.streams
        assert len(core._frames) <= LIMITS.answers + 2 * LIMITS.streams + self.own_words + 2
        for number, stream in core._streams.items():
            held = self.untaken.get(number, 0) + len(stream.inflow._partial)
            assert held <= LIMITS.window + LIMITS.message_bytes
        if self.failed:
            assert core.streams == 0
            assert len(core._frames) <= 1
            assert core.is_leaving
            assert not core.can_request

    def told(self, event: HttpEvent) -> None:
        assert not self.failed, "an end is final"
        match event:
            case Failed():
                self.failed = True
                return
            case Ready() | GoingAway():
                return
            case RequestReceived(number):
                assert number not in self.known
                self.known.append(number)
                return
        assert isinstance(event, Drained) or event.stream not in self.ended
        match event:
            case DataReceived(number, _, cost) | MessageReceived(number, _, cost):
                self.untaken[number] = self.untaken.get(number, 0) + cost
            case BodyNotNeeded() | CloseReceived() | Ended():
                self.ended.add(event.stream)
                assert self.core.is_over(event.stream)
