"""One peer's standing with its server: an id, a socket, OPEN, heartbeats, loss.

Rules from peerjs 1.5.5 ``lib/peer.ts`` and ``lib/socket.ts``; where they wait for ever
(no OPEN, no HTTP answer), this has a deadline.
"""

from __future__ import annotations

from typing import Final

from . import messages
from .commands import CloseSocket, FetchId, OpenSocket, SendText
from .endpoint import Endpoint, validate_id
from .errors import (
    IdTaken,
    InvalidId,
    InvalidKey,
    PeerError,
    ServerError,
    ServerUnavailable,
)
from .events import PeerDisconnected, PeerFailed, PeerOpened
from .limits import Limits
from .outbox import Outbox
from .states import SESSION_TRANSITIONS, Session, SessionCue, advance

__all__ = ["SessionProtocol"]

# peer 1.0.2 src/enums.ts. The only way to tell a bad key from other refusals.
_BAD_KEY: Final = "Invalid key provided"

_HEARTBEAT: Final = SendText(messages.encode(messages.Heartbeat()))


class SessionProtocol:
    """Used by :class:`~peerjs_proto.peer.PeerProtocol`; see there for the contract."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        id: str | None,
        token: str,
        token_reused: bool,
        limits: Limits,
        outbox: Outbox,
    ) -> None:
        self.state = Session.NEW
        self.id = None if id is None else validate_id(id)
        self.deadline: float | None = None
        self._endpoint = endpoint
        self._token = token
        self._token_reused = token_reused
        self._limits = limits
        self._outbox = outbox
        self._was_open = False

    # --- what the application asks --------------------------------------------------------

    def start(self, now: float) -> None:
        if self.id is None:
            self._advance(SessionCue.START_NAMELESS)
            self._outbox.commands.append(FetchId(self._endpoint.id_url()))
            self.deadline = now + self._limits.server_timeout
        else:
            self._advance(SessionCue.START)
            self._open_socket(self.id, now)

    def send(self, message: messages.Message) -> bool:
        """Hand a message to the server; False if there is none."""
        if self.state is not Session.OPEN:
            return False
        self._outbox.commands.append(SendText(messages.encode(message)))
        return True

    def close(self) -> None:
        if self.state is Session.OPEN:
            # Without dst it takes us off the server, which need not wait for the TCP close.
            self.send(messages.Leave())
        if self.state in (Session.CONNECTING, Session.OPENING, Session.OPEN):
            self._outbox.commands.append(CloseSocket())
        self._advance(SessionCue.CLOSE)
        self.deadline = None

    # --- what the server and the network do -----------------------------------------------

    def receive_http(self, status: int, body: bytes, now: float) -> None:
        if self.state is not Session.FETCHING_ID:
            return  # too late: we have given up, or closed
        if status != 200:
            self._lose(ServerError(f"asked for an id, the server answered with status {status}"))
            return
        try:
            self.id = validate_id(body[:200].decode("utf-8", "replace").strip())
        except InvalidId:
            self._lose(
                ServerError("asked for an id, the server sent something else: is the path right?")
            )
            return
        self._advance(SessionCue.ID_GIVEN)
        self._open_socket(self.id, now)

    def http_failed(self, reason: str) -> None:
        if self.state is Session.FETCHING_ID:
            self._lose(ServerUnavailable(f"could not get an id from the server: {reason}"))

    def socket_opened(self, now: float) -> None:
        if self.state is not Session.CONNECTING:
            return
        self._advance(SessionCue.SOCKET_UP)
        # npm peer 1.0.2 sends no OPEN to a token that is still registered, so with such a
        # token silence means yes. With a fresh one there is nothing to take over.
        wait = self._limits.open_grace if self._token_reused else self._limits.server_timeout
        self.deadline = now + wait

    def socket_closed(self, reason: str) -> None:
        if self.state in (Session.CONNECTING, Session.OPENING):
            self._lose(ServerUnavailable(f"could not register with the server: {reason}"))
        elif self.state is Session.OPEN:
            self._lose(ServerUnavailable(f"lost the connection to the server: {reason}"))

    def receive(self, message: messages.Message, now: float) -> bool:
        """Take what is the server's own to say; False if the message is not for us here."""
        match message:
            case messages.Open():
                if self.state is Session.OPENING:
                    self._register(now)
            case messages.Refused(msg):
                error = InvalidKey(msg) if msg == _BAD_KEY else ServerError(msg or "refused")
                self._lose(error)
            case messages.IdTaken(msg):
                self._lose(IdTaken(f"the id {self.id!r} is taken"))
            case messages.InvalidKey(msg):
                self._lose(InvalidKey(msg or "the server does not accept the key"))
            case messages.Heartbeat():
                pass
            case _:
                # Relayed traffic proves a registration: npm's missing OPEN again.
                if self.state is Session.OPENING and self._token_reused:
                    self._register(now)
                return False
        return True

    def handle_timeout(self, now: float) -> None:
        if self.deadline is None or now < self.deadline:
            return
        if self.state is Session.OPEN:
            self._outbox.commands.append(_HEARTBEAT)
            self.deadline = now + self._limits.heartbeat_interval
        elif self.state is Session.OPENING and self._token_reused:
            self._register(now)
        else:
            self._lose(
                ServerUnavailable(
                    f"the server did not answer within {self._limits.server_timeout:g} s"
                )
            )

    # --- inside ---------------------------------------------------------------------------

    def _open_socket(self, id: str, now: float) -> None:
        self._outbox.commands.append(OpenSocket(self._endpoint.websocket_url(id, self._token)))
        self.deadline = now + self._limits.server_timeout

    def _register(self, now: float) -> None:
        self._advance(SessionCue.REGISTERED)
        self._was_open = True
        self.deadline = now + self._limits.heartbeat_interval
        assert self.id is not None
        self._outbox.events.append(PeerOpened(self.id))

    def _lose(self, error: PeerError) -> None:
        if self.state in (Session.LOST, Session.CLOSED):
            return
        if self.state is not Session.FETCHING_ID:
            self._outbox.commands.append(CloseSocket())
        self._advance(SessionCue.LOSS)
        self.deadline = None
        lost = PeerDisconnected(error) if self._was_open else PeerFailed(error)
        self._outbox.events.append(lost)

    def _advance(self, cue: SessionCue) -> None:
        self.state = advance(SESSION_TRANSITIONS, self.state, cue)
