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

_ID_BYTES = 4096
"All we read where an id should be: one has 36 bytes."

_FRAMES_OVER = 16
"""Frames this many times too long for the core are still read, and refused there one by one;
only beyond that is the socket itself given up."""

_FAREWELL = 3.0
"Seconds a socket has to send its last and to close; a half-open one never would."


class SignalingLink:
    """One request for an id, or one socket, at a time. Every call returns at once."""

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
        self._fetching = anyio.CancelScope()
        self._line: _Line | None = None
        self._lines: set[_Line] = set()
        "That one, and those which are still closing."

    def fetch_id(self, url: str) -> None:
        self._fetching.cancel()  # the core has given up on it
        self._fetching = anyio.CancelScope()
        self._tasks.start_soon(self._fetch_id, url, self._fetching)

    def open(self, url: str) -> None:
        self._line = line = _Line(self._driver)
        self._lines.add(line)
        self._tasks.start_soon(self._run, line, url)

    def send(self, text: str) -> None:
        if self._line is not None:
            self._line.send(text)

    def close(self) -> None:
        """Close the socket once all that was sent is out; one that is not open yet, at once."""
        if self._line is not None:
            self._line.close()
            self._line = None

    async def wait_closed(self) -> None:
        """Until no socket is left; at once if there is none."""
        for line in list(self._lines):
            await line.gone.wait()

    async def _fetch_id(self, url: str, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                status, body = await self._transport.request("GET", url, max_bytes=_ID_BYTES)
            except TransportError as error:
                with self._driver.turn() as core:
                    core.http_failed(str(error), anyio.current_time())
            else:
                with self._driver.turn() as core:
                    core.receive_http(status, body, anyio.current_time())

    async def _run(self, line: _Line, url: str) -> None:
        try:
            await line.run(self._transport, url, self._max_bytes)
        finally:
            self._lines.discard(line)
            line.gone.set()


class _Line:
    """One socket, from the attempt to open it to its end."""

    def __init__(self, driver: Driver) -> None:
        self.gone = anyio.Event()
        self._driver = driver
        self._scope = anyio.CancelScope()
        self._connected = False
        self._backlog: deque[str] = deque()
        self._closing = False
        "By the core's wish: from then on it hears nothing of this socket."
        self._something = anyio.Event()

    def send(self, text: str) -> None:
        if len(self._backlog) >= _BACKLOG:
            self._scope.cancel()
            return
        self._backlog.append(text)
        self._something.set()

    def close(self) -> None:
        self._closing = True
        self._something.set()
        if self._connected:
            self._scope.deadline = anyio.current_time() + _FAREWELL
        else:
            self._scope.cancel()

    async def run(self, transport: Transport, url: str, max_bytes: int) -> None:
        reason = "the server does not read what we send"
        try:
            with self._scope:
                async with transport.open(url, max_bytes=max_bytes) as socket:
                    self._connected = True
                    with self._driver.turn() as core:
                        core.socket_opened(anyio.current_time())
                    reason = await self._converse(socket)
        except TransportError as error:
            reason = str(error)
        if not self._closing:
            with self._driver.turn() as core:
                core.socket_closed(reason, anyio.current_time())

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
                    if not self._closing:
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
