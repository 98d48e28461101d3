"""One request of an ASGI application whose response is wanted as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
from anyio.lowlevel import checkpoint

from peerjs_trio.http.bridge import Message, text_headers

__all__ = ["WholeResponse"]

_UNKNOWN_TYPE: Final = "application/octet-stream"
"What may be taken for the type of what has none (RFC 9110, section 8.3)."

_TYPE_LENGTH: Final = 256
"Letters of a content type: longer ones say nothing that anybody reads."


class WholeResponse:
    """The application's ``receive`` and ``send``.

    :param body: the request's.
    :param largest: bytes of a response's body that are of use. What is over it is not waited for:
        the response counts as complete, longer than that, and the application is cancelled.
    :param respond: told of the response as soon as it is complete: status, content type and body.
    """

    def __init__(
        self, body: bytes, largest: int, respond: Callable[[int, str, bytes], None]
    ) -> None:
        self.scope = anyio.CancelScope()
        "To be around the application's call."
        self.is_complete = False
        self._request_body: bytes | None = body
        self._largest = largest
        self._respond = respond
        self._status = 0
        self._content_type = _UNKNOWN_TYPE
        self._body = bytearray()
        self._completed = anyio.Event()

    @property
    def has_begun(self) -> bool:
        """Whether the application has answered at all."""
        return self._status > 0

    async def receive(self) -> Message:
        """The request's body, at once, and then the end of it all."""
        await checkpoint()
        body, self._request_body = self._request_body, None
        if body is None:
            await self._completed.wait()
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Raises RuntimeError for what is out of turn."""
        match message["type"]:
            case _ if self.is_complete:
                pass  # as ASGI has it for a client that is gone
            case "http.response.start" if not self.has_begun:
                if not 200 <= message["status"] <= 599:
                    raise RuntimeError("the status of a response is 200 to 599")
                self._status = message["status"]
                for name, value in text_headers(message.get("headers", ())):
                    if name == "content-type":
                        self._content_type = value[:_TYPE_LENGTH]
            case "http.response.body" if self.has_begun:
                self._body += message.get("body", b"")
                if len(self._body) > self._largest:
                    self._complete()
                    self.scope.cancel()
                elif not message.get("more_body", False):
                    self._complete()
            case other:
                raise RuntimeError(f"the application sent {other!r} out of turn")
        await checkpoint()

    def _complete(self) -> None:
        self.is_complete = True
        self._completed.set()
        self._respond(self._status, self._content_type, bytes(self._body))
        self._body.clear()
