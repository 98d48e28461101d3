"""ServerProtocol under many clients, in any order, against a model."""

from __future__ import annotations

import json

import attrs
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import (
    CloseClient,
    HttpReply,
    HttpRequest,
    ServerCommand,
    ServerEvent,
    ServerLimits,
)
from tests.proto.server_clients import commands, events, message, target

LIMITS = ServerLimits(
    message_bytes=1000,
    waiting_messages=3,
    waiting_bytes=300,
    waiting_destinations=3,
    waiting_messages_in_all=6,
    waiting_bytes_in_all=700,
)
IDS = st.sampled_from(["a", "b", "c", "d", "e"])
TOKENS = st.sampled_from(["x", "y"])


@attrs.define
class ModelClient:
    id: str
    token: str
    seen: float


class ServerMachine(RuleBasedStateMachine):
    """Many clients in any order, against a model with the rules written down once more."""

    def __init__(self) -> None:
        super().__init__()
        self.server = ServerProtocol(
            concurrent_limit=4,
            alive_timeout=8.0,
            rooms="named",
            room_secret=b"sixteen bytes or more",
            limits=LIMITS,
        )
        self.now = 0.0
        self.clients: dict[int, ModelClient] = {}
        self.queues: dict[str, tuple[float, list[tuple[str, str]]]] = {}
        self.handles: list[int] = []
        self.room: list[str] = []

    def expect(self, *expected: tuple[int, str | None]) -> None:
        """That these are all commands: a message by its type and src, or a close (None)."""
        got: list[tuple[int, str | None]] = []
        for command in commands(self.server):
            if isinstance(command, CloseClient):
                got.append((command.client, None))
            else:
                said = json.loads(command.text)
                got.append((command.client, f"{said['type']} {said.get('src', '')}".strip()))
        assert got == list(expected)

    def handle_of(self, id: str) -> int | None:
        return next((handle for handle, c in self.clients.items() if c.id == id), None)

    @rule(id=IDS, token=TOKENS)
    def connect(self, id: str, token: str) -> None:
        handle = self.server.client_connected(target(id, token), self.now)
        assert handle not in self.handles
        self.handles.append(handle)
        older = self.handle_of(id)
        if older is not None and self.clients[older].token != token:
            self.expect((handle, "ID-TAKEN"), (handle, None))
            return
        if older is None and len(self.clients) == 4:
            self.expect((handle, "ERROR"), (handle, None))
            return
        closed: list[tuple[int, str | None]] = []
        if older is not None:
            closed = [(older, "ID-TAKEN"), (older, None)]
            del self.clients[older]
        self.clients[handle] = ModelClient(id, token, self.now)
        waiting = self.queues.pop(id, (0.0, []))[1]
        said = [(handle, f"OFFER {src}") for src, _ in waiting]
        self.expect(*closed, (handle, "OPEN"), *said)

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        handle = data.draw(st.sampled_from(self.handles))
        self.server.client_closed(handle)
        self.clients.pop(handle, None)
        self.expect()

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), dst=IDS, payload=st.text("xé", max_size=200))
    def offer(self, data: st.DataObject, dst: str, payload: str) -> None:
        handle = data.draw(st.sampled_from(self.handles))
        self.server.receive_message(handle, message("OFFER", dst, payload, src="forged"), self.now)
        sender = self.clients.get(handle)
        if sender is None:
            self.expect()
            return
        sender.seen = self.now
        receiver = self.handle_of(dst)
        if receiver is not None:
            self.expect((receiver, f"OFFER {sender.id}"))
            return
        text = json.dumps(
            {"type": "OFFER", "src": sender.id, "dst": dst, "payload": payload},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        queues = {id: list(queue) for id, (_, queue) in self.queues.items()}
        queues.setdefault(dst, []).append((sender.id, text))
        sizes = {id: sum(len(t.encode()) for _, t in queue) for id, queue in queues.items()}
        if (
            len(queues) <= 3
            and len(queues[dst]) <= 3
            and sizes[dst] <= 300
            and sum(map(len, queues.values())) <= 6
            and sum(sizes.values()) <= 700
        ):
            _, queue = self.queues.setdefault(dst, (self.now, []))
            queue.append((sender.id, text))
            self.expect()
        else:
            self.expect((handle, f"EXPIRE {dst}"))

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), garbage=st.sampled_from(["null", "5", "{", '{"type":"X"}', b"\xff"]))
    def babble(self, data: st.DataObject, garbage: str | bytes) -> None:
        handle = data.draw(st.sampled_from(self.handles))
        self.server.receive_message(handle, garbage, self.now)
        if handle in self.clients:
            self.clients[handle].seen = self.now
        self.expect()

    @rule(bad=st.sampled_from(["", "?", "?id=a&token=x", "?key=no&id=a&token=x"]))
    def stranger(self, bad: str) -> None:
        handle = self.server.client_connected(f"/peerjs{bad}", self.now)
        self.handles.append(handle)
        self.expect((handle, "ERROR"), (handle, None))

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), dst=IDS)
    def tell_of_an_end(self, data: st.DataObject, dst: str) -> None:
        """LEAVE for somebody is handed on, or forgotten: nobody waits for it."""
        handle = data.draw(st.sampled_from(self.handles))
        self.server.receive_message(handle, message("LEAVE", dst), self.now)
        sender, receiver = self.clients.get(handle), self.handle_of(dst)
        if sender is not None:
            sender.seen = self.now
        if sender is not None and receiver is not None:
            self.expect((receiver, f"LEAVE {sender.id}"))
        else:
            self.expect()

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), character=st.sampled_from(["x", "é"]))
    def say_too_much(self, data: st.DataObject, character: str) -> None:
        handle = data.draw(st.sampled_from(self.handles))
        self.server.receive_message(handle, message("OFFER", "a", character * 1000), self.now)
        self.expect(*([(handle, None)] if self.clients.pop(handle, None) else []))

    @precondition(lambda self: len(self.clients) > 2)
    @rule()
    def shut_down(self) -> None:
        self.server.shut_down()
        self.expect(*((handle, None) for handle in self.clients))
        assert self.server.next_timeout() is None
        self.clients.clear()
        self.queues.clear()

    @precondition(lambda self: self.handles)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        handle = data.draw(st.sampled_from(self.handles))
        self.server.receive_message(handle, '{"type":"LEAVE"}', self.now)
        self.expect(*([(handle, None)] if self.clients.pop(handle, None) else []))

    @rule(seconds=st.sampled_from([0.0, 0.4, 1.0, 3.0, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = self.server.next_timeout()
        self.server.handle_timeout(self.now)
        if due is None or self.now < due:
            self.expect()
            return
        said: list[tuple[int, str | None]] = []
        for handle, client in list(self.clients.items()):
            if self.now - client.seen >= 8.0:
                del self.clients[handle]
                said.append((handle, None))
        for id, (since, queue) in list(self.queues.items()):
            if self.now - since >= 5.0:
                del self.queues[id]
                for src in dict.fromkeys(src for src, _ in queue):
                    sender = self.handle_of(src)
                    if sender is not None:
                        said.append((sender, f"EXPIRE {id}"))
        self.expect(*said)

    def ask_of_room(self, method: str, id: str, token: str, action: str) -> HttpReply:
        request = HttpRequest(method, f"/peerjs/{id}/{token}/room/chess/{action}")
        return self.server.respond(request, fresh_id=lambda: "f", now=self.now, network="192.0.2.1")

    @rule(id=IDS, token=TOKENS, action=st.sampled_from(["join", "leave"]))
    def join_or_leave(self, id: str, token: str, action: str) -> None:
        reply = self.ask_of_room("POST", id, token, action)
        handle = self.handle_of(id)
        if handle is None or self.clients[handle].token != token:
            assert reply.status == 401
        elif action == "leave":
            assert json.loads(reply.body) == {"wasInRoom": id in self.room}
            self.room = [other for other in self.room if other != id]
        else:
            self.room += [] if id in self.room else [id]
            assert json.loads(reply.body) == {"clientsIds": self.room}
        self.expect()

    @invariant()
    def in_a_room_is_who_joined_and_is_still_there(self) -> None:
        self.room = [id for id in self.room if self.handle_of(id) is not None]
        for client in self.clients.values():
            reply = self.ask_of_room("GET", client.id, client.token, "members")
            assert json.loads(reply.body) == self.room

    @invariant()
    def it_holds_what_the_model_holds(self) -> None:
        events(self.server)
        counted = self.server.statistics()
        assert counted.clients == len(self.clients) <= 4
        assert counted.waiting_destinations == len(self.queues) <= 3
        messages = [text for _, queue in self.queues.values() for _, text in queue]
        assert counted.waiting_messages == len(messages) <= 6
        assert counted.waiting_bytes == sum(len(text.encode()) for text in messages) <= 700

    @invariant()
    def it_wakes_when_there_is_something_to_look_after(self) -> None:
        due = self.server.next_timeout()
        if self.clients or self.queues:
            assert due is not None
            assert due <= self.now + 1.0


TestServerMachine = ServerMachine.TestCase
TestServerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcz"), st.booleans()), max_size=12))
def test_several_inputs_before_a_drain_say_the_same(steps: list[tuple[int, str, bool]]) -> None:
    def play(*, drain: bool) -> tuple[list[ServerCommand], list[ServerEvent]]:
        server = ServerProtocol()
        said: list[ServerCommand] = []
        happened: list[ServerEvent] = []
        clients = [server.client_connected(target(id), 0.0) for id in "abc"]
        for now, (who, dst, leaves) in enumerate(steps):
            text = '{"type":"LEAVE"}' if leaves else message("OFFER", dst)
            server.receive_message(clients[who], text, float(now))
            server.handle_timeout(float(now))
            if drain:
                said += commands(server)
                happened += events(server)
        return said + commands(server), happened + events(server)

    assume(steps)
    assert play(drain=True) == play(drain=False)
