"""What a remote side may ask a base URL's server for."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.fence import BASES, check, check_target, readings
from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.fence import TARGET_BYTES, Fence, RequestRefused

FENCE = Fence.parse("http://127.0.0.1:8778/api/")

# --- base URLs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("http://127.0.0.1:8778/api/", "http://127.0.0.1:8778/api/"),
        ("http://127.0.0.1:8778/api", "http://127.0.0.1:8778/api/"),
        ("http://device", "http://device/"),
        ("HTTP://Device:80/", "http://device/"),
        ("https://device:443/A/b", "https://device/A/b/"),
        ("https://device:80/", "https://device:80/"),
        ("http://my_container.local.:8080/", "http://my_container.local.:8080/"),
        ("http://[::1]:8080/x%20y/", "http://[::1]:8080/x%20y/"),
    ],
)
def test_a_base_url_ends_with_a_slash(url: str, canonical: str) -> None:
    fence = Fence.parse(url)
    assert fence.url == canonical
    assert Fence.parse(canonical) == fence


@pytest.mark.parametrize(
    "url",
    [
        *("", "127.0.0.1:8778", "//host/", "ftp://host/", "file:///etc/", "ws://host/", "http://"),
        *("http:///x", "http://host:99999/", "http://host:0/", "http://host:port/", "http://[::1/"),
        *("http://[x]/", "http://[fe80::1%25eth0]/", "http://host/?", "http://host/?a=b"),
        *("http://host/#", "http://host/#top", "http://user@host/", "http://user:pass@host/"),
        *("http://@host/", "http://ho st/", "http://host/\n", " http://host/", "http://host/ä"),
        *("http://hö.example/", "http://host\\evil/", "http://h%61/", "http://-host/", "http://*/"),
        *("http://host/a/../b", "http://host/%2e%2e/", "http://host//x/", "http://host/a%2fb/"),
    ],
)
def test_other_base_urls_are_refused(url: str) -> None:
    with pytest.raises(LocalProtocolError, match="base URL"):
        Fence.parse(url)


# --- requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        *("/", "/readings", "/readings/", "/a/b/c.json?x=1&y=2", "/?", "/a?b?c", "/a/?q=../../x"),
        *("/%7Ealice/a%20b", "/%e4", "/%C3%A4", "/100%25", "/%2525", "/a;v=1/b", "/a//b", "/a:b@c"),
        *("/.well-known/x", "/..a", "/a..", "/a..b", "/-._~!$&'()*+,;=", "/x?url=http://a/..%2f"),
        *("/x?a=\\", "/x?100%", "/a%EF%BC%8Fb", '/{"a":[1]}', "/;.."),
    ],
)
def test_what_is_under_the_base(asked: str) -> None:
    assert FENCE.target(asked.encode()) == f"/api{asked}".encode()
    assert FENCE.url_for(asked.encode()) == f"http://127.0.0.1:8778/api{asked}"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        *((path, "begins with the slash") for path in ("", "x", "*", "?x", ":80/", "@evil/")),
        *((path, "begins with the slash") for path in ("http://evil/", "HTTP://127.0.0.1:1/")),
        *((path, "two slashes") for path in ("//", "//evil.example/", "///x", "//127.0.0.1/")),
        *((path, "backslash") for path in ("/\\", "/\\evil/", "/..\\x", "/a\\..\\..\\x")),
        *((path, "dots") for path in ("/..", "/.", "/./x", "/../x", "/a/../../x", "/a/..?x")),
        *((path, "dots") for path in ("/%2e%2e/x", "/.%2E/x", "/%2e/x", "/%252e%252e/x")),
        *((path, "dots") for path in ("/%25%32%65./x", "/%25252e./x", "/...", "/....//x")),
        *((path, "dots") for path in ("/..;/x", "/..;a=b/x", "/..%3bx/", "/..%253b/", "/.;/x")),
        *((path, "dots") for path in ("/..%20/x", "/%20../x", "/. ./x".replace(" ", "%20"))),
        *((path, "dots") for path in ("/%EF%BC%8E%EF%BC%8E/x", "/%E2%80%A5/x", "/%E2%80%A6")),
        *((path, "dots") for path in ("/..%EF%BC%8Fx", "/%EF%BC%8E%EF%BC%8E%EF%BC%BCx")),
        *((path, "encoded slash") for path in ("/a%2fb", "/..%2fx", "/%2F%2fevil", "/a%252fb")),
        *((path, "encoded slash") for path in ("/%5c", "/a%5Cb", "/..%255cx", "/%25%35%63")),
        *(
            (path, "control")
            for path in ("/%00", "/x%00.html", "/%0d%0aX-A:%20b", "/%250a", "/%7f")
        ),
        *((path, "overlong") for path in ("/%c0%ae%c0%ae/x", "/%c0%af", "/%e0%80%ae/", "/%c1%9c")),
        *((path, "overlong") for path in ("/%f0%80%80%ae/", "/%25c0%25ae/", "/%f8%80%80%80%ae/")),
        *((path, "percent") for path in ("/%", "/%2", "/%u002e/", "/%g0", "/a%/b", "/%%32%65")),
        *((path, "visible") for path in ("/ ", "/a b", "/\0", "/x\r\nHost: evil", "/\t", "/\x7f")),
        *(
            (path, "visible")
            for path in ("/ä", "/x?ä", "/x#", "/#/../x", "/x?a#b", "/x?\n", "/x\n")
        ),
        ("/%2525252525", "more often"),
    ],
)
def test_what_may_lead_out_of_the_base(asked: str, why: str) -> None:
    with pytest.raises(RequestRefused, match=why) as refused:
        FENCE.target(asked.encode())
    assert refused.value.status == 400
    with pytest.raises(RequestRefused, match=why):
        FENCE.url_for(asked.encode())


def test_the_longest_request() -> None:
    assert len(FENCE.target(b"/" + b"x" * (TARGET_BYTES - 1))) == len("/api") + TARGET_BYTES
    with pytest.raises(RequestRefused, match="8192") as refused:
        FENCE.target(b"/" + b"x" * TARGET_BYTES)
    assert refused.value.status == 414


def test_percent_signs_in_each_other_cost_few_rounds() -> None:
    nested = b"/%" + b"25" * 4000
    with pytest.raises(RequestRefused, match="more often"):
        FENCE.target(nested)


# What leads somewhere is made of few pieces; any bytes at all rarely do.
pieces = st.sampled_from(
    [
        *("/", "..", ".", "%2e", "%2E", "%252e", "%2f", "%5c", "\\", ";", "%3b", "?", "#", "//"),
        *("@", ":", "evil.example", "api", "%00", "%0a", "%25", "%c0%ae", " ", "%", "%20", "a"),
        *("%ef%bc%8e", "%e2%80%a5", "%ef%bc%8f", "%u002e", "http:", "\t", "ä", "2e", "65"),
    ]
)


def mostly(plain: str, *others: str) -> st.SearchStrategy[str]:
    """Few oddities at a time: each is refused for itself."""
    return st.just(plain) | st.just(plain) | st.sampled_from(others)


dots = mostly(".", "%2e", "%252E", "%c0%ae", "%ef%bc%8e")
ends = mostly("", ";", ";a=b", "%3b", "%00", "%20", "%20.", "%09", "a")
slashes = mostly("/", "//", "%2f", "%5c", "\\", "%252f", "%c0%af", "%ef%bc%8f")
ways_up = st.builds("{}{}{}{}".format, dots, dots, ends, slashes)
detours = st.lists(ways_up | ways_up | pieces, min_size=1, max_size=3).map("".join)
requests = st.one_of(st.text(), st.lists(pieces).map("".join), detours)


@settings(max_examples=500)
@given(st.sampled_from(BASES), requests)
def test_nothing_leads_out_however_it_is_read(fence: Fence, asked: str) -> None:
    check_target(fence, asked.encode("utf-8", "surrogatepass"))
    check_target(fence, ("/" + asked).encode("utf-8", "surrogatepass"))


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    check(data)


@pytest.mark.parametrize(
    "path",
    [
        *(b"/api/../x", b"/api/%2e%2e/x", b"/api/%252e%252e/x", b"/api/..;/x", b"/api/..\\x"),
        *(b"/api/..%2fx", b"/api/..%5cx", b"/api/%c0%ae%c0%ae/x", b"/api/%ef%bc%8e%ef%bc%8e/x"),
        *(b"/api/..%00/x", b"/api//../../x", b"/api/..%20/x"),
    ],
)
def test_the_readings_know_the_ways_out(path: bytes) -> None:
    assert any(segments[:1] != [b"api"] for segments in readings(path))


# --- what the server names --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "seen"),
    [
        ("http://127.0.0.1:8778/api/x?y#z", "/x?y#z"),
        ("https://127.0.0.1:8778/api/", "/"),  # what believes x-forwarded-proto
        ("/api/x", "/x"),
        ("x", "/a/x"),
        ("../x", "/x"),
        ("?x", "/a/b?x"),
        # Of the same server, and not ours to show.
        ("/login", "/login"),
        ("/api", "/api"),
        ("/apis/x", "/apis/x"),
        ("../../x", "../../x"),
        ("http://127.0.0.1:8778/", "http://127.0.0.1:8778/"),
        # Others.
        ("http://127.0.0.1:8779/api/x", "http://127.0.0.1:8779/api/x"),
        ("http://user@127.0.0.1:8778/api/x", "http://user@127.0.0.1:8778/api/x"),
        ("https://elsewhere.example/api/x", "https://elsewhere.example/api/x"),
        ("//elsewhere.example/api/x", "//elsewhere.example/api/x"),
        ("mailto:alice@example.org", "mailto:alice@example.org"),
        ("http://[::1/", "http://[::1/"),
        # A path here would be a host there.
        ("/api//elsewhere.example/", "/api//elsewhere.example/"),
        ("/api/\\elsewhere.example/", "/api/\\elsewhere.example/"),
        ("/api/\t/elsewhere.example/", "/api/\t/elsewhere.example/"),
    ],
)
def test_places_as_the_remote_side_knows_them(reference: str, seen: str) -> None:
    assert FENCE.seen_from_outside(reference, b"/api/a/b?c") == seen


@given(st.one_of(st.text(alphabet=st.characters(max_codepoint=255)), st.lists(pieces).map("".join)))
def test_no_reference_becomes_another_host(reference: str) -> None:
    seen = FENCE.seen_from_outside(reference, b"/api/a/b")
    if seen != reference:
        assert urljoin("http://outside.example/", seen).startswith("http://outside.example/")
        assert "\r" not in seen
        assert "\n" not in seen
