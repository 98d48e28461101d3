"""Signaling text to typed messages and back."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto import messages
from peerjs_proto.errors import DecodeError, UnsupportedValue
from peerjs_proto.limits import Limits
from peerjs_proto.testing.messages import signaling
from peerjs_proto.testing.values import json_values

SAMPLES = json.loads((Path(__file__).parent / "data" / "wire-samples.json").read_text())
FRAMES = {sample["name"]: sample["frame"] for sample in SAMPLES["frames"]}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_of_the_real_programs_survive_the_round_trip(name: str) -> None:
    message = messages.decode(json.dumps(FRAMES[name]))
    assert not isinstance(message, messages.Unknown)
    assert json.loads(messages.encode(message)) == FRAMES[name]


def test_samples_become_what_they_are() -> None:
    kinds = {name: type(messages.decode(json.dumps(frame))) for name, frame in FRAMES.items()}
    assert kinds["offer, data, binary"] is messages.Offer
    assert kinds["answer, data"] is messages.Answer
    assert kinds["candidate, plain address"] is messages.Candidate
    assert kinds["open"] is messages.Open
    assert kinds["expire"] is messages.Expire
    assert kinds["leave"] is messages.Leave
    assert kinds["heartbeat"] is messages.Heartbeat
    assert kinds["id taken, then close 1005"] is messages.IdTaken
    assert kinds["bad key, then close 1005"] is messages.Refused


def test_an_offer_keeps_members_it_does_not_know() -> None:
    frame = {
        "type": "OFFER",
        "src": "a",
        "payload": {
            "sdp": {"type": "offer", "sdp": "v=0"},
            "type": "data",
            "connectionId": "dc_1",
            "serialization": "binary",
            "future": [1, {"x": None}],
        },
    }
    message = messages.decode(json.dumps(frame))
    assert isinstance(message, messages.Offer)
    assert message.extra == {"future": [1, {"x": None}]}
    assert json.loads(messages.encode(message)) == frame


@given(signaling())
def test_decode_undoes_encode(message: messages.Message) -> None:
    assert messages.decode(messages.encode(message)) == message


@given(signaling(), st.data())
def test_every_cut_off_text_is_refused(message: messages.Message, data: st.DataObject) -> None:
    text = messages.encode(message)
    with pytest.raises(DecodeError):
        messages.decode(text[: data.draw(st.integers(0, len(text) - 1))])


@given(st.one_of(st.text(), st.binary()))
def test_any_text_decodes_or_raises_decode_error(text: str | bytes) -> None:
    with contextlib.suppress(DecodeError):
        messages.decode(text)


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["OFFER", "ANSWER", "CANDIDATE", "ERROR", "LEAVE", "X", 5, None])},
        optional={"src": json_values(), "dst": json_values(), "payload": json_values()},
    )
)
def test_members_of_any_type_decode_or_raise_decode_error(frame: dict[str, Any]) -> None:
    with contextlib.suppress(DecodeError):
        messages.decode(json.dumps(frame))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "5",
        '"OPEN"',
        "[]",
        "{}",
        '{"type":null}',
        '{"type":["OPEN"]}',
        '{"type":"OPEN","src":5}',
        '{"type":"OFFER"}',
        '{"type":"OFFER","payload":[]}',
        '{"type":"OFFER","payload":{"type":"data","connectionId":"x"}}',
        '{"type":"OFFER","payload":{"type":"data","connectionId":"x","sdp":"v=0"}}',
        '{"type":"OFFER","payload":{"type":"data","connectionId":5,"sdp":{"sdp":"v"}}}',
        '{"type":"OFFER","payload":{"type":"data","connectionId":"","sdp":{"sdp":"v"}}}',
        '{"type":"OFFER","payload":{"type":"data","connectionId":"x","sdp":{"sdp":"v"},"label":1}}',
        '{"type":"CANDIDATE","payload":{"type":"data","connectionId":"x","candidate":null}}',
        "[" * 100_000,
        '{"type":"OPEN","payload":' + "[" * 5000 + "]" * 5000 + "}",
        '{"type":"OPEN","n":' + "9" * 100_000 + "}",
    ],
    ids=lambda text: text[:40],
)
def test_malformed_messages_are_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        messages.decode(text)


def test_a_message_over_the_limit_is_refused_before_it_is_parsed() -> None:
    limits = Limits(signaling_bytes=100)
    with pytest.raises(DecodeError, match="exceeds 100"):
        messages.decode("[" * 1_000_000, limits)


def test_errors_never_quote_the_message() -> None:
    with pytest.raises(DecodeError) as caught:
        messages.decode('{"type":"OFFER","payload":{"secret":"s3cr3t"}}')
    assert "s3cr3t" not in str(caught.value)


def test_metadata_that_json_cannot_hold_is_refused() -> None:
    offer = messages.Offer(kind="data", connection_id="dc_1", sdp="v=0", metadata={"a": {1}})
    with pytest.raises(UnsupportedValue, match="set"):
        messages.encode(offer)
