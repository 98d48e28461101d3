"""The demo's web application, which pages ask over WebRTC: ``/hello``, and no more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from platform import python_version
from typing import Any

__all__ = ["hello_app"]

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def hello_app(scope: dict[str, Any], receive: Any, send: Send) -> None:
    """An ASGI application. Frameworks make one with more comfort."""
    if scope["type"] != "http":
        return
    found = scope["path"] == "/hello"
    status, text = (200, f"HTTP from Python {python_version()}!") if found else (404, "Not found.")
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
