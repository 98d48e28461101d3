"""A base URL as a fence: what a remote side may ask for stays under it, whoever reads the path.

Programs disagree about paths: what is decoded, how often, what separates and what is left out. So a
path is refused where any of them might read a way out of it, not only where ours would::

    >>> fence = Fence.parse("http://127.0.0.1:8778/api/")
    >>> fence.target(b"/readings?last=1")
    b'/api/readings?last=1'
    >>> fence.target(b"/..;/admin")
    Traceback (most recent call last):
    peerjs_proto.fence.RequestRefused: the path has a segment that names another place: dots
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import attrs

from .errors import LocalProtocolError, RemoteProtocolError

__all__ = ["TARGET_BYTES", "Fence", "RequestRefused"]

TARGET_BYTES: Final = 8192
"Path and query of a request: what nginx and Apache take in one line."

_SCHEMES: Final = {"http": 80, "https": 443}

# RFC 1123 names, and the underscore that containers have in theirs.
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?\.?\Z")

# Visible ASCII; a fragment has no business in a request.
_TARGET: Final = re.compile(rb"[!\"$-~]+\Z")

_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")

# Each costs time, and a hostile path could have thousands. A proxy behind a proxy decodes twice.
_ROUNDS: Final = 4

# ASCII in more bytes than it takes (RFC 3629, section 10): to lax decoders C0 AE is a dot.
_OVERLONG: Final = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]|\xf8[\x80-\x87]|\xfc[\x80-\x83]"
)


class RequestRefused(RemoteProtocolError):
    """A request that is not passed on. The text says why, and nothing about where it would go."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status
        "Of the HTTP response that says so."


@attrs.frozen
class Fence:
    """One base URL, as :meth:`parse` reads it. Scheme, host and port are never the remote's."""

    scheme: str
    "``http`` or ``https``."
    host: str
    "A name or an address; an IPv6 address without its brackets."
    port: int
    prefix: str
    "Path that all others are under; begins and ends with a slash."

    @classmethod
    def parse(cls, url: str) -> Fence:
        """Read an ``http`` or ``https`` URL. Its path is a folder, with a slash at its end or not.

        Raises :class:`~peerjs_proto.errors.LocalProtocolError` with what is wrong.
        """
        # urlsplit leaves some of these out without a word.
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            raise LocalProtocolError(f"{url!r} is not a base URL: it has letters that none has")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            if ":" in host:
                IPv6Address(host)
        except ValueError as error:
            raise LocalProtocolError(f"{url!r} is not a base URL: {error}") from None
        if parts.scheme not in _SCHEMES or not host or port == 0:
            raise LocalProtocolError(
                f"{url!r} is not a base URL: http://host:port/path is expected"
            )
        if parts.username is not None or parts.password is not None:
            raise LocalProtocolError("a base URL has no user name: a header can have it")
        if "?" in url or "#" in url:
            raise LocalProtocolError(f"{url!r} is not a base URL: it has a query or a fragment")
        if (":" not in host and not _HOST.match(host)) or "%" in host:
            raise LocalProtocolError(f"{url!r} is not a base URL: {host!r} is no host")
        prefix = parts.path if parts.path.endswith("/") else f"{parts.path}/"
        try:
            _check_path(prefix.encode())
        except RequestRefused as error:
            raise LocalProtocolError(f"{url!r} is not a base URL: {error}") from None
        return cls(parts.scheme, host, port or _SCHEMES[parts.scheme], prefix)

    @property
    def url(self) -> str:
        """The base URL, as :meth:`parse` takes it."""
        return f"{self.scheme}://{self.authority}{self.prefix}"

    @property
    def authority(self) -> str:
        """Host and port, as the ``host`` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _SCHEMES[self.scheme] else f"{host}:{self.port}"

    def target(self, path_and_query: bytes) -> bytes:
        """Path and query to ask the base's server for, given what the remote side asks us for.

        Nothing is decoded and nothing is mended: ours is the prefix, the rest is as it came.

        Raises:
            RequestRefused: with status 414 for more than :data:`TARGET_BYTES`, else 400.
        """
        if len(path_and_query) > TARGET_BYTES:
            raise RequestRefused(f"path and query have more than {TARGET_BYTES} bytes", 414)
        if not path_and_query.startswith(b"/"):
            raise RequestRefused("a request begins with the slash of its path")
        if not _TARGET.match(path_and_query):
            raise RequestRefused("path and query have visible ASCII alone, and no fragment")
        # Only up to the first question mark is it a path, to everybody.
        _check_path(path_and_query.partition(b"?")[0])
        return self.prefix.encode() + path_and_query[1:]

    def url_for(self, path_and_query: bytes) -> str:
        """The same as a URL. Raises RequestRefused as well."""
        return f"{self.scheme}://{self.authority}{self.target(path_and_query).decode()}"

    def seen_from_outside(self, reference: str, target: bytes) -> str:
        """What the remote side knows a place by that the base's server has named.

        A reference to something under the base, which may be relative to ``target``, becomes path
        and query as the remote side asks for them. Anything else comes back as it is: other
        servers are for the remote side to find, or not.
        """
        try:
            # What follows a redirect would do.
            parts = urlsplit(
                urljoin(f"{self.scheme}://{self.authority}{target.decode()}", reference)
            )
        except ValueError:
            return reference
        # Told that it is asked by https, a server may name itself so.
        if parts.scheme not in _SCHEMES or parts.netloc.lower() != self.authority.lower():
            return reference
        if not parts.path.startswith(self.prefix):
            return reference
        path = parts.path[len(self.prefix) - 1 :]
        if path.startswith(("//", "/\\")):
            return reference  # outside, that would be another host
        query = f"?{parts.query}" if parts.query else ""
        fragment = f"#{parts.fragment}" if parts.fragment else ""
        return f"{path}{query}{fragment}"


def _check_path(path: bytes) -> None:
    """Refuse a path that leads out of what it is put under, decoded as often as it can be."""
    if path.startswith(b"//"):
        raise RequestRefused("the path begins with two slashes, as a host does")
    if b"\\" in path:
        raise RequestRefused("the path has a backslash, which some take for a slash")
    if _BROKEN_ESCAPE.search(path):
        raise RequestRefused("the path has a percent sign without two hexadecimal digits")
    slashes = path.count(b"/")
    for _ in range(_ROUNDS):
        if path.count(b"/") != slashes or b"\\" in path:
            raise RequestRefused("the path has an encoded slash or backslash")
        if _CONTROL.search(path):
            raise RequestRefused("the path has an encoded control character")
        if _OVERLONG.search(path):
            raise RequestRefused("the path has ASCII in overlong UTF-8")
        if any(_is_dots(segment) for segment in path.split(b"/")):
            raise RequestRefused("the path has a segment that names another place: dots")
        decoded = unquote_to_bytes(path)
        if decoded == path:
            return
        path = decoded
    raise RequestRefused("the path is encoded more often than anybody decodes one")


def _is_dots(segment: bytes) -> bool:
    """Whether some server takes a segment, decoded so far, for ``.`` or ``..``."""
    # NFKC has other dots and slashes as these: what normalizes file names may do it too late.
    text = unicodedata.normalize("NFKC", segment.decode("utf-8", "replace"))
    # Java's servers drop what follows a semicolon, Windows dots and spaces at the end.
    parts = (part.partition(";")[0] for part in re.split(r"[/\\]", text))
    return any(part.strip(" .") == "" and "." in part for part in parts)
