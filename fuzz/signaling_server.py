"""Signaling text, request targets and HTTP into ServerProtocol.

An input is lines: ``!`` and choices is what clients and the clock do, ``/...`` opens a WebSocket
for that target, ``GET /...`` is a request; any other is a message of the client in front.
"""

from __future__ import annotations

from typing import Final

from peerjs_proto import jsontext
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import HttpRequest, ServerLimits

from .choices import Choices
from .watch_server import ServerWatch

INVARIANT: Final = (
    "Whatever clients send and ask for, nothing is raised, nobody hears anything after their "
    "close, every id has one client, and no more is held than ServerLimits allow."
)

LIMITS: Final = ServerLimits(
    message_bytes=16_384,
    nesting=12,
    id_length=20,
    token_length=20,
    waiting_messages=3,
    waiting_bytes=10_000,
    waiting_destinations=3,
    waiting_messages_in_all=6,
    waiting_bytes_in_all=20_000,
)
CLIENTS: Final = 4


def check(data: bytes) -> None:
    server = ServerProtocol(
        path="/my", allow_discovery=True, concurrent_limit=CLIENTS, limits=LIMITS
    )
    watch, now = ServerWatch(server, LIMITS, CLIENTS), 0.0
    handles = [server.client_connected(_target(id), now) for id in ("alice", "bob")]
    speaker = handles[0]
    for line in data.split(b"\n"):
        text = line.decode("utf-8", "surrogateescape")
        if line.startswith(b"!"):
            choices = Choices(line[1:])
            match choices.below(4):
                case 0:
                    speaker = choices.one_of(handles)
                case 1:
                    server.client_closed(choices.one_of(handles))
                case 2:
                    now += choices.one_of((0.5, 1.0, 5.0, 60.0))
                    server.handle_timeout(now)
                case _:
                    id, token = choices.one_of("abc"), choices.one_of("st")
                    handles.append(server.client_connected(_target(id, token), now))
        elif line.startswith(b"/"):
            server.is_websocket(text)
            handles.append(server.client_connected(text, now))
        elif line.startswith((b"GET ", b"HEAD ", b"OPTIONS ")):
            _ask(server, *text.split(" ", 1))
        elif line.startswith(b"\xff"):
            server.receive_message(speaker, line[1:], now)  # binary, as peer allows
        else:
            server.receive_message(speaker, text, now)
        watch.drain(now)
    for _ in range(100):  # silence: all go, and nothing is left to wake for
        if (due := server.next_timeout()) is None:
            break
        assert due > now
        now = due
        server.handle_timeout(now)
        watch.drain(now)
    assert server.next_timeout() is None
    assert not watch.clients
    assert server.statistics().waiting_messages == 0


def _target(id: str, token: str = "t") -> str:
    return f"/my/peerjs?key=peerjs&id={id}&token={token}"


def _ask(server: ServerProtocol, method: str, target: str) -> None:
    headers = {"origin": target, "access-control-request-headers": target}
    reply = server.respond(HttpRequest(method, target, headers), fresh_id=lambda: "fresh", now=0.0)
    assert 200 <= reply.status < 500
    if reply.status == 200 and reply.content_type.startswith("application/json"):
        jsontext.loads(reply.body, max_depth=2)
