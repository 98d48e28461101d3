"""Our PeerServer does what npm's does, as seen by a client on the wire: WebSockets.

Every test runs against both, so npm's own behaviour is what is asserted. Where ours differs,
it does so on purpose, and differences.py is the whole list.
"""

from __future__ import annotations

import time
from typing import Any, Final

import pytest
import trio

from tests.interop.differences import (
    AFTER_LEAVE,
    BAD_ID,
    BAD_JSON,
    OLD_SOCKET_AFTER_TAKEOVER,
    OPEN_AFTER_TAKEOVER,
    SIGN_OF_LIFE,
)
from tests.interop.servers import StartServer, WhichServer, fence, open_client, request

pytestmark = pytest.mark.trio

UPGRADE: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
    "Sec-WebSocket-Version": "13",
}


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
        assert await client.close_code() == client.no_status


async def test_a_taken_id(start_server: StartServer) -> None:
    async with start_server() as server, open_client(server, "alice") as alice:
        assert await alice.receive() == {"type": "OPEN"}
        async with open_client(server, "alice", token="another") as thief:
            taken = {"type": "ID-TAKEN", "payload": {"msg": "ID is taken"}}
            assert await thief.receive() == taken
            assert await thief.close_code() == thief.no_status
        await fence(alice, "alice")

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
            if OPEN_AFTER_TAKEOVER.of(which):
                assert await new.receive() == {"type": "OPEN"}
            else:
                # Something that the old socket would get, were the new one not there yet.
                await fence(new, "alice")
            await bob.send({"type": "OFFER", "dst": "alice"})
            assert await new.receive() == {"type": "OFFER", "src": "bob", "dst": "alice"}
            if OLD_SOCKET_AFTER_TAKEOVER.of(which) != "left open":
                assert (await old.receive())["type"] == "ID-TAKEN"
                assert await old.close_code() == 1000


async def test_an_id_against_the_rules(start_server: StartServer, which: WhichServer) -> None:
    async with start_server() as server, open_client(server, "not an id!") as client:
        assert (await client.receive())["type"] == BAD_ID.of(which)


async def test_the_concurrent_limit(start_server: StartServer, which: WhichServer) -> None:
    async with (
        start_server(concurrent_limit=1) as server,
        open_client(server, "alice") as alice,
    ):
        assert await alice.receive() == {"type": "OPEN"}
        async with open_client(server, "bob") as bob:
            text = "Server has reached its concurrent user limit"
            assert await bob.receive() == {"type": "ERROR", "payload": {"msg": text}}
            assert await bob.close_code() == bob.no_status

        # Who is registered may come back, and a place that is given up is free.
        async with open_client(server, "alice") as again:
            await fence(again, "alice", opens=OPEN_AFTER_TAKEOVER.of(which))
    async with start_server(concurrent_limit=1) as server:
        for id in ("alice", "bob"):
            async with open_client(server, id) as client:
                assert await client.receive() == {"type": "OPEN"}


async def test_of_equal_parameters_the_last_counts(start_server: StartServer) -> None:
    async with (
        start_server() as server,
        open_client(server, "alice", more="&id=bob&version=1.5.5&key=peerjs") as bob,
    ):
        assert await bob.receive() == {"type": "OPEN"}
        await fence(bob, "bob")


@pytest.mark.parametrize("id", ["7", "a b", "a-b_c", "x" * 200])
async def test_ids_by_the_rules(start_server: StartServer, id: str) -> None:
    async with start_server() as server, open_client(server, id, token="t/&=ok") as client:
        assert await client.receive() == {"type": "OPEN"}
        await fence(client, id)


async def test_key_and_path(start_server: StartServer) -> None:
    async with start_server(path="/deep/down", key="secret") as server:
        assert server.url.endswith("/deep/down/")
        async with open_client(server, "alice", key="secret") as alice:
            assert await alice.receive() == {"type": "OPEN"}
        # The segment is the word peerjs, whatever the key.
        query = "?key=secret&id=bob&token=token"
        for path in ("secret", "peerjs/", "peerjs/more", "peerjs%2f"):
            assert (await request(server, f"{path}{query}", headers=UPGRADE)).status == 400


# --- relaying --------------------------------------------------------------------------------


async def test_messages_are_relayed_with_their_true_sender(start_server: StartServer) -> None:
    async with (
        start_server() as server,
        open_client(server, "alice") as alice,
        open_client(server, "bob") as bob,
    ):
        assert await alice.receive() == await bob.receive() == {"type": "OPEN"}
        for type in ("OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE"):
            message: dict[str, Any]
            message = {"type": type, "dst": "bob", "payload": {"é": ["😀", None, 1.5]}}
            await alice.send(message | {"src": "mallory", "more": 1})
            assert await bob.receive() == message | {"src": "alice"}

        # No payload stays none; what is not of the protocol goes nowhere.
        for type in ("OPEN", "HEARTBEAT", "NONSENSE"):
            await alice.send({"type": type, "dst": "bob"})
        await alice.send({"type": "OFFER", "dst": "bob"})
        assert await bob.receive() == {"type": "OFFER", "src": "alice", "dst": "bob"}


async def test_a_message_may_come_in_binary(start_server: StartServer) -> None:
    async with start_server() as server, open_client(server, "alice") as alice:
        assert await alice.receive() == {"type": "OPEN"}
        await alice.send('{"type": "OFFER", "dst": "alice", "payload": "é"}'.encode())
        relayed = {"type": "OFFER", "src": "alice", "dst": "alice", "payload": "é"}
        assert await alice.receive() == relayed


async def test_a_large_message(start_server: StartServer) -> None:
    async with start_server() as server, open_client(server, "alice") as alice:
        assert await alice.receive() == {"type": "OPEN"}
        await alice.send({"type": "OFFER", "dst": "alice", "payload": "x" * 200_000})
        assert len((await alice.receive())["payload"]) == 200_000


async def test_who_comes_later_finds_what_was_sent_in_order(start_server: StartServer) -> None:
    async with start_server() as server, open_client(server, "alice") as alice:
        assert await alice.receive() == {"type": "OPEN"}
        for type in ("LEAVE", "EXPIRE"):
            await alice.send({"type": type, "dst": "bob"})  # never waits
        for n, type in enumerate(("OFFER", "CANDIDATE", "CANDIDATE", "ANSWER")):
            await alice.send({"type": type, "dst": "bob", "payload": n})
        await fence(alice, "alice")

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
        await fence(alice, "alice")
        async with open_client(server, "nobody") as late:
            assert await late.receive() == {"type": "OPEN"}
            await fence(late, "nobody")


async def test_a_queue_is_as_old_as_its_first_message(start_server: StartServer) -> None:
    async with (
        start_server(expire_timeout=2.0) as server,
        open_client(server, "alice") as alice,
        open_client(server, "bob") as bob,
    ):
        assert await alice.receive() == await bob.receive() == {"type": "OPEN"}
        await alice.send({"type": "OFFER", "dst": "nobody"})
        await trio.sleep(1.5)
        await bob.send({"type": "OFFER", "dst": "nobody"})
        assert await alice.receive() == {"type": "EXPIRE", "src": "nobody", "dst": "alice"}
        began = time.monotonic()
        assert await bob.receive() == {"type": "EXPIRE", "src": "nobody", "dst": "bob"}
        assert time.monotonic() - began < 1.0


async def test_queues_are_each_their_own(start_server: StartServer) -> None:
    async with (
        start_server(expire_timeout=1.0) as server,
        open_client(server, "alice") as alice,
    ):
        assert await alice.receive() == {"type": "OPEN"}
        for dst in ("one", "two", "one"):
            await alice.send({"type": "OFFER", "dst": dst})
        async with open_client(server, "two") as two:
            assert await two.receive() == {"type": "OPEN"}
            assert await two.receive() == {"type": "OFFER", "src": "alice", "dst": "two"}
        assert await alice.receive() == {"type": "EXPIRE", "src": "one", "dst": "alice"}
        await fence(alice, "alice")


async def test_a_lost_peer_is_nobodys_news(start_server: StartServer) -> None:
    async with start_server() as server, open_client(server, "alice") as alice:
        assert await alice.receive() == {"type": "OPEN"}
        async with open_client(server, "bob") as bob:
            assert await bob.receive() == {"type": "OPEN"}
            await bob.send({"type": "OFFER", "dst": "alice"})
            assert (await alice.receive())["type"] == "OFFER"
        await fence(alice, "alice")


async def test_leave_without_a_destination(start_server: StartServer, which: WhichServer) -> None:
    async with (
        start_server() as server,
        open_client(server, "alice") as alice,
        open_client(server, "bob") as bob,
    ):
        assert await alice.receive() == await bob.receive() == {"type": "OPEN"}
        await alice.send({"type": "LEAVE"})
        if AFTER_LEAVE.of(which) == "closed":
            assert await alice.close_code() == alice.no_status
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
        assert await alice.close_code() == alice.no_status


async def test_heartbeats_keep_a_client(start_server: StartServer, which: WhichServer) -> None:
    for type in ("HEARTBEAT", "OFFER"):
        keeps = type == "HEARTBEAT" or SIGN_OF_LIFE.of(which) == "any message"
        async with (
            start_server(alive_timeout=1.0) as server,
            open_client(server, "alice") as alice,
        ):
            assert await alice.receive() == {"type": "OPEN"}
            for _ in range(8):
                await trio.sleep(0.3)
                await alice.send({"type": type, "dst": "nobody"}, or_closed=True)
            if keeps:
                await fence(alice, "alice")
            else:
                assert await alice.close_code() == alice.no_status


@pytest.mark.parametrize("junk", ["{", '"text"', "5", "null"])
async def test_junk_is_its_senders_problem(
    start_server: StartServer, which: WhichServer, junk: str
) -> None:
    async with start_server() as server, open_client(server, "bob") as bob:
        assert await bob.receive() == {"type": "OPEN"}
        async with open_client(server, "alice") as alice:
            assert await alice.receive() == {"type": "OPEN"}
            await alice.send(junk)
            if BAD_JSON.of(which) == "goes on":
                await fence(alice, "alice")
            else:
                assert not await alice.hang_up()
        await fence(bob, "bob")
