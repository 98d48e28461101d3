"""One request of ambianic's pages: a JSON text in, a request of HTTP out.

Sources: ``src/remote/peer-fetch.js`` and ``edgeAPI.js`` of ambianic-ui 2.23, ``peerfetch.ts`` of
peerfetch 0.0.1, and what the proxy of both takes (peerjs-python, ``ext/http_proxy.py``).
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import attrs

from . import jsontext
from .errors import DecodeError, LocalProtocolError, PeerError
from .http_io import Headers, RequestHead

__all__ = ["Ping", "ProxyRefusal", "ProxyRequest", "Scope", "read_request"]

TEXT_TYPE: Final = "text/plain; charset=utf-8"


@attrs.frozen
class ProxyRequest:
    """What is to be carried out."""

    head: RequestHead
    body: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen
class Ping:
    """A page keeps its connection alive: the answer is a pong."""


class ProxyRefusal(PeerError):
    """A request that is answered with an error, and nothing more."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@attrs.frozen
class Scope:
    """Which absolute URLs may be asked for, and the paths that they mean.

    Pages name the device's API as the device itself would: ``http://localhost:8778/api/status``.
    """

    base_url: str | None = None
    """What paths are relative to; a URL must be inside it. Its host by whatever name, if it is this
    machine. None: any http URL of this machine, with the whole of its path."""

    def path_of(self, url: str) -> str:
        """Path and query, without what the base URL has of it. Raises ProxyRefusal."""
        asked = _Place.of(url)
        path = asked.path
        if self.base_url is not None:
            base = _Place.of(self.base_url)
            folder = base.path.rstrip("/")
            inside = asked.origin == base.origin and path.startswith(folder)
            path = path.removeprefix(folder)
            inside = inside and path[:1] in ("", "/", "?")
        else:
            inside = asked.is_here
        if not inside:
            # Not by name: whoever asks for it need not know what is behind us.
            raise ProxyRefusal(421, "the url is none of what is served here; a path alone is best")
        return path if path.startswith("/") else f"/{path}"


def read_request(text: str | bytes, scope: Scope, *, max_depth: int) -> ProxyRequest | Ping:
    """Read one message of a page's. Raises ProxyRefusal, and nothing else, for any at all."""
    try:
        given = jsontext.loads(text, max_depth=max_depth)
    except DecodeError as error:
        raise ProxyRefusal(400, f"a request is a JSON object: {error}") from None
    if not isinstance(given, dict):
        raise ProxyRefusal(400, "a request is a JSON object")
    members = {name: value for name, value in given.items() if value is not None}
    url, method = members.pop("url", None), members.pop("method", "GET")
    if not isinstance(url, str):
        raise ProxyRefusal(400, "a request has a url, which is text")
    if url.startswith("ping"):
        return Ping()
    if not isinstance(method, str):
        raise ProxyRefusal(400, "the method is text")
    body, headers = _body(members.pop("json", None), members.pop("data", None), max_depth)
    if members:
        # Left out unseen it would be lost: the one who wrote it meant something by it.
        raise ProxyRefusal(
            400, f"requests have url, method, json and data; not {min(members)!r:.80}"
        )
    try:
        return ProxyRequest(RequestHead(method.upper(), _path(url, scope), headers), body)
    except LocalProtocolError as error:
        raise ProxyRefusal(400, str(error)) from None


def _path(url: str, scope: Scope) -> str:
    if _CONTROLS.search(url):
        raise ProxyRefusal(400, "the url has control characters in it")
    # Pages put names of files into URLs as they are.
    url = _STRAY_PERCENT.sub("%25", quote(url.partition("#")[0], safe=_OF_URLS))
    if url.startswith("/") and not url.startswith("//"):
        return url
    return scope.path_of(url)


def _body(json: Any, data: Any, max_depth: int) -> tuple[bytes, Headers]:
    """As aiohttp takes the two, which the original hands them to."""
    if json is not None and data is not None:
        raise ProxyRefusal(400, "a request has json or data, not both")
    if json is not None:
        kind, text = "application/json", jsontext.dumps(json, max_depth=max_depth)
    elif isinstance(data, str):
        kind, text = TEXT_TYPE, data
    elif isinstance(data, dict):
        kind, text = "application/x-www-form-urlencoded", urlencode(_fields(data))
    elif data is None:
        return b"", ()
    else:
        raise ProxyRefusal(400, "data is text, or an object with the fields of a form")
    body = text.encode()
    return body, (("content-type", kind), ("content-length", str(len(body))))


def _fields(data: dict[str, Any]) -> dict[str, str]:
    fields = {}
    for name, value in data.items():
        if not isinstance(value, str | int | float):
            raise ProxyRefusal(400, f"the field {name!r:.80} of data is neither text nor a number")
        fields[name] = value if isinstance(value, str) else jsontext.dumps(value)
    return fields


@attrs.frozen
class _Place:
    """An absolute URL, as far as it says what it belongs to."""

    origin: tuple[str, str, int]
    path: str

    @classmethod
    def of(cls, url: str) -> _Place:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ProxyRefusal(400, "the url is none") from None
        if parts.scheme not in _PORTS or not host or parts.username is not None:
            raise ProxyRefusal(400, "a url begins with '/', or with http:// and a host")
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        # An origin is the same by any name of this machine.
        name = _HERE if host == _HERE or host == "::1" or _LOOPBACK.fullmatch(host) else host
        return cls((parts.scheme, name, port or _PORTS[parts.scheme]), path)

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, by the look of its name."""
        return self.origin[1] == _HERE


_HERE: Final = "localhost"
_LOOPBACK: Final = re.compile(r"127(?:\.[0-9]{1,3}){3}")
_PORTS: Final = {"http": 80, "https": 443}

_CONTROLS: Final = re.compile("[\0-\x1f\x7f-\x9f]")
_STRAY_PERCENT: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_OF_URLS: Final = "%/:?@!$&'()*+,;=[]"
"What has a meaning in a URL, or may stand there as it is (RFC 3986, section 2.2)."
