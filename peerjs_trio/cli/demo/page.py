"""The demo's web page: what is served, from where, and under which addresses."""

from __future__ import annotations

import errno
import http.client
import ipaddress
import os
import socket
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

from peerjs_proto.server_io import HttpReply
from peerjs_trio.page import page_modules

__all__ = [
    "PYTHON_PEER",
    "addresses",
    "fetch_page",
    "network_address",
    "page_routes",
    "peerjs_source",
]

PYTHON_PEER: Final = "python"
"The id of the peer that answers visitors; the page's script knows it too."

_CDN: Final = "https://unpkg.com/peerjs@1.5.5/dist/peerjs.min.js"
_PEERJS: Final = "/peerjs.min.js"
_INSTALLED: Final = Path("node_modules", "peerjs", "dist", "peerjs.min.js")
_FETCH_TIMEOUT: Final = 10.0

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # Whatever visitors and files are called, nothing of it can become script.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' https://unpkg.com; style-src 'self'; "
        "connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'"
    ),
}


def page_routes() -> Mapping[str, HttpReply]:
    """The page for :func:`~peerjs_trio.open_server`. Raises OSError for a bad PEERJS_JS."""
    return {
        "/": _file("index.html", "text/html"),
        "/demo.css": _file("demo.css", "text/css"),
        "/demo.js": _file("demo.js", "text/javascript"),
        _PEERJS: _peerjs(),
        **{path: attrs.evolve(reply, headers=_HEADERS) for path, reply in page_modules().items()},
    }


async def fetch_page(url: str) -> str:
    """Get the page and all it loads as a browser would; what is wrong with it, if anything."""
    for path in page_routes():
        fault = await trio.to_thread.run_sync(_fetch, url, path, abandon_on_cancel=True)
        if fault:
            return f"{path}: {fault}"
    return ""


def peerjs_source() -> str:
    """Where pages get peerjs.js from."""
    return str(_find_peerjs() or _CDN)


def addresses(url: str, host: str) -> list[tuple[str, str]]:
    """Where to open the page, and on which machine."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False  # a name
    if not everywhere:
        return [(url, "")]
    found = [(url, " on this machine")]
    if (address := network_address()) is not None:
        port = urlsplit(url).port
        found.append((f"http://{address}:{port}/", " on another machine of this network"))
    return found


def _file(name: str, content_type: str) -> HttpReply:
    body = resources.files("peerjs_trio.cli.demo").joinpath(name).read_bytes()
    return HttpReply(200, body, f"{content_type}; charset=utf-8", _HEADERS)


def _peerjs() -> HttpReply:
    found = _find_peerjs()
    if found is None:
        return HttpReply(302, headers={"Location": _CDN})
    return HttpReply(200, found.read_bytes(), "text/javascript; charset=utf-8", _HEADERS)


def _find_peerjs() -> Path | None:
    """A copy on this machine: it works without the Internet, and is the version at hand."""
    if named := os.environ.get("PEERJS_JS"):
        if not Path(named).is_file():
            raise FileNotFoundError(errno.ENOENT, f"PEERJS_JS names no file: {named}")
        return Path(named)
    here = Path.cwd()
    places = (directory / _INSTALLED for directory in (here, *here.parents))
    return next((place for place in places if place.is_file()), None)


def _fetch(url: str, path: str) -> str:
    """What is wrong with a file of ours; nothing if nothing is."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    # Not urllib: it would ask a proxy for what is on this machine.
    connection = http.client.HTTPConnection(host or "", port, timeout=_FETCH_TIMEOUT)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        body = reply.read()
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    if reply.status == 302 and reply.headers["Location"] == _CDN:
        return ""
    return "" if reply.status == 200 and body else f"status {reply.status}, {len(body)} bytes"


def network_address() -> str | None:
    """This machine's, as others on its network see it; None without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # an example address: nothing is sent
        except OSError:
            return None
        address: str = sock.getsockname()[0]
        return address
