"""Many clients of one ServerProtocol, interleaved in any way."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs

from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import ClientGone, SendText, ServerLimits

from .choices import Choices
from .watch_server import ServerWatch

INVARIANT: Final = (
    "However many clients come, go, speak and fall silent, every message reaches whom it is for, "
    "once, in order and under its sender's id, or its sender is told, and no more is held than "
    "ServerLimits allow."
)

LIMITS: Final = ServerLimits(
    message_bytes=2000,
    waiting_messages=3,
    waiting_bytes=1500,
    waiting_destinations=3,
    waiting_messages_in_all=4,
    waiting_bytes_in_all=2500,
)
CLIENTS: Final = 6
IDS: Final = ("a", "b", "c", "d", "e", "f", "g", "h")
GARBAGE: Final[tuple[str | bytes, ...]] = ("{", "null", '{"type":5}', b"\xff", "x" * 2001)
WAITING: Final = ("OFFER", "ANSWER", "CANDIDATE")


def check(data: bytes) -> None:
    crowd = _Crowd(Choices(data))
    while crowd.choices:
        crowd.act()
        if not crowd.choices.below(4):  # several inputs at a time are as good as one
            crowd.drain()
    crowd.end()


@attrs.define
class _Said:
    """A message some client sent."""

    sender: int
    src: str
    dst: str
    type: str
    arrived: bool = False
    told: bool = False
    "Its sender has had an EXPIRE from ``dst`` since."


class _Crowd:
    """A server, its clients, and every message between them by its serial number."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.now = 0.0
        self.server = ServerProtocol(concurrent_limit=CLIENTS, limits=LIMITS)
        self.watch = ServerWatch(self.server, LIMITS, CLIENTS)
        self.ids: dict[int, str] = {}
        "What every handle asked to be called, in or out."
        self.said: list[_Said] = []
        self.newest: dict[tuple[str, str], int] = {}
        "The last to arrive, by source and destination."
        self.gone: set[int] = set()

    def act(self) -> None:
        choices, server = self.choices, self.server
        op = choices.below(12)
        handle = choices.one_of(list(self.ids) or [0])
        if op < 3 or not handle:
            id, token = choices.one_of(IDS), choices.one_of("xxy")
            target = f"/peerjs?key=peerjs&id={id}&token={token}"
            self.ids[server.client_connected(target, self.now)] = id
            return
        match op:
            case 3:
                server.client_closed(handle)
            case 4:
                server.receive_message(handle, '{"type":"LEAVE"}', self.now)
            case 5:
                self._pass(choices.one_of((0.2, 1.0, 3.0, 7.0, 59.0)))
            case 6:
                garbage = choices.one_of(GARBAGE)
                server.receive_message(handle, garbage, self.now)
                self.drain()
                assert len(garbage) <= LIMITS.message_bytes or handle not in self.watch.clients
            case _:
                self._say(handle)

    def _say(self, handle: int) -> None:
        self.drain()  # who is on, decides
        choices = self.choices
        dst, type_ = choices.one_of(IDS), choices.one_of((*WAITING, *WAITING, "LEAVE", "EXPIRE"))
        payload = {"serial": len(self.said), "padding": "é" * choices.below(256)}
        message = {"type": type_, "dst": dst, "src": "forged", "payload": payload}
        if handle in self.watch.clients:
            self.said.append(_Said(handle, self.ids[handle], dst, type_))
        self.server.receive_message(handle, json.dumps(message), self.now)

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.server.handle_timeout(self.now)

    def drain(self) -> None:
        asked, told = self.watch.drain(self.now)
        for command in asked:
            if isinstance(command, SendText):
                self._hear(command.client, json.loads(command.text))
        self.gone |= {event.client for event in told if isinstance(event, ClientGone)}

    def _hear(self, handle: int, message: dict[str, Any]) -> None:
        payload = message.get("payload")
        if isinstance(payload, dict) and "serial" in payload:
            serial, said = payload["serial"], self.said[payload["serial"]]
            assert (message["type"], message["src"]) == (said.type, said.src)
            assert message["dst"] == said.dst == self.ids[handle]
            assert not said.arrived, "once"
            said.arrived = True
            assert self.newest.get((said.src, said.dst), -1) < serial, "in order"
            self.newest[said.src, said.dst] = serial
        elif message["type"] == "EXPIRE":
            for said in self.said:
                if (said.sender, said.dst) == (handle, message["src"]):
                    said.told = True

    def end(self) -> None:
        self.drain()
        for _ in range(8):  # silence for longer than messages wait, and shorter than clients may
            self._pass(1.0)
            self.drain()
        assert self.server.statistics().waiting_messages == 0
        for said in self.said:
            if said.type in WAITING and said.sender not in self.gone:
                assert said.arrived or said.told, "it arrives, or its sender is told"
        self.server.shut_down()
        self.drain()
        assert not self.watch.clients
        assert self.server.next_timeout() is None
