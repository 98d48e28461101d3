"""What other versions of peerjs say, as they said it: recorded from real pages.

``data/versions.json`` has signaling (``frames``) and data channel messages (``channel``) of each
version; what follows from the differences is told in ``docs/versions.md``.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto import binarypack, binarypack10, commands, events, messages
from peerjs_proto.endpoint import Endpoint
from peerjs_proto.errors import DecodeError
from peerjs_proto.peer import PeerProtocol
from peerjs_proto.serialization import SERIALIZATIONS
from peerjs_proto.serializer import Frame
from peerjs_proto.versions import explain_unknown

RECORDED: Final = json.loads((Path(__file__).parent / "data" / "versions.json").read_text())
FRAMES: Final[dict[tuple[str, str], dict[str, Any]]] = {
    (sample["version"], sample["name"]): sample["frame"] for sample in RECORDED["frames"]
}

BEFORE_1_5: Final = {
    "1.3.2": True,
    "1.4.7": True,
    "1.5.0": False,
    "1.5.5": False,
    "2.0.0-beta.3": False,  # older than 1.5 in all else, but it does not show
}
VERSIONS: Final = tuple(BEFORE_1_5)

WHOLE: Final = b"\xb4\xf0\x9f\x98\x80"
HALVES: Final = b"\xb6\xed\xa0\xbd\xed\xb8\x80"
"An emoji as peerjs-js-binarypack 1.0 reads it."

# How "😀" is sent to each: before it has said anything on the channel, and after.
OLD: Final[dict[str, Frame]] = {"binary": HALVES, "json": '"😀"', "raw": "😀"}
NEW: Final[dict[str, Frame]] = {"binary": WHOLE, "json": '"😀"'.encode(), "raw": "😀"}
AT_FIRST: Final = {version: OLD if old else NEW for version, old in BEFORE_1_5.items()}
AFTERWARDS: Final = {**AT_FIRST, "2.0.0-beta.3": OLD}

every_version = pytest.mark.parametrize("version", VERSIONS)
every_serialization = pytest.mark.parametrize("serialization", ["binary", "json", "raw"])


# --- signaling -------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "name"), FRAMES)
def test_signaling_survives_the_round_trip(version: str, name: str) -> None:
    frame = FRAMES[version, name]
    message = messages.decode(json.dumps(frame))
    assert json.loads(messages.encode(message)) == frame
    if isinstance(message, messages.Offer | messages.Answer):
        assert message.before_1_5 is BEFORE_1_5[version]


REFUSED: Final = {
    ("1.4.7", "offer, utf8"): "'utf8', which peerjs before 1.5 takes for raw",
    ("1.5.0", "offer, Cbor"): "'Cbor', the add-on serializer.cbor of peerjs 1.5.0 to 1.5.3",
    ("1.5.5", "offer, MsgPack"): "'MsgPack', the add-on serializer.msgpack of peerjs 1.5",
}
OURS: Final = {name: SERIALIZATIONS[name] for name in ("binary", "json", "raw")}


@pytest.mark.parametrize(("version", "name"), REFUSED)
def test_what_cannot_be_read_is_refused_with_what_it_is(version: str, name: str) -> None:
    bob = Bob()
    bob.hear(FRAMES[version, name])
    (refused,) = bob.events()
    assert isinstance(refused, events.SignalingRefused)
    assert REFUSED[version, name] in refused.reason
    assert "understood here: binary, json, raw" in refused.reason


def test_an_unknown_name_is_the_applications_own() -> None:
    offer = messages.Offer(kind="data", connection_id="dc_1", sdp="v=0", serialization="x" * 99)
    reason = explain_unknown(offer, SERIALIZATIONS)
    assert "its application must have added it" in reason
    assert len(reason) < 250


# --- data channels ---------------------------------------------------------------------------


@every_version
@every_serialization
def test_what_they_send_is_read(version: str, serialization: str) -> None:
    bob = Bob()
    bob.take(FRAMES[version, f"offer, {serialization}"])
    said = [
        sample
        for sample in RECORDED["channel"]
        if (sample["version"], sample["serialization"]) == (version, serialization)
    ]
    assert len(said) >= 3
    for sample in said:
        frame = sample["text"] if "text" in sample else bytes.fromhex(sample["hex"])
        assert bob.read(frame) == sample["value"]
    assert bob.say("😀") == AFTERWARDS[version][serialization]


@every_version
@every_serialization
def test_the_first_word_to_who_called_us(version: str, serialization: str) -> None:
    bob = Bob()
    bob.take(FRAMES[version, f"offer, {serialization}"])
    assert bob.say("😀") == AT_FIRST[version][serialization]


@every_version
@every_serialization
def test_the_first_word_to_whom_we_called(version: str, serialization: str) -> None:
    answer = json.loads(json.dumps(FRAMES[version, "answer"]))
    answer["payload"]["connectionId"] = "dc_1"
    bob = Bob()
    bob.dial(serialization, answer)
    assert bob.say("😀") == AT_FIRST[version][serialization]


def test_who_packs_like_the_old_is_answered_like_the_old() -> None:
    """2.0 beta again, and that malformed messages prove nothing."""
    bob = Bob()
    bob.take(FRAMES["2.0.0-beta.3", "offer, binary"])
    assert bob.read(WHOLE) == "😀"
    assert bob.say("😀") == WHOLE
    assert bob.read(b"\xb6\xf0\x9f\x98\x80") == "😀"
    assert bob.say("😀") == HALVES
    bob.core.receive_frame(1, b"\xb9\xf0\x9f\x98\x80", 0.0)
    (closed,) = bob.events()
    assert isinstance(closed, events.DataConnectionClosed)
    assert isinstance(closed.error, DecodeError)


# --- the text of peerjs-js-binarypack 1.0 ----------------------------------------------------


def packed_by_1_0(value: Any) -> bytes:
    """The same rules, said another way. Strings and lists are enough."""
    if isinstance(value, list):
        return bytes([0x90 + len(value)]) + b"".join(map(packed_by_1_0, value))
    if not isinstance(value, str):
        return binarypack.pack(value)
    counted = sum(6 if char > "\uffff" else len(char.encode()) for char in value)
    if len(value.encode("utf-16-le")) > 2 * 600:
        counted = len(value.encode())
    head = bytes([0xB0 + counted]) if counted <= 15 else b"\xd8" + counted.to_bytes(2)
    return head + value.encode()


def read_by_1_0(packed: bytes) -> str:
    """Its decoder for texts: a character of four bytes is unknown to it, a surrogate is not."""
    size, rest = (packed[0] - 0xB0, packed[1:])
    if packed[0] == 0xD8:
        size, rest = int.from_bytes(packed[1:3]), packed[3:]
    assert size == len(rest)
    assert not any(byte >= 0xF0 for byte in rest)
    units = rest.decode(errors="surrogatepass")
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


texts = st.text(st.sampled_from("a é€😀𐀀\U0010ffff\x7f"), max_size=30) | st.text(max_size=30)
# A text just short of 600 units reads as one just beyond, where small numbers follow it.
sizes = st.integers(0, 700).filter(lambda n: n not in (597, 598))
old_values = st.recursive(
    texts | st.integers(-(2**31), 2**32) | st.builds(lambda n: "😀" + "a" * n, sizes),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=12,
)


@given(old_values)
def test_every_text_of_1_0_is_read(value: Any) -> None:
    assert binarypack10.unpack_counted(packed_by_1_0(value))[0] == value


@given(texts)
def test_1_0_reads_every_text_of_ours(text: str) -> None:
    assert read_by_1_0(binarypack10.pack(text)) == text


@pytest.mark.parametrize("count", [299, 300, 301])
def test_where_1_0_begins_to_count_right(count: int) -> None:
    value = ["😀" * count, 1, "😀"]
    assert binarypack10.unpack_counted(packed_by_1_0(value))[0] == value


def test_characters_of_1_0_are_paid_for() -> None:
    packed = packed_by_1_0("😀" * 100)
    assert binarypack10.unpack_counted(packed)[1] == 101
    with pytest.raises(DecodeError):
        binarypack10.unpack_counted(packed, max_items=100)


@given(st.binary() | st.lists(st.sampled_from(b"\xb6\xf0\x9f\x98\x80\xd8\x00a"), max_size=40))
def test_nothing_but_decode_errors(data: bytes | list[int]) -> None:
    with contextlib.suppress(DecodeError):
        binarypack10.unpack_counted(bytes(data))


# --- a peer without a world ------------------------------------------------------------------


class Bob:
    """Open at his server, with at most one connection: number 1."""

    def __init__(self) -> None:
        endpoint = Endpoint.parse("http://server.example/")
        self.core = PeerProtocol(endpoint, token="t", id="python", serializations=OURS)
        self.core.start(0.0)
        self.core.socket_opened(0.0)
        self.core.receive_text('{"type":"OPEN"}', 0.0)
        self.events()

    def events(self) -> list[events.Event]:
        while self.core.next_command():
            pass
        return list(iter(self.core.next_event, None))

    def hear(self, frame: dict[str, Any]) -> None:
        self.core.receive_text(json.dumps(frame), 0.0)

    def take(self, offer: dict[str, Any]) -> None:
        self.hear(offer)
        (offered,) = self.events()
        assert isinstance(offered, events.DataConnectionOffered)
        assert offered.metadata == {"hi": 1}
        self.core.accept(1, 0.0)
        self.core.answer_made(1, "v=0")
        self._open()

    def dial(self, serialization: str, answer: dict[str, Any]) -> None:
        self.core.connect("page", connection_id="dc_1", now=0.0, serialization=serialization)
        self.core.offer_made(1, "v=0")
        self.hear(answer)
        applied = list(iter(self.core.next_command, None))[-1]
        assert applied == commands.ApplyAnswer(1, answer["payload"]["sdp"]["sdp"])
        self._open()

    def _open(self) -> None:
        self.core.channel_opened(1, 262_144)
        (opened,) = self.events()
        assert isinstance(opened, events.DataConnectionOpened)

    def say(self, value: Any) -> Frame | None:
        self.core.send(1, value)
        return self.core.next_frame(1)

    def read(self, frame: Frame) -> Any:
        self.core.receive_frame(1, frame, 0.0)
        (received,) = self.events()
        assert isinstance(received, events.MessageReceived), received
        return received.value
