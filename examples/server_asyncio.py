"""A PeerServer in asyncio: peerjs_proto's rules, and sockets by the websockets library.

    python examples/server_asyncio.py --port 9000

Ctrl-C stops it. All input goes to the core as it comes, and what the core asks for is carried out
at once: one thread, no locks.
"""

import argparse
import asyncio
import uuid
from contextlib import suppress
from http import HTTPStatus
from time import monotonic as now

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import CloseClient, HttpRequest, SendText, ServerCommand

Outbox = asyncio.Queue[ServerCommand]


class Server:
    def __init__(self) -> None:
        self.core = ServerProtocol()
        self.outboxes: dict[int, Outbox] = {}
        self.sockets: dict[int, ServerConnection] = {}

    def drain(self) -> None:
        while command := self.core.next_command():
            try:
                self.outboxes[command.client].put_nowait(command)
            except asyncio.QueueFull:  # it does not read: the others do not wait for it
                self.sockets[command.client].transport.abort()
        while self.core.next_event():
            pass  # what has happened: for a log

    async def keep_time(self) -> None:
        while True:
            await asyncio.sleep(0.5)  # next_timeout() says when; no deadline here is that short
            self.core.handle_timeout(now())
            self.drain()

    async def talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        client = self.core.client_connected(socket.request.path, now())
        outbox: Outbox = asyncio.Queue(1000)
        self.outboxes[client], self.sockets[client] = outbox, socket
        self.drain()
        sending = asyncio.create_task(self.send(socket, outbox))
        try:
            async for message in socket:
                pause = self.core.receive_message(client, message, now())
                self.drain()
                await asyncio.sleep(pause)  # whoever sends too much waits
        except ConnectionClosed:
            pass
        finally:
            self.core.client_closed(client)
            self.drain()
            del self.outboxes[client], self.sockets[client]
            sending.cancel()

    async def send(self, socket: ServerConnection, outbox: Outbox) -> None:
        with suppress(ConnectionClosed):
            while True:
                match await outbox.get():
                    case SendText(_, text):
                        await socket.send(text)
                    case CloseClient(_, code, reason):
                        await socket.close(code or 1000, reason)

    def answer(self, socket: ServerConnection, request: Request) -> Response | None:
        """The reply to a plain request; None goes on to open the WebSocket."""
        if self.core.is_websocket(request.path):
            return None
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        reply = self.core.respond(
            HttpRequest("GET", request.path, headers),  # websockets answers no other method
            fresh_id=lambda: str(uuid.uuid4()),
            now=now(),
        )
        told = Headers(reply.headers)
        told["Content-Type"], told["Content-Length"] = reply.content_type, str(len(reply.body))
        return Response(reply.status, HTTPStatus(reply.status).phrase, told, reply.body)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=9000)
    server = Server()
    # Extensions are off: compression triples the memory of a client.
    async with serve(
        server.talk,
        "127.0.0.1",
        parser.parse_args().port,
        process_request=server.answer,
        max_size=256 * 1024,
        compression=None,
    ) as listening:
        timekeeper = asyncio.create_task(server.keep_time())
        port = next(iter(listening.sockets)).getsockname()[1]
        print(f"PeerServer at http://127.0.0.1:{port}/", flush=True)
        with suppress(asyncio.CancelledError):  # Ctrl-C
            await asyncio.Future()
        timekeeper.cancel()
        server.core.shut_down()
        server.drain()


if __name__ == "__main__":
    asyncio.run(main())
