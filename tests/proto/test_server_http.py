"""The HTTP side of a PeerServer."""

from __future__ import annotations

import json

import pytest

from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import HttpReply, HttpRequest, SendText
from tests.proto.server_clients import target


def get(server: ServerProtocol, target: str, method: str = "GET", **headers: str) -> HttpReply:
    return server.respond(
        HttpRequest(method, target, headers), fresh_id=lambda: "fresh-id", now=0.0
    )


@pytest.mark.parametrize("root", ["/", "/app", "/app/", "/app?x=1", "http://host:1/app/"])
def test_the_root_says_what_it_is(root: str) -> None:
    server = ServerProtocol(path="/" if root == "/" else "app")
    reply = get(server, root)
    assert reply.status == 200
    assert json.loads(reply.body).keys() == {"name", "description", "website"}
    assert reply.content_type.startswith("application/json")


@pytest.mark.parametrize("target", ["/peerjs/id", "/peerjs/id?ts=1&version=2", "/any%20key/id/"])
def test_a_fresh_id_for_any_key(target: str) -> None:
    reply = get(ServerProtocol(), target)
    assert (reply.status, reply.body) == (200, b"fresh-id")
    assert reply.content_type.startswith("text/html")
    assert reply.headers["Cache-Control"] == "no-store"


def test_peers_are_listed_only_where_discovery_is_allowed() -> None:
    assert get(ServerProtocol(), "/peerjs/peers").status == 401
    server = ServerProtocol(allow_discovery=True, key="my key")
    assert json.loads(get(server, "/my%20key/peers").body) == []
    server.client_connected(target("alice", key="my key"), 0.0)
    server.client_connected(target("bob", key="my key"), 0.0)
    assert json.loads(get(server, "/my%20key/peers").body) == ["alice", "bob"]
    assert get(server, "/peerjs/peers").status == 401  # the key guards the ids


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/application/"),
        ("GET", "/app/nothing"),
        ("GET", "/app/peerjs"),
        ("GET", "/app/peerjs/id/more"),
        ("GET", "/app//id/more"),
        ("GET", "*"),
        ("GET", ""),
        ("POST", "/app/peerjs/id"),
        ("DELETE", "/app/"),
        ("OPTIONS", "/elsewhere"),
    ],
)
def test_anything_else_is_not_found(method: str, target: str) -> None:
    assert get(ServerProtocol(path="/app"), target, method).status == 404


def test_any_origin_may_ask() -> None:
    server = ServerProtocol()
    for path in ("/", "/peerjs/id", "/peerjs/peers", "/nothing"):
        reply = get(server, path, origin="https://example.org")
        assert reply.headers["Access-Control-Allow-Origin"] == "https://example.org"
        assert "Origin" in reply.headers["Vary"]
        assert "Access-Control-Allow-Origin" not in get(server, path).headers


def test_a_preflight_is_answered_with_what_it_asks() -> None:
    asked = {"origin": "https://a.example", "access-control-request-headers": "x-one, x-two"}
    reply = get(ServerProtocol(), "/peerjs/id", "OPTIONS", **asked)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert reply.headers["Access-Control-Allow-Headers"] == "x-one, x-two"
    assert "GET" in reply.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Headers" not in get(ServerProtocol(), "/", "OPTIONS").headers


def test_routes_of_the_application_win() -> None:
    page = HttpReply(200, b"<p>hello", "text/html")
    server = ServerProtocol(routes={"/": page, "/app.js": page})
    assert get(server, "/?from=here") is page
    assert get(server, "/app.js", "HEAD") is page
    assert get(server, "/app.js", "POST").status == 404
    assert get(server, "/peerjs/id").body == b"fresh-id"


@pytest.mark.parametrize(
    ("path", "target", "is_it"),
    [
        ("/", "/peerjs?id=a", True),
        ("/", "/peerjs", True),
        ("/", "http://host/peerjs?id=a", True),
        ("/", "/peerjs/", False),
        ("/", "/", False),
        ("/app", "/peerjs", False),
        ("/app", "/app/peerjs", True),
    ],
)
def test_where_websockets_open(path: str, target: str, is_it: bool) -> None:
    assert ServerProtocol(path=path, key="another").is_websocket(target) is is_it


def test_secrets_are_in_no_repr() -> None:
    request = HttpRequest("GET", "/peerjs?token=secret", {"cookie": "secret"})
    assert "secret" not in repr([request, SendText(1, "secret"), HttpReply(200, b"secret")])
