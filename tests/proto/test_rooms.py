"""Rooms: the rules, the replies old clients know, and the store of one server."""

from __future__ import annotations

import hmac
import json
import re
from urllib.parse import quote

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.addresses import network_of
from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.rooms import RoomCall, RoomResult, RoomRules, Rooms, check_caller, reply_to
from peerjs_proto.server_io import HttpReply, ServerLimits

SECRET = b"sixteen bytes or more"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
LIMITS = ServerLimits(room_members=3, rooms_per_client=2, room_name_length=10)
TOKENS = {id: f"{id}'s" for id in ("alice", "bob", "carol", "dave")}

HTML = "text/html; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"
JSON = "application/json; charset=utf-8"


@attrs.define
class Site:
    """One server's rooms, and what its clients ask of them."""

    named: bool = False
    tokens: dict[str, str] = attrs.field(factory=TOKENS.copy)
    rules: RoomRules = attrs.field(init=False)
    rooms: Rooms = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rules = RoomRules("my key", SECRET, named=self.named, limits=LIMITS)
        self.rooms = Rooms(self.tokens.get, LIMITS)

    def ask(
        self, method: str, path: str, id: str = "alice", address: str = HOME, token: str = ""
    ) -> HttpReply | None:
        token = quote(token or f"{id}'s", safe="")
        segments = f"my%20key/{quote(id)}/{token}/room/{path}".split("/")
        call = self.rules.read(method, segments, network_of(address))
        return reply_to(call, self.rooms.perform(call)) if isinstance(call, RoomCall) else call

    def body(self, method: str, path: str, id: str = "alice", address: str = HOME) -> str:
        reply = self.ask(method, path, id, address)
        assert reply is not None
        assert (reply.status, reply.content_type) == (200, JSON)
        return reply.body.decode()

    def room_of(self, address: str) -> str:
        room = json.loads(self.body("GET", "id", address=address))["roomId"]
        assert isinstance(room, str)
        return room


# --- as ambianic-pnp -----------------------------------------------------------------------------


def test_the_four_calls_byte_for_byte() -> None:
    site = Site()
    said = site.body("GET", "id")
    assert re.fullmatch(r'\{"roomId":"[0-9a-f]{40}"\}', said)
    room = hmac.new(SECRET, HOME.encode(), "sha1").hexdigest()
    assert said == f'{{"roomId":"{room}"}}'
    room = site.room_of(HOME)
    assert site.body("GET", f"{room}/members") == "[]"
    assert site.body("POST", f"{room}/join") == '{"clientsIds":["alice"]}'
    assert site.body("POST", f"{room}/join", "bob") == '{"clientsIds":["alice","bob"]}'
    assert site.body("POST", f"{room}/join") == '{"clientsIds":["alice","bob"]}'  # twice is once
    assert site.body("GET", f"{room}/members", "bob") == '["alice","bob"]'
    assert site.body("POST", f"{room}/leave") == '{"wasInRoom":true}'
    assert site.body("POST", f"{room}/leave") == '{"wasInRoom":false}'
    assert site.body("GET", f"{room}/members") == '["bob"]'
    assert site.body("GET", "nowhere/members") == "[]"
    assert site.body("POST", "nowhere/leave") == '{"wasInRoom":false}'


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "id"), ("POST", "x/join"), ("POST", "x/leave")]
)
def test_who_may_not_ask(method: str, path: str) -> None:
    site = Site()
    stranger = site.ask(method, path, "nobody")
    assert stranger is not None
    assert (stranger.status, stranger.body, stranger.content_type) == (401, b"Unauthorized", PLAIN)
    thief = site.ask(method, path, token="bob's")
    assert thief is not None
    assert (thief.status, thief.body) == (401, b"Invalid token provided")
    assert thief.content_type == HTML
    wrong = site.rules.read(method, ["peerjs", "alice", "alice's", "room", *path.split("/")], HOME)
    assert isinstance(wrong, HttpReply)
    assert (wrong.status, wrong.body) == (401, b"Invalid key provided")
    assert wrong.content_type == HTML


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", "id"), ("PUT", "id"), ("POST", "x/members"), ("GET", "x/join")),
        *(("HEAD", "x/leave"), ("GET", "x"), ("GET", ""), ("GET", "x/y/members"), ("GET", "x/id")),
    ],
)
def test_what_is_no_call(method: str, path: str) -> None:
    assert Site().ask(method, path) is None


def test_head_asks_as_get_does() -> None:
    site = Site()
    assert site.ask("HEAD", "id") == site.ask("GET", "id")


# --- whose room is whose -------------------------------------------------------------------------


def test_a_room_for_each_network() -> None:
    site = Site()
    assert site.room_of(HOME) == site.room_of(f"::ffff:{HOME}") != site.room_of(ELSEWHERE)
    assert site.room_of("2001:db8::1") == site.room_of("2001:db8::2:2")
    assert site.room_of("2001:db8::1") != site.room_of("2001:db8:0:1::1")
    assert site.room_of("10.0.0.1") == site.room_of("192.168.1.1") == site.room_of("::1")
    other = RoomRules("my key", SECRET + b"!", named=False, limits=LIMITS)
    call = other.read("GET", ["my key", "alice", "t", "room", "id"], HOME)
    assert isinstance(call, RoomCall)
    assert call.room != site.room_of(HOME)


@pytest.mark.parametrize("named", [False, True])
def test_anothers_room_is_closed(named: bool) -> None:
    site = Site(named)
    room = site.room_of(HOME)
    site.body("POST", f"{room}/join")
    for spelled in (room, room.upper()):
        refused = site.ask("POST", f"{spelled}/join", "bob", ELSEWHERE)
        assert refused is not None
        assert (refused.status, refused.content_type) == (403, PLAIN)
        assert site.body("GET", f"{spelled}/members", "bob", ELSEWHERE) == "[]"
    assert site.body("GET", f"{room}/members") == '["alice"]'
    assert site.body("POST", f"{room}/leave", "bob", ELSEWHERE) == '{"wasInRoom":false}'
    # Who is in a room sees it, and leaves it, from wherever it is now.
    assert site.body("GET", f"{room}/members", "alice", ELSEWHERE) == '["alice"]'
    assert site.body("POST", f"{room}/leave", "alice", ELSEWHERE) == '{"wasInRoom":true}'


def test_names_are_rooms_only_if_asked_for() -> None:
    for site, statuses in ((Site(), [403, 403, 403]), (Site(named=True), [200, 200, 403])):
        for path, status in zip(
            ("chess/join", "a%2Fb/join", "x" * 11 + "/join"), statuses, strict=True
        ):
            reply = site.ask("POST", path, address=ELSEWHERE)
            assert reply is not None
            assert reply.status == status
    assert site.body("GET", "chess/members", "bob") == '["alice"]'
    assert site.body("GET", "a%2fb/members", "bob") == '["alice"]'


@pytest.mark.parametrize("named", [False, True])
def test_who_comes_from_nowhere_has_no_room(named: bool) -> None:
    for method, path in (("GET", "id"), ("POST", "/join")):
        reply = Site(named).ask(method, path, address="")
        assert reply is not None
        assert reply.status == 403


def test_a_secret_that_could_be_guessed() -> None:
    with pytest.raises(LocalProtocolError, match="16 bytes"):
        RoomRules("key", b"fifteen bytes !", named=False, limits=LIMITS)


def test_tokens_are_in_no_repr() -> None:
    call = RoomCall("join", "alice", "secret", "room", is_open=True)
    assert "secret" not in repr(call)


# --- bounds, and who goes ------------------------------------------------------------------------


def test_a_room_has_room_for_so_many() -> None:
    site = Site(named=True)
    for id in ("alice", "bob", "carol"):
        site.body("POST", "x/join", id)
    full = site.ask("POST", "x/join", "dave")
    assert full is not None
    assert (full.status, full.body) == (403, b"The room is full")
    assert site.body("POST", "x/join") == '{"clientsIds":["alice","bob","carol"]}'  # it is in
    site.rooms.gone("bob")
    assert site.body("POST", "x/join", "dave") == '{"clientsIds":["alice","carol","dave"]}'


def test_a_client_is_in_so_many_rooms() -> None:
    site = Site(named=True)
    site.body("POST", "x/join")
    site.body("POST", "y/join")
    third = site.ask("POST", "z/join")
    assert third is not None
    assert (third.status, third.body) == (403, b"You are in too many rooms")
    assert site.body("GET", "z/members") == "[]"
    site.body("POST", "x/leave")
    site.body("POST", "z/join")


def test_who_is_gone_is_in_no_room() -> None:
    site = Site(named=True)
    for id in ("alice", "bob"):
        site.body("POST", "x/join", id)
    site.body("POST", "y/join")
    site.rooms.gone("alice")
    site.rooms.gone("alice")
    site.rooms.gone("carol")
    assert site.body("GET", "x/members") == '["bob"]'
    assert site.body("GET", "y/members") == "[]"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["join", "leave", "gone", "members"]),
            st.sampled_from(["alice", "bob", "carol", "dave"]),
            st.sampled_from("xyz"),
        )
    )
)
def test_the_store_is_the_plain_sum_of_what_was_asked(steps: list[tuple[str, str, str]]) -> None:
    site = Site(named=True)
    model: dict[str, list[str]] = {room: [] for room in "xyz"}
    for action, id, room in steps:
        members = model[room]
        if action == "gone":
            site.rooms.gone(id)
            for others in model.values():
                if id in others:
                    others.remove(id)
            continue
        reply = site.ask("GET" if action == "members" else "POST", f"{room}/{action}", id)
        assert reply is not None
        if action == "members":
            assert json.loads(reply.body) == members
        elif action == "leave":
            assert json.loads(reply.body) == {"wasInRoom": id in members}
            model[room] = [other for other in members if other != id]
        else:
            fits = len(members) < 3 and sum(id in others for others in model.values()) < 2
            if id not in members and fits:
                members.append(id)
            if id in members:
                assert json.loads(reply.body) == {"clientsIds": members}
            else:
                assert reply.status == 403


@given(st.sampled_from(["GET", "POST", "HEAD"]), st.lists(st.text(max_size=8), max_size=7))
def test_whatever_is_asked_gets_an_answer(method: str, segments: list[str]) -> None:
    for path in (segments, ["my key", "alice", "alice's", "room", *segments]):
        call = Site(named=True).rules.read(method, path, HOME)
        if isinstance(call, RoomCall):
            assert reply_to(call, RoomResult()).status == 200
            assert check_caller(call, call.token) is None
