"""The two directions of a stream: what credit allows, and what is held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.errors import DecodeError, LimitExceeded, LocalProtocolError, RemoteProtocolError
from peerjs_proto.http_streams import COST, Inflow, Message, Outflow

from .http_pair import END, MORE, TEXT, data

WINDOW = 1024


def outflow(credit: int = 10_000, frame_bytes: int = 1024) -> Outflow:
    return Outflow(1, credit, frame_bytes)


def frames(flow: Outflow) -> list[bytes]:
    said = []
    while flow.can_send:
        said.append(flow.next_frame())
    return said


# --- what is sent ---------------------------------------------------------------------------------


def test_a_body_goes_out_in_frames_of_the_largest_size() -> None:
    flow = outflow(frame_bytes=16)
    flow.add(b"0123456789abcdef", END)
    assert frames(flow) == [data(1, b"0123456789"), data(1, b"abcdef", END)]
    assert flow.finished
    assert flow.is_drained


def test_a_frame_costs_its_bytes_and_32() -> None:
    flow = outflow(credit=42)
    flow.add(b"0123456789abcdef", 0)
    assert frames(flow) == [data(1, b"0123456789")]
    assert not flow.is_drained
    flow.credit += 32
    assert frames(flow) == []
    flow.credit += 1
    assert frames(flow) == [data(1, b"a")]
    assert flow.credit == 0


def test_an_end_alone_costs_nothing() -> None:
    flow = outflow(credit=0)
    flow.add(b"", END)
    assert frames(flow) == [data(1, b"", END)]
    assert flow.credit == 0


def test_an_empty_message_costs_32() -> None:
    flow = outflow(credit=31)
    flow.add(b"", MORE)
    assert frames(flow) == []
    flow.credit += 1
    assert frames(flow) == [data(1)]
    assert flow.credit == 0


def test_a_message_says_where_it_goes_on() -> None:
    flow = outflow(frame_bytes=8)
    flow.add(b"abcde", TEXT | MORE)
    flow.add(b"f", MORE)
    assert frames(flow) == [
        data(1, b"ab", TEXT | MORE),
        data(1, b"cd", TEXT | MORE),
        data(1, b"e", TEXT),
        data(1, b"f"),
    ]
    assert not flow.finished


def test_a_close_is_behind_what_was_said_before() -> None:
    flow = outflow(credit=32)
    flow.add(b"ab", MORE)
    flow.close(1000, "bye")
    assert frames(flow) == []
    flow.credit += 2
    assert frames(flow) == [data(1, b"ab"), b"\6\0\0\0\1\x03\xe8bye"]
    assert flow.finished


@pytest.mark.parametrize("ended", ["END", "CLOSE"])
def test_nothing_is_sent_after_the_end(ended: str) -> None:
    flow = outflow()
    if ended == "END":
        flow.add(b"", END)
    else:
        flow.close(1000, "")
    with pytest.raises(LocalProtocolError, match="end"):
        flow.add(b"x", 0)
    with pytest.raises(LocalProtocolError, match="end"):
        flow.close(1000, "")
    assert len(frames(flow)) == 1


def test_what_is_dropped_is_not_sent() -> None:
    flow = outflow()
    flow.add(b"x", MORE)
    flow.close(1000, "")
    flow.drop()
    assert frames(flow) == []
    assert flow.ended
    assert flow.finished


@given(
    parts=st.lists(st.binary(min_size=1, max_size=300), max_size=6),
    grants=st.lists(st.integers(0, 200), max_size=20),
    frame_bytes=st.integers(7, 100),
)
def test_a_body_arrives_whole_whatever_the_credit(
    parts: list[bytes], grants: list[int], frame_bytes: int
) -> None:
    flow, said, given = Outflow(1, 0, frame_bytes), [], 0
    for part in parts:
        flow.add(part, 0)
    for grant in [*grants, 200_000]:
        flow.credit += grant
        given += grant
        said += frames(flow)
        assert sum(COST + len(frame) - 6 for frame in said) <= given
    assert b"".join(frame[6:] for frame in said) == b"".join(parts)
    assert all(6 < len(frame) <= frame_bytes for frame in said)


# --- what is received -----------------------------------------------------------------------------


def inflow(window: int = WINDOW, message_bytes: int = 4096) -> Inflow:
    return Inflow(window, message_bytes)


def granted(flow: Inflow) -> int:
    return flow.grant() if flow.can_grant else 0


def test_what_is_received_costs_credit_and_comes_back_when_it_is_taken() -> None:
    flow = inflow()
    assert flow.receive(bytes(468), 0) == 500
    assert flow.receive(bytes(492), 0) == 524
    assert granted(flow) == 0
    with pytest.raises(RemoteProtocolError, match="credit"):
        flow.receive(b"x", 0)
    flow.consumed(500)
    assert granted(flow) == 0  # less than half a window
    flow.consumed(524)
    assert granted(flow) == 1024
    assert granted(flow) == 0
    assert flow.receive(bytes(992), 0) == 1024


def test_no_more_is_taken_than_there_is() -> None:
    flow = inflow()
    flow.receive(bytes(468), 0)
    for cost in (501, -1):
        with pytest.raises(LocalProtocolError, match="more was taken"):
            flow.consumed(cost)
    flow.consumed(500)
    with pytest.raises(LocalProtocolError, match="more was taken"):
        flow.consumed(1)


def test_half_a_window_is_given_at_once() -> None:
    flow = inflow()
    assert flow.receive(bytes(480), 0) == 512
    flow.consumed(512)
    assert granted(flow) == 512


def test_an_end_alone_is_received_without_credit() -> None:
    flow = inflow()
    flow.receive(bytes(992), 0)
    assert flow.receive(b"", END) == 0
    assert flow.ended
    flow.consumed(1024)
    assert granted(flow) == 0  # there is nothing left to send


def test_a_part_of_a_body_has_a_byte_in_it() -> None:
    with pytest.raises(RemoteProtocolError, match="without a byte"):
        inflow().receive(b"", 0)


@pytest.mark.parametrize("flags", [TEXT, MORE, TEXT | END, MORE | END])
def test_a_body_has_no_flags_of_a_websockets(flags: int) -> None:
    with pytest.raises(RemoteProtocolError, match="WebSocket"):
        inflow().receive(b"x", flags)


def test_messages_are_whole() -> None:
    flow = inflow()
    euro = "€".encode()
    assert flow.receive_message(euro[:1], TEXT | MORE) is None
    assert flow.receive_message(euro[1:], TEXT) == Message("€", 35)
    assert flow.receive_message(b"", 0) == Message(b"", 32)
    assert flow.receive_message(b"", TEXT) == Message("", 32)
    assert flow.receive_message(b"", MORE) is None
    assert flow.receive_message(b"", MORE) is None
    assert flow.receive_message(euro, 0) == Message(euro, 35)


def test_text_is_utf8_as_a_whole() -> None:
    flow = inflow()
    flow.receive_message(b"\xe2", TEXT | MORE)
    with pytest.raises(DecodeError, match="UTF-8"):
        flow.receive_message(b"x", TEXT)


def test_a_message_is_text_or_binary() -> None:
    for first, second in ((TEXT, 0), (0, TEXT)):
        flow = inflow()
        flow.receive_message(b"x", first | MORE)
        with pytest.raises(RemoteProtocolError, match="text and binary"):
            flow.receive_message(b"y", second)


def test_a_websocket_has_no_end_but_close() -> None:
    with pytest.raises(RemoteProtocolError, match="END"):
        inflow().receive_message(b"x", END)


def test_a_message_costs_credit_too() -> None:
    with pytest.raises(RemoteProtocolError, match="credit"):
        inflow().receive_message(bytes(993), 0)
    flow = inflow()
    assert flow.receive_message(bytes(992), 0) == Message(bytes(992), 1024)
    with pytest.raises(RemoteProtocolError, match="credit"):
        flow.receive_message(b"", 0)


def test_a_message_has_a_bound() -> None:
    flow = inflow(message_bytes=1000)
    flow.receive_message(bytes(900), MORE)
    granted(flow)
    flow.receive_message(bytes(100), MORE)
    with pytest.raises(LimitExceeded, match="1000 bytes"):
        flow.receive_message(b"x", 0)


def test_a_message_larger_than_the_window_gets_its_credit_back_as_it_comes() -> None:
    flow = inflow(message_bytes=10_000)
    for _ in range(19):
        assert flow.receive_message(bytes(500), MORE) is None
        assert granted(flow) == 532
    assert flow.receive_message(bytes(500), 0) == Message(bytes(10_000), 10_032)
    assert granted(flow) == 0  # it counts now
    flow.receive_message(bytes(460), MORE)
    with pytest.raises(RemoteProtocolError, match="credit"):
        flow.receive_message(b"", 0)
    flow.consumed(10_032)
    assert granted(flow) == 1024


@given(
    messages=st.lists(st.integers(0, 2000), max_size=30),
    sizes=st.lists(st.integers(1, 992), min_size=1, max_size=10),
)
def test_whoever_takes_nothing_holds_a_window_and_a_message_at_most(
    messages: list[int], sizes: list[int]
) -> None:
    flow, window, most, held, credit = inflow(message_bytes=2000), 1024, 2000, 0, 1024
    at = 0
    for left in messages:
        partial = 0
        while True:
            size = min(left, sizes[at % len(sizes)])
            at += 1
            if credit < COST + size:
                return  # no more can come
            credit -= COST + size
            left, partial = left - size, partial + size
            message = flow.receive_message(bytes(size), MORE if left else 0)
            credit += granted(flow)
            if message is not None:
                held += message.cost
            else:
                assert partial <= most
            assert held + credit + (0 if message else partial) <= window + most
            if message is not None:
                break
