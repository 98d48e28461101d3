"""Pairings: who we are and whom we know, in one file."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from peerjs_proto.errors import LocalProtocolError, Unauthorized
from peerjs_proto.pair_keys import (
    PairKeys,
    following,
    id_secret_of,
    own_id,
    remote_ids,
    tag_of,
    token_of,
)
from peerjs_proto.pair_texts import MAX_NAME, check_name

from .secret_file import locked, read_secret, write_secret

if TYPE_CHECKING:
    from peerjs_proto.pairing import NewPair

__all__ = ["Pair", "Pairings", "default_pairings_file"]

_VERSION = 1
_HOUR = 3600.0
"Seconds for which a pair's last handshake need not be noted again."

_T = TypeVar("_T")


@attrs.frozen
class Pair:
    """One that we have met."""

    id: str
    "The same on both sides, and no secret."
    name: str
    "The other side's, made different from those of all other pairs."
    keys: PairKeys = attrs.field(repr=False)
    created: float
    "Unix time in seconds."
    seen: float
    "Of the last handshake, to the hour."
    id_secret: bytes | None = attrs.field(default=None, repr=False)
    "What a device's ids are made of; None: we are the device."

    @property
    def is_device(self) -> bool:
        """Whether the other side is a device that we can reach, and not one that reaches us."""
        return self.id_secret is not None

    @property
    def tag(self) -> str:
        """The four letters of a device; of others none."""
        return tag_of(self.id_secret) if self.id_secret else ""

    def remote_ids(self, now: float | None = None) -> tuple[str, ...]:
        """Under which ids a device can be reached, the likeliest first; of others none.

        ``now``: Unix time in seconds; the clock's if not given.
        """
        if self.id_secret is None:
            return ()
        return remote_ids(self.id_secret, time.time() if now is None else now)


@attrs.frozen
class _Kept:
    """All that is in the file."""

    name: str
    identity: bytes
    pairs: tuple[Pair, ...] = ()

    def pair(self, id: str) -> Pair | None:
        return next((pair for pair in self.pairs if pair.id == id), None)

    def with_pair(self, pair: Pair) -> _Kept:
        return attrs.evolve(self, pairs=tuple(pair if p.id == pair.id else p for p in self.pairs))


class Pairings:
    """Made by :meth:`open`. Every call reads the file anew: other processes write it, too.

    All of them raise LocalProtocolError where the file is damaged or open to others, and OSError.
    They wait for the disk, and for other processes: call those that write in a thread.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.clock = clock
        "Tells Unix time in seconds."
        self._path = path

    def __repr__(self) -> str:
        return f"<Pairings in {str(self._path)!r}>"

    @classmethod
    def open(
        cls,
        path: Path | str | None = None,
        *,
        name: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Pairings:
        """The pairings in this file, which is made where it is not there.

        :param path: None is :func:`~peerjs_trio.pairing.default_pairings_file`.
        :param name: what others call us, from now on; at first it is this machine's.
        :param clock: tells Unix time in seconds.
        """
        pairings = cls(Path(path) if path is not None else default_pairings_file(), clock)

        def begin(kept: _Kept | None) -> tuple[_Kept, None]:
            if kept is None:
                kept = _Kept(_machine(), secrets.token_bytes(32))
            return attrs.evolve(kept, name=check_name(name or kept.name)), None

        pairings._change(begin)
        return pairings

    # --- who we are -----------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What others call us."""
        return self._read().name

    @property
    def tag(self) -> str:
        """Four letters that tell us from others of our name."""
        return tag_of(self.id_secret)

    @property
    def id_secret(self) -> bytes:
        """What our ids are made of; those we are paired with have it."""
        return id_secret_of(self._read().identity)

    def own_id(self, now: float | None = None) -> str:
        """Our id at the PeerServer, where paired peers look for us; for 30 days."""
        return own_id(self.id_secret, self.clock() if now is None else now)

    def own_token(self, now: float | None = None) -> str:
        """The token that holds :meth:`own_id`, also after a restart. Nobody else has it."""
        return token_of(self._read().identity, self.own_id(now))

    # --- whom we know ---------------------------------------------------------------------

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All of them, in the order in which they were met."""
        return self._read().pairs

    def find(self, name: str) -> Pair:
        """The one of this name or id. Raises LocalProtocolError where there is none."""
        for pair in self.pairs:
            if name in (pair.name, pair.id):
                return pair
        raise LocalProtocolError(f"there is no pair {name!r}")

    def add(self, new: NewPair) -> Pair:
        """Remember a first contact. A device that we knew already takes its own place."""

        def change(kept: _Kept) -> tuple[_Kept, Pair]:
            others, now = kept.pairs, self.clock()
            if new.id_secret is not None:
                others = tuple(pair for pair in others if pair.id_secret != new.id_secret)
            name = _unique(new.name, {pair.name for pair in others})
            pair = Pair(new.id, name, PairKeys(new.key, now), now, now, new.id_secret)
            return attrs.evolve(kept, pairs=(*others, pair)), pair

        return self._change_ours(change)

    def forget(self, name: str) -> None:
        """Forget the one of this name or id: its proofs are refused from now on.

        Raises LocalProtocolError where there is none.
        """

        def change(kept: _Kept) -> tuple[_Kept, None]:
            pairs = tuple(pair for pair in kept.pairs if name not in (pair.name, pair.id))
            if len(pairs) == len(kept.pairs):
                raise LocalProtocolError(f"there is no pair {name!r}")
            return attrs.evolve(kept, pairs=pairs), None

        self._change_ours(change)

    # --- handshakes -----------------------------------------------------------------------

    def key_of(self, id: str, generation: int) -> bytes | None:
        """A good key of one that reaches us."""
        pair = self._read().pair(id)
        return None if pair is None or pair.is_device else pair.keys.key_of(generation)

    def proved(self, id: str, generation: int) -> tuple[Pair, bytes | None]:
        """One that reaches us has proved to have this key: the entropy of its next one, if any.

        Raises Unauthorized where it has been forgotten meanwhile.
        """
        entropy = secrets.token_bytes(32)

        def change(kept: _Kept) -> tuple[_Kept, tuple[Pair, bytes | None]]:
            pair, now = kept.pair(id), self.clock()
            if pair is None or pair.keys.key_of(generation) is None:
                raise Unauthorized("the pair has been forgotten")
            keys, told = pair.keys.proved(generation, now, entropy)
            if keys != pair.keys or abs(now - pair.seen) > _HOUR:
                pair = attrs.evolve(pair, keys=keys, seen=now)
            return kept.with_pair(pair), (pair, told)

        return self._change_ours(change)

    def welcomed(self, pair: Pair, entropy: bytes | None) -> None:
        """A device has proved to have this pair's key, and told what leads to the next one."""

        def change(kept: _Kept) -> tuple[_Kept, None]:
            ours, now = kept.pair(pair.id), self.clock()
            if ours is None:
                return kept, None
            if abs(now - ours.seen) > _HOUR:
                ours = attrs.evolve(ours, seen=now)
            generation = pair.keys.generation + 1
            # Another of us may be further on than whoever has just come back.
            if entropy is not None and generation > ours.keys.generation:
                keys = PairKeys(following(pair.keys.key, entropy), now, generation)
                ours = attrs.evolve(ours, keys=keys)
            return kept.with_pair(ours), None

        self._change_ours(change)

    # --- the file -------------------------------------------------------------------------

    def _read(self) -> _Kept:
        kept = _load(self._path)
        if kept is None:
            raise LocalProtocolError(f"{self._path} is gone")
        return kept

    def _change(self, change: Callable[[_Kept | None], tuple[_Kept, _T]]) -> _T:
        with locked(self._path):
            kept = _load(self._path)
            changed, result = change(kept)
            if changed != kept:
                write_secret(self._path, _written(changed))
            return result

    def _change_ours(self, change: Callable[[_Kept], tuple[_Kept, _T]]) -> _T:
        def of_what_is_there(kept: _Kept | None) -> tuple[_Kept, _T]:
            if kept is None:
                raise LocalProtocolError(f"{self._path} is gone")
            return change(kept)

        return self._change(of_what_is_there)


def default_pairings_file() -> Path:
    """In systemd's ``$STATE_DIRECTORY``, else where users' programs keep their data.

    The latter by the XDG Base Directory Specification 0.8, on Windows in ``%APPDATA%``.
    """
    if given := os.environ.get("STATE_DIRECTORY"):  # several, with colons between
        return Path(given.partition(":")[0]) / "pairings.json"
    variable, usual = "XDG_DATA_HOME", Path(".local", "share")
    if os.name == "nt":
        variable, usual = "APPDATA", Path("AppData", "Roaming")
    data = os.environ.get(variable, "")
    return (Path(data) if os.path.isabs(data) else Path.home() / usual) / "peerjs" / "pairings.json"


def _machine() -> str:
    """This machine's name, as far as it can be shown."""
    name = "".join(letter for letter in socket.gethostname() if letter.isprintable())
    return name.strip()[:MAX_NAME].strip() or "a device"


def _unique(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where another has it."""
    number, unique = 1, name
    while unique in taken:
        number += 1
        suffix = f" {number}"
        unique = name[: MAX_NAME - len(suffix)] + suffix
    return unique


def _written(kept: _Kept) -> bytes:
    def written(pair: Pair) -> dict[str, Any]:
        keys = attrs.asdict(pair.keys)
        values = attrs.asdict(pair, recurse=False) | {"keys": keys}
        return {name: value for name, value in values.items() if value is not None}

    state = {"version": _VERSION, "name": kept.name, "identity": kept.identity}
    state |= {"pairs": [written(pair) for pair in kept.pairs]}
    return json.dumps(state, indent=1, ensure_ascii=False, default=bytes.hex).encode() + b"\n"


def _load(path: Path) -> _Kept | None:
    data = read_secret(path)
    if data is None:
        return None
    try:
        state = json.loads(data)
        if state["version"] == _VERSION:
            pairs = tuple(_pair(said) for said in state["pairs"])
            return _Kept(check_name(state["name"]), _secret(state["identity"]), pairs)
    except (LocalProtocolError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = type(error).__name__  # and no more: its text may quote a secret
        raise LocalProtocolError(f"{path} is damaged ({what}), and left as it is") from None
    raise LocalProtocolError(f"{path} is of another version, and left as it is")


def _pair(said: dict[str, Any]) -> Pair:
    keys, id_secret = said["keys"], said.get("id_secret")
    since, older, entropy = keys["since"], keys["older"], keys["entropy"]
    return Pair(
        str(said["id"]),
        check_name(said["name"]),
        PairKeys(
            _secret(keys["key"]),
            None if since is None else float(since),
            int(keys["generation"]),
            older and _secret(older),
            entropy and _secret(entropy),
        ),
        float(said["created"]),
        float(said["seen"]),
        id_secret and _secret(id_secret),
    )


def _secret(text: str) -> bytes:
    secret = bytes.fromhex(text)
    if len(secret) != 32:
        raise ValueError("a secret has 32 bytes")
    return secret
