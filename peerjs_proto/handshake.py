"""Who is there: the two sides of a proof at the beginning of a connection.

Four text messages, the server's first: challenge, response, welcome; or refused in place of the
last. ``docs/pairing.md`` has the rules. Nonces come in as arguments, and keys from whoever keeps
them; for any text at all DecodeError and Unauthorized are raised, and nothing else.
"""

from __future__ import annotations

from typing import Final

import attrs

from .errors import DecodeError, Unauthorized
from .pair_texts import VERSION, check_version, hexadecimal, number, read, write
from .proofs import Channel, equal, mac

__all__ = ["NONCE", "PAIR_ID", "Challenge", "Claim", "Prover", "Verifier", "hint_of"]

NONCE: Final = 32
"Bytes of a nonce, of a proof, of entropy and of a key."

PAIR_ID: Final = 16
"Bytes of a pair's id."

_METHODS: Final = ("pair", "secret")


@attrs.frozen
class Claim:
    """What a client says: who it is, and a proof of it."""

    method: str
    '"pair" or "secret".'
    nonce: bytes
    proof: bytes
    pair: str = ""
    "Of a pair: its id."
    generation: int = 0
    "Of a pair: which of its keys the proof is made with."


@attrs.frozen
class Challenge:
    """What a server asks for."""

    methods: tuple[str, ...]
    nonce: bytes
    hint: bytes | None
    "See :func:`hint_of`. None where it takes no pairs."


class Verifier:
    """The server's side of one handshake.

    :param nonce: 32 bytes that nobody has seen before.
    :param id_secret: the device's, where it takes pairs.
    :param secret: whether it takes a shared secret.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        nonce: bytes,
        id_secret: bytes | None = None,
        secret: bool = False,
    ) -> None:
        self._channel = channel
        self._nonce = nonce
        self._methods = [*(["pair"] if id_secret else []), *(["secret"] if secret else [])]
        self._hint = hint_of(id_secret, nonce) if id_secret else None

    @property
    def challenge(self) -> str:
        """The first message."""
        return write(
            "challenge",
            versions=[VERSION],
            methods=self._methods,
            nonce=self._nonce.hex(),
            hint=self._hint and self._hint.hex(),
        )

    def claim(self, text: str | bytes) -> Claim:
        """What the client's response says; nothing of it is true yet."""
        message = read(text, "response")
        if message.get("version") != VERSION:
            raise DecodeError("the far side speaks another version of the protocol")
        method = message.get("method")
        if method not in self._methods:
            raise Unauthorized("the far side offers another proof than those that are taken")
        of_pair = method == "pair"
        return Claim(
            method,
            nonce=hexadecimal(message, "nonce", NONCE),
            proof=hexadecimal(message, "proof", NONCE),
            pair=hexadecimal(message, "pair", PAIR_ID).hex() if of_pair else "",
            generation=number(message, "generation") if of_pair else 0,
        )

    def holds(self, claim: Claim, key: bytes | None) -> bool:
        """Whether the claim is proved by this key; None, where there is none, takes as long."""
        expected = _proof(key or bytes(NONCE), "client", claim, self._nonce, self._channel)
        return equal(expected, claim.proof) and key is not None

    def welcome(self, claim: Claim, key: bytes, entropy: bytes | None = None) -> str:
        """The last message: we know the key too, and this is what the next one is made of."""
        proof = _proof(key, "server", claim, self._nonce, self._channel, entropy or b"")
        return write("welcome", proof=proof.hex(), entropy=entropy and entropy.hex())


class Prover:
    """The client's side of one handshake. ``nonce`` is 32 bytes that nobody has seen before."""

    def __init__(self, channel: Channel, nonce: bytes) -> None:
        self._channel = channel
        self._nonce = nonce

    def challenge(self, text: str | bytes) -> Challenge:
        """What the server asks for."""
        message = read(text, "challenge")
        check_version(message)
        methods = message.get("methods")
        if not isinstance(methods, list):
            raise DecodeError("a challenge without methods")
        return Challenge(
            tuple(method for method in _METHODS if method in methods),
            hexadecimal(message, "nonce", NONCE),
            hexadecimal(message, "hint", NONCE) if "hint" in message else None,
        )

    def claim(
        self, challenge: Challenge, key: bytes, *, pair: str = "", generation: int = 0
    ) -> Claim:
        """A proof with the key of a pair, or with that of a secret where no pair is named."""
        claim = Claim("pair" if pair else "secret", self._nonce, b"", pair, generation)
        proof = _proof(key, "client", claim, challenge.nonce, self._channel)
        return attrs.evolve(claim, proof=proof)

    def response(self, claim: Claim) -> str:
        """The message with it."""
        return write(
            "response",
            version=VERSION,
            method=claim.method,
            pair=claim.pair or None,
            generation=claim.generation if claim.pair else None,
            nonce=claim.nonce.hex(),
            proof=claim.proof.hex(),
        )

    def finish(
        self, text: str | bytes, challenge: Challenge, claim: Claim, key: bytes
    ) -> bytes | None:
        """Read the welcome, and what the pair's next key is made of, where there is a next one."""
        message = read(text, "welcome")
        entropy = hexadecimal(message, "entropy", NONCE) if "entropy" in message else None
        expected = _proof(key, "server", claim, challenge.nonce, self._channel, entropy or b"")
        if not equal(expected, hexadecimal(message, "proof", NONCE)):
            raise Unauthorized("the far side does not know the key, or somebody stands between")
        return entropy


def hint_of(id_secret: bytes, nonce: bytes) -> bytes:
    """By which those who are paired with a device know it, under any id, and nobody else does."""
    return mac(id_secret, "peerjs-auth 1 hint", nonce.hex())


def _proof(
    key: bytes,
    role: str,
    claim: Claim,
    nonce: bytes,
    channel: Channel,
    entropy: bytes | None = None,
) -> bytes:
    covered = (claim.method, claim.pair, str(claim.generation), nonce.hex(), claim.nonce.hex())
    rest = () if entropy is None else (entropy.hex(),)
    return mac(key, f"peerjs-auth 1 {role}", *covered, *channel.parts, *rest)
