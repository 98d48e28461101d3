"""The handshake without I/O: who gets in, who does not, and that no text raises anything else."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerjs_proto.errors import DecodeError, LocalProtocolError, Unauthorized
from peerjs_proto.handshake import Challenge, Claim, Prover, Verifier, hint_of
from peerjs_proto.pair_texts import check_name, read, refused, write
from peerjs_proto.proofs import Channel, mac

KEY, OTHER, ID_SECRET = b"k" * 32, b"o" * 32, b"i" * 32
PAIR = "ab" * 16
CHANNEL = Channel(("sha-256 AA",), ("sha-256 BB", "sha-512 CC"))


def verifier(channel: Channel = CHANNEL, nonce: bytes = b"s" * 32, **options: Any) -> Verifier:
    terms: dict[str, Any] = {"id_secret": ID_SECRET, "secret": True} | options
    return Verifier(channel, nonce=nonce, **terms)


def claim_of(server: Verifier, client: Prover, key: bytes = KEY, pair: str = PAIR) -> Claim:
    """What the server reads in the answer to its challenge."""
    claim = client.claim(client.challenge(server.challenge), key, pair=pair, generation=3)
    return server.claim(client.response(claim))


@pytest.mark.parametrize("pair", [PAIR, ""])
@pytest.mark.parametrize("entropy", [None, b"e" * 32])
def test_each_learns_that_the_other_has_the_key(pair: str, entropy: bytes | None) -> None:
    server, client = verifier(), Prover(CHANNEL, b"c" * 32)
    challenge = client.challenge(server.challenge)
    assert challenge == Challenge(("pair", "secret"), b"s" * 32, hint_of(ID_SECRET, b"s" * 32))
    claim = client.claim(challenge, KEY, pair=pair, generation=3 if pair else 0)
    assert server.claim(client.response(claim)) == claim
    assert server.holds(claim, KEY)
    assert client.finish(server.welcome(claim, KEY, entropy), challenge, claim, KEY) == entropy


def test_a_wrong_or_unknown_key_does_not_hold() -> None:
    server = verifier()
    assert not server.holds(claim_of(server, Prover(CHANNEL, b"c" * 32)), OTHER)
    nothing = claim_of(server, Prover(CHANNEL, b"c" * 32), key=bytes(32))
    assert not server.holds(nothing, None)
    assert server.holds(nothing, bytes(32))


def test_a_claim_is_good_for_its_nonces_its_pair_and_its_generation() -> None:
    server = verifier()
    claim = claim_of(server, Prover(CHANNEL, b"c" * 32))
    assert server.holds(claim, KEY)
    assert not verifier(nonce=b"t" * 32).holds(claim, KEY), "a replay"
    for change in (
        {"nonce": b"d" * 32},
        {"pair": "cd" * 16},
        {"generation": 4},
        {"method": "secret"},
        {"proof": bytes(32)},
    ):
        assert not server.holds(attrs.evolve(claim, **change), KEY), change


@pytest.mark.parametrize(
    "seen",
    [
        Channel(("sha-256 MM",), ("sha-256 BB", "sha-512 CC")),
        Channel(("sha-256 AA",), ("sha-256 MM",)),
        Channel(("sha-256 AA",), ("sha-256 BB",)),
        Channel(("sha-256 AA", "sha-256 MM"), ("sha-256 BB", "sha-512 CC")),
        Channel(CHANNEL.server, CHANNEL.client),
    ],
)
def test_proofs_do_not_fit_another_channel(seen: Channel) -> None:
    server, client = verifier(seen), Prover(CHANNEL, b"c" * 32)
    challenge = client.challenge(server.challenge)
    claim = client.claim(challenge, KEY, pair=PAIR)
    assert not server.holds(claim, KEY)
    # Who knew the key and welcomed it all the same would not be believed.
    with pytest.raises(Unauthorized, match="stands between"):
        client.finish(server.welcome(claim, KEY), challenge, claim, KEY)


def test_a_proof_sent_back_proves_nothing() -> None:
    server, client = verifier(), Prover(CHANNEL, b"c" * 32)
    challenge = client.challenge(server.challenge)
    claim = client.claim(challenge, KEY, pair=PAIR)
    with pytest.raises(Unauthorized):
        client.finish(write("welcome", proof=claim.proof.hex()), challenge, claim, KEY)
    # The client's proof made of the server's own, with the same nonce, in the other role.
    theirs = read(server.welcome(claim, KEY), "welcome")["proof"]
    assert not server.holds(attrs.evolve(claim, proof=bytes.fromhex(theirs)), KEY)


def test_entropy_that_somebody_changed_is_refused() -> None:
    server, client = verifier(), Prover(CHANNEL, b"c" * 32)
    challenge = client.challenge(server.challenge)
    claim = client.claim(challenge, KEY, pair=PAIR)
    welcome = json.loads(server.welcome(claim, KEY, b"e" * 32))
    for entropy in ({"entropy": "00" * 32}, {}):
        del welcome["entropy"]
        welcome |= entropy
        with pytest.raises(Unauthorized):
            client.finish(json.dumps(welcome), challenge, claim, KEY)
        welcome["entropy"] = ""


def test_only_what_is_taken_is_asked_for_and_answered() -> None:
    client = Prover(CHANNEL, b"c" * 32)
    only_secret = verifier(id_secret=None)
    challenge = client.challenge(only_secret.challenge)
    assert challenge.methods == ("secret",)
    assert challenge.hint is None
    with pytest.raises(Unauthorized, match="another proof"):
        only_secret.claim(client.response(client.claim(challenge, KEY, pair=PAIR)))
    only_pair = verifier(secret=False)
    assert client.challenge(only_pair.challenge).methods == ("pair",)
    with pytest.raises(Unauthorized, match="another proof"):
        only_pair.claim(client.response(client.claim(challenge, KEY)))


def test_the_hint_is_known_to_pairs_and_different_each_time() -> None:
    assert hint_of(ID_SECRET, b"s" * 32) != hint_of(ID_SECRET, b"t" * 32)
    assert hint_of(ID_SECRET, b"s" * 32) != hint_of(OTHER, b"s" * 32)
    assert hint_of(ID_SECRET, b"s" * 32) == mac(ID_SECRET, "peerjs-auth 1 hint", (b"s" * 32).hex())


def test_a_refusal_is_told_in_words_that_can_be_shown() -> None:
    client = Prover(CHANNEL, b"c" * 32)
    with pytest.raises(Unauthorized, match="refuses: not today"):
        client.challenge(refused("not today"))
    for reason in ("\x1b[31m", 5, None):
        with pytest.raises(Unauthorized, match="does not say why"):
            client.challenge(json.dumps({"type": "refused", "reason": reason}))
    with pytest.raises(Unauthorized) as caught:
        client.challenge(refused("x" * 1000))
    assert len(str(caught.value)) < 250


CHALLENGE = json.loads(verifier().challenge)
_FIRST = Prover(CHANNEL, b"c" * 32)
RESPONSE = json.loads(
    _FIRST.response(_FIRST.claim(_FIRST.challenge(verifier().challenge), KEY, pair=PAIR))
)
WRONG: list[Any] = [
    None,
    "",
    "x",
    5,
    -1,
    True,
    1.5,
    2**60,
    [],
    {},
    "AB" * 32,
    "ab" * 31,
    "é" * 64,
    ["pair"],
]


@pytest.mark.parametrize("member", ["versions", "methods", "nonce", "hint"])
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_challenge_with_anything_wrong_in_it(member: str, value: object) -> None:
    text = json.dumps(CHALLENGE | {member: value})
    client = Prover(CHANNEL, b"c" * 32)
    if member == "methods" and isinstance(value, list):
        assert set(client.challenge(text).methods) <= {"pair"}
        return
    with pytest.raises(DecodeError):
        client.challenge(text)


@pytest.mark.parametrize("member", ["version", "method", "nonce", "proof", "pair", "generation"])
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_response_with_anything_wrong_in_it(member: str, value: object) -> None:
    text = json.dumps(RESPONSE | {member: value})
    if (member == "generation" and value == 5) or (member, value) == ("version", True):
        assert verifier().claim(text)  # JSON's true is Python's 1: nothing hangs on it
        return
    with pytest.raises((DecodeError, Unauthorized)):
        verifier().claim(text)


@pytest.mark.parametrize(
    "text", [b"{}", "", "[]", "5", "{}", '{"type":"hello"}', '{"type":[[[[]]]]}', " " * 5000]
)
def test_what_is_no_message_is_refused(text: str | bytes) -> None:
    client, server = Prover(CHANNEL, b"c" * 32), verifier()
    challenge = client.challenge(server.challenge)
    claim = client.claim(challenge, KEY)
    with pytest.raises(DecodeError):
        client.challenge(text)
    with pytest.raises(DecodeError):
        server.claim(text)
    with pytest.raises(DecodeError):
        client.finish(text, challenge, claim, KEY)


@given(st.text() | st.dictionaries(st.text(), st.text()).map(json.dumps))
def test_any_text_is_refused_and_nothing_else(text: str) -> None:
    for receive in (Prover(CHANNEL, b"c" * 32).challenge, verifier().claim):
        with pytest.raises((DecodeError, Unauthorized)):
            receive(text)


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\nb", "\x1b[1m", "\u202eabc", "x" * 65, 5, None]
)
def test_names_that_cannot_be_shown(name: object) -> None:
    with pytest.raises(LocalProtocolError, match="a name has"):
        check_name(name)


def test_names_that_can() -> None:
    for name in ("Anna's phone", "küche", "😀", "x" * 64):
        assert check_name(name) == name
