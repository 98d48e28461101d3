"""A serialization of the application's own, under its own name: Python to Python, and a page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pytest

from peerjs_proto.errors import DecodeError, UnsupportedValue
from peerjs_proto.limits import Limits
from peerjs_proto.serialization import SERIALIZATIONS
from peerjs_proto.serializer import VALUE_COST, Frame, Incoming, Message, Outgoing, Serializer
from peerjs_trio import open_peer
from peerjs_trio.rtc.choice import EngineName
from tests.interop.chromium import Browser
from tests.interop.ends import DIALLERS, Dialler, both_ways, open_pair
from tests.interop.servers import StartServer

pytestmark = pytest.mark.trio


class Reversed(Serializer):
    """A text a frame, in UTF-8, from the last byte to the first. The twin of page/reversed.js."""

    name = "reversed"

    def __init__(self, limits: Limits) -> None:
        pass

    def encode(self, value: Any) -> Outgoing:
        if not isinstance(value, str):
            raise UnsupportedValue("reversed connections send str")
        frame = value.encode()[::-1]
        return Outgoing(len(frame), iter((frame,)))

    def decode(self, frame: Frame, now: float) -> Iterable[Incoming]:
        try:
            text = frame if isinstance(frame, str) else frame[::-1].decode()
        except UnicodeDecodeError:
            raise DecodeError("not UTF-8 from the back") from None
        return (Message(text, len(frame) + VALUE_COST),)


OWN: Final = {**SERIALIZATIONS, Reversed.name: Reversed}
TEXTS: Final = ["abc", "é😀", "x" * 10_000]


@pytest.mark.browser
@pytest.mark.parametrize("which", ["ours"], indirect=True)
@pytest.mark.parametrize("dialler", DIALLERS)
async def test_with_a_page(
    start_server: StartServer, browser: Browser, site: str, dialler: Dialler, engine: EngineName
) -> None:
    async with (
        start_server() as server,
        open_pair(server, browser, site, serializations=OWN, engine=engine) as pair,
    ):
        line, connection = await pair.connect(dialler, serialization="reversed", reliable=True)
        assert line.serialization == connection.serialization == "reversed"
        for here, there in both_ways((line, connection)):
            for text in TEXTS:
                await here.send(text)
                assert await there.receive() == text


async def test_between_two_python_peers(start_server: StartServer) -> None:
    async with (
        start_server() as server,
        open_peer("alice", server=server.url, serializations=OWN) as alice,
        open_peer("bob", server=server.url, serializations=OWN) as bob,
    ):
        ours = await alice.connect("bob", serialization="reversed", reliable=True)
        theirs = await anext(bob.incoming_connections())
        assert theirs.serialization == "reversed"
        for here, there in ((ours, theirs), (theirs, ours)):
            for text in TEXTS:
                await here.send(text)
                assert await there.receive() == text
