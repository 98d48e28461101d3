"""peerjs_proto in plain threads, with websockets.sync and aiortc.

    python examples/embed_threads.py --server http://127.0.0.1:9000/ --id bob
    python examples/embed_threads.py --server http://127.0.0.1:9000/ --connect bob

The first sends back what others send it, until Ctrl-C. The second sends one value, and sees
whether the same comes back: echo.py. The main thread owns the core; the others put inputs into
its queue: one reads the WebSocket, and one runs the loop that aiortc cannot do without.
"""

import asyncio
import queue
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from aiortc_engine import Engine, now
from echo import Echo, arguments
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from peerjs_proto import Endpoint, PeerProtocol, commands, events


class Peer:
    def __init__(self, server: Endpoint, id: str | None, dial: str | None) -> None:
        self.core = PeerProtocol(server, token=secrets.token_hex(8), id=id)
        # A SimpleQueue, because a signal handler may put something into it at any time.
        self.inputs: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self.socket: ClientConnection | None = None
        self.unwanted = False
        self.loop = asyncio.new_event_loop()
        self.engine = Engine(self.core, self.tell, self.loop)
        self.echo = Echo(self.core, dial)

    def tell(self, input: Callable[..., object], *args: object) -> None:
        self.inputs.put((input, *args))

    def run(self) -> str | None:
        signal.signal(signal.SIGINT, lambda *_: self.tell(self.echo.end))
        thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        thread.start()
        self.tell(self.core.start, now())
        while not self.echo.over:
            deadline = self.core.next_timeout()
            with suppress(queue.Empty):
                seconds = None if deadline is None else max(0, deadline - now())
                input, *args = self.inputs.get(timeout=seconds)
                input(*args)
            self.core.handle_timeout(now())  # too early, it does nothing
            self.drain()
        self.core.shut_down()
        self.drain()
        asyncio.run_coroutine_threadsafe(self.engine.done(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        thread.join()
        self.loop.close()
        return self.echo.complaint

    def drain(self) -> None:
        while output := self.core.next_command() or self.core.next_event():
            if isinstance(output, events.Event):
                self.echo.handle(output)
            else:
                self.perform(output)

    def perform(self, command: commands.Command) -> None:
        match command:
            case commands.FetchId(url):
                threading.Thread(target=self.fetch_id, args=(url,), daemon=True).start()
            case commands.OpenSocket(url):
                threading.Thread(target=self.talk, args=(url,), daemon=True).start()
            case commands.SendText(text):
                with suppress(WebSocketException):  # talk() hears of it as well
                    if self.socket:
                        self.socket.send(text)
            case commands.CloseSocket():
                self.unwanted = True
                if self.socket:
                    self.socket.close()
            case _:
                self.engine.perform(command)

    def fetch_id(self, url: str) -> None:
        try:
            with urlopen(url, timeout=10) as reply:
                self.tell(self.core.receive_http, reply.status, reply.read(1000), now())
        except HTTPError as error:
            self.tell(self.core.receive_http, error.code, b"", now())
        except (OSError, HTTPException) as error:
            self.tell(self.core.http_failed, str(error), now())

    def talk(self, url: str) -> None:
        try:
            with connect(url) as self.socket:
                self.tell(self.core.socket_opened, now())
                while not self.unwanted:
                    self.tell(self.core.receive_text, self.socket.recv(), now())
        except (OSError, WebSocketException) as error:
            self.tell(self.core.socket_closed, str(error), now())


if __name__ == "__main__":
    sys.exit(Peer(*arguments()).run())
