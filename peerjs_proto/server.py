"""One PeerServer: who is registered, who gets which message, and who waits for whom.

Pure, as everything in this package: a runtime accepts sockets, reads frames and keeps time::

    client = server.client_connected(target, now)       # a WebSocket was accepted
    server.receive_message(client, text, now)           # a frame came
    server.client_closed(client)                        # its socket is gone
    server.handle_timeout(now)                          # at next_timeout(), or whenever
    reply = server.respond(request, fresh_id=..., now=now)      # any other HTTP request

After any of them it carries out :meth:`ServerProtocol.next_command` and may look at
:meth:`~ServerProtocol.next_event`, each until None, and sleeps until
:meth:`~ServerProtocol.next_timeout`. Inputs about a client the core has closed are ignored:
they crossed the command on their way.

Rules from peer 1.0.2, ``src/services``, ``src/messageHandler`` and ``src/api``. Ours differs where
that one fails its users: a client that comes back with its token gets OPEN, and its older socket
is closed; nothing a client sends can end the server; everything that grows has a bound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from math import inf
from typing import Any, Final

from . import jsontext, messages
from .admission import Admission, same_secret
from .clients import Client, Clients
from .endpoint import DEFAULT_KEY
from .errors import DecodeError, LocalProtocolError
from .rooms import RoomApi, RoomMode, RoomRules, Rooms
from .server_http import HttpApi
from .server_io import (
    DEFAULT_SERVER_LIMITS,
    ClientGone,
    ClientRefused,
    ClientRegistered,
    CloseClient,
    Credentials,
    Departure,
    Fault,
    Forward,
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
from .waiting import WaitingMessages

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
        cors: Collection[str] | None = None,
        reserved_ids: Mapping[str, str] = {},
        may_offer: Callable[[str, str], bool] | None = None,
        routes: Mapping[str, HttpReply] = {},
        rooms: RoomMode = "off",
        room_secret: bytes = b"",
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
            cors: Origins (``"https://page.example"``) of the pages that may use the HTTP API;
                None for any, as with peer.
            reserved_ids: Tokens by the ids that only those who have them can register.
            may_offer: Whether the client of the first id may dial that of the second. Asked at
                each message, so it should know at once. A pair neither of whom may dial the
                other exchanges nothing, and who tries anyway gets EXPIRE.
            routes: Other things to GET, by path; they win over the API.
            rooms: ``"network"`` lets clients find those of their own network
                (:mod:`~peerjs_proto.rooms`); ``"named"`` has rooms for whoever knows a name too.
            room_secret: What rooms' ids are made with; 16 bytes or more, and kept.

        Raises:
            LocalProtocolError: for a key that cannot be part of a path, a limit below zero, or
                rooms without a secret.
        """
        if not key or "/" in key:
            raise LocalProtocolError("the key of a PeerServer is not empty and has no slash")
        if alive_timeout <= 0 or expire_timeout <= 0 or concurrent_limit < 0:
            raise LocalProtocolError("the timeouts and limits of a PeerServer are positive")
        self._api = HttpApi(path, key, allow_discovery, cors, routes, has_rooms=rooms != "off")
        self._rooms = Rooms(self._token_of, limits)
        rules = RoomRules.of(rooms, key, room_secret, limits)
        self.rooms: Final = RoomApi(self._api, rules, self._rooms)
        "For whoever keeps rooms for several servers; here they are those of this one."
        self._admission = Admission(key, reserved_ids, limits)
        self._may_offer = may_offer
        self._alive_timeout = alive_timeout
        self._expire_timeout = expire_timeout
        self._concurrent_limit = concurrent_limit
        self._limits = limits
        self._clients = Clients(limits)
        self._waiting = WaitingMessages(limits)
        self._has_others = False
        self._relayed = self._refused = self._expired = 0
        self._commands: deque[ServerCommand] = deque()
        self._forwards: deque[Forward] = deque()
        self._events: deque[ServerEvent] = deque()
        # peer looks for silent clients and old queues periodically; so does this, every second
        # or as often as the timeouts ask for.
        self._sweep_interval = min(1.0, alive_timeout, expire_timeout)
        self._sweep_at: float | None = None

    # --- out ----------------------------------------------------------------------------------

    def next_command(self) -> ServerCommand | None:
        """What the runtime has to do next; None for now nothing more."""
        return self._commands.popleft() if self._commands else None

    def next_forward(self) -> Forward | None:
        """What others have to deliver next; always None without any (:meth:`set_others`)."""
        return self._forwards.popleft() if self._forwards else None

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
            waiting_destinations=self._waiting.destinations,
            waiting_messages=self._waiting.messages,
            waiting_bytes=self._waiting.bytes,
            relayed=self._relayed,
            refused=self._refused,
            expired=self._expired,
        )

    @property
    def limits(self) -> ServerLimits:
        return self._limits

    @property
    def expire_timeout(self) -> float:
        """Seconds messages wait for an absent id."""
        return self._expire_timeout

    def ids(self) -> Iterable[str]:
        """Who is registered, in the order they came."""
        return self._clients.by_id.keys()

    # --- clients come and go ------------------------------------------------------------------

    def credentials(self, target: str) -> Credentials | Refusal:
        """Who a WebSocket's request target says it is: for whoever decides about it first."""
        return self._admission.examine(target)

    def client_connected(
        self, target: str, now: float, *, network: str = "", refusal: Refusal | None = None
    ) -> int:
        """A WebSocket was accepted for ``target``; the handle is how to speak of it from now on.

        Registers the client, or sends it an ERROR or ID-TAKEN and closes it.

        Args:
            network: Whose it is (:func:`~peerjs_proto.addresses.network_of` its address); empty
                if that is not known, and then nothing is counted for it.
            refusal: What speaks against it, from outside of this class.
        """
        handle = self._clients.new_handle()
        asked = refusal or self._admission.examine(target)
        if isinstance(asked, Refusal):
            self._turn_away(handle, asked)
            return handle
        older = self._clients.by_id.get(asked.id)
        if reason := self._objection(asked, older, network, now):
            self._turn_away(handle, reason)
            return handle
        if older is not None:
            self._replace(older)
        self._admission.end_lease(asked.id)
        client = self._clients.add(handle, asked, network, now)
        self._arm(now)
        self._commands.append(SendText(handle, _OPEN))
        self._events.append(ClientRegistered(handle, asked.id, older.handle if older else None))
        for waiting in self._waiting.take(asked.id):
            self._send(client, waiting.text)
        return handle

    def is_registered(self, client: int) -> bool:
        """Whether it has got in, and has not gone."""
        return self._clients.find(client) is not None

    def client_heard(self, client: int, now: float) -> None:
        """A sign of life that is no message: the answer to a WebSocket ping."""
        found = self._clients.find(client)
        if found is not None:
            found.seen = now

    def silent_since(self, then: float) -> list[int]:
        """Who has not been heard of since: for a runtime that looks after them with pings."""
        return [client.handle for client in self._clients if client.seen <= then]

    def client_closed(self, client: int) -> None:
        """The client's socket is gone, for whatever reason. Legal more than once."""
        found = self._clients.find(client)
        if found is not None:
            self._forget(found, Departure.DISCONNECTED)

    def shut_down(self) -> None:
        """Close every client; the server is going away."""
        for client in self._clients:
            self._dismiss(client, Departure.SHUTDOWN)
        self._waiting = WaitingMessages(self._limits)
        self._sweep_at = None

    def _objection(
        self, asked: Credentials, older: Client | None, network: str, now: float
    ) -> Refusal | None:
        if older is not None:
            return None if same_secret(older.token, asked.token) else Refusal.ID_TAKEN
        if self._admission.is_leased(asked.id, network, now):
            return Refusal.ID_TAKEN
        if len(self._clients) >= self._concurrent_limit:
            return Refusal.FULL
        return Refusal.TOO_MANY if self._clients.is_crowded(network) else None

    def _replace(self, client: Client) -> None:
        # Where it is another program that took the token, it must not come back for the id.
        self._commands.append(SendText(client.handle, _ID_TAKEN))
        self._dismiss(client, Departure.REPLACED)

    def _turn_away(self, handle: int, reason: Refusal) -> None:
        told = messages.IdTaken if reason is Refusal.ID_TAKEN else messages.Refused
        self._commands.append(SendText(handle, messages.encode(told(reason.value))))
        # Without a status, as peer does: what counts is in the message.
        self._commands.append(CloseClient(handle, None, ""))
        self._events.append(ClientRefused(handle, reason))

    def _dismiss(self, client: Client, reason: Departure) -> None:
        code = _CLOSE_CODES[reason]
        self._commands.append(
            CloseClient(client.handle, code, "" if code is None else reason.value)
        )
        self._forget(client, reason)

    def _forget(self, client: Client, reason: Departure) -> None:
        self._clients.remove(client)
        if reason is not Departure.REPLACED:  # else it is still there
            self._rooms.gone(client.id)
        self._events.append(ClientGone(client.handle, client.id, reason))

    # --- messages -----------------------------------------------------------------------------

    def receive_message(self, client: int, data: str | bytes, now: float) -> float:
        """One frame of a client, text or (as peer allows) the same in binary.

        A message that makes no sense goes no further, and that is all. One over the limit closes
        its sender.

        Returns:
            How many seconds to leave this client unread. They are more than 0.0 where it, or its
            network, is faster than the limits allow; so nothing is lost, and it waits.
        """
        sender = self._clients.find(client)
        if sender is None:
            return 0.0
        pause = sender.spend(now)  # whatever it says, it lives
        if len(data) > self._limits.message_bytes:
            self._dismiss(sender, Departure.OVERSIZED)
            return pause
        try:
            text = data if isinstance(data, str) else str(data, "utf-8")
            frame = jsontext.loads(text, max_depth=self._limits.nesting)
        except (DecodeError, UnicodeDecodeError):
            self._refuse(sender, Fault.MALFORMED)
            return pause
        if not isinstance(frame, dict):
            self._refuse(sender, Fault.MALFORMED)
            return pause
        match frame.get("type"), frame.get("dst"):
            case "HEARTBEAT", _:
                pass
            case "LEAVE", None | "":
                self._dismiss(sender, Departure.LEFT)
            case str(type_), str(dst) if dst and type_ in _RELAYED:
                if self._may_send(sender.id, dst, type_):
                    self._relay(sender, type_, dst, self._signed(sender, frame, text), now)
                else:
                    self._give_up(sender, dst, Fault.NOT_ALLOWED)
            case str(type_), _ if type_ not in _RELAYED:
                self._refuse(sender, Fault.UNKNOWN_TYPE)
            case str(), None | "":
                self._refuse(sender, Fault.NO_DESTINATION)
            case _:
                self._refuse(sender, Fault.MALFORMED)
        return pause

    def _may_send(self, src: str, dst: str, type_: str) -> bool:
        if self._may_offer is None or src == dst or self._may_offer(src, dst):
            return True
        # Who has been dialled answers.
        return type_ != "OFFER" and self._may_offer(dst, src)

    def _signed(self, sender: Client, frame: Mapping[str, Any], text: str) -> str:
        """The message with its true sender, and nothing that is not of the protocol."""
        if frame.keys() <= _PLAIN_KEYS:
            # As it came: reading and writing it again is most of what a relay costs. At the end
            # src wins over all before it, and that the text is JSON has just been seen.
            return f'{text.rstrip(_JSON_SPACE)[:-1]},"src":"{sender.id}"}}'
        message = {"type": frame["type"], "src": sender.id, "dst": frame["dst"]}
        if "payload" in frame:
            message["payload"] = frame["payload"]
        return jsontext.dumps(message, max_depth=self._limits.nesting)

    def _relay(self, sender: Client, type_: str, dst: str, text: str, now: float) -> None:
        receiver = self._clients.by_id.get(dst)
        waits = type_ not in _NEVER_WAITING
        if receiver is not None:
            self._send(receiver, text)
        elif self._has_others:
            self._forwards.append(Forward(sender.id, dst, text, waits))
        elif waits:
            if self._waiting.put(sender.id, dst, text, now):
                self._arm(now)
            else:
                # Nobody will fetch it: better told at once than never.
                self._give_up(sender, dst, Fault.NO_ROOM)

    def _send(self, receiver: Client, text: str) -> None:
        self._relayed += 1
        self._commands.append(SendText(receiver.handle, text))

    def _refuse(self, sender: Client, fault: Fault) -> None:
        self._refused += 1
        self._events.append(MessageRefused(sender.handle, sender.id, fault))

    def _give_up(self, sender: Client, dst: str, fault: Fault) -> None:
        self._refuse(sender, fault)
        self._expire(sender.id, dst)

    def _expire(self, sender: str, dst: str) -> None:
        """Tell the sender, if it is still here, that ``dst`` never showed up."""
        client = self._clients.by_id.get(sender)
        if client is not None:
            text = messages.encode(messages.Expire(src=dst, dst=sender))
            self._commands.append(SendText(client.handle, text))

    # --- other servers beside this one --------------------------------------------------------

    def set_others(self, on: bool) -> None:
        """Whether there are others that share the ids, and can be reached.

        Then what is for an id that is not here becomes a
        :class:`~peerjs_proto.server_io.Forward`, also what has waited here so far. Without them
        it waits here.
        """
        self._has_others = on
        if on:
            for dst, waiting in self._waiting.take_older(inf):
                for message in waiting:
                    self._forwards.append(Forward(message.src, dst, message.text, waits=True))

    def receive_forwarded(self, dst: str, text: str) -> bool:
        """A message from another of them, signed and whole; False if ``dst`` is not here."""
        receiver = self._clients.by_id.get(dst)
        if receiver is not None:
            self._send(receiver, text)
        return receiver is not None

    def client_moved(self, client: int) -> None:
        """The client has come back to another of them with its token, or its id is another's."""
        found = self._clients.find(client)
        if found is not None:
            self._replace(found)
            self._rooms.gone(found.id)

    # --- time ---------------------------------------------------------------------------------

    def handle_timeout(self, now: float) -> None:
        """Drop silent clients, and what waited in vain. Legal early and late."""
        if self._sweep_at is None or now < self._sweep_at:
            return
        for client in self._clients:
            if now - client.seen >= self._alive_timeout:
                self._dismiss(client, Departure.SILENT)
        for id, waited in self._waiting.take_older(now - self._expire_timeout):
            senders = dict.fromkeys(message.src for message in waited)
            for sender in senders:
                self._expire(sender, id)
            self._expired += len(waited)
            self._events.append(QueueExpired(id, len(waited), len(senders)))
        self._sweep_at = None
        if self._clients or self._waiting.destinations:
            self._arm(now)

    def _arm(self, now: float) -> None:
        if self._sweep_at is None:
            self._sweep_at = now + self._sweep_interval

    # --- HTTP ---------------------------------------------------------------------------------

    def is_websocket(self, target: str) -> bool:
        """Whether this request target is where clients open their WebSockets."""
        return self._api.is_websocket(target)

    def lists_ids(self, request: HttpRequest) -> bool:
        """Whether the answer to a request is a list of all ids."""
        return self._api.lists_ids(request)

    def respond(
        self,
        request: HttpRequest,
        *,
        fresh_id: Callable[[], str],
        now: float,
        network: str = "",
        guessable: bool = False,
        everybody: Iterable[str] | None = None,
    ) -> HttpReply:
        """The answer to any HTTP request but those for a WebSocket.

        Args:
            fresh_id: Makes an id for whoever asks for one; a UUID4 will do.
            network: Whose the request is; it has a room.
            guessable: Whether others could find out such an id. Then it is for those of the
                same network alone, for ``limits.id_lease``; else for whoever knows it.
            everybody: All ids that there are, where others share them: what is listed.
        """
        if (reply := self.rooms.respond(request, network)) is not None:
            return reply
        ids = self._clients.by_id
        return self._api.respond(
            request,
            ids=ids if everybody is None else everybody,
            give_id=lambda: self._admission.give_id(
                fresh_id, ids, network if guessable else "", now
            ),
        )

    def _token_of(self, id: str) -> str | None:
        client = self._clients.by_id.get(id)
        return None if client is None else client.token


_OPEN: Final = messages.encode(messages.Open())
_RELAYED: Final = frozenset({"OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE"})
_NEVER_WAITING: Final = frozenset({"LEAVE", "EXPIRE"})
_PLAIN_KEYS: Final = frozenset({"type", "dst", "payload"})
_JSON_SPACE: Final = " \t\n\r"
_ID_TAKEN: Final = messages.encode(messages.IdTaken())

_CLOSE_CODES: Final[Mapping[Departure, int | None]] = {
    Departure.LEFT: None,
    Departure.SILENT: None,  # as peer
    Departure.REPLACED: 1000,
    Departure.OVERSIZED: 1009,
    Departure.SHUTDOWN: 1001,
}
