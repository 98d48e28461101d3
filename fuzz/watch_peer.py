"""What a PeerProtocol may say, whatever happens to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from peerjs_proto import commands, events, messages
from peerjs_proto.commands import Command
from peerjs_proto.events import Event
from peerjs_proto.limits import Limits
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.states import Session

__all__ = ["PeerWatch"]

_ENDS: Final = (events.DataConnectionClosed, events.MediaConnectionClosed)
_OFFERS: Final = (events.DataConnectionOffered, events.MediaConnectionOffered)
_OF_OPEN: Final = (
    events.MessageReceived,
    events.MessagesDropped,
    events.DataConnectionInterrupted,
    events.DataConnectionResumed,
)
_OPENINGS: Final = (events.DataConnectionOpened, events.MediaConnectionOpened)


class PeerWatch:
    """Drains one core, and raises AssertionError where it breaks its word.

    An end is told once and nothing comes after it; no more is held than the limits allow.
    """

    def __init__(self, core: PeerProtocol, limits: Limits) -> None:
        self.core = core
        self.offered: set[int] = set()
        "Of others, and not open."
        self.living: set[int] = set()
        self.opened: set[int] = set()
        self.known: list[int] = []
        "Every connection there ever was."
        self._limits = limits
        self._released: set[int] = set()
        self._session = core.session
        self._registered = False

    def dialled(self, number: int) -> None:
        """The application has a new connection of its own."""
        assert number not in self.known
        self.known.append(number)
        self.living.add(number)

    def drain(self) -> tuple[list[Command], list[Event]]:
        """All there is to say, examined."""
        asked = list[Command](iter(self.core.next_command, None))
        told = list[Event](iter(self.core.next_event, None))
        self.examine(asked, told)
        return asked, told

    def examine(self, asked: Iterable[Command], told: Iterable[Event]) -> None:
        """What somebody else has drained."""
        for event in told:
            self._examine_event(event)
        for command in asked:
            self._examine_command(command)
        assert len(self.living) <= self._limits.connections
        assert len(self.offered) <= self._limits.pending_connections
        state = self.core.session
        assert self._session is not Session.CLOSED or state is Session.CLOSED, "it stays so"
        self._session = state

    def _examine_event(self, event: Event) -> None:
        if isinstance(event, _OFFERS):
            assert event.connection not in self.known
            self.known.append(event.connection)
            self.living.add(event.connection)
            self.offered.add(event.connection)
        elif isinstance(event, events.PeerOpened):
            assert not self._registered, "told once"
            self._registered = True
        elif isinstance(event, events.PeerFailed):
            assert not self._registered
        elif isinstance(event, events.PeerDisconnected):
            self._registered = False
        elif not isinstance(event, events.SignalingRefused):
            assert event.connection in self.living, "nothing after the end"
            if isinstance(event, _OF_OPEN):
                assert event.connection in self.opened
            elif isinstance(event, _OPENINGS):
                assert event.connection not in self.opened
                self.opened.add(event.connection)
                self.offered.discard(event.connection)
            elif isinstance(event, _ENDS):
                self.living.discard(event.connection)
                self.offered.discard(event.connection)

    def _examine_command(self, command: Command) -> None:
        if isinstance(command, commands.SendText):
            # What we say, others understand: their limits are ours.
            said = messages.decode(command.text, self._limits)
            assert not isinstance(said, messages.Unknown)
        elif not isinstance(command, commands.FetchId | commands.OpenSocket | commands.CloseSocket):
            assert command.connection in self.known
            if isinstance(command, commands.MakeOffer | commands.MakeAnswer):
                # Another RTCPeerConnection, of one that is redialled.
                assert command.connection not in self._released or command.connection in self.opened
                self._released.discard(command.connection)
            assert command.connection not in self._released, "the number is not used again"
            if isinstance(command, commands.CloseRtc):
                self._released.add(command.connection)
