"""HTTP as ambianic's pages speak it: what they ask, what they are told, and in which order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.http_io import RequestHead
from peerjs_proto.http_proxy import HttpProxyProtocol, ProxyLimits
from peerjs_proto.http_proxy_request import ProxyRequest

BUSY = {"status": 202}
FORM = "application/x-www-form-urlencoded"


def asked(url: str, **members: Any) -> str:
    return json.dumps({"url": url, "method": "GET", **members})


def drain(proxy: HttpProxyProtocol) -> list[Any]:
    """All frames, headers read."""
    frames: list[Any] = []
    while (frame := proxy.next_frame()) is not None:
        frames.append(json.loads(frame) if str(frame).startswith("{") else frame)
    return frames


def refused(frame: str | bytes, **options: Any) -> tuple[int, str]:
    """Status and text of the answer to a message that asks for nothing."""
    proxy = HttpProxyProtocol(**options)
    proxy.receive_frame(frame)
    assert proxy.next_request(0.0) is None
    header, body = drain(proxy)
    assert header["content-type"] == "text/plain; charset=utf-8"
    assert header["content-length"] == len(body)
    return header["status"], body.decode()


def request(frame: str | bytes, **options: Any) -> ProxyRequest:
    proxy = HttpProxyProtocol(**options)
    proxy.receive_frame(frame)
    found = proxy.next_request(0.0)
    assert found is not None, drain(proxy)
    return found


# --- requests ------------------------------------------------------------------------------------


def test_a_request() -> None:
    assert request(asked("/api/status?")) == ProxyRequest(RequestHead("GET", "/api/status?"))


def test_bytes_may_hold_one() -> None:
    assert request(asked("/a").encode()).head.path == "/a"


def test_what_is_missing_or_null_is_as_if_it_was_not_there() -> None:
    assert request('{"url":"/a"}').head.method == "GET"
    assert request('{"url":"/a","method":null,"json":null,"headers":null}').body == b""


def test_methods_are_written_as_http_has_them() -> None:
    assert request(asked("/a", method="delete")).head.method == "DELETE"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/", "/"),
        ("/a b/é.jpg?q=“x”", "/a%20b/%C3%A9.jpg?q=%E2%80%9Cx%E2%80%9D"),
        ("/100%/%41?a=%zz", "/100%25/%41?a=%25zz"),
        ("/a?b=c#d?e", "/a?b=c"),
        (r"/a\b", "/a%5Cb"),
    ],
)
def test_a_path_is_made_fit_for_http(url: str, path: str) -> None:
    assert request(asked(url)).head.path == path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://localhost:8778/api/status?", "/api/status"),
        ("http://localhost:8778", "/"),
        ("https://127.0.0.2/?a=b?c", "/?a=b?c"),
        ("http://[::1]:80?a", "/?a"),
    ],
)
def test_a_url_of_this_machine_means_its_path(url: str, path: str) -> None:
    assert request(asked(url)).head.path == path


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8778/api", "http://localhost:8778/api/"])
@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://localhost:8778/api/status?", "/status"),
        ("http://LOCALHOST:8778/api", "/"),
        ("http://[::1]:8778/api?a", "/?a"),
        ("/api/status", "/api/status"),
    ],
)
def test_with_a_base_url_it_must_be_inside_that(base_url: str, url: str, path: str) -> None:
    assert request(asked(url), base_url=base_url).head.path == path


@pytest.mark.parametrize(
    "url",
    [
        *("http://localhost:8778/", "http://localhost:8778/apis", "http://localhost:8778/api%2f"),
        *("http://localhost/api/", "https://localhost:8778/api/", "http://10.0.0.1:8778/api/"),
    ],
)
def test_and_is_refused_elsewhere(url: str) -> None:
    status, text = refused(asked(url), base_url="http://127.0.0.1:8778/api/")
    assert status == 421
    assert "8778" not in text


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://localhost.evil/", "http://127.1.evil"])
def test_a_url_of_another_machine_is_refused(url: str) -> None:
    assert refused(asked(url))[0] == 421


def test_a_base_url_with_a_name_is_that_name_alone() -> None:
    assert request(asked("http://API/x"), base_url="http://api").head.path == "/x"
    assert refused(asked("http://localhost/x"), base_url="http://api")[0] == 421
    with pytest.raises(LocalProtocolError, match="the base URL: a url begins with"):
        HttpProxyProtocol(base_url="ftp://api/")


@pytest.mark.parametrize(
    ("members", "kind", "body"),
    [
        ({"json": {"a": ["é", None]}}, "application/json", '{"a":["é",null]}'),
        ({"json": False}, "application/json", "false"),
        ({"data": "é"}, "text/plain; charset=utf-8", "é"),
        ({"data": {"a": "b c", "n": 1, "t": True}}, FORM, "a=b+c&n=1&t=true"),
        ({"data": {}}, FORM, ""),
    ],
)
def test_bodies_of_requests(members: dict[str, Any], kind: str, body: str) -> None:
    found = request(asked("/a", method="POST", **members))
    length = str(len(body.encode()))
    assert found.body == body.encode()
    assert found.head.headers == (("content-type", kind), ("content-length", length))


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ("", "a request is a JSON object: not JSON"),
        (b"\xff", "not well-formed UTF-8"),
        ('{"url":' + "[" * 65 + "]" * 65 + "}", "nested more than 64 deep"),
        ("[]", "a request is a JSON object"),
        ("null", "a request is a JSON object"),
        ('{"method":"GET"}', "has a url"),
        ('{"url":5}', "has a url"),
        ('{"url":"/","method":5}', "the method is text"),
        (asked("/", method="A B"), "the method is no token"),
        (asked("/", headers={}), "not 'headers'"),
        (asked("/", **{"x" * 500: 1}), "not 'xxx"),
        (asked("/", json=1, data="x"), "not both"),
        (asked("/", data=[1]), "data is text, or"),
        (asked("/", data={"a": []}), "the field 'a'"),
        (asked("/a\n"), "control characters"),
        *(
            (asked(url), "begins with '/'")
            for url in ("", "api", "//a/b", "file:///a", "http:///a")
        ),
        (asked("http://user@localhost/"), "begins with '/'"),
        *((asked(url), "the url is none") for url in ("http://[::1/", "http://localhost:x/")),
    ],
)
def test_what_is_no_request_is_told_why(frame: str | bytes, text: str) -> None:
    status, said = refused(frame)
    assert status == 400
    assert text in said
    assert len(said) < 200


# --- answers -------------------------------------------------------------------------------------


def under_way(**options: Any) -> HttpProxyProtocol:
    proxy = HttpProxyProtocol(**options)
    proxy.receive_frame(asked("/a"))
    assert proxy.next_request(0.0) is not None
    return proxy


def test_an_answer_is_a_header_and_a_body() -> None:
    proxy = under_way()
    proxy.respond(201, "application/json", b"{}")
    assert proxy.next_frame() == (
        '{"status":201,"content-type":"application/json","content-length":2}'
    )
    assert proxy.next_frame() == b"{}", "bytes: pages decode nothing else"
    assert proxy.next_frame() is None


@pytest.mark.parametrize("status", [200, 205, 304, 404, 502])
def test_pages_wait_for_a_body_be_it_empty(status: int) -> None:
    proxy = under_way()
    proxy.respond(status, "text/html", b"")
    header, body = drain(proxy)
    assert (header["status"], header["content-length"], body) == (status, 0, b"")


def test_but_not_after_204() -> None:
    proxy = under_way()
    proxy.respond(204, "", b"")
    assert drain(proxy) == [{"status": 204, "content-type": "", "content-length": 0}]


def test_202_would_mean_that_the_answer_is_still_to_come() -> None:
    proxy = under_way()
    proxy.respond(202, "text/plain", b"soon")
    header, body = drain(proxy)
    assert (header["status"], body) == (200, b"soon")


def test_an_error_has_a_text() -> None:
    proxy = under_way()
    proxy.refuse(504, "no answer within 15 s")
    header, body = drain(proxy)
    assert (header["status"], body) == (504, b"no answer within 15 s")


def test_a_body_that_is_too_large_becomes_an_error_that_says_so() -> None:
    proxy = under_way()
    proxy.respond(200, "image/png", bytes(262_145))
    header, body = drain(proxy)
    assert header["status"] == 502
    assert b"262,144 bytes" in body
    assert b"peerjs-http" in body

    proxy = under_way()
    proxy.respond(200, "image/png", bytes(262_144))
    assert len(drain(proxy)[1]) == 262_144


def test_misuse() -> None:
    with pytest.raises(LocalProtocolError, match="no request"):
        HttpProxyProtocol().refuse(500, "")
    proxy = under_way()
    for status in (101, 600):
        with pytest.raises(LocalProtocolError, match="200 to 599"):
            proxy.respond(status, "", b"")
    proxy.respond(200, "", b"")


# --- time ----------------------------------------------------------------------------------------


def test_every_second_a_page_is_told_that_its_request_is_under_way() -> None:
    proxy = under_way()
    assert drain(proxy) == []
    assert proxy.next_timeout() == 1.0
    proxy.handle_timeout(0.9)
    assert drain(proxy) == []
    proxy.handle_timeout(1.0)
    assert drain(proxy) == [BUSY]
    assert proxy.next_timeout() == 2.0
    proxy.handle_timeout(2.0)
    proxy.handle_timeout(3.0)
    assert drain(proxy) == [BUSY], "one is enough, if nobody took the last"
    proxy.handle_timeout(4.0)
    proxy.respond(200, "", b"x")
    assert BUSY not in drain(proxy)
    assert proxy.next_timeout() is None
    proxy.handle_timeout(5.0)
    assert drain(proxy) == []


# --- order ---------------------------------------------------------------------------------------


def test_requests_have_their_turn_one_after_the_other() -> None:
    proxy = HttpProxyProtocol()
    for frame in (asked("/1"), asked("ping?"), asked("/2"), "nonsense", asked("ping")):
        proxy.receive_frame(frame)
    first = proxy.next_request(0.0)
    assert first is not None
    assert first.head.path == "/1"
    assert drain(proxy) == [], "a pong now would be taken for the answer"
    assert proxy.next_request(0.0) is None
    proxy.respond(200, "", b"1")
    assert proxy.next_request(0.0) is None, "the answer goes first"
    assert [frame for frame in drain(proxy) if not isinstance(frame, dict)] == [b"1", "pong"]
    second = proxy.next_request(0.0)
    assert second is not None
    assert second.head.path == "/2"
    proxy.respond(200, "", b"2")
    rest = drain(proxy)
    assert [frame["status"] for frame in rest if isinstance(frame, dict)] == [200, 400, 200]


def test_a_ping_is_answered_at_once() -> None:
    proxy = HttpProxyProtocol()
    proxy.receive_frame(asked("ping?"))
    assert proxy.next_request(0.0) is None
    assert drain(proxy) == [{"status": 200}, "pong"]


def test_what_waits_is_bounded_and_the_rest_is_told_so_in_order() -> None:
    proxy = HttpProxyProtocol(ProxyLimits(waiting=2, request_bytes=40))
    for frame in (asked("/1"), "x" * 41, "x" * 41, asked("/2"), "x" * 41, asked("/3")):
        proxy.receive_frame(frame)
    paths, statuses = [], []
    for _ in range(10):
        found = proxy.next_request(0.0)
        if found is not None:
            paths.append(found.head.path)
            proxy.respond(200, "", b"")
        statuses += [frame["status"] for frame in drain(proxy) if isinstance(frame, dict)]
    assert paths == ["/1", "/2"]
    assert statuses == [200, 413, 413, 200, 503, 503]
