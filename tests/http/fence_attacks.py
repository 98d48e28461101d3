"""Who tries to get out of the base URL: what is asked, and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from peerjs_proto.fence import TARGET_BYTES
from peerjs_proto.http_headers import HEADER_BYTES, HEADER_COUNT

__all__ = ["ATTACKS", "REQUEST_BYTES", "SECTIONS", "Attack"]

REQUEST_BYTES: Final = 100_000
"What bodies may have in these tests."


@attrs.frozen
class Attack:
    """One request, and its fate."""

    target: bytes = b"/x"
    comes_of_it: int | str = 400
    "The status of a refusal, or the target that the server is asked for."
    method: str = "GET"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    gone: tuple[bytes, ...] = ()
    "What no header that the server gets has in it."
    body: bytes | None = None
    status: int = 200
    "Of the response, where there is one."
    is_websocket: bool = False
    words: str = ""
    "What it is, where its bytes do not show it."

    @property
    def name(self) -> str:
        """For the document."""
        if self.words:
            return self.words
        shown = []
        if self.method != "GET":
            shown.append(self.method)
        if self.target != b"/x" or not (shown or self.headers):
            shown.append(self.target.decode("ascii", "backslashreplace"))
        shown += [f"{_shown(name)}: {_shown(value)}" for name, value in self.headers]
        return ", ".join(_code(part) for part in shown)

    @property
    def fate(self) -> str:
        """For the document."""
        if isinstance(self.comes_of_it, int):
            return str(self.comes_of_it)
        fate = f"passes as {_code(self.comes_of_it)}"
        if self.gone and not self.body:
            fate += ", without that" if len(self.headers) == 1 else ", without those"
        fate += ", one request" if self.body else ""
        return fate if self.status == 200 else f"{fate}, and {self.status} comes back"


def _code(text: str) -> str:
    text = text.encode("unicode_escape").decode().replace("\\\\", "\\").replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _shown(value: bytes) -> str:
    return value.decode("latin-1")


def _paths(comes_of_it: int, *targets: bytes) -> list[Attack]:
    return [Attack(target, comes_of_it) for target in targets]


def _header(name: bytes, value: bytes, comes_of_it: int | str = "/api/x") -> Attack:
    # What passes leaves the header behind.
    gone = (value,) if isinstance(comes_of_it, str) else ()
    return Attack(headers=((name, value),), comes_of_it=comes_of_it, gone=gone)


_HOSTS: Final = [
    *_paths(400, b"http://127.0.0.1:SECRET/", b"http://127.0.0.1:SECRET/api/x", b"HTTP://evil/"),
    *_paths(400, b"//127.0.0.1:SECRET/", b"///127.0.0.1:SECRET/", b"/\\127.0.0.1:SECRET/"),
    *_paths(400, b"\\\\127.0.0.1:SECRET\\", b"//user@127.0.0.1:SECRET/", b"/%5c127.0.0.1:SECRET/"),
    *_paths(400, b"@127.0.0.1:SECRET/", b":SECRET/", b".evil.example/", b"*", b"x"),
    Attack(b"", words="no path"),
    *_paths(400, b"/%2f127.0.0.1:SECRET/", b"file:///etc/passwd", b"javascript:alert(1)"),
    *_paths(400, b"/x#@127.0.0.1:SECRET/", b"#", b"/x#/../../secret"),
    Attack(b"/@127.0.0.1:SECRET/", "/api/@127.0.0.1:SECRET/"),
    Attack(b"/http://127.0.0.1:SECRET/", "/api/http://127.0.0.1:SECRET/"),
    Attack(b"/x?url=http://127.0.0.1:SECRET/", "/api/x?url=http://127.0.0.1:SECRET/"),
    Attack(b"/:SECRET/?@evil", "/api/:SECRET/?@evil"),
]

_PATHS: Final = [
    *_paths(400, b"/../secret", b"/x/../../secret", b"/./../secret", b"/..", b"/.", b"/x/.."),
    *_paths(400, b"/%2e%2e/secret", b"/.%2E/secret", b"/%2e./secret", b"/%2e%2e%2fsecret"),
    *_paths(400, b"/..%2fsecret", b"/..%5csecret", b"/..\\secret", b"/x%2f..%2f..%2fsecret"),
    *_paths(400, b"/%252e%252e/secret", b"/%25%32%65%25%32%65/secret", b"/%25252e%25252e/secret"),
    *_paths(400, b"/..%252fsecret", b"/..%255csecret", b"/%2525252525252e./secret"),
    *_paths(400, b"/..;/secret", b"/..;a=b/secret", b"/..%3b/secret", b"/.;/..;/secret"),
    *_paths(400, b"/..%00/secret", b"/%00/../secret", b"/x%00", b"/..%20/secret", b"/..%09/secret"),
    *_paths(400, b"/...//secret", b"/....//secret", b"/.../secret"),
    *_paths(400, b"/%c0%ae%c0%ae/secret", b"/..%c0%afsecret", b"/%e0%80%ae%e0%80%ae/secret"),
    *_paths(400, b"/%ef%bc%8e%ef%bc%8e/secret", b"/%e2%80%a5/secret", b"/..%ef%bc%8fsecret"),
    *_paths(400, b"/%u002e%u002e/secret", b"/..%u2215secret", b"/%%32%65%%32%65/secret", b"/%2"),
    *_paths(400, b"/x\r\nHost: evil", b"/x HTTP/1.1\r\n\r\nGET /secret", b"/x%0d%0aHost:%20evil"),
    *_paths(400, b"/x y", b"/\0", b"/\x7f", b"/x\t", b"/\xff", "/ä".encode(), b"/x?\r\n", b"/x?\0"),
    Attack(b"/" + b"x" * TARGET_BYTES, 414, words=f"a path of {TARGET_BYTES + 1} bytes"),
    Attack(b"/%" + b"25" * 4000 + b"2e/secret", words="a dot that is encoded 4,001 times"),
    Attack(b"/" + b"x/" * 20 + b"../" * 22 + b"secret", words="20 folders down and 22 up"),
    Attack(b"/x//y", "/api/x//y"),
    Attack(b"/..x/.well-known/x..", "/api/..x/.well-known/x.."),
    Attack(b"/x?/../../secret", "/api/x?/../../secret"),
    Attack(b"/x?a=%2e%2e%2fsecret", "/api/x?a=%2e%2e%2fsecret"),
    Attack(b"/secret", "/api/secret"),
    Attack(b"/%E4%20%C3%A4;v=1", "/api/%E4%20%C3%A4;v=1"),
]

_HEADERS: Final = [
    _header(b"host", b"127.0.0.1:SECRET"),
    *(
        _header(name, b"192.0.2.7")
        for name in (b"x-forwarded-for", b"X_Forwarded_For", b"x-real-ip", b"true-client-ip")
    ),
    _header(b"x-forwarded-host", b"evil.example"),
    _header(b"x-forwarded-proto", b"gopher"),
    _header(b"x-forwarded-prefix", b"/evil"),
    _header(b"forwarded", b"for=192.0.2.7"),
    _header(b"x-peer-id", b"mallory"),
    _header(b"x-peer-pair", b"mallory"),
    _header(b"x-original-url", b"/secret"),
    _header(b"x-rewrite-url", b"/secret"),
    _header(b"proxy", b"http://127.0.0.1:SECRET/"),
    _header(b"connection", b"host, x-forwarded-for, x-peer-id"),
    _header(b"upgrade", b"h2c"),
    _header(b"te", b"trailers"),
    _header(b"expect", b"100-continue"),
    _header(b"proxy-authorization", b"Basic eA=="),
    _header(b"x\r\nhost", b"evil", 400),
    _header(b"x", b"y\r\nhost: evil", 400),
    _header(b"x", b"y\nhost: evil", 400),
    _header(b"x", b"y\r\n\r\nGET /secret HTTP/1.1", 400),
    _header(b"x", b"\0", 400),
    _header(b"x:", b"y", 400),
    _header(b":path", b"/secret", 400),
    _header(b"host ", b"evil", 400),
    _header(b"", b"x", 400),
    Attack(headers=((b"a", b"x" * HEADER_BYTES),), comes_of_it=431, words="a header of 32 KiB"),
    Attack(
        headers=((b"a", b"b"),) * (HEADER_COUNT + 1),
        comes_of_it=431,
        words=f"{HEADER_COUNT + 1} headers",
    ),
]

_METHODS: Final = [
    Attack(method="CONNECT", comes_of_it=501),
    Attack(b"127.0.0.1:SECRET", method="CONNECT", comes_of_it=501),
    Attack(method="connect", comes_of_it=501),
    Attack(method="TRACE", comes_of_it=501),
    Attack(method="GET /secret HTTP/1.1\r\nx:", comes_of_it=400),
    Attack(method="G T", comes_of_it=400),
    Attack(method="", comes_of_it=400, words="no method"),
    Attack(method="A" * 33, comes_of_it=400, words="a method of 33 letters"),
    Attack(method="DELETE", comes_of_it="/api/x"),
]

_SMUGGLED: Final = b"0\r\n\r\nGET /secret HTTP/1.1\r\nhost: x\r\n\r\n"

_BODIES: Final = [
    Attack(
        method="POST",
        headers=((b"transfer-encoding", b"chunked"), (b"content-length", b"%d" % len(_SMUGGLED))),
        body=_SMUGGLED,
        comes_of_it="/api/x",
        gone=(b"chunked",),
        words="a request in a body, behind its last chunk; `content-length` is right",
    ),
    Attack(
        method="POST",
        headers=((b"transfer-encoding", b"chunked"),),
        body=_SMUGGLED,
        comes_of_it="/api/x",
        gone=(b"chunked",),
        words="the same, without a length",
    ),
    Attack(
        method="POST",
        headers=((b"content-length", b"5"),),
        body=_SMUGGLED,
        words="the same, with `content-length: 5`",
    ),
    *(
        Attack(method="POST", headers=((b"content-length", length),), body=b"x")
        for length in (b"-1", b"+1", b"1, 1", b"0x1", b"1" * 30, b"2")
    ),
    Attack(
        method="POST",
        headers=((b"content-length", b"1"), (b"content-length", b"0")),
        body=b"x",
    ),
    Attack(
        method="POST",
        headers=((b"content-length", b"1"), (b"content_length", b"0")),
        body=b"x",
    ),
    Attack(
        method="POST",
        headers=((b"content-length", str(10**12).encode()),),
        body=b"x",
        comes_of_it=413,
    ),
    Attack(
        method="POST",
        body=b"x" * (REQUEST_BYTES + 1),
        comes_of_it=413,
        words="a body over `request_bytes`",
    ),
]

_REDIRECTS: Final = [
    Attack(
        b"/moved?http://127.0.0.1:SECRET/",
        "/api/moved?http://127.0.0.1:SECRET/",
        status=302,
        words="to ask for a redirect to another server",
    ),
    Attack(
        b"/moved?/secret",
        "/api/moved?/secret",
        status=302,
        words="to ask for a redirect to `/secret`",
    ),
]

_WEBSOCKETS: Final = [
    Attack(target, is_websocket=True, comes_of_it=400, words=f"`{target.decode()}`")
    for target in (b"/../secret", b"/%2e%2e/secret", b"//127.0.0.1:SECRET/", b"ws://evil.example/")
] + [
    Attack(
        b"/socket",
        "/api/socket",
        headers=((b"host", b"evil"), (b"sec-websocket-key", b"x"), (b"x-forwarded-for", b"::1")),
        gone=(b"evil", b"::1"),
        is_websocket=True,
    )
]

SECTIONS: Final[Mapping[str, Sequence[Attack]]] = {
    "Other servers": _HOSTS,
    "Other paths": _PATHS,
    "Headers": _HEADERS,
    "Methods": _METHODS,
    "Bodies": _BODIES,
    "Redirects": _REDIRECTS,
    "WebSockets": _WEBSOCKETS,
}

ATTACKS: Final = [attack for attacks in SECTIONS.values() for attack in attacks]
