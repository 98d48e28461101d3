"""One PeerServer: who is registered, who gets which message, and who waits for whom.

Pure, as everything in this package: a runtime accepts sockets, reads frames and keeps time::

    client = server.client_connected(target, now)       # a WebSocket was accepted
    server.receive_message(client, text, now)           # a frame came
    server.client_closed(client)                        # its socket is gone
    server.handle_timeout(now)                          # at next_timeout(), or whenever
    reply = server.respond(request, fresh_id=...)       # any other HTTP request

After any of them it carries out :meth:`ServerProtocol.next_command` and may look at
:meth:`~ServerProtocol.next_event`, each until None, and sleeps until
:meth:`~ServerProtocol.next_timeout`. Inputs about a client the core has closed are ignored:
they crossed the command on their way.

Rules from peer 1.0.2, ``src/services``, ``src/messageHandler`` and ``src/api``. Ours differs where
that one fails its users: a client that comes back with its token gets OPEN, and its older socket
is closed; nothing a client sends can end the server; everything that grows has a bound.
"""

from __future__ import annotations

import hmac
from collections import deque
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import attrs

from . import jsontext, messages
from .endpoint import DEFAULT_KEY, validate_id
from .errors import DecodeError, InvalidId, LocalProtocolError
from .server_http import HttpApi, split_target
from .server_io import (
    DEFAULT_SERVER_LIMITS,
    ClientGone,
    ClientRefused,
    ClientRegistered,
    CloseClient,
    Departure,
    Fault,
    HttpReply,
    HttpRequest,
    MessageRefused,
    QueueExpired,
    Refusal,
    SendText,
    ServerCommand,
    ServerEvent,
    ServerLimits,
    ServerStatistics,
)

__all__ = ["ServerProtocol"]


class ServerProtocol:
    """All clients of one server. See the module's text for the contract."""

    def __init__(
        self,
        *,
        path: str = "/",
        key: str = DEFAULT_KEY,
        allow_discovery: bool = False,
        alive_timeout: float = 60.0,
        expire_timeout: float = 5.0,
        concurrent_limit: int = 5000,
        routes: Mapping[str, HttpReply] = {},
        limits: ServerLimits = DEFAULT_SERVER_LIMITS,
    ) -> None:
        """
        Args:
            path: Under which everything is, with or without slashes around it.
            key: What clients must present.
            allow_discovery: Whether ``GET {path}{key}/peers`` lists the ids.
            alive_timeout: Seconds without a message (clients send HEARTBEATs) until a client
                is dropped. peer's CLI has 60, its library 90.
            expire_timeout: Seconds messages wait for an absent id.
            concurrent_limit: Clients at once.
            routes: Other things to GET, by path; they win over the API.

        Raises:
            LocalProtocolError: for a key that cannot be part of a path, or a limit below zero.
        """
        if not key or "/" in key:
            raise LocalProtocolError("the key of a PeerServer is not empty and has no slash")
        if alive_timeout <= 0 or expire_timeout <= 0 or concurrent_limit < 0:
            raise LocalProtocolError("the timeouts and limits of a PeerServer are positive")
        self._api = HttpApi(path, key, allow_discovery, routes)
        self._key = key
        self._alive_timeout = alive_timeout
        self._expire_timeout = expire_timeout
        self._concurrent_limit = concurrent_limit
        self._limits = limits

        self._clients: dict[int, _Client] = {}
        self._by_id: dict[str, _Client] = {}
        self._queues: dict[str, _Queue] = {}
        self._last_handle = 0
        self._waiting_messages = self._waiting_bytes = 0
        self._relayed = self._refused = self._expired = 0
        self._commands: deque[ServerCommand] = deque()
        self._events: deque[ServerEvent] = deque()
        # peer looks for silent clients and old queues periodically; so does this, every second
        # or as often as the timeouts ask for.
        self._sweep_interval = min(1.0, alive_timeout, expire_timeout)
        self._sweep_at: float | None = None

    # --- out ----------------------------------------------------------------------------------

    def next_command(self) -> ServerCommand | None:
        """What the runtime has to do next; None for now nothing more."""
        return self._commands.popleft() if self._commands else None

    def next_event(self) -> ServerEvent | None:
        """What happened next; None for now nothing more."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float | None:
        """When to call :meth:`handle_timeout`; None while nobody is here and nothing waits."""
        return self._sweep_at

    def statistics(self) -> ServerStatistics:
        """How things stand."""
        return ServerStatistics(
            clients=len(self._clients),
            waiting_destinations=len(self._queues),
            waiting_messages=self._waiting_messages,
            waiting_bytes=self._waiting_bytes,
            relayed=self._relayed,
            refused=self._refused,
            expired=self._expired,
        )

    # --- clients come and go ------------------------------------------------------------------

    def client_connected(self, target: str, now: float) -> int:
        """A WebSocket was accepted for ``target``; the handle is how to speak of it from now on.

        Registers the client, or sends it an ERROR or ID-TAKEN and closes it.
        """
        self._last_handle += 1
        handle = self._last_handle
        asked = self._examine(target)
        if isinstance(asked, Refusal):
            self._turn_away(handle, asked)
            return handle
        id, token = asked
        older = self._by_id.get(id)
        if older is not None:
            if not hmac.compare_digest(older.token, token):
                self._turn_away(handle, Refusal.ID_TAKEN)
                return handle
            # Where it is another program that took the token, it must not come back for the id.
            self._commands.append(SendText(older.handle, _ID_TAKEN))
            self._dismiss(older, Departure.REPLACED)
        elif len(self._clients) >= self._concurrent_limit:
            self._turn_away(handle, Refusal.FULL)
            return handle
        client = _Client(handle, id, token, now)
        self._clients[handle] = self._by_id[id] = client
        self._arm(now)
        self._commands.append(SendText(handle, _OPEN))
        self._events.append(ClientRegistered(handle, id, older.handle if older else None))
        self._deliver_waiting(client)
        return handle

    def client_closed(self, client: int) -> None:
        """The client's socket is gone, for whatever reason. Legal more than once."""
        found = self._find(client)
        if found is not None:
            self._forget(found, Departure.DISCONNECTED)

    def shut_down(self) -> None:
        """Close every client; the server is going away."""
        for client in list(self._clients.values()):
            self._dismiss(client, Departure.SHUTDOWN)
        self._queues.clear()
        self._waiting_messages = self._waiting_bytes = 0
        self._sweep_at = None

    def _examine(self, target: str) -> tuple[str, bytes] | Refusal:
        """The id and token a client asks for, or why it cannot have them."""
        # Of equal names the last one wins, as in JavaScript's Object.fromEntries.
        query = dict(parse_qsl(split_target(target)[1], keep_blank_values=True))
        id, token, key = query.get("id"), query.get("token"), query.get("key")
        if not id or not token or not key:
            return Refusal.INCOMPLETE
        if key != self._key:
            return Refusal.BAD_KEY
        if len(token) > self._limits.token_length:
            return Refusal.BAD_TOKEN
        try:
            if len(id) > self._limits.id_length:
                return Refusal.BAD_ID
            return validate_id(id), token.encode("utf-8", "surrogatepass")
        except InvalidId:
            return Refusal.BAD_ID

    def _turn_away(self, handle: int, reason: Refusal) -> None:
        told = messages.IdTaken if reason is Refusal.ID_TAKEN else messages.Refused
        self._commands.append(SendText(handle, messages.encode(told(reason.value))))
        # Without a status, as peer does: what counts is in the message.
        self._commands.append(CloseClient(handle, None, ""))
        self._events.append(ClientRefused(handle, reason))

    def _dismiss(self, client: _Client, reason: Departure) -> None:
        code = _CLOSE_CODES[reason]
        self._commands.append(
            CloseClient(client.handle, code, "" if code is None else reason.value)
        )
        self._forget(client, reason)

    def _forget(self, client: _Client, reason: Departure) -> None:
        del self._clients[client.handle], self._by_id[client.id]
        self._events.append(ClientGone(client.handle, client.id, reason))

    def _find(self, handle: int) -> _Client | None:
        """The client, or None if it was closed meanwhile."""
        if not 0 < handle <= self._last_handle:
            raise LocalProtocolError(f"there never was a client {handle}")
        return self._clients.get(handle)

    # --- messages -----------------------------------------------------------------------------

    def receive_message(self, client: int, data: str | bytes, now: float) -> None:
        """One frame of a client, text or (as peer allows) the same in binary.

        A message that makes no sense goes no further, and that is all. One over the limit closes
        its sender.
        """
        sender = self._find(client)
        if sender is None:
            return
        sender.seen = now  # whatever it says, it lives
        if len(data) > self._limits.message_bytes:
            self._dismiss(sender, Departure.OVERSIZED)
            return
        try:
            frame = jsontext.loads(data, max_depth=self._limits.nesting)
        except DecodeError:
            self._refuse(sender, Fault.MALFORMED)
            return
        if not isinstance(frame, dict):
            self._refuse(sender, Fault.MALFORMED)
            return
        match frame.get("type"), frame.get("dst"):
            case "HEARTBEAT", _:
                pass
            case "LEAVE", None | "":
                self._dismiss(sender, Departure.LEFT)
            case str(type_), str(dst) if dst and type_ in _RELAYED:
                self._relay(sender, type_, dst, frame, now)
            case str(type_), _ if type_ not in _RELAYED:
                self._refuse(sender, Fault.UNKNOWN_TYPE)
            case str(), None | "":
                self._refuse(sender, Fault.NO_DESTINATION)
            case _:
                self._refuse(sender, Fault.MALFORMED)

    def _relay(
        self, sender: _Client, type_: str, dst: str, frame: Mapping[str, Any], now: float
    ) -> None:
        receiver = self._by_id.get(dst)
        if receiver is None and type_ in _NEVER_WAITING:
            return
        message = {"type": type_, "src": sender.id, "dst": dst}
        if "payload" in frame:
            message["payload"] = frame["payload"]
        text = jsontext.dumps(message, max_depth=self._limits.nesting)
        if receiver is not None:
            self._relayed += 1
            self._commands.append(SendText(receiver.handle, text))
        elif not self._wait(sender, dst, text, now):
            # Nobody will fetch it: better told at once than never.
            self._refuse(sender, Fault.NO_ROOM)
            self._expire(sender.id, dst)

    def _refuse(self, sender: _Client, fault: Fault) -> None:
        self._refused += 1
        self._events.append(MessageRefused(sender.handle, sender.id, fault))

    # --- waiting for absent destinations ------------------------------------------------------

    def _wait(self, sender: _Client, dst: str, text: str, now: float) -> bool:
        """Keep a message for an id that may still come; False if there is no room for it."""
        limits, size = self._limits, len(text.encode())
        queue = self._queues.get(dst)
        if queue is None:
            if len(self._queues) >= limits.waiting_destinations or len(dst) > limits.id_length:
                return False
            queue = _Queue(now)
        if (
            len(queue.messages) >= limits.waiting_messages
            or queue.size + size > limits.waiting_bytes
            or self._waiting_messages >= limits.waiting_messages_in_all
            or self._waiting_bytes + size > limits.waiting_bytes_in_all
        ):
            return False
        self._queues[dst] = queue
        queue.messages.append((sender.id, text))
        queue.size += size
        self._waiting_messages += 1
        self._waiting_bytes += size
        self._arm(now)
        return True

    def _deliver_waiting(self, client: _Client) -> None:
        queue = self._take_queue(client.id)
        if queue is not None:
            self._relayed += len(queue.messages)
            self._commands.extend(SendText(client.handle, text) for _, text in queue.messages)

    def _expire(self, sender: str, dst: str) -> None:
        """Tell the sender, if it is still here, that ``dst`` never showed up."""
        client = self._by_id.get(sender)
        if client is not None:
            text = messages.encode(messages.Expire(src=dst, dst=sender))
            self._commands.append(SendText(client.handle, text))

    def _take_queue(self, id: str) -> _Queue | None:
        queue = self._queues.pop(id, None)
        if queue is not None:
            self._waiting_messages -= len(queue.messages)
            self._waiting_bytes -= queue.size
        return queue

    # --- time ---------------------------------------------------------------------------------

    def handle_timeout(self, now: float) -> None:
        """Drop silent clients, and what waited in vain. Legal early and late."""
        if self._sweep_at is None or now < self._sweep_at:
            return
        for client in list(self._clients.values()):
            if now - client.seen >= self._alive_timeout:
                self._dismiss(client, Departure.SILENT)
        for id, queue in list(self._queues.items()):
            if now - queue.since >= self._expire_timeout:
                self._take_queue(id)
                senders = dict.fromkeys(sender for sender, _ in queue.messages)
                for sender in senders:
                    self._expire(sender, id)
                self._expired += len(queue.messages)
                self._events.append(QueueExpired(id, len(queue.messages), len(senders)))
        self._sweep_at = None
        if self._clients or self._queues:
            self._arm(now)

    def _arm(self, now: float) -> None:
        if self._sweep_at is None:
            self._sweep_at = now + self._sweep_interval

    # --- HTTP ---------------------------------------------------------------------------------

    def is_websocket(self, target: str) -> bool:
        """Whether this request target is where clients open their WebSockets."""
        return self._api.is_websocket(target)

    def respond(self, request: HttpRequest, *, fresh_id: str) -> HttpReply:
        """The answer to any HTTP request but those for a WebSocket.

        Args:
            fresh_id: An id nobody has, in case one is asked for; a UUID4 will do.
        """
        return self._api.respond(request, ids=self._by_id, fresh_id=fresh_id)


@attrs.define(eq=False)
class _Client:
    handle: int
    id: str
    token: bytes = attrs.field(repr=False)
    seen: float
    "When it last sent anything."


@attrs.define(eq=False)
class _Queue:
    since: float
    messages: list[tuple[str, str]] = attrs.field(factory=list, repr=False)
    "Sender and text, in order of arrival."
    size: int = 0


_OPEN: Final = messages.encode(messages.Open())
_RELAYED: Final = frozenset({"OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE"})
_NEVER_WAITING: Final = frozenset({"LEAVE", "EXPIRE"})

_ID_TAKEN: Final = messages.encode(messages.IdTaken())

_CLOSE_CODES: Final[Mapping[Departure, int | None]] = {
    Departure.LEFT: None,
    Departure.SILENT: None,  # as peer
    Departure.REPLACED: 1000,
    Departure.OVERSIZED: 1009,
    Departure.SHUTDOWN: 1001,
}
