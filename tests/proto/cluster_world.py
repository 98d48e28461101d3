"""Servers on one store, in memory: every call and every word between them is a step of its own."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import attrs

from peerjs_proto.cluster import ClusterNode
from peerjs_proto.cluster_io import Claim, Exchange
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import (
    DEFAULT_SERVER_LIMITS,
    ClientGone,
    ClientRefused,
    CloseClient,
    Credentials,
    SendText,
    ServerLimits,
)

from .cluster_store import Store
from .server_clients import message, target

__all__ = ["Server", "World"]


@attrs.define(eq=False)
class Client:
    """What one socket was sent."""

    id: str
    token: str
    claim: Claim
    handle: int | None = None
    texts: list[dict[str, Any]] = attrs.field(factory=list)
    is_closed: bool = False


class Server:
    """A hub: one core, one node, its clients."""

    def __init__(self, world: World, limits: ServerLimits, *, counted: bool) -> None:
        self.core = ServerProtocol(limits=limits)
        self.node = ClusterNode(self.core, counted=counted)
        self.name = ""
        self.clients: dict[int, Client] = {}
        self.joining: dict[Claim, Client] = {}
        self.pending: tuple[Exchange, list[Any]] | None = None
        "An exchange that the store has answered, while the answer is on its way."
        self.inbox: deque[bytes] = deque()
        self._world = world

    def connect(self) -> None:
        self.name = self._world.new_name()
        self.inbox.clear()
        self._world.store_listens()
        self.node.connected(self.name, self._world.now)
        self.perform()

    def disconnect(self) -> None:
        self.name, self.pending = "", None
        self._world.store_listens()
        self.node.disconnected()
        self.perform()

    def join(self, id: str, token: str = "t") -> Client:
        claim = self.node.claim(Credentials(id, token, "peerjs"), self._world.new_name())
        client = self.joining[claim] = Client(id, token, claim)
        self.perform()
        return client

    def leave(self, client: Client) -> None:
        if client.handle is None:
            del self.joining[client.claim]
            self.node.release(client.claim)
        else:
            self.core.client_closed(client.handle)
        client.is_closed = True
        self.perform()

    def send(self, client: Client, type: str, dst: str, payload: Any = None) -> None:
        assert client.handle is not None
        text = message(type, dst, payload)
        self.core.receive_message(client.handle, text, self._world.now)
        self.perform()

    def ask(self) -> bool:
        """Have the store answer what there is to ask."""
        if self.pending is None and self.name:
            exchange = self.node.next_exchange(self._world.now)
            if exchange is not None:
                self.pending = exchange, self._world.store.exchange(exchange.arguments)
                self._world.carry()
                return True
        return False

    def hear_answer(self) -> bool:
        if self.pending is None:
            return False
        (exchange, replies), self.pending = self.pending, None
        self.node.answered(exchange, replies, self._world.now)
        self.perform()
        return True

    def hear_word(self) -> bool:
        if not self.inbox:
            return False
        self.node.receive(self.inbox.popleft(), self._world.now)
        self.perform()
        return True

    def perform(self) -> None:
        while (open := self.node.next_settled()) is not None:
            if isinstance(open, Claim) and open in self.joining:
                client = self.joining.pop(open)
                if open.granted:
                    self._register(client)
                else:
                    client.is_closed = True
        self._carry_out()

    def _carry_out(self) -> None:
        while (command := self.core.next_command()) is not None:
            match command:
                case SendText(handle, text):
                    self.clients[handle].texts.append(json.loads(text))
                case CloseClient(handle):
                    self.clients[handle].is_closed = True
        while (event := self.core.next_event()) is not None:
            if isinstance(event, ClientGone | ClientRefused):
                client = self.clients.pop(event.client)
                client.is_closed = True
                self.node.release(client.claim)
        while (forward := self.core.next_forward()) is not None:
            self.node.forward(forward, self._world.now)

    def _register(self, client: Client) -> None:
        handle = self.core.client_connected(target(client.id, client.token), self._world.now)
        client.handle = handle
        self.clients[handle] = client
        self._carry_out()
        if handle in self.clients:
            self.node.registered(client.claim, handle)
            self._carry_out()


class World:
    def __init__(
        self,
        servers: int = 2,
        *,
        limits: ServerLimits = DEFAULT_SERVER_LIMITS,
        counted: bool = True,
    ) -> None:
        self.now = 0.0
        self.store = Store()
        self._names = 0
        self._limits, self._counted = limits, counted
        self.servers = [Server(self, limits, counted=counted) for _ in range(servers)]
        for server in self.servers:
            server.connect()
        self.settle()

    def new_name(self) -> str:
        self._names += 1
        return f"n{self._names}"

    def store_listens(self) -> None:
        self.store.listening = {server.name for server in self.servers if server.name}

    def carry(self) -> None:
        """What was published is in the inboxes of those it is for."""
        for name, data in self.store.published:
            for server in self.servers:
                if server.name == name:
                    server.inbox.append(data)
        self.store.published.clear()

    def restart_store(self) -> None:
        """It forgets all; everybody notices."""
        now = self.store.now
        self.store = Store()
        self.store.now = now
        for server in self.servers:
            if server.name:
                server.disconnect()

    def kill(self, server: Server) -> Server:
        """The server ends without a word; another one takes its place."""
        place = self.servers.index(server)
        for client in [*server.clients.values(), *server.joining.values()]:
            client.is_closed = True
        self.servers[place] = Server(self, self._limits, counted=self._counted)
        self.store_listens()
        return self.servers[place]

    def settle(self) -> None:
        """Until nothing happens any more but by time."""
        while any(s.ask() | s.hear_answer() | s.hear_word() for s in self.servers):
            pass

    def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due in it."""
        end = self.now + seconds
        while self.now < end:
            self.tick(min(0.25, end - self.now))
            self.settle()

    def tick(self, seconds: float) -> None:
        """Let time pass, and nothing else."""
        self.now += seconds
        self.store.now += round(seconds * 1000)
        for server in self.servers:
            server.core.handle_timeout(self.now)
            server.node.handle_timeout(self.now)
            server.perform()
