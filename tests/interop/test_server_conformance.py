"""Our PeerServer does what npm's does, as seen by a client on the wire.

Every test runs against both, so npm's own behaviour is what is asserted. Where ours differs,
it does so on purpose, and this is the whole list:
"""

from __future__ import annotations

import json
import re
import time
from typing import Any, Final, NamedTuple

import pytest

from tests.interop.servers import Client, StartServer, WhichServer, open_client, request

pytestmark = pytest.mark.trio


class By(NamedTuple):
    npm: Any
    ours: Any


OPEN_AFTER_TAKEOVER: Final = By(npm=False, ours=True)
"peerjs.js waits for OPEN for ever: reconnecting users report it since 2014 (peerjs#224)."

OLD_SOCKET_AFTER_TAKEOVER: Final = By(npm="left open", ours="closed")
"Nothing is ever sent to it again, and its client should know."

BAD_ID: Final = By(npm="OPEN", ours="ERROR")
"peerjs.js refuses such an id itself; a server that takes it has a peer nobody can dial."

PEERS_WITH_ANOTHER_KEY: Final = By(npm=200, ours=401)
"The list of who is there is for those who may be there."

AFTER_LEAVE: Final = By(npm="goes on", ours="closed")
"LEAVE without dst frees the id; whoever goes on would speak under an id that is another's."

BAD_JSON: Final = By(npm="deaf", ours="goes on")
"npm never reads another word of that client, and as a library it ends the process."

CORS_METHODS: Final = By(npm="GET,HEAD,PUT,PATCH,POST,DELETE", ours="GET,HEAD")
"Those that exist."

NOT_FOUND_TYPE: Final = By(npm="text/html; charset=utf-8", ours="text/plain; charset=utf-8")
"Express repeats the path in a page of its own."


# --- registration ----------------------------------------------------------------------------

NOTHING_SUPPLIED = "No id, token, or key supplied to websocket server"


async def test_registration_is_answered_with_open(start_server: StartServer) -> None:
    async with start_server() as server, open_client(server, "alice") as alice:
        assert await alice.receive() == {"type": "OPEN"}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"id": None}, NOTHING_SUPPLIED),
        ({"id": ""}, NOTHING_SUPPLIED),
        ({"id": "alice", "token": None}, NOTHING_SUPPLIED),
        ({"id": "alice", "key": None}, NOTHING_SUPPLIED),
        ({"id": "alice", "key": "wrong"}, "Invalid key provided"),
    ],
)
async def test_what_is_refused(start_server: StartServer, given: dict[str, Any], text: str) -> None:
    async with start_server() as server, open_client(server, **given) as client:
        assert await client.receive() == {"type": "ERROR", "payload": {"msg": text}}
        assert await client.close_code() == 1005


async def test_a_taken_id(start_server: StartServer) -> None:
    async with start_server() as server, open_client(server, "alice") as alice:
        assert await alice.receive() == {"type": "OPEN"}
        async with open_client(server, "alice", token="another") as thief:
            taken = {"type": "ID-TAKEN", "payload": {"msg": "ID is taken"}}
            assert await thief.receive() == taken
            assert await thief.close_code() == 1005
        await _fence(alice, "alice")

    async with start_server() as server:
        for token in ("first", "second"):  # it is free again once its holder has gone
            async with open_client(server, "alice", token=token) as alice:
                assert await alice.receive() == {"type": "OPEN"}


async def test_a_takeover(start_server: StartServer, which: WhichServer) -> None:
    async with (
        start_server() as server,
        open_client(server, "alice") as old,
        open_client(server, "bob") as bob,
    ):
        assert await old.receive() == await bob.receive() == {"type": "OPEN"}
        async with open_client(server, "alice") as new:
            if getattr(OPEN_AFTER_TAKEOVER, which):
                assert await new.receive() == {"type": "OPEN"}
            else:
                # Something that the old socket would get, were the new one not there yet.
                await _fence(new, "alice")
            await bob.send({"type": "OFFER", "dst": "alice"})
            assert await new.receive() == {"type": "OFFER", "src": "bob", "dst": "alice"}
            if getattr(OLD_SOCKET_AFTER_TAKEOVER, which) == "closed":
                assert (await old.receive())["type"] == "ID-TAKEN"
                assert await old.close_code() == 1000


async def test_an_id_against_the_rules(start_server: StartServer, which: WhichServer) -> None:
    async with start_server() as server, open_client(server, "not an id!") as client:
        assert (await client.receive())["type"] == getattr(BAD_ID, which)


async def test_the_concurrent_limit(start_server: StartServer) -> None:
    async with (
        start_server(concurrent_limit=1) as server,
        open_client(server, "alice") as alice,
    ):
        assert await alice.receive() == {"type": "OPEN"}
        async with open_client(server, "bob") as bob:
            text = "Server has reached its concurrent user limit"
            assert await bob.receive() == {"type": "ERROR", "payload": {"msg": text}}
            assert await bob.close_code() == 1005


async def test_key_and_path(start_server: StartServer) -> None:
    async with start_server(path="/deep/down", key="secret") as server:
        assert server.url.endswith("/deep/down/")
        async with open_client(server, "alice", key="secret") as alice:
            assert await alice.receive() == {"type": "OPEN"}
        # The segment is the word peerjs, whatever the key.
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
        upgrade |= {"Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==", "Sec-WebSocket-Version": "13"}
        query = "?key=secret&id=bob&token=token"
        assert (await request(server, f"secret{query}", headers=upgrade)).status == 400


# --- relaying --------------------------------------------------------------------------------


async def test_messages_are_relayed_with_their_true_sender(start_server: StartServer) -> None:
    async with (
        start_server() as server,
        open_client(server, "alice") as alice,
        open_client(server, "bob") as bob,
    ):
        assert await alice.receive() == await bob.receive() == {"type": "OPEN"}
        for type in ("OFFER", "ANSWER", "CANDIDATE", "LEAVE"):
            message: dict[str, Any]
            message = {"type": type, "dst": "bob", "payload": {"é": ["😀", None, 1.5]}}
            await alice.send(message | {"src": "mallory", "more": 1})
            assert await bob.receive() == message | {"src": "alice"}

        # No payload stays none; what is not of the protocol goes nowhere.
        for type in ("OPEN", "HEARTBEAT", "NONSENSE"):
            await alice.send({"type": type, "dst": "bob"})
        await alice.send({"type": "OFFER", "dst": "bob"})
        assert await bob.receive() == {"type": "OFFER", "src": "alice", "dst": "bob"}


async def test_who_comes_later_finds_what_was_sent_in_order(start_server: StartServer) -> None:
    async with start_server() as server, open_client(server, "alice") as alice:
        assert await alice.receive() == {"type": "OPEN"}
        await alice.send({"type": "LEAVE", "dst": "bob"})  # never waits
        for n, type in enumerate(("OFFER", "CANDIDATE", "CANDIDATE", "ANSWER")):
            await alice.send({"type": type, "dst": "bob", "payload": n})
        await _fence(alice, "alice")

        async with open_client(server, "bob") as bob:
            assert await bob.receive() == {"type": "OPEN"}
            assert [(await bob.receive())["payload"] for _ in range(4)] == [0, 1, 2, 3]


async def test_expire(start_server: StartServer) -> None:
    async with (
        start_server() as server,
        open_client(server, "alice") as alice,
        open_client(server, "bob") as bob,
    ):
        assert await alice.receive() == await bob.receive() == {"type": "OPEN"}
        began = time.monotonic()
        for sender in (alice, alice, bob):
            await sender.send({"type": "OFFER", "dst": "nobody", "payload": {}})
        for sender, id in ((alice, "alice"), (bob, "bob")):
            assert await sender.receive() == {"type": "EXPIRE", "src": "nobody", "dst": id}
        assert 4.9 < time.monotonic() - began < 6.9

        # Once per sender, and the queue is gone.
        await _fence(alice, "alice")
        async with open_client(server, "nobody") as late:
            assert await late.receive() == {"type": "OPEN"}
            await _fence(late, "nobody")


async def test_a_lost_peer_is_nobodys_news(start_server: StartServer) -> None:
    async with start_server() as server, open_client(server, "alice") as alice:
        assert await alice.receive() == {"type": "OPEN"}
        async with open_client(server, "bob") as bob:
            assert await bob.receive() == {"type": "OPEN"}
            await bob.send({"type": "OFFER", "dst": "alice"})
            assert (await alice.receive())["type"] == "OFFER"
        await _fence(alice, "alice")


async def test_leave_without_a_destination(start_server: StartServer, which: WhichServer) -> None:
    async with (
        start_server() as server,
        open_client(server, "alice") as alice,
        open_client(server, "bob") as bob,
    ):
        assert await alice.receive() == await bob.receive() == {"type": "OPEN"}
        await alice.send({"type": "LEAVE"})
        if getattr(AFTER_LEAVE, which) == "closed":
            assert await alice.close_code() == 1005
        else:
            await alice.send({"type": "OFFER", "dst": "bob"})
            assert await bob.receive() == {"type": "OFFER", "src": "alice", "dst": "bob"}
        async with open_client(server, "alice", token="another") as heir:
            assert await heir.receive() == {"type": "OPEN"}


async def test_who_sends_no_heartbeat_is_dropped(start_server: StartServer) -> None:
    async with (
        start_server(alive_timeout=1.0) as server,
        open_client(server, "alice") as alice,
    ):
        assert await alice.receive() == {"type": "OPEN"}
        assert await alice.close_code() == 1005


@pytest.mark.parametrize("junk", ["{", '"text"', "5", "null"])
async def test_junk_is_its_senders_problem(
    start_server: StartServer, which: WhichServer, junk: str
) -> None:
    async with start_server() as server, open_client(server, "bob") as bob:
        assert await bob.receive() == {"type": "OPEN"}
        async with open_client(server, "alice") as alice:
            assert await alice.receive() == {"type": "OPEN"}
            await alice.send(junk)
            if getattr(BAD_JSON, which) == "goes on":
                await _fence(alice, "alice")
            else:
                assert not await alice.hang_up()
        await _fence(bob, "bob")


# --- HTTP ------------------------------------------------------------------------------------

HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json; charset=utf-8"
PLAIN: Final = "text/plain; charset=utf-8"
UUID4 = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def test_the_base_describes_the_server(start_server: StartServer) -> None:
    async with start_server(path="/app") as server:
        reply = await request(server, "")
        assert (reply.status, reply.content_type) == (200, JSON)
        described = json.loads(reply.body)
        assert described.keys() == {"name", "description", "website"}
        assert described["name"] == "PeerJS Server"


async def test_an_id_for_whoever_asks(start_server: StartServer) -> None:
    async with start_server() as server:
        # The key is not checked here: that is for the WebSocket to do.
        replies = [await request(server, p) for p in ("peerjs/id?ts=1&version=1.5.5", "x/id/")]
        for reply in replies:
            assert (reply.status, reply.content_type) == (200, HTML)
            assert UUID4.fullmatch(reply.body)
        assert replies[0].body != replies[1].body


async def test_discovery(start_server: StartServer, which: WhichServer) -> None:
    async with start_server() as server:
        reply = await request(server, "peerjs/peers")
        assert (reply.status, reply.content_type) == (401, PLAIN)
        assert reply.body == b"Unauthorized"

    async with (
        start_server(allow_discovery=True) as server,
        open_client(server, "alice") as alice,
        open_client(server, "bob") as bob,
    ):
        assert await alice.receive() == await bob.receive() == {"type": "OPEN"}
        reply = await request(server, "peerjs/peers")
        assert (reply.status, reply.content_type) == (200, JSON)
        assert sorted(json.loads(reply.body)) == ["alice", "bob"]
        other = await request(server, "another/peers")
        assert other.status == getattr(PEERS_WITH_ANOTHER_KEY, which)


async def test_cors(start_server: StartServer, which: WhichServer) -> None:
    origin = {"Origin": "http://page.example"}
    async with start_server() as server:
        for path in ("", "peerjs/id", "peerjs/peers", "nothing"):
            reply = await request(server, path, "GET", origin)
            assert reply.headers["access-control-allow-origin"] == "http://page.example"
            assert "Origin" in reply.headers["vary"]
        assert "access-control-allow-origin" not in (await request(server, "")).headers

        asks = {
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "x-one,x-two",
        }
        reply = await request(server, "peerjs/id", "OPTIONS", origin | asks)
        assert (reply.status, reply.body) == (204, b"")
        assert reply.headers["access-control-allow-origin"] == "http://page.example"
        assert reply.headers["access-control-allow-headers"] == "x-one,x-two"
        assert reply.headers["access-control-allow-methods"] == getattr(CORS_METHODS, which)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("nothing", "peerjs", "peerjs/nothing", "peerjs/id/more")),
        *(("POST", path) for path in ("", "peerjs/id", "peerjs/peers")),
    ],
)
async def test_not_found(
    start_server: StartServer, which: WhichServer, method: str, path: str
) -> None:
    async with start_server(path="/app", allow_discovery=True) as server:
        reply = await request(server, path, method)
        assert (reply.status, reply.content_type) == (404, getattr(NOT_FOUND_TYPE, which))


async def test_head_is_get_without_its_body(start_server: StartServer) -> None:
    async with start_server() as server:
        reply = await request(server, "peerjs/id", "HEAD")
        assert (reply.status, reply.content_type, reply.body) == (200, HTML, b"")
        assert reply.headers["content-length"] == "36"


# --- helpers ---------------------------------------------------------------------------------


async def _fence(client: Client, id: str) -> None:
    """Everything the client sent is done with, and nothing has come that was not asked for."""
    await client.send({"type": "OFFER", "dst": id, "payload": "fence"})
    fence = {"type": "OFFER", "src": id, "dst": id, "payload": "fence"}
    assert await client.receive() == fence
