"""The link to the server: carries out the core's FetchId, OpenSocket, SendText, CloseSocket."""

from __future__ import annotations

from collections import deque

import anyio
import anyio.abc

from .driver import Driver
from .websocket import Socket, Transport, TransportError

__all__ = ["SignalingLink"]

_BACKLOG = 1024
"""Messages that may wait for a server that does not read. Others' offers make us answer, so
without a bound they could fill our memory through it."""

_FRAMES_OVER = 16
"""Frames this many times too long for the core are still read, and refused there one by one;
only beyond that is the socket itself given up."""


class SignalingLink:
    """One at a time: a request for an id, or a socket. Every call returns at once."""

    def __init__(
        self,
        driver: Driver,
        transport: Transport,
        tasks: anyio.abc.TaskGroup,
        signaling_bytes: int,
    ) -> None:
        self._driver = driver
        self._transport = transport
        self._tasks = tasks
        self._max_bytes = signaling_bytes * _FRAMES_OVER
        self._scope: anyio.CancelScope | None = None
        self._closed = anyio.Event()
        self._closed.set()
        self._connected = False
        self._backlog: deque[str] = deque()
        self._closing = False
        self._something = anyio.Event()

    def fetch_id(self, url: str) -> None:
        self._tasks.start_soon(self._fetch_id, url)

    def open(self, url: str) -> None:
        self._scope = anyio.CancelScope()
        self._closed = anyio.Event()
        self._backlog.clear()
        self._closing = self._connected = False
        self._something = anyio.Event()
        self._tasks.start_soon(self._run, url, self._scope, self._closed)

    def send(self, text: str) -> None:
        if len(self._backlog) >= _BACKLOG:
            self._give_up()
            return
        self._backlog.append(text)
        self._something.set()

    def close(self) -> None:
        """Close the socket once all that was sent is out; one that is not open yet, at once."""
        self._closing = True
        self._something.set()
        if not self._connected:
            self._give_up()

    async def wait_closed(self) -> None:
        """Until the socket is gone; at once if there is none."""
        await self._closed.wait()

    async def _fetch_id(self, url: str) -> None:
        try:
            status, body = await self._transport.get(url)
        except TransportError as error:
            with self._driver.turn() as core:
                core.http_failed(str(error))
        else:
            with self._driver.turn() as core:
                core.receive_http(status, body, anyio.current_time())

    async def _run(self, url: str, scope: anyio.CancelScope, closed: anyio.Event) -> None:
        reason = "the server does not read what we send"
        try:
            with scope:
                async with self._transport.open(url, max_bytes=self._max_bytes) as socket:
                    self._connected = True
                    with self._driver.turn() as core:
                        core.socket_opened(anyio.current_time())
                    reason = await self._converse(socket)
        except TransportError as error:
            reason = str(error)
        finally:
            self._connected = False
            closed.set()
        with self._driver.turn() as core:
            core.socket_closed(reason)

    async def _converse(self, socket: Socket) -> str:
        """Send and receive until the end; why it ended."""
        reason = ""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write, socket)
            while not reason:
                try:
                    text = await socket.receive()
                except TransportError as error:
                    reason = str(error) or "the connection broke"
                else:
                    with self._driver.turn() as core:
                        core.receive_text(text, anyio.current_time())
            tasks.cancel_scope.cancel()
        return reason

    async def _write(self, socket: Socket) -> None:
        while True:
            while self._backlog:
                try:
                    await socket.send(self._backlog.popleft())
                except TransportError:
                    return  # the reader hears of it too, and says why
            if self._closing:
                await socket.aclose()
                return
            self._something = anyio.Event()
            await self._something.wait()

    def _give_up(self) -> None:
        if self._scope is not None:
            self._scope.cancel()
