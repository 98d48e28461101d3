"""What a web page needs for HTTP over WebRTC: ES modules, for a program to serve."""

from __future__ import annotations

from importlib import resources

from peerjs_proto.server_io import HttpReply

__all__ = ["page_modules"]


def page_modules() -> dict[str, HttpReply]:
    """The modules by their paths, ``"/peer-fetch.js"`` and those it imports.

    Ready for :func:`~peerjs_trio.open_server`: ``routes=page_modules() | {"/": …}``.
    """
    files = (file for file in resources.files(__name__).iterdir() if file.name.endswith(".js"))
    return {
        f"/{file.name}": HttpReply(200, file.read_bytes(), "text/javascript; charset=utf-8")
        for file in sorted(files, key=lambda file: file.name)
    }
