"""peerjs_proto in asyncio, with websockets and aiortc.

    python examples/embed_asyncio.py --server http://127.0.0.1:9000/ --id bob
    python examples/embed_asyncio.py --server http://127.0.0.1:9000/ --connect bob

The first sends back what others send it, until Ctrl-C. The second sends one value, and sees
whether the same comes back: echo.py. One task owns the core; all else puts inputs into its queue.
"""

import asyncio
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from aiortc_engine import Engine, now
from echo import Echo, arguments
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from peerjs_proto import Endpoint, PeerProtocol, commands, events


class Peer:
    def __init__(self, server: Endpoint, id: str | None, dial: str | None) -> None:
        self.core = PeerProtocol(server, token=secrets.token_hex(8), id=id)
        self.inputs: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.texts: asyncio.Queue[str | None] = asyncio.Queue()
        self.engine = Engine(self.core, self.tell, asyncio.get_running_loop())
        self.echo = Echo(self.core, dial)

    def tell(self, input: Callable[..., object], *args: object) -> None:
        self.inputs.put_nowait((input, *args))

    async def run(self) -> str | None:
        async with asyncio.TaskGroup() as self.tasks:
            self.tell(self.core.start, now())
            with suppress(asyncio.CancelledError):  # Ctrl-C
                while not self.echo.over:
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(self.core.next_timeout()):
                            input, *args = await self.inputs.get()
                            input(*args)
                    self.core.handle_timeout(now())  # too early, it does nothing
                    self.drain()
            self.core.shut_down()
            self.drain()
            await self.engine.done()  # and the group waits for the WebSocket
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
                self.tasks.create_task(self.fetch_id(url))
            case commands.OpenSocket(url):
                self.tasks.create_task(self.talk(url))
            case commands.SendText(text):
                self.texts.put_nowait(text)
            case commands.CloseSocket():
                self.texts.put_nowait(None)
            case _:
                self.engine.perform(command)

    async def fetch_id(self, url: str) -> None:
        # One request in a peer's life, and asyncio has no HTTP client: urllib in a thread.
        try:
            self.tell(self.core.receive_http, *await asyncio.to_thread(get, url), now())
        except (OSError, HTTPException) as error:
            self.tell(self.core.http_failed, str(error), now())

    async def talk(self, url: str) -> None:
        try:
            async with connect(url) as socket:
                self.tell(self.core.socket_opened, now())
                self.tasks.create_task(self.listen(socket))
                while (text := await self.texts.get()) is not None:
                    await socket.send(text)
        except (OSError, WebSocketException) as error:
            self.tell(self.core.socket_closed, str(error), now())

    async def listen(self, socket: ClientConnection) -> None:
        try:
            while True:
                self.tell(self.core.receive_text, await socket.recv(), now())
        except WebSocketException as error:  # the core asks for CloseSocket, and talk() ends
            self.tell(self.core.socket_closed, str(error), now())


def get(url: str) -> tuple[int, bytes]:
    try:
        with urlopen(url, timeout=10) as reply:
            return reply.status, reply.read(1000)
    except HTTPError as error:
        return error.code, b""


async def main() -> str | None:
    return await Peer(*arguments()).run()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
