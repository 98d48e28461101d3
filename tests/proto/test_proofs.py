from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.proofs import Channel, derive, equal, joined, mac, stretched

parts = st.lists(st.binary(max_size=5) | st.text(max_size=3), max_size=4)


@given(parts, parts)
def test_other_parts_are_other_bytes(some: list[str | bytes], others: list[str | bytes]) -> None:
    def as_bytes(parts: list[str | bytes]) -> list[bytes]:
        return [part.encode() if isinstance(part, str) else part for part in parts]

    assert (joined(some) == joined(others)) == (as_bytes(some) == as_bytes(others))


def test_hkdf_is_that_of_rfc_5869() -> None:
    # Appendix A.3 has no salt and no info, and 42 bytes: those of the first block are ours.
    assert derive(b"\x0b" * 22).hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    )


def test_a_mac_depends_on_its_key_and_its_purpose() -> None:
    assert (
        len({mac(b"k", "a", "b"), mac(b"l", "a", "b"), mac(b"k", "ab"), mac(b"k", "b", "a")}) == 4
    )
    assert equal(mac(b"k", "a"), mac(b"k", "a"))
    assert not equal(mac(b"k", "a"), mac(b"k", "b"))


def test_a_channel_is_the_same_however_its_fingerprints_come() -> None:
    assert Channel(("b", "a", "b"), ("c",)) == Channel(["a", "b"], ["c"])
    assert Channel(("a",), ("b",)).parts == ("a", "b")
    assert Channel(("a",), ("b",)) != Channel(("b",), ("a",))


@pytest.mark.parametrize(("client", "server"), [((), ("a",)), (("a",), ()), ((), ())])
def test_without_fingerprints_there_is_no_channel(
    client: tuple[str, ...], server: tuple[str, ...]
) -> None:
    with pytest.raises(LocalProtocolError, match="fingerprints"):
        Channel(client, server)


def test_a_short_secret_is_refused_and_not_shown() -> None:
    with pytest.raises(LocalProtocolError, match="16 characters") as caught:
        stretched("fifteen letters")
    assert "fifteen" not in str(caught.value)
    assert stretched("sixteen letters!") != stretched("sixteen letters?")
