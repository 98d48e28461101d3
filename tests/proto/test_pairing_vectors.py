"""What crosses and what comes of it, byte by byte: peer-pair.js is held against the same file.

``python -m tests.proto.test_pairing_vectors`` writes it anew, which is a change of the protocol.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from peerjs_proto.handshake import Prover, Verifier
from peerjs_proto.pair_codes import Codes
from peerjs_proto.pair_keys import following, id_secret_of, remote_ids, tag_of
from peerjs_proto.proofs import Channel, derive, joined, mac, stretched

PATH: Final = Path(__file__).parent / "data" / "pairing-vectors.json"
CHANNEL: Final = {
    "client": ["sha-256 AA:01", "sha-384 AA:02"],
    "server": ["sha-256 BB:01"],
}
KEY, ID_SECRET, IDENTITY = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
ENTROPY: Final = bytes(range(128, 160))


def primitives() -> dict[str, Any]:
    parts = ["", "a", "küche", "x" * 300]
    return {
        "parts": parts,
        "joined": joined(parts).hex(),
        "key": KEY.hex(),
        "mac": mac(KEY, *parts).hex(),
        "derived": derive(KEY, *parts).hex(),
        "secret": "sixteen letters or more, küche",
        "stretched": stretched("sixteen letters or more, küche").hex(),
    }


def ids() -> dict[str, Any]:
    id_secret = id_secret_of(IDENTITY)
    times = [0, 1_800_000_000, 2_591_999, 2_592_000, 1_795_579_441]
    return {
        "identity": IDENTITY.hex(),
        "idSecret": id_secret.hex(),
        "tag": tag_of(id_secret),
        "ids": {str(now): list(remote_ids(id_secret, now)) for now in times},
    }


def handshake(pair: str, entropy: bytes | None) -> dict[str, Any]:
    channel = Channel(**CHANNEL)
    server = Verifier(channel, nonce=b"s" * 32, id_secret=ID_SECRET, secret=True)
    client = Prover(channel, b"c" * 32)
    challenge = client.challenge(server.challenge)
    claim = client.claim(challenge, KEY, pair=pair, generation=7 if pair else 0)
    welcome = server.welcome(claim, KEY, entropy)
    assert client.finish(welcome, challenge, claim, KEY) == entropy
    return {
        "channel": CHANNEL,
        "key": KEY.hex(),
        "idSecret": ID_SECRET.hex(),
        "pair": pair,
        "generation": claim.generation,
        "clientNonce": claim.nonce.hex(),
        "challenge": server.challenge,
        "response": client.response(claim),
        "welcome": welcome,
        "next": following(KEY, entropy).hex() if entropy else None,
    }


def first_contact() -> dict[str, Any]:
    from peerjs_proto.pairing import ClientContact, DeviceContact

    codes, channel = Codes(), Channel(**CHANNEL)
    codes.show("042042", 0.0)
    hers, his = bytes(range(64)), bytes(range(64, 128))
    device = DeviceContact(channel, name="Küche", id_secret=ID_SECRET, codes=codes, entropy=his)
    client = ClientContact(channel)
    said = [client.hello]
    said.append(device.receive(said[-1], 0.0))
    client.receive_hello(said[-1])
    said.append(client.enter("042042", name="Anna's phone", entropy=hers))
    said.append(device.receive(said[-1], 0.0))
    said.append(client.receive_pake(said[-1]))
    said.append(device.receive(said[-1], 0.0))
    pair = client.receive_confirm(said[-1])
    assert device.pair is not None
    assert device.pair.key == pair.key
    return {
        "channel": CHANNEL,
        "code": "042042",
        "name": "Anna's phone",
        "clientEntropy": hers.hex(),
        "deviceEntropy": his.hex(),
        "said": said,
        "id": pair.id,
        "key": pair.key.hex(),
        "idSecret": ID_SECRET.hex(),
    }


def handshakes() -> list[dict[str, Any]]:
    pair = "ab" * 16
    return [handshake(pair, None), handshake(pair, ENTROPY), handshake("", None)]


MADE: Final[dict[str, Callable[[], Any]]] = {
    "primitives": primitives,
    "ids": ids,
    "handshakes": handshakes,
}


@pytest.mark.parametrize("what", MADE)
def test_what_is_made_is_what_is_written_down(what: str) -> None:
    assert MADE[what]() == json.loads(PATH.read_text("utf-8"))[what]


def test_a_first_contact_is_the_one_that_is_written_down() -> None:
    pytest.importorskip("spake2", reason="pairing needs the extra pairing")
    assert first_contact() == json.loads(PATH.read_text("utf-8"))["firstContact"]


if __name__ == "__main__":
    made = {what: make() for what, make in MADE.items()} | {"firstContact": first_contact()}
    PATH.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf-8")
