"""What is read in a session description."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.sdp import LARGEST_MESSAGE, fingerprints, max_message_size

HEAD = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("a=max-message-size:65536\r\n", 65_536),
        ("a=max-message-size:262144\r\na=sctp-port:5000\r\n", 262_144),
        ("a=max-message-size:1\n", 1),
        ("a=max-message-size:0\r\n", 262_144),  # any size
        ("a=max-message-size:1073741823\r\n", 262_144),  # Firefox
        (f"a=max-message-size:{'9' * 5000}\r\n", 262_144),
        ("", 65_536),
        ("a=max-message-size:\r\n", 65_536),
        ("a=max-message-size:-1\r\n", 65_536),
        ("b=a=max-message-size:7\r\n", 65_536),
    ],
)
def test_what_is_stated(line: str, size: int) -> None:
    assert max_message_size(HEAD + line) == size


@given(st.text() | st.text().map("a=max-message-size:".__add__))
def test_anything_at_all_gives_a_size(sdp: str) -> None:
    assert 0 < max_message_size(sdp) <= LARGEST_MESSAGE


def test_fingerprints_are_one_set_however_they_are_written() -> None:
    sdp = (
        "v=0\r\na=fingerprint:SHA-256 ab:CD:01\r\n"
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
        "a=fingerprint:sha-256 AB:CD:01\r\na=fingerprint:sha-1 00:11 \r\n"
        "a=fingerprint:sha-512\r\nb=a=fingerprint:sha-256 99\r\na=fingerprint: sha-384 22\n"
    )
    assert fingerprints(sdp) == ("sha-1 00:11", "sha-256 AB:CD:01", "sha-384 22")


@given(st.text() | st.text().map("a=fingerprint:".__add__))
def test_anything_at_all_has_fingerprints_or_none(sdp: str) -> None:
    assert list(fingerprints(sdp)) == sorted(set(fingerprints(sdp)))
