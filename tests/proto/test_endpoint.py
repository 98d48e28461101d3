"""Server addresses and ids."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.endpoint import CLOUD, Endpoint, validate_id
from peerjs_proto.errors import InvalidId
from peerjs_proto.testing.messages import ids


def test_the_cloud() -> None:
    cloud = Endpoint.parse(CLOUD)
    assert cloud == Endpoint(True, "0.peerjs.com", 443, "/", "peerjs")
    assert cloud.id_url() == "https://0.peerjs.com/peerjs/id?version=1.5.5"
    assert cloud.peers_url() == "https://0.peerjs.com/peerjs/peers"


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("http://localhost:9000", "http://localhost:9000/"),
        ("http://localhost:9000/myapp", "http://localhost:9000/myapp/"),
        ("http://localhost:80/a/b/", "http://localhost/a/b/"),
        ("wss://example.org/", "https://example.org/"),
        ("ws://[::1]:9000//x//", "http://[::1]:9000/x/"),
    ],
)
def test_paths_always_begin_and_end_with_a_slash(url: str, canonical: str) -> None:
    endpoint = Endpoint.parse(url)
    assert endpoint.url == canonical
    assert Endpoint.parse(canonical) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:9000",
        "ftp://host/",
        "http://",
        "http://host:99999/",
        "http://host:port/",
        "http://[::1/",
        "http://user:pass@host/",
        "http://host/?key=x",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidId, match="PeerServer URL"):
        Endpoint.parse(url)


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(InvalidId, match="key"):
        Endpoint.parse("http://host/", key="")


def test_the_websocket_url_is_the_one_of_peerjs() -> None:
    endpoint = Endpoint.parse("http://127.0.0.1:9000/", key="k y")
    url = endpoint.websocket_url("alice bob", "t&k")
    assert url == "ws://127.0.0.1:9000/peerjs?key=k%20y&id=alice%20bob&token=t%26k&version=1.5.5"
    # The HTTP calls have the key in the path, the WebSocket has the word peerjs there.
    assert endpoint.id_url().startswith("http://127.0.0.1:9000/k%20y/id?")


@given(ids)
def test_valid_ids_come_back(id: str) -> None:
    assert validate_id(id) == id


@given(st.text())
def test_the_rule_for_ids_is_the_one_of_peerjs(id: str) -> None:
    # peerjs 1.5.5 lib/utils/validateId.ts, which lets an empty id through as "none given".
    allowed = re.fullmatch(r"[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*", id) is not None
    try:
        validate_id(id)
    except InvalidId:
        assert not allowed
    else:
        assert allowed


@pytest.mark.parametrize("id", ["a\n", "a  b", "-a", "a-", "ä", "a.b", "", "a" * 9 + "!"])
def test_tricky_ids_are_refused(id: str) -> None:
    with pytest.raises(InvalidId):
        validate_id(id)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:9000", True),
        ("http://127.0.0.2", True),
        ("ws://[::1]:9000/", True),
        ("http://192.168.1.2:9000/", True),
        ("http://172.31.0.1/", True),
        ("http://[fd00::1]:9000/", True),
        ("http://[fe80::1%eth0]:9000/", True),
        ("http://Camera.local:9000/", True),
        ("http://camera.local./", True),
        ("https://0.peerjs.com/", False),
        ("http://172.32.0.1/", False),
        ("http://[2001:db8::1]/", False),
        ("http://local/", False),
        ("http://localhost.example/", False),
        ("http://127.example/", False),
    ],
)
def test_whether_it_is_near(url: str, here: bool) -> None:
    assert Endpoint.parse(url).is_local is here


def test_an_address_keeps_its_interface() -> None:
    url = "http://[fe80::1%eth0]:9000/"
    assert Endpoint.parse(url).host == "fe80::1%eth0"
    assert Endpoint.parse(url).url == url
