"""Rooms as a client sees them: requests, answers of every kind, changes, and the time between."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.endpoint import Endpoint
from peerjs_proto.errors import (
    DecodeError,
    Disconnected,
    InvalidKey,
    LimitExceeded,
    LocalProtocolError,
    PeerError,
    ServerError,
    ServerUnavailable,
)
from peerjs_proto.limits import DEFAULT_LIMITS, Limits
from peerjs_proto.room_client import (
    DEFAULT_POLLING,
    Joined,
    Left,
    Polling,
    RoomChange,
    RoomQuestion,
    RoomQuestions,
    RoomWatch,
    Schedule,
    check_room_name,
    is_final,
)
from peerjs_proto.rooms import RoomCall, RoomResult, RoomRules, Rooms, reply_to
from peerjs_proto.server_io import ServerLimits
from peerjs_proto.session import Registration

ENDPOINT = Endpoint.parse("http://192.0.2.1:9000/app/", "my key")
US = Registration(ENDPOINT, "alice b", "t/k", 1)
ASK = RoomQuestions(US, DEFAULT_LIMITS)
ROOM = "0123456789012345678901234567890123456789"

IDS = st.from_regex(r"[a-d]{1,2}", fullmatch=True)


# --- questions -----------------------------------------------------------------------------------


def test_the_four_questions() -> None:
    base = "http://192.0.2.1:9000/app/my%20key/alice%20b/t%2Fk/room/"
    assert [(q.method, q.url) for q in (ASK.id(), ASK.join(ROOM), ASK.members("a/b"))] == [
        ("GET", f"{base}id"),
        ("POST", f"{base}{ROOM}/join"),
        ("GET", f"{base}a%2Fb/members"),
    ]
    assert (ASK.leave(ROOM).method, ASK.leave(ROOM).url) == ("POST", f"{base}{ROOM}/leave")


def test_the_token_is_in_no_repr() -> None:
    assert "t/k" not in repr(US)
    assert "t/k" not in repr(ASK.id())
    assert "t%2Fk" not in repr(ASK.id())


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 201, None, "a\ud800"])
def test_what_is_no_name_of_a_room(name: Any) -> None:
    with pytest.raises(LocalProtocolError, match="name of a room"):
        check_room_name(name)


def test_names_of_rooms() -> None:
    assert check_room_name("the kitchen/Küche") == "the kitchen/Küche"


# --- answers -------------------------------------------------------------------------------------


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def test_answers() -> None:
    assert ASK.id().read(200, encoded({"roomId": ROOM})) == ROOM
    assert ASK.join(ROOM).read(200, encoded({"clientsIds": ["a", "b"]})) == ("a", "b")
    assert ASK.members(ROOM).read(200, encoded([])) == ()
    assert ASK.leave(ROOM).read(200, encoded({"wasInRoom": False})) is False


def test_ids_that_nobody_can_dial_are_passed_over() -> None:
    answer = encoded(["a", "../b", "", "a", "no\nnewline", "c d"])
    assert ASK.members(ROOM).read(200, answer) == ("a", "c d")


NO_ANSWERS: list[tuple[RoomQuestion[Any], list[object]]] = [
    (ASK.id(), [None, [], {}, {"roomId": 1}, {"roomId": ""}, {"roomId": "x" * 201}]),
    (ASK.join(ROOM), [["a"], {}, {"clientsIds": "abc"}]),
    (ASK.members(ROOM), [{}, "abc", ["a", 1], [["a"]], [[[[["a"]]]]]]),
    (ASK.leave(ROOM), [True, {}, {"wasInRoom": 1}]),
]


@pytest.mark.parametrize(
    ("question", "answer"), [(question, a) for question, answers in NO_ANSWERS for a in answers]
)
def test_answers_that_are_none(question: RoomQuestion[Any], answer: object) -> None:
    with pytest.raises(DecodeError, match=r"^the server's answer about a room: "):
        question.read(200, encoded(answer))


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    for question in (ASK.id(), ASK.join(ROOM), ASK.members(ROOM), ASK.leave(ROOM)):
        with suppress(DecodeError):
            question.read(200, body)


def test_an_answer_that_is_too_long() -> None:
    question = RoomQuestions(US, Limits(room_bytes=10)).members(ROOM)
    assert question.read(200, b'["abcdef"]') == ("abcdef",)
    with pytest.raises(LimitExceeded, match="more than 10 bytes"):
        question.read(200, b'["abcdefg"]')


@pytest.mark.parametrize(
    ("status", "body", "error", "words", "final"),
    [
        (401, b"Invalid key provided", InvalidKey, "Invalid key", True),
        (401, b"Unauthorized", Disconnected, "does not know us", False),
        (401, b"Invalid token provided", Disconnected, "does not know us", False),
        (403, b"The room is full", ServerError, "let us in: The room is full", True),
        (403, b"anything t/k", ServerError, "does not let us into the room$", True),
        (404, b"Cannot GET /key/alice/t/k", ServerError, "no rooms: peerjs serve --rooms$", True),
        (405, b"", ServerError, "no rooms", True),
        (502, b"<html>", ServerUnavailable, "answered 502$", False),
        (302, b"t/k", ServerError, "with status 302$", True),
        (0, b"", ServerError, "with status 0$", True),
    ],
)
def test_refusals(
    status: int, body: bytes, error: type[PeerError], words: str, final: bool
) -> None:
    with pytest.raises(error, match=words) as caught:
        ASK.join(ROOM).read(status, body)
    assert type(caught.value) is error
    assert is_final(caught.value) is final


def test_they_are_what_our_server_says() -> None:
    rules = RoomRules("my key", b"sixteen bytes or more", named=False, limits=ServerLimits())
    store = Rooms({"alice b": "t/k", "bob": "b"}.get, ServerLimits(room_members=1))

    def ask(question: Any) -> Any:
        path = question.url.removeprefix(ENDPOINT.url)
        call = rules.read(question.method, path.split("/"), "192.0.2.1")
        assert isinstance(call, RoomCall)
        reply = reply_to(call, store.perform(call))
        return question.read(reply.status, reply.body)

    room = ask(ASK.id())
    assert ask(ASK.join(room)) == ask(ASK.members(room)) == ("alice b",)
    bob = RoomQuestions(attrs.evolve(US, id="bob", token="b"), DEFAULT_LIMITS)
    with pytest.raises(ServerError, match="The room is full"):
        ask(bob.join(room))
    with pytest.raises(ServerError, match="not a room of your network"):
        ask(bob.join(ROOM))
    with pytest.raises(Disconnected):
        ask(RoomQuestions(attrs.evolve(US, token="x"), DEFAULT_LIMITS).id())
    assert ask(ASK.leave(room)) is True
    assert store.perform(RoomCall("members", "bob", "b", room, is_open=True)) == RoomResult()


# --- changes -------------------------------------------------------------------------------------


def changes(watch: RoomWatch) -> list[RoomChange]:
    return list(iter(watch.next_change, None))


def test_who_comes_and_goes() -> None:
    watch = RoomWatch("us")
    watch.receive(["alice", "us", "bob", "alice"])
    assert changes(watch) == [Joined("alice"), Joined("bob")]
    watch.receive(["bob", "us", "carol"])
    assert changes(watch) == [Left("alice"), Joined("carol")]
    watch.receive(["bob", "carol"])
    assert changes(watch) == []


@given(st.lists(st.tuples(st.lists(IDS), st.booleans())))
def test_the_changes_lead_to_the_last_list(lists: list[tuple[list[str], bool]]) -> None:
    watch, there = RoomWatch("a"), set[str]()
    for members, taken in [*lists, (lists[-1][0] if lists else [], True)]:
        watch.receive(members)
        for change in changes(watch) if taken else ():
            match change:
                case Joined(id):
                    assert id not in there
                    there.add(id)
                case Left(id):
                    there.remove(id)
        if taken:
            assert there == set(members) - {"a"}


# --- the time between ----------------------------------------------------------------------------


def test_when_to_ask() -> None:
    schedule = Schedule(DEFAULT_POLLING, random=lambda: 0.0)
    assert schedule.due < 0.0
    schedule.answered(100.0)
    assert schedule.due == 103.0
    waits = []
    for _ in range(6):
        waits.append(schedule.failed(200.0))
        assert schedule.due == 200.0 + waits[-1]
    assert waits == [6.0, 9.0, 15.0, 27.0, 33.0, 33.0]
    schedule.answered(300.0)
    assert schedule.failed(300.0) == 6.0


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1))),
    st.floats(0.01, 1e4),
    st.floats(0, 1e6),
)
def test_never_sooner_than_the_interval_nor_much_later(
    outcomes: list[float | None], interval: float, now: float
) -> None:
    chance = 0.0
    schedule = Schedule(Polling(interval=interval), random=lambda: chance)
    for outcome in outcomes:
        if outcome is None:
            schedule.answered(now)
            assert schedule.due == now + interval
        else:
            chance = outcome
            assert interval <= schedule.failed(now) <= interval + DEFAULT_POLLING.longest
        now = schedule.due


@pytest.mark.parametrize("interval", [0.0, -1.0, float("nan")])
def test_an_interval_that_is_none(interval: float) -> None:
    with pytest.raises(LocalProtocolError, match="no interval"):
        Polling(interval=interval)
