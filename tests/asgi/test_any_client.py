"""Whatever clients do and web servers raise: nothing comes out of it, and it goes on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any, Final

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from peerjs_proto.server_io import ServerLimits
from peerjs_proto.testing.messages import hostile_texts, texts
from peerjs_trio.asgi import PeerServer
from tests.asgi.clients import Client, fetch, open_client, scope_of

IDS: Final = st.sampled_from(["alice", "bob", "carol", "no id!", ""])

LIMITS: Final = ServerLimits(
    message_bytes=500, backlog_bytes=1000, close_timeout=0.01, send_timeout=0.01, sockets=5
)


@attrs.frozen
class Step:
    """What one client does next."""

    name: str
    do: Callable[[Client], object]

    def __repr__(self) -> str:
        return self.name


def _break(error: Exception) -> Callable[[Client], object]:
    return lambda client: setattr(client, "broken", error)


def said(message: str | bytes) -> Step:
    return Step(f"say {message!r}", lambda client: client.say(message))


EXTREMES: Final[list[str | bytes]] = ["", "x" * 501, '{"type":"LEAVE"}', b"\xff"]

STEPS: Final = st.one_of(
    texts(dst=IDS).map(said),
    hostile_texts(dst=IDS).map(said),
    st.sampled_from(EXTREMES).map(said),
    st.sampled_from(
        [
            Step("leave", Client.leave),
            Step("stop reading", lambda client: setattr(client, "reads", False)),
            Step("read on", Client.resume),
            Step("break by the book", _break(OSError("gone"))),
            Step("break as uvicorn does", _break(RuntimeError("after websocket.close"))),
            Step("break as hypercorn does", _break(anyio.BusyResourceError("sending data"))),
            Step("say nothing", lambda client: client.put({"type": "websocket.receive"})),
        ]
    ),
)


@attrs.frozen
class Visitor:
    """One client, and what it does."""

    query: str
    path: str
    has_words: bool
    first: str
    "The event that its connection begins with."
    steps: list[Step | None]
    "None lets the others have their turn."

    def arrive(self, app: PeerServer) -> Client:
        extensions: dict[str, Any] = {"websocket.http.response": {}} if self.has_words else {}
        client = Client(app, scope_of("websocket", self.path, self.query, extensions=extensions))
        client.put({"type": self.first})
        return client


VISITORS: Final = st.builds(
    Visitor,
    query=st.builds("key=peerjs&id={}&token={}".format, IDS, st.sampled_from("ab"))
    | st.text(max_size=50),
    path=st.sampled_from(["/peerjs", "/peerjs", "/peerjs/", "/elsewhere"]),
    has_words=st.booleans(),
    first=st.sampled_from([*["websocket.connect"] * 5, "websocket.disconnect"]),
    steps=st.lists(st.none() | STEPS, max_size=10),
)

REQUESTS: Final = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["/", "/peerjs/id", "/healthz", ""]) | st.text(max_size=20),
        "method": st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "*"]),
        "headers": st.lists(
            st.tuples(
                st.sampled_from([b"origin", b"Access-Control-Request-Headers", b"upgrade"]),
                st.binary(max_size=20).filter(lambda value: not {10, 13} & set(value)),
            )
        ),
        "client": st.sampled_from([None, ("192.0.2.1", 1), ("::1", 1, 0, 0), ("unix:", 0)]),
    }
)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
@settings(max_examples=40, deadline=None)
@given(
    visitors=st.lists(VISITORS, min_size=1, max_size=4),
    requests=st.lists(REQUESTS, max_size=3),
    is_run=st.booleans(),
    is_cancelled=st.booleans(),
)
def test_nothing_comes_out_of_it(
    backend: str,
    visitors: list[Visitor],
    requests: list[dict[str, Any]],
    is_run: bool,
    is_cancelled: bool,
) -> None:
    app = PeerServer(limits=LIMITS, expire_timeout=0.01)

    async def serve() -> None:
        if is_run:
            async with app.running():
                await meet(app, visitors, requests, is_cancelled)
        else:
            await meet(app, visitors, requests, is_cancelled)
        assert app.clients == 0

    anyio.run(serve, backend=backend)


async def meet(
    app: PeerServer, visitors: list[Visitor], requests: list[dict[str, Any]], is_cancelled: bool
) -> None:
    async with open_client(app, "bystander") as bystander, anyio.create_task_group() as tasks:
        assert await bystander.take() == {"type": "websocket.accept"}
        assert await bystander.take() == {"type": "OPEN"}
        clients = [visitor.arrive(app) for visitor in visitors]
        for client in clients:
            tasks.start_soon(client.run)
        for steps in zip_longest(*(visitor.steps for visitor in visitors)):
            for client, step in zip(clients, steps, strict=True):
                if step is None:
                    await checkpoint()
                else:
                    step.do(client)
        for request in requests:
            status, _ = await fetch(app, **request)
            assert status in (200, 204, 400, 401, 404)
        bystander.say({"type": "OFFER", "dst": "bystander", "payload": "fence"})
        assert (await bystander.take())["payload"] == "fence"
        if is_cancelled:
            tasks.cancel_scope.cancel()
        for client in clients:
            client.leave()
