"""Texts of strangers into a first contact and a handshake, on either side and at any moment.

An input is lines: one that begins with ``!`` is what happens beside them, as choices; in any other
``@`` stands for what the honest far side would say, so that fuzzing goes deeper than the start.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from peerjs_proto.errors import DecodeError, Unauthorized
from peerjs_proto.handshake import Prover, Verifier
from peerjs_proto.pair_codes import TRIES, Codes
from peerjs_proto.proofs import Channel

from . import Skipped
from .choices import Choices

try:
    from peerjs_proto.pairing import ClientContact, DeviceContact
except ModuleNotFoundError as missing:
    raise Skipped(f"pairing needs {missing.name}") from None

INVARIANT: Final = (
    "Whatever text a stranger sends, DecodeError or Unauthorized is raised or nothing, nobody gets "
    "in without the code or the key, and no code is tried more than three times."
)

CHANNEL: Final = Channel(("sha-256 AA",), ("sha-256 BB",))
KEY, ID_SECRET, WRONG = b"k" * 32, b"i" * 32, b"w" * 32


def check(data: bytes) -> None:
    device, client = _Device(), _Client()
    verifier = Verifier(CHANNEL, nonce=b"s" * 32, id_secret=ID_SECRET, secret=True)
    prover = Prover(CHANNEL, b"c" * 32)
    challenge = prover.challenge(verifier.challenge)
    ours = prover.claim(challenge, KEY, pair="ab" * 16)
    for line in data.split(b"\n"):
        if line.startswith(b"!"):
            device.act(Choices(line[1:]))
            continue
        text = line.decode("utf-8", "surrogateescape")
        client.hear(text.replace("@", device.last))
        device.hear(text.replace("@", client.last))
        with suppress(DecodeError, Unauthorized):
            assert not verifier.holds(verifier.claim(text), KEY)
        with suppress(DecodeError, Unauthorized):
            prover.challenge(text)
        with suppress(DecodeError, Unauthorized):
            prover.finish(text, challenge, ours, KEY)
            raise AssertionError("a welcome without the key")
    assert all(tries <= TRIES for tries in device.tries.values())


class _Device:
    """A device, and the contact that is under way."""

    def __init__(self) -> None:
        self.now, self.shown, self.last = 0.0, 0, ""
        self.codes = Codes()
        self.tries: dict[int, int] = {}
        self.contact = self._next()

    def _next(self) -> DeviceContact:
        if self.codes.wanted_at(self.now) <= self.now:
            self.shown += 1
            self.codes.show("123456", self.now)
        return DeviceContact(
            CHANNEL, name="kitchen", id_secret=ID_SECRET, codes=self.codes, entropy=bytes(64)
        )

    def hear(self, text: str) -> None:
        try:
            self.last = self.contact.receive(text, self.now)
            if '"pake"' in self.last:
                self.tries[self.shown] = self.tries.get(self.shown, 0) + 1
        except (DecodeError, Unauthorized):
            self.contact.end(self.now)
            self.contact = self._next()
        assert self.contact.pair is None, "the client has another code"

    def act(self, choices: Choices) -> None:
        self.now += choices.one_of((0.0, 1.0, 60.0, 700.0))
        if choices.flip():
            self.contact.end(self.now)
            self.contact = self._next()


class _Client:
    """Somebody with a wrong code."""

    def __init__(self) -> None:
        self.contact = ClientContact(CHANNEL)
        self.last = self.contact.hello
        self.step = 0

    def hear(self, text: str) -> None:
        try:
            if self.step == 0:
                self.contact.receive_hello(text)
                self.last = self.contact.enter("654321", name="phone", entropy=bytes([1] * 64))
            elif self.step == 1:
                self.last = self.contact.receive_pake(text)
            else:
                self.contact.receive_confirm(text)
                raise AssertionError("the device has another code")
            self.step += 1
        except (DecodeError, Unauthorized):
            self.contact, self.step = ClientContact(CHANNEL), 0
            self.last = self.contact.hello
