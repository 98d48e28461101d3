"""One stream, answered by an ASGI application."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import anyio

from peerjs_proto.errors import ConnectionClosed, PeerError, RemoteProtocolError
from peerjs_proto.http_io import (
    Headers,
    RequestHead,
    ResetCode,
    ResponseHead,
    StreamReset,
    WebSocketClosed,
)
from peerjs_trio.http.headers import end_to_end, to_headers
from peerjs_trio.http.stream import Stream

__all__ = ["AsgiApp", "AskerGone", "Remote", "answer", "http_scope", "refuse", "text_headers"]

Scope = dict[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
"An application by the ASGI 3 specification."

Remote = dict[str, Any]
"""What an application learns of who asks, as ``scope["extensions"]["peerjs"]``: ``peer`` is the
remote id, ``pair`` the name of a paired peer, or None."""

_log = logging.getLogger("peerjs_trio.http")


class AskerGone(OSError):
    """Raised by ``send`` in an application: nobody is there any more (ASGI's HTTP 2.4)."""


async def answer(
    stream: Stream, app: AsgiApp, remote: Remote, state: dict[str, Any], *, stall_timeout: float
) -> None:
    """Let the application answer one request, until it returns or its asker is gone.

    :param state: what the application's lifespan has put there; each request has a copy.
    :param stall_timeout: seconds that the far side may take to send, or to make room for, the next
        part of a body.

    What the application raises is logged, and a 500 where there is no response yet.
    """
    exchange = (_WebSocket if stream.head.websocket else _Http)(stream, stall_timeout)
    scope = exchange.scope(remote) | {"state": state.copy()}
    async with anyio.create_task_group() as tasks:

        async def cancel_when_reset() -> None:
            await stream.wait_reset()
            if stream.head.websocket:
                await anyio.sleep(stall_timeout)  # it hears of the end, and has something to do
            tasks.cancel_scope.cancel()

        tasks.start_soon(cancel_when_reset)
        try:
            await app(scope, exchange.receive, partial(_send, exchange))
        except AskerGone as gone:
            _log.debug("%s is gone before its answer: %s", remote["peer"], gone)
        except Exception:
            _log.exception("the application has failed")
            exchange.failed = True
        await exchange.finish()
        tasks.cancel_scope.cancel()


async def _send(exchange: _Exchange, message: Message) -> None:
    try:
        await exchange.send(message)
    except (ConnectionClosed, StreamReset, RemoteProtocolError) as error:
        raise AskerGone(str(error)) from error


async def refuse(stream: Stream, status: int, text: str) -> None:
    """Answer a request ourselves; waits for the far side's room."""
    body = f"{text}\n".encode()
    length = ("content-length", str(len(body)))
    end = stream.head.method == "HEAD"
    await stream.respond(ResponseHead(status, (*_PLAIN, length)), end=end)
    if not end:
        await stream.send(body, end=True)


class _Exchange(ABC):
    """What both kinds have in common."""

    def __init__(self, stream: Stream, stall_timeout: float) -> None:
        self._stream = stream
        self._stall_timeout = stall_timeout
        self.failed = False
        "The application has raised."
        self._started = False
        "The response's head is out."

    @abstractmethod
    async def send(self, message: Message) -> None:
        """What the application sends."""

    async def refuse(self, status: int, text: str) -> None:
        """Answer ourselves."""
        self._started = True
        await self.out(refuse(self._stream, status, text))

    async def out(self, sending: Awaitable[None]) -> None:
        """Wait for the far side's room, but not for ever."""
        with anyio.move_on_after(self._stall_timeout) as scope:
            await sending
        if scope.cancelled_caught:
            self._stream.reset(ResetCode.TIMEOUT, "the response is not being read")
            raise StreamReset(ResetCode.TIMEOUT)


class _Http(_Exchange):
    """A request and its response."""

    def __init__(self, stream: Stream, stall_timeout: float) -> None:
        super().__init__(stream, stall_timeout)
        self._asked = False
        "The body was read to its end."
        self._answered = False
        "The response's body is whole."
        self._bodiless = stream.head.method == "HEAD"

    def scope(self, remote: Remote) -> Scope:
        return http_scope(self._stream.head, remote) | {"type": "http"}

    async def receive(self) -> Message:
        if self._asked:
            await self._stream.wait_reset()
            return {"type": "http.disconnect"}
        try:
            with anyio.fail_after(self._stall_timeout):
                body = await self._stream.receive()
        except TimeoutError:
            self._stream.reset(ResetCode.TIMEOUT, "the request's body does not come")
            return {"type": "http.disconnect"}
        except PeerError:
            return {"type": "http.disconnect"}
        self._asked = not body
        return {"type": "http.request", "body": body, "more_body": bool(body)}

    async def send(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start" if not self._started:
                status: int = message["status"]
                self._bodiless = self._bodiless or status in (204, 304)
                head = ResponseHead(status, text_headers(message.get("headers", ())))
                self._started, self._answered = True, self._bodiless
                await self._stream.respond(head, end=self._bodiless)
            case "http.response.body" if self._started and not self._answered:
                end = not message.get("more_body", False)
                self._answered = end
                await self.out(self._stream.send(bytes(message.get("body", b"")), end=end))
            case "http.response.body" if self._bodiless:
                pass  # as web servers do: an application need not know about HEAD
            case other:
                raise RuntimeError(f"the application sent {other!r} out of turn")

    async def finish(self) -> None:
        with suppress(PeerError):
            if not self._started:
                await self.refuse(500, "the application has failed")
            elif not self._answered:
                self._stream.reset(ResetCode.FAILED, "the response broke off")


class _WebSocket(_Exchange):
    """A request that wants to become a WebSocket."""

    def __init__(self, stream: Stream, stall_timeout: float) -> None:
        super().__init__(stream, stall_timeout)
        self._announced = False
        self._accepted = False
        self._opened = anyio.Event()
        self._answered = False
        "It was refused with a response of its own, which is whole."

    def scope(self, remote: Remote) -> Scope:
        scope = http_scope(self._stream.head, remote)
        listed = (v for n, v in self._stream.head.headers if n == "sec-websocket-protocol")
        protocols = [name.strip() for value in listed for name in value.split(",")]
        scope["extensions"]["websocket.http.response"] = {}
        return scope | {
            "type": "websocket",
            "scheme": "ws",
            "subprotocols": [name for name in protocols if name],
        }

    async def receive(self) -> Message:
        if not self._announced:
            self._announced = True
            return {"type": "websocket.connect"}
        if not await self._is_accepted():
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        try:
            value = await self._stream.receive_message()
        except WebSocketClosed as closed:
            return {"type": "websocket.disconnect", "code": closed.code, "reason": closed.reason}
        except PeerError:
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        if isinstance(value, str):
            return {"type": "websocket.receive", "text": value, "bytes": None}
        return {"type": "websocket.receive", "bytes": value, "text": None}

    async def send(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept" if not self._started:
                headers = text_headers(message.get("headers", ()))
                if subprotocol := message.get("subprotocol"):
                    headers += (("sec-websocket-protocol", subprotocol),)
                head = ResponseHead(101, headers)
                self._started = self._accepted = True
                await self._stream.respond(head)
                self._opened.set()
            case "websocket.send" if self._accepted:
                text = message.get("text")
                value = message["bytes"] if text is None else text
                await self.out(self._stream.send_message(value))
            case "websocket.close" if self._accepted:
                await self._stream.close(message.get("code", 1000), message.get("reason") or "")
            case "websocket.close" if not self._started:
                await self.refuse(403, "the application refuses this WebSocket")
                self._answered = True
            case "websocket.http.response.start" if not self._started:
                head = ResponseHead(message["status"], text_headers(message.get("headers", ())))
                self._started = True
                await self._stream.respond(head)
            case "websocket.http.response.body" if self._started and not self._accepted:
                self._answered = not message.get("more_body", False)
                body = bytes(message.get("body", b""))
                await self.out(self._stream.send(body, end=self._answered))
            case other:
                raise RuntimeError(f"the application sent {other!r} out of turn")

    async def _is_accepted(self) -> bool:
        """Once it is; False where its asker is gone before. An application may ask at any time."""
        async with anyio.create_task_group() as tasks:

            async def stop_when_reset() -> None:
                await self._stream.wait_reset()
                tasks.cancel_scope.cancel()

            if not self._opened.is_set():
                tasks.start_soon(stop_when_reset)
                await self._opened.wait()
                tasks.cancel_scope.cancel()
        return self._opened.is_set()

    async def finish(self) -> None:
        with suppress(PeerError):
            if not self._started:
                await self.refuse(500, "the application has failed")
            elif self._accepted:
                await self._stream.close(1011 if self.failed else 1000)
            elif not self._answered:
                self._stream.reset(ResetCode.FAILED, "the response broke off")


def http_scope(head: RequestHead, remote: Remote) -> Scope:
    """What every scope has; by the specification of ASGI's HTTP, version 2.4."""
    raw_path, _, query = head.path.partition("?")
    headers = [(n.encode(), v.encode("latin-1")) for n, v in head.headers if n != "host"]
    return {
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": head.method,
        "scheme": "http",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", _HOST), *headers],
        "client": None,
        "server": None,
        "extensions": {"peerjs": remote},
    }


def text_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """An application's headers, without those that belong to one hop."""
    return tuple((name, value.strip()) for name, value in to_headers(end_to_end(list(headers))))


_HOST: Final = b"peer.invalid"
"There is no host in what comes through a data connection, and applications want one."

_PLAIN: Final = (("content-type", "text/plain; charset=utf-8"),)
