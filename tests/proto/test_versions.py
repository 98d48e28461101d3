"""What other versions of peerjs say, as they said it: recorded from real pages.

``data/versions.json`` has signaling (``frames``) and data channel messages (``channel``) of each
version.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from peerjs_proto import messages
from peerjs_proto.serialization import SERIALIZATIONS
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


# --- signaling -------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "name"), FRAMES)
def test_signaling_survives_the_round_trip(version: str, name: str) -> None:
    frame = FRAMES[version, name]
    message = messages.decode(json.dumps(frame))
    assert json.loads(messages.encode(message)) == frame
    if isinstance(message, messages.Offer | messages.Answer):
        assert message.before_1_5 is BEFORE_1_5[version]


@pytest.mark.parametrize(
    ("version", "name", "what"),
    [
        ("1.4.7", "offer, utf8", "'utf8', which peerjs before 1.5 takes for raw"),
        ("1.5.0", "offer, Cbor", "'Cbor', the add-on serializer.cbor of peerjs 1.5.0 to 1.5.3"),
        ("1.5.5", "offer, MsgPack", "'MsgPack', the add-on serializer.msgpack of peerjs 1.5"),
    ],
)
def test_what_cannot_be_read_is_explained(version: str, name: str, what: str) -> None:
    offer = messages.decode(json.dumps(FRAMES[version, name]))
    assert isinstance(offer, messages.Offer)
    reason = explain_unknown(offer, ["raw", "json", "binary"])
    assert what in reason
    assert reason.endswith("understood here: binary, json, raw")


def test_an_unknown_name_is_the_applications_own() -> None:
    offer = messages.Offer(kind="data", connection_id="dc_1", sdp="v=0", serialization="x" * 99)
    reason = explain_unknown(offer, SERIALIZATIONS)
    assert "its application must have added it" in reason
    assert len(reason) < 250
