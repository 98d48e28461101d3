"""One client's WebSocket as an ASGI server has it: what goes out waits in a bounded backlog.

ASGI's ``send`` waits for a slow reader, and a server that relays must not. So each socket has a
task that sends, and whoever has something for it leaves it there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from peerjs_proto.server_io import Departure, ServerLimits

from .hub import Hub

__all__ = ["AsgiSocket", "Receive", "Send", "hand_over"]

# Web servers and frameworks have types for what these take, no two of them the same.
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class AsgiSocket:
    """An :class:`~peerjs_trio.hub.Outlet`. The WebSocket's request has come, and waits."""

    def __init__(self, receive: Receive, send: Send, limits: ServerLimits) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._backlog: deque[dict[str, Any]] = deque()  # the first is being sent
        self._backlog_bytes = 0
        self._more = anyio.Event()  # set when there is something in it again
        self._closing = False
        self._reading = anyio.CancelScope()
        self._scope = anyio.CancelScope()

    async def serve(self, hub: Hub, target: str, headers: Mapping[str, str], address: str) -> None:
        """Accept it, register its client, and go on until its end."""
        if not await hand_over(self._send, {"type": "websocket.accept"}):
            return
        try:
            async with anyio.create_task_group() as tasks:
                self._scope = tasks.cancel_scope
                tasks.start_soon(self._read, hub, target, headers, address)
                await self._write()
                # Whoever is cut off before it has answered a close may lose what was sent before.
                while await self._next_message() is not None:
                    pass
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            await self._say_goodbye()
            raise

    # --- what the hub calls -------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Send it in turn. Where too much waits already, the socket is given up."""
        if self._closing:
            return
        size = len(text.encode())
        # Whatever it is, one message has room; it is the next that may have none.
        if self._backlog and self._backlog_bytes + size > self._limits.backlog_bytes:
            self._scope.cancel()
            return
        self._backlog_bytes += size
        self._put({"type": "websocket.send", "text": text})

    def close_websocket(self, code: int | None, reason: str) -> None:
        """Close behind what waits, within ``close_timeout``."""
        if self._closing:
            return
        self._closing = True
        # ASGI knows no close without a status.
        self._put({"type": "websocket.close", "code": code or 1000, "reason": reason})
        self._reading.cancel()
        self._scope.deadline = anyio.current_time() + self._limits.close_timeout

    def ping(self) -> None:
        """Nothing: in ASGI pings are the web server's."""

    def _put(self, message: dict[str, Any]) -> None:
        self._backlog.append(message)
        self._more.set()

    # --- its two tasks ------------------------------------------------------------------------

    async def _read(self, hub: Hub, target: str, headers: Mapping[str, str], address: str) -> None:
        """Until we close, or the client leaves, which ends all."""
        client = await hub.register(target, headers, address, self)
        try:
            with self._reading:
                while (message := await self._next_message()) is not None:
                    pause = hub.receive(client, [message])
                    await anyio.sleep(pause)  # also where it is 0.0: others have their turn
        finally:
            hub.gone(client)
        if not self._closing:
            self._scope.cancel()

    async def _write(self) -> None:
        """Until a close has been sent, or all ends."""
        while not self._scope.cancel_called:
            while not self._backlog:
                self._more = anyio.Event()
                await self._more.wait()
            message = self._backlog[0]
            sent = False
            with anyio.move_on_after(self._limits.send_timeout):
                sent = await hand_over(self._send, message)
            if not sent:
                self._scope.cancel()
            if message["type"] == "websocket.close":
                return
            self._backlog.popleft()
            self._backlog_bytes -= len(message["text"].encode())

    async def _say_goodbye(self) -> None:
        """A web server that stops cancels what still runs: the client should know why."""
        if not self._closing:
            close = {"type": "websocket.close", "code": 1001, "reason": Departure.SHUTDOWN.value}
            with anyio.move_on_after(self._limits.close_timeout, shield=True):
                await hand_over(self._send, close)

    # --- ASGI ---------------------------------------------------------------------------------

    async def _next_message(self) -> str | bytes | None:
        """The next one; None at the end."""
        try:
            event = await self._receive()
        except Exception:  # as in hand_over()
            return None
        if event["type"] != "websocket.receive":
            return None
        text: str | None = event.get("text")
        data: bytes = event.get("bytes") or b""
        return data if text is None else text


async def hand_over(send: Send, event: dict[str, Any]) -> bool:
    """Give the web server something to send; whether it has taken it."""
    try:
        await send(event)
    except Exception:
        # Of a socket that is gone. ASGI says OSError for that; uvicorn and granian raise
        # RuntimeError too, hypercorn what its streams do.
        return False
    return True
