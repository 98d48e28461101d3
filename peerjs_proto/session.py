"""One peer's standing with its servers: an id, a socket, OPEN, heartbeats, loss, coming back.

Rules from peerjs 1.5.5 ``lib/peer.ts`` and ``lib/socket.ts``; where they wait for ever
(no OPEN, no HTTP answer), this has a deadline, and where they give up, this comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs

from . import messages
from .backoff import Reconnect
from .commands import CloseSocket, FetchId, OpenSocket, SendText
from .endpoint import Endpoint, validate_id
from .errors import (
    Disconnected,
    IdTaken,
    InvalidId,
    InvalidKey,
    LocalProtocolError,
    PeerError,
    ServerError,
    ServerUnavailable,
)
from .events import PeerDisconnected, PeerFailed, PeerOpened
from .limits import Limits
from .outbox import Outbox
from .states import SESSION_TRANSITIONS, Session, SessionCue, advance

__all__ = ["Registration", "SessionProtocol"]

# peer 1.0.2 src/enums.ts. The only way to tell a bad key from other refusals.
_BAD_KEY: Final = "Invalid key provided"

_HEARTBEAT: Final = SendText(messages.encode(messages.Heartbeat()))


@attrs.frozen
class Registration:
    """That a server knows us now, and under what."""

    endpoint: Endpoint
    id: str
    token: str = attrs.field(repr=False)
    number: int
    "From 1 on. After another one the server may have forgotten all else it knew of us."


class SessionProtocol:
    """Used by :class:`~peerjs_proto.peer.PeerProtocol`; see there for the contract.

    ``on_open`` and ``on_lost`` are called when the state has become OPEN, at what time, or LOST.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        id: str | None,
        token: str,
        token_reused: bool,
        reconnect: Reconnect | None,
        random: Callable[[], float],
        limits: Limits,
        outbox: Outbox,
        on_open: Callable[[float], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.state = Session.NEW
        self.id = None if id is None else validate_id(id)
        self.deadline: float | None = None
        self._endpoints = endpoints
        self._moved: Sequence[Endpoint] = ()
        "Those that take their place at the next attempt."
        self._chosen = 0
        "Which of them it is, or is tried next."
        self._untried = 0
        "How many may still be tried in this round without a wait."
        self._token = token
        self._token_reused = token_reused
        self._reconnect = reconnect
        self._random = random
        self._limits = limits
        self._outbox = outbox
        self._on_open = on_open
        self._on_lost = on_lost
        self._registrations = 0
        self._opened_at = 0.0
        self._failures = 0
        "Attempts to come back, one behind the other, that led to nothing that lasted."
        self._taken_since: float | None = None
        "When the server began to say that another client has our id."

    @property
    def is_open(self) -> bool:
        return self.state is Session.OPEN

    @property
    def is_coming_back(self) -> bool:
        """Whether it was registered, is not, and tries to be again."""
        return self._was_open and self.state in (
            *(Session.WAITING, Session.FETCHING_ID, Session.CONNECTING, Session.OPENING),
        )

    @property
    def registration(self) -> Registration | None:
        """The one there is now."""
        if self.state is not Session.OPEN:
            return None
        assert self.id is not None
        return Registration(self._endpoint, self.id, self._token, self._registrations)

    # --- what the application asks --------------------------------------------------------

    def start(self, now: float) -> None:
        self._untried = len(self._endpoints) - 1
        self._attempt(now)

    def reconnect(self, now: float) -> None:
        if self.state in (Session.NEW, Session.CLOSED):
            raise LocalProtocolError(f"reconnect does not go with state {self.state.value!r}")
        if self.state in (Session.WAITING, Session.LOST):
            self._failures = 0
            self._taken_since = None
            self.start(now)

    def move(self, endpoints: Sequence[Endpoint]) -> None:
        self._moved = endpoints

    def disconnect(self) -> None:
        was = self.state
        if was is Session.OPEN:
            self.send(messages.Leave())
        self._advance(SessionCue.DISCONNECT)
        if was not in (Session.NEW, Session.LOST, Session.CLOSED):
            self._drop_socket(was)
            self._outbox.events.append(
                PeerDisconnected(Disconnected("disconnected by this side"), None)
            )
            self._on_lost()

    def send(self, message: messages.Message) -> bool:
        """Hand a message to the server; False if there is none."""
        if self.state is not Session.OPEN:
            return False
        self._outbox.commands.append(SendText(messages.encode(message)))
        return True

    def close(self) -> None:
        was = self.state
        if was is Session.OPEN:
            # Without dst it takes us off the server, which need not wait for the TCP close.
            self.send(messages.Leave())
        self._advance(SessionCue.CLOSE)
        self._drop_socket(was)

    # --- what the server and the network do -----------------------------------------------

    def receive_http(self, status: int, body: bytes, now: float) -> None:
        if self.state is not Session.FETCHING_ID:
            return  # too late: we have given up, or closed
        if status != 200:
            error = ServerError(f"asked for an id, the server answered with status {status}")
            self._lose(error, now)
            return
        try:
            self.id = validate_id(body[:200].decode("utf-8", "replace").strip())
        except InvalidId:
            words = "asked for an id, the server sent something else: is the path right?"
            self._lose(ServerError(words), now)
            return
        self._advance(SessionCue.ID_GIVEN)
        self._open_socket(self.id, now)

    def http_failed(self, reason: str, now: float) -> None:
        if self.state is Session.FETCHING_ID:
            self._lose(ServerUnavailable(f"could not get an id from the server: {reason}"), now)

    def socket_opened(self, now: float) -> None:
        if self.state is not Session.CONNECTING:
            return
        self._advance(SessionCue.SOCKET_UP)
        self.deadline = now + self._limits.server_timeout
        if self._may_take_over:
            # npm peer 1.0.2 sends no OPEN to a token that is still registered. What it relays
            # proves as much, and so does a word to ourselves that comes back.
            echo = messages.Expire(dst=self.id)
            self._outbox.commands.append(SendText(messages.encode(echo)))

    def socket_closed(self, reason: str, now: float) -> None:
        if self.state in (Session.CONNECTING, Session.OPENING):
            self._lose(ServerUnavailable(f"could not register with the server: {reason}"), now)
        elif self.state is Session.OPEN:
            self._lose(ServerUnavailable(f"lost the connection to the server: {reason}"), now)

    def receive(self, message: messages.Message, now: float) -> bool:
        """Take what is the server's own to say; False if the message is not for us here."""
        match message:
            case messages.Open():
                if self.state is Session.OPENING:
                    self._register(now)
            case messages.Refused(msg):
                error = InvalidKey(msg) if msg == _BAD_KEY else ServerError(msg or "refused")
                self._lose(error, now)
            case messages.IdTaken(msg):
                self._lose(IdTaken(f"the id {self.id!r} is taken"), now)
            case messages.InvalidKey(msg):
                self._lose(InvalidKey(msg or "the server does not accept the key"), now)
            case messages.Heartbeat():
                pass
            case _:
                # Whatever is relayed to us proves that we are registered.
                if self.state is Session.OPENING and self._may_take_over:
                    self._register(now)
                # Our own word to ourselves has done all it was for.
                return isinstance(message, messages.Expire) and message.src == self.id
        return True

    def handle_timeout(self, now: float) -> None:
        if self.deadline is None or now < self.deadline:
            return
        if self.state is Session.OPEN:
            self._outbox.commands.append(_HEARTBEAT)
            self.deadline = now + self._limits.heartbeat_interval
        elif self.state is Session.WAITING:
            self._attempt(now)
        else:
            patience = f"{self._limits.server_timeout:g} s"
            self._lose(ServerUnavailable(f"the server did not answer within {patience}"), now)

    # --- inside ---------------------------------------------------------------------------

    @property
    def _was_open(self) -> bool:
        return self._registrations > 0

    @property
    def _may_take_over(self) -> bool:
        """Whether the server may still have us registered under this token."""
        return self._token_reused or self._was_open

    @property
    def _endpoint(self) -> Endpoint:
        return self._endpoints[self._chosen]

    def _attempt(self, now: float) -> None:
        if self._moved:
            self._endpoints, self._moved, self._chosen = self._moved, (), 0
        if self.id is None:
            self._advance(SessionCue.START_NAMELESS)
            self._outbox.commands.append(FetchId(self._endpoint.id_url()))
            self.deadline = now + self._limits.server_timeout
        else:
            self._advance(SessionCue.START)
            self._open_socket(self.id, now)

    def _open_socket(self, id: str, now: float) -> None:
        self._outbox.commands.append(OpenSocket(self._endpoint.websocket_url(id, self._token)))
        self.deadline = now + self._limits.server_timeout

    def _register(self, now: float) -> None:
        self._advance(SessionCue.REGISTERED)
        self._registrations += 1
        self._opened_at = now
        self._untried = 0
        self._taken_since = None
        self.deadline = now + self._limits.heartbeat_interval
        assert self.id is not None
        self._outbox.events.append(PeerOpened(self.id))
        self._on_open(now)

    def _lose(self, error: PeerError, now: float) -> None:
        """The server is gone, or refuses: what next?"""
        was = self.state
        if was in (Session.WAITING, Session.LOST, Session.CLOSED):
            return
        self._drop_socket(was)
        if was is not Session.OPEN:
            self._chosen = (self._chosen + 1) % len(self._endpoints)
        # Another server might have the id free, but it would make two of us.
        if self._untried and not isinstance(error, IdTaken):
            self._untried -= 1
            self._advance(SessionCue.SETBACK)
            self._attempt(now)
            return
        self._untried = 0
        wait = self._wait(was, error, now)
        if wait is None:
            self._advance(SessionCue.LOSS)
        else:
            self._advance(SessionCue.SETBACK)
            self.deadline = now + wait
        lost = PeerDisconnected(error, wait) if self._was_open else PeerFailed(error)
        self._outbox.events.append(lost)
        if wait is None:
            self._on_lost()

    def _wait(self, was: Session, error: PeerError, now: float) -> float | None:
        """Seconds until the next attempt; None for no more."""
        policy = self._reconnect
        if policy is None or not self._was_open:
            return None
        if was is Session.OPEN and now - self._opened_at >= policy.steady:
            self._failures = 0
        else:
            self._failures += 1
        if policy.attempts is not None and self._failures >= policy.attempts:
            return None
        if isinstance(error, IdTaken):
            if was is Session.OPEN:
                return None  # by another program with our token, which would lose it to us
            self._taken_since = now if self._taken_since is None else self._taken_since
            if now - self._taken_since >= policy.taken_timeout:
                return None
        return policy.delay(self._failures // len(self._endpoints), self._random())

    def _drop_socket(self, was: Session) -> None:
        if was in (Session.CONNECTING, Session.OPENING, Session.OPEN):
            self._outbox.commands.append(CloseSocket())
        self.deadline = None

    def _advance(self, cue: SessionCue) -> None:
        self.state = advance(SESSION_TRANSITIONS, self.state, cue)
