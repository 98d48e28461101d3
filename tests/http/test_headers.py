"""Headers of httpx, through heads of ours and back."""

from __future__ import annotations

from typing import TypeVar

import httpx
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.http import HttpProtocol
from peerjs_proto.http_io import (
    OF_ONE_HOP,
    HttpEvent,
    HttpLimits,
    RequestReceived,
    ResponseHead,
    ResponseReceived,
)
from peerjs_trio.http.headers import to_raw
from peerjs_trio.http.transport import request_head

TOKEN = "!#$%&'*+-.^_`|~09AZaz"

NAMES = st.text(st.sampled_from(TOKEN), min_size=1, max_size=12)
VALUES = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]) | st.just("\t"))
PAIRS = st.lists(
    st.tuples(
        NAMES | st.sampled_from(["Connection", "TE", "Host", "Set-Cookie", *OF_ONE_HOP]),
        VALUES | NAMES,
    ),
    max_size=20,
)

E = TypeVar("E", bound=HttpEvent)


def carry(sender: HttpProtocol, receiver: HttpProtocol, kind: type[E]) -> E:
    """Hand over all that there is to say; the event of this kind that comes of it."""
    while (frame := sender.next_frame()) is not None:
        receiver.receive_frame(frame)
    while (event := receiver.next_event()) is not None:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind}")


@given(PAIRS)
def test_any_headers_survive_the_round_trip(pairs: list[tuple[str, str]]) -> None:
    request = httpx.Request("GET", "http://device/", headers=to_raw(pairs))
    named = {
        token.strip().lower()
        for name, value in pairs
        if name.lower() == "connection"
        for token in value.split(",")
    }
    kept = [
        (name.lower(), value)
        for name, value in pairs
        if name.lower() not in OF_ONE_HOP | named | {"host"}
    ]
    limits = HttpLimits(headers=1000)
    client, server = (HttpProtocol(client=end, limits=limits) for end in (True, False))
    while (hello := server.next_frame()) is not None:
        client.receive_frame(hello)
    number = client.request(request_head(request), end=True)
    received = carry(client, server, RequestReceived)
    assert list(received.head.headers) == kept
    server.respond(number, ResponseHead(200, received.head.headers), end=True)
    back = carry(server, client, ResponseReceived).head.headers
    assert httpx.Response(200, headers=to_raw(back)).headers.raw == to_raw(kept)
