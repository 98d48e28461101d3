"""The ASGI application by itself, on trio and on asyncio."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from peerjs_proto.addresses import Proxies
from peerjs_proto.server_io import Credentials, Forward, HttpReply, HttpRequest, ServerLimits
from peerjs_trio.asgi import PeerServer
from peerjs_trio.hub import Claim, Hub
from tests.asgi.clients import Client, fetch, open_client, scope_of

pytestmark = pytest.mark.anyio

ACCEPT = {"type": "websocket.accept"}
OPEN = {"type": "OPEN"}


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


async def until(condition: Any) -> None:
    """Wait for what only the server knows."""
    with anyio.fail_after(10):
        while not condition():
            await checkpoint()


async def opened(client: Client) -> None:
    assert await client.take() == ACCEPT
    assert await client.take() == OPEN


def offer(dst: str, payload: Any = None) -> dict[str, Any]:
    return {"type": "OFFER", "dst": dst, "payload": payload}


# --- where it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root_path", "path", "status"),
    [
        ("", "/app/x/id", 200),
        ("/mount", "/mount/app/x/id", 200),  # as the specification has it
        ("/mount", "/app/x/id", 200),  # a proxy, or the framework, took it out
        ("/mount/", "/mount/app/x/id", 200),
        ("/mount", "/mounted/app/x/id", 404),
        ("/mount", "/mount", 404),
        ("/app", "/app/app/x/id", 200),
        ("", "/app/x/id/", 200),
        ("", "/app/ä/id", 200),
        ("", "*", 404),
        ("", "", 404),
    ],
)
async def test_paths(root_path: str, path: str, status: int) -> None:
    app = PeerServer(path="/app")
    assert (await fetch(app, path, root_path=root_path))[0] == status


async def test_a_scope_with_what_is_required_and_no_more() -> None:
    scope = scope_of("http", "/peerjs/id", method="GET")
    for optional in ("raw_path", "root_path", "client", "extensions"):
        del scope[optional]
    sent = []

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    await PeerServer()(scope, send, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 200


async def test_a_websocket_elsewhere_where_the_web_server_has_no_words_for_it() -> None:
    client = Client(PeerServer(), scope_of("websocket", "/elsewhere", extensions=None))
    client.put({"type": "websocket.connect"})
    await client.run()
    assert client.sent == [{"type": "websocket.close"}]


async def test_another_kind_of_connection() -> None:
    with pytest.raises(ValueError, match="no use for an ASGI connection of type carrier-pigeon"):
        await Client(PeerServer(), scope_of("carrier-pigeon", "/")).run()


# --- who it is -----------------------------------------------------------------------------------


async def test_headers_and_addresses() -> None:
    seen: list[tuple[str, str, str, Mapping[str, str]]] = []

    async def authorize(id: str, token: str, key: str, headers: Mapping[str, str]) -> bool:
        seen.append((id, token, key, headers))
        return id != "mallory"

    limits = ServerLimits(connections_per_network=1)
    app = PeerServer(authorize=authorize, proxied=Proxies.parse("192.0.2.1"), limits=limits)
    headers = [(b"X-Forwarded-For", b"198.51.100.7"), (b"x-forwarded-for", b"203.0.113.9")]
    async with open_client(app, "alice", headers=headers) as alice:
        await opened(alice)
        assert alice.scope["query_string"] == b"", "web servers log it"
        async with open_client(app, "bob", headers=headers) as bob:
            assert await bob.take() == ACCEPT
            assert (await bob.take())["payload"] == {
                "msg": "Too many connections from your address"
            }
        async with open_client(app, "carol", client=None) as carol:
            await opened(carol)
        async with open_client(app, "mallory") as mallory:
            assert await mallory.take() == ACCEPT
            assert (await mallory.take())["payload"] == {"msg": "Unauthorized"}
            assert (await mallory.take())["code"] == 1000
    assert seen[0] == (
        "alice",
        "token",
        "peerjs",
        {"x-forwarded-for": "198.51.100.7, 203.0.113.9"},
    )


# --- who is slow ---------------------------------------------------------------------------------


async def test_a_backlog_that_is_full() -> None:
    app = PeerServer(limits=ServerLimits(backlog_bytes=1000))
    async with open_client(app, "slow") as slow, open_client(app, "alice") as alice:
        await opened(slow)
        await opened(alice)
        slow.reads = False
        for _ in range(3):
            alice.say(offer("slow", "x" * 500))
        with anyio.fail_after(10):
            await slow.ended.wait()
        assert list(app.hub.core.ids()) == ["alice"]
        assert slow.sent == []


async def test_a_backlog_that_stands_still() -> None:
    app = PeerServer(limits=ServerLimits(send_timeout=0.05))
    async with open_client(app, "slow") as slow, open_client(app, "alice") as alice:
        await opened(slow)
        await opened(alice)
        slow.reads = False
        alice.say(offer("slow"))
        with anyio.fail_after(10):
            await slow.ended.wait()
        assert app.clients == 1


async def test_who_reads_late_gets_all_in_order() -> None:
    app = PeerServer()
    async with open_client(app, "late") as late, open_client(app, "alice") as alice:
        await opened(late)
        await opened(alice)
        late.reads = False
        for n in range(100):
            alice.say(offer("late", n))
        alice.say(offer("alice"))
        assert (await alice.take())["src"] == "alice"
        late.resume()
        assert [(await late.take())["payload"] for _ in range(100)] == list(range(100))


async def test_a_close_that_cannot_be_sent() -> None:
    app = PeerServer(limits=ServerLimits(close_timeout=0.05))
    async with open_client(app, "slow") as slow:
        await opened(slow)
        slow.reads = False
        slow.say({"type": "LEAVE"})
        with anyio.fail_after(10):
            await slow.ended.wait()


async def test_who_sends_too_fast_is_read_slower() -> None:
    limits = ServerLimits(messages_per_second=20.0, message_burst=5)
    app = PeerServer(limits=limits)
    async with open_client(app, "fast") as fast:
        await opened(fast)
        began = anyio.current_time()
        for n in range(10):
            fast.say(offer("fast", n))
        assert [(await fast.take())["payload"] for _ in range(10)] == list(range(10))
        assert anyio.current_time() - began > 0.15


async def test_more_sockets_than_the_limit() -> None:
    app = PeerServer(limits=ServerLimits(sockets=1))
    async with open_client(app, "alice") as alice:
        await opened(alice)
        async with open_client(app, "bob") as bob:
            assert (await bob.take())["status"] == 503


# --- its life ------------------------------------------------------------------------------------


async def test_running_in_a_host_and_once_more() -> None:
    app = PeerServer(expire_timeout=0.05)
    for _ in range(2):
        query = "key=peerjs&id=bob&token=token"
        stayer = Client(app, scope_of("websocket", "/peerjs", query))
        stayer.put({"type": "websocket.connect"})
        async with anyio.create_task_group() as tasks:
            async with app.running():
                async with open_client(app, "alice") as alice:
                    await opened(alice)
                    alice.say(offer("nobody"))
                    assert (await alice.take())["type"] == "EXPIRE"
                with pytest.raises(RuntimeError, match="runs once"):
                    await app.running().__aenter__()
                tasks.start_soon(stayer.run)
                await opened(stayer)
            assert (await stayer.take())["code"] == 1001
            await stayer.ended.wait()


class Lifespan:
    """What a web server has for one."""

    def __init__(self) -> None:
        self.stop = anyio.Event()
        self.said: list[dict[str, Any]] = []
        self._started = False

    async def receive(self) -> dict[str, Any]:
        if self._started:
            await self.stop.wait()
            return {"type": "lifespan.shutdown"}
        self._started = True
        return {"type": "lifespan.startup"}

    async def send(self, event: dict[str, Any]) -> None:
        self.said.append(event)


async def test_a_lifespan() -> None:
    app, lifespan = PeerServer(), Lifespan()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(app, {"type": "lifespan"}, lifespan.receive, lifespan.send)
        await until(lambda: lifespan.said)
        async with open_client(app, "alice") as alice:
            await opened(alice)
            lifespan.stop.set()
            assert await alice.take() == {
                "type": "websocket.close",
                "code": 1001,
                "reason": "the server stopped",
            }
    assert [event["type"] for event in lifespan.said] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_a_web_server_that_cancels() -> None:
    app = PeerServer()
    client = Client(app, scope_of("websocket", "/peerjs", "key=peerjs&id=alice&token=t"))
    client.put({"type": "websocket.connect"})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.run)
        await opened(client)
        tasks.cancel_scope.cancel()
    assert client.sent[0]["code"] == 1001
    assert app.clients == 0


async def test_nobody_runs_it_and_the_clients_do() -> None:
    app = PeerServer(expire_timeout=0.05)
    async with open_client(app, "first") as first:
        await opened(first)
        async with open_client(app, "second") as second:
            await opened(second)
            first.leave()
            await first.ended.wait()
            second.say(offer("nobody"))  # the first had kept the time for both
            assert (await second.take())["type"] == "EXPIRE"
            second.say(offer("late"))
            second.say(offer("second"))
            assert (await second.take())["src"] == "second"
    await anyio.sleep(0.1)  # nobody is here, and what waits grows old
    async with open_client(app, "late") as late:
        await opened(late)
        late.say(offer("late", "fence"))
        assert (await late.take())["payload"] == "fence"


class LoneBus:
    """A bus of one."""

    healthy = True

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.released: list[Claim] = []

    async def run(self, hub: Hub, *, task_status: Any) -> None:
        if self._error is not None:
            raise self._error
        task_status.started()
        await anyio.sleep_forever()

    async def claim(self, credentials: Credentials) -> Claim | None:
        return Claim(credentials.id, "nonce", "digest")

    async def registered(self, claim: Claim, client: int) -> None:
        await checkpoint()

    def release(self, claim: Claim) -> None:
        self.released.append(claim)

    def forward(self, message: Forward) -> None: ...

    async def respond(self, hub: Hub, request: HttpRequest, network: str) -> HttpReply | None:
        return HttpReply(200, b"all of us") if "peers" in request.target else None


async def test_a_bus_has_to_be_run() -> None:
    bus = LoneBus()
    app = PeerServer(bus=bus)
    client = Client(app, scope_of("websocket", "/peerjs", "key=peerjs&id=alice&token=t"))
    client.put({"type": "websocket.connect"})
    with pytest.raises(RuntimeError, match="has to run before its first client"):
        await client.run()
    async with app.running(), open_client(app, "alice") as alice:
        await opened(alice)
        assert await fetch(app, "/peerjs/peers") == (200, b"all of us")
        assert (await fetch(app, "/peerjs/id"))[0] == 200
    assert [claim.id for claim in bus.released] == ["alice"]


async def test_a_start_that_fails_is_told_to_the_web_server() -> None:
    app, lifespan = PeerServer(bus=LoneBus(OSError("no such Redis"))), Lifespan()
    with pytest.raises((OSError, ExceptionGroup)):
        await app({"type": "lifespan"}, lifespan.receive, lifespan.send)
    (failed,) = lifespan.said
    assert failed["type"] == "lifespan.startup.failed"


# --- what it needs -------------------------------------------------------------------------------

FOREIGN = ["aiortc", "h11", "trio", "websockets", "wsproto", "starlette"]


def test_importing_it_needs_anyio_and_attrs() -> None:
    program = f"import sys, peerjs_trio.asgi; print([m for m in {FOREIGN} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert told.stdout.decode().strip() == "[]"
