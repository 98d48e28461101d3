"""The server's WebSocket frames beside those of websockets and wsproto, cut anywhere."""

from __future__ import annotations

from typing import Any

import pytest
import wsproto.events
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader
from wsproto.connection import Connection, ConnectionType
from wsproto.utilities import RemoteProtocolError

from peerjs_trio.frames import (
    Close,
    FrameReader,
    Ping,
    Pong,
    accept_key,
    close_frame,
    close_reply,
    ping_frame,
    pong_frame,
    text_frame,
)

MAX = 70_000

texts = st.text(max_size=300) | st.integers(60_000, 66_000).map(lambda n: "é" * (n // 2))
messages = texts | st.binary(max_size=300)
masks = st.binary(min_size=4, max_size=4)


def masked(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(Opcode(opcode), data, fin).serialize(mask=True)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Any]]:
    """What a client may send, and what of it is to be heard."""
    sent = b""
    heard: list[Any] = []
    for _ in range(draw(st.integers(0, 5))):
        message = draw(messages)
        data = message.encode() if isinstance(message, str) else message
        opcode = 1 if isinstance(message, str) else 2
        cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        for number, piece in enumerate(pieces):
            fin = number == len(pieces) - 1
            sent += masked(opcode if number == 0 else 0, piece, fin=fin)
            if draw(st.booleans()) and not fin:
                sent += masked(9, b"in between")
                heard.append(Ping(b"in between"))
        heard.append(message)
        if draw(st.booleans()):
            sent += masked(10, b"")
            heard.append(Pong())
    return sent, heard


@given(streams(), st.data())
def test_what_was_sent_is_heard_however_it_is_cut(
    stream: tuple[bytes, list[Any]], data: st.DataObject
) -> None:
    sent, expected = stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    reader, heard = FrameReader(MAX), []
    for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        received, error = reader.feed(sent[a:b])
        assert error is None
        heard += received
    assert heard == expected


frames = st.builds(masked, st.sampled_from([0, 1, 2, 9, 10]), st.binary())


@given(st.binary(max_size=80) | frames)
def test_any_bytes_are_judged_as_by_wsproto(data: bytes) -> None:
    received, error = FrameReader(MAX).feed(data)
    theirs = Connection(ConnectionType.SERVER)
    theirs.receive_data(data)
    events, fault = [], None
    try:
        for event in theirs.events():
            events.append(event)
    except RemoteProtocolError as raised:
        fault = raised
    if fault is not None:
        assert error is not None
    pings = [e for e in events if isinstance(e, wsproto.events.Ping)]
    assert [bytes(p.payload) for p in pings][: len(received)] == [
        ping.data for ping in received if isinstance(ping, Ping)
    ]


@given(texts)
def test_what_we_send_is_read_by_websockets(text: str) -> None:
    for data, opcode, payload in (
        (text_frame(text), Opcode.TEXT, text.encode()),
        (close_frame(1001, "the server stopped"), Opcode.CLOSE, b"\x03\xe9the server stopped"),
        (close_frame(None), Opcode.CLOSE, b""),
        (close_reply(Close(b"\x03\xe8")), Opcode.CLOSE, b"\x03\xe8"),
        (ping_frame(), Opcode.PING, b""),
        (pong_frame(Ping(b"x" * 125)), Opcode.PONG, b"x" * 125),
    ):
        reader = StreamReader()
        reader.feed_data(data)
        parsing = Frame.parse(reader.read_exact, mask=False)
        with pytest.raises(StopIteration) as parsed:
            next(parsing)
        assert parsed.value.value == Frame(opcode, payload)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\xc1", None),  # half a header says nothing yet
        (b"\xc1\x80", 1002),
        (b"\x81\x00", 1002),
        (b"\x83\x80", 1002),
        (b"\x8b\x80", 1002),
        (b"\x09\x80", 1002),
        (b"\x89\xfe", 1002),
        (b"\x00\x80" + bytes(4), 1002),
        (masked(1, b"a", fin=False) + masked(1, b"b"), 1002),
        (masked(8, b"\x03"), 1002),
        (masked(8, b"\x03\xed"), 1002),  # 1005
        (masked(8, b"\x03\xe8\xff"), 1007),
        (masked(1, b"\xed\xa0\x80"), 1007),
        (b"\x81\xfe\xff\xff", None),
        (b"\x81\xff" + bytes(5), None),
        (b"\x81\xff" + (1 << 62).to_bytes(8, "big"), 1009),
        (masked(2, bytes(40_000), fin=False) + masked(0, bytes(40_000)), 1009),
    ],
)
def test_what_ends_a_connection(sent: bytes, code: int | None) -> None:
    received, error = FrameReader(MAX).feed(masked(1, b"before") + sent)
    assert received[0] == "before"
    assert (error.code if error else None) == code


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 4999])
def test_close_codes(code: int) -> None:
    data = code.to_bytes(2, "big") + b"bye"
    assert FrameReader(MAX).feed(masked(8, data)) == ([Close(data)], None)


def test_keys() -> None:
    # RFC 6455, 1.3.
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    for key in ("", "short", "dGhlIHNhbXBsZSBub25jZQ", "ä" * 24):
        assert accept_key(key) is None
