"""First contact: two that share a code for a minute, and from then on a key.

Six text messages, the client's first: hello, pake and confirm of each side. ``docs/pairing.md`` has
the rules. Randomness comes in as an argument; for any text at all DecodeError and Unauthorized are
raised, and nothing else. Needs the extra ``pairing``.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import attrs

from .errors import LocalProtocolError, Unauthorized
from .handshake import NONCE, PAIR_ID
from .pair_codes import Code, Codes
from .pair_keys import tag_of
from .pair_texts import (
    VERSION,
    check_name,
    check_version,
    hexadecimal,
    name_of,
    read,
    tag_in,
    write,
)
from .pake import ENTROPY, MESSAGE, Pake
from .proofs import Channel, derive, equal, joined, mac

__all__ = ["DIGITS", "ENTROPY", "ClientContact", "Device", "DeviceContact", "NewPair", "clean_code"]

DIGITS: Final = 6
"Of a code."


@attrs.frozen
class Device:
    """What a device tells strangers of itself, for people to choose by. Nothing proves it."""

    name: str
    tag: str
    "Four letters that tell devices of one name apart."


@attrs.frozen
class NewPair:
    """What came of a first contact, to be remembered."""

    id: str
    "Names the pair; both sides have the same, and it is no secret."
    key: bytes = attrs.field(repr=False)
    name: str
    "The other side's."
    id_secret: bytes | None = attrs.field(default=None, repr=False)
    "On the client's side: what the device's ids are made of."


class DeviceContact:
    """The side that shows the code, for one connection. It takes a try when it needs the code.

    :param id_secret: given to the client, once it has proved to know the code.
    :param entropy: 64 fresh bytes.
    """

    def __init__(
        self, channel: Channel, *, name: str, id_secret: bytes, codes: Codes, entropy: bytes
    ) -> None:
        self._channel = channel
        self._device = Device(check_name(name), tag_of(id_secret))
        self._id_secret = id_secret
        self._codes = codes
        self._entropy = entropy
        self._receive = self._hello
        self._code: Code | None = None
        self._key = self._transcript = b""
        self.pair: NewPair | None = None
        "What to remember, before the last answer goes out. Then it is over."

    def receive(self, text: str | bytes, now: float) -> str:
        """The answer to a message."""
        return self._receive(text, now)

    def end(self, now: float) -> None:
        """The connection is over; to be called in any case."""
        self._receive = self._after
        if self._code is not None:
            code, self._code = self._code, None
            self._codes.settle(code, proved=False, now=now)

    def _hello(self, text: str | bytes, now: float) -> str:
        check_version(read(text, "hello"))
        self._receive = self._pake
        return write("hello", versions=[VERSION], name=self._device.name, tag=self._device.tag)

    def _pake(self, text: str | bytes, now: float) -> str:
        theirs = hexadecimal(read(text, "pake"), "message", MESSAGE)
        # From here on it is a guess, whatever becomes of it.
        self._code = self._codes.take(now)
        if self._code is None:
            raise Unauthorized("no code can be tried at present; look at the device for another")
        pake = Pake("device", self._code.text, self._entropy)
        self._key = pake.key(theirs)
        self._transcript = _transcript(self._channel, self._device, theirs, pake.message)
        self._receive = self._confirm
        return write("pake", message=pake.message.hex())

    def _confirm(self, text: str | bytes, now: float) -> str:
        assert self._code is not None
        message = read(text, "confirm")
        name, theirs = name_of(message), hexadecimal(message, "proof", NONCE)
        proved = equal(_confirmation(self._key, "client", self._transcript, name), theirs)
        code, self._code = self._code, None
        self._receive = self._after
        if not self._codes.settle(code, proved=proved, now=now):
            raise Unauthorized("the code is wrong, or it has been used")
        self.pair = _pair(self._key, self._transcript, name)
        proof = _confirmation(self._key, "device", self._transcript, self._id_secret)
        return write("confirm", proof=proof.hex(), secret=self._id_secret.hex())

    def _after(self, text: str | bytes, now: float) -> str:
        raise Unauthorized("this first contact is over")


class ClientContact:
    """The side where the code is typed, for one connection. Its methods are called in order."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._device: Device | None = None
        self._pake: Pake | None = None
        self._name = ""
        self._key = self._transcript = b""

    @property
    def hello(self) -> str:
        """The first message."""
        return write("hello", versions=[VERSION])

    def receive_hello(self, text: str | bytes) -> Device:
        """Who answers, to be shown. Strangers get no further than this."""
        message = read(text, "hello")
        check_version(message)
        self._device = Device(name_of(message), tag_in(message))
        return self._device

    def enter(self, code: str, *, name: str, entropy: bytes) -> str:
        """The message with which the code is tried. ``entropy``: 64 fresh bytes.

        Raises LocalProtocolError where the name or the code cannot be one.
        """
        self._name = check_name(name)
        self._pake = Pake("client", clean_code(code), entropy)
        return write("pake", message=self._pake.message.hex())

    def receive_pake(self, text: str | bytes) -> str:
        """The message that proves that the code is known here."""
        assert self._device is not None
        assert self._pake is not None
        theirs = hexadecimal(read(text, "pake"), "message", MESSAGE)
        self._key = self._pake.key(theirs)
        self._transcript = _transcript(self._channel, self._device, self._pake.message, theirs)
        proof = _confirmation(self._key, "client", self._transcript, self._name)
        return write("confirm", name=self._name, proof=proof.hex())

    def receive_confirm(self, text: str | bytes) -> NewPair:
        """What to remember."""
        assert self._device is not None
        message = read(text, "confirm")
        id_secret = hexadecimal(message, "secret", NONCE)
        expected = _confirmation(self._key, "device", self._transcript, id_secret)
        if not equal(expected, hexadecimal(message, "proof", NONCE)):
            raise Unauthorized("the device does not know the code, or somebody stands between")
        return attrs.evolve(
            _pair(self._key, self._transcript, self._device.name), id_secret=id_secret
        )


def clean_code(text: str) -> str:
    """A code as it was typed, without spaces and dashes; raises LocalProtocolError."""
    code = "".join(text.replace("-", " ").split())
    if len(code) < DIGITS or not (code.isascii() and code.isdecimal()):
        raise LocalProtocolError(f"a code has {DIGITS} digits or more")
    return code


def _transcript(channel: Channel, device: Device, client: bytes, answer: bytes) -> bytes:
    parts = (*channel.parts, device.name, device.tag, client, answer)
    return sha256(joined(("peerjs-pair 1 transcript", *parts))).digest()


def _confirmation(key: bytes, role: str, transcript: bytes, told: str | bytes) -> bytes:
    """Proves that the key is known, and covers all that was said, the last of it among that."""
    return mac(derive(key, "peerjs-pair 1 confirm"), f"peerjs-pair 1 {role}", transcript, told)


def _pair(key: bytes, transcript: bytes, name: str) -> NewPair:
    return NewPair(
        derive(key, "peerjs-pair 1 id", transcript)[:PAIR_ID].hex(),
        derive(key, "peerjs-pair 1 key", transcript),
        name,
    )
