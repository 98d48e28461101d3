"""The application in all embed_*.py beside this file: what it does with events, and how it ends.

It sends back what others send it, or dials a peer, and sees whether the same comes back.
"""

import argparse
import secrets

from aiortc_engine import now

from peerjs_proto import Endpoint, PeerError, PeerProtocol, events, validate_id

VALUE = {"nested": [1, 2.5, None, {"bytes": b"\x00\xff"}], "large": secrets.token_bytes(100_000)}


class Echo:
    def __init__(self, core: PeerProtocol, dial: str | None) -> None:
        self.core = core
        self.dial, self.dialled = dial, 0
        self.over = False
        self.complaint: str | None = None

    def handle(self, event: events.Event) -> None:
        print(event, flush=True)
        match event:
            case events.PeerOpened() if self.dial:
                connection_id = f"dc_{secrets.token_hex(8)}"
                self.dialled = self.core.connect(self.dial, connection_id=connection_id, now=now())
            case events.PeerFailed(error) | events.PeerDisconnected(error):
                self.end(error)
            case events.DataConnectionOffered(number):
                self.core.accept(number, now())
            case events.DataConnectionOpened(number) if number == self.dialled:
                self.core.send(number, VALUE)
            case events.MessageReceived(number, value) if number == self.dialled:
                print("the same came back:", value == VALUE, flush=True)
                self.core.close(number, now(), flush=True)
            case events.MessageReceived(number, value):
                try:
                    self.core.send(number, value)
                except PeerError as error:  # such as: None cannot be sent
                    print("not sent back:", error, flush=True)
            case events.DataConnectionClosed(number, error) if number == self.dialled:
                self.end(error)

    def end(self, error: PeerError | None = None) -> None:
        self.over = True
        self.complaint = f"{error.type}: {error}" if error else None


def arguments() -> tuple[Endpoint, str | None, str | None]:
    """The server, our id and whom to dial; None for an id of the server's, and for nobody."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", type=Endpoint.parse, required=True)
    parser.add_argument("--id", type=validate_id)
    parser.add_argument("--connect", type=validate_id)
    args = parser.parse_args()
    return args.server, args.id, args.connect
