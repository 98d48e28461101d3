"""What a pair keeps, and how it changes with time: keys by generations, ids by epochs.

The time is Unix time in seconds, and need not be exact: two clocks may be a month apart before a
device is not found, and keys do not depend on them.
"""

from __future__ import annotations

from typing import Final

import attrs

from .proofs import derive, mac

__all__ = [
    "DAY",
    "EPOCH",
    "PairKeys",
    "epoch_end",
    "following",
    "id_secret_of",
    "own_id",
    "remote_ids",
    "tag_of",
    "token_of",
]

DAY: Final = 86_400.0
"Seconds after its first proof when a key is replaced, at the next handshake."

EPOCH: Final = 30 * DAY
"Seconds for which a device has the same id."

_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"Without vowels, so that they make no words."


@attrs.frozen
class PairKeys:
    """A device's keys of one pair: the newest, and the one before.

    The one before is good until a day after the newest was proved first. So whoever has missed
    the entropy, has two tabs that read and write one store, or crashes before its last write is
    on the disk, is never shut out.
    """

    key: bytes = attrs.field(repr=False)
    since: float | None
    "When it was proved first; None: it has not been."
    generation: int = 1
    older: bytes | None = attrs.field(default=None, repr=False)
    entropy: bytes | None = attrs.field(default=None, repr=False)
    "What leads from the older key to the newest."

    def key_of(self, generation: int) -> bytes | None:
        """The key of a generation that is good."""
        return {self.generation: self.key, self.generation - 1: self.older}.get(generation)

    def proved(self, generation: int, now: float, entropy: bytes) -> tuple[PairKeys, bytes | None]:
        """What to keep after a proof with this generation, and the entropy to hand out.

        ``entropy``: 32 fresh bytes, for a new key where one is due. What is to be kept must be
        on its disk before the entropy goes out.
        """
        if generation == self.generation - 1:
            return self, self.entropy
        if self.since is None:
            return attrs.evolve(self, since=now), None
        if abs(now - self.since) < DAY:  # a clock that was wrong does not keep a key for years
            return self, None
        key = following(self.key, entropy)
        return PairKeys(key, None, generation + 1, self.key, entropy), entropy


def following(key: bytes, entropy: bytes) -> bytes:
    """The key of the next generation."""
    return derive(key, "peerjs-auth 1 next", entropy)


def id_secret_of(identity: bytes) -> bytes:
    """What a device gives to those it is paired with; its identity stays its own."""
    return derive(identity, "peerjs-id 1 secret")


def own_id(id_secret: bytes, now: float) -> str:
    """A device's id at the PeerServer for the time being."""
    return _id_of(id_secret, int(now // EPOCH))


def remote_ids(id_secret: bytes, now: float) -> tuple[str, str, str]:
    """The ids of a device, the likeliest first: now's, and its neighbours', as clocks differ."""
    epoch = int(now // EPOCH)
    near = 1 if now % EPOCH > EPOCH / 2 else -1
    return (
        _id_of(id_secret, epoch),
        _id_of(id_secret, epoch + near),
        _id_of(id_secret, epoch - near),
    )


def epoch_end(now: float) -> float:
    """When the id of now is replaced by another."""
    return (now // EPOCH + 1) * EPOCH


def token_of(identity: bytes, id: str) -> str:
    """The token that holds an id at the PeerServer: those who know the id do not know it."""
    return derive(identity, "peerjs-id 1 token", id).hex()


def tag_of(id_secret: bytes) -> str:
    """Four letters by which people tell devices of one name apart. It is no proof of anything."""
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in mac(id_secret, "peerjs-id 1 tag")[:4])


def _id_of(id_secret: bytes, epoch: int) -> str:
    return mac(id_secret, "peerjs-id 1 epoch", str(epoch)).hex()[:32]
