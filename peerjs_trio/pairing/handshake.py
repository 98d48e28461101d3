"""verify and prove: who is there, before a connection is used for anything else."""

from __future__ import annotations

import logging
import secrets
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import attrs

from peerjs_proto.errors import (
    ConnectionClosed,
    DecodeError,
    LocalProtocolError,
    PeerError,
    Unauthorized,
)
from peerjs_proto.handshake import Challenge, Prover, Verifier, hint_of
from peerjs_proto.pair_texts import refused
from peerjs_proto.proofs import Channel, equal, stretched

from .store import Pair, Pairings

if TYPE_CHECKING:
    from peerjs_trio.connection import DataConnection

__all__ = ["PATIENCE", "Verified", "prove", "refuse", "verify"]

PATIENCE = 10.0
"Seconds for a handshake."

_FAREWELL = 2.0
"Seconds at most to tell why the connection is closed."

_log = logging.getLogger("peerjs_trio")

_key_of = lru_cache(maxsize=16)(stretched)


@attrs.frozen
class Verified:
    """Who has proved to be there. The id that a connection comes from proves nothing."""

    pair: Pair | None
    "None: somebody with the shared secret."

    @property
    def name(self) -> str | None:
        """The pair's."""
        return self.pair.name if self.pair else None


async def verify(
    connection: DataConnection,
    *,
    secret: str | None = None,
    pairings: Pairings | None = None,
    within: float = PATIENCE,
) -> Verified:
    """Have the far side prove that it has the secret, or is one of our pairs; prove that we are.

    To be called before anything is sent or received. Whoever stands between the two, the
    PeerServer among them, has neither, and is found out.

    :param secret: 16 characters or more that both sides have, chosen by chance.
    :param within: seconds.

    Raises:
        Unauthorized: it has not; it has been told, and the connection is closed.
        LocalProtocolError: neither ``secret`` nor ``pairings``, or a secret that is too short.
    """
    if secret is None and pairings is None:
        raise LocalProtocolError("verify needs a secret, or pairings")
    key = _key_of(secret) if secret is not None else None
    try:
        with anyio.fail_after(within):
            return await _verify(connection, key, pairings)
    except (DecodeError, Unauthorized) as error:
        await refuse(connection, str(error))
        raise Unauthorized(f"{connection.peer}: {error}") from error
    except TimeoutError as error:
        await refuse(connection, "there was no proof in time")
        raise Unauthorized(f"{connection.peer}: no proof in {within:g} seconds") from error
    except (ConnectionClosed, anyio.EndOfStream) as error:
        await connection.aclose()
        raise Unauthorized(f"{connection.peer} left without a proof") from error
    except (PeerError, OSError) as error:
        _log.error("nobody can be verified: %s", error)
        await refuse(connection, "proofs cannot be checked at present")
        raise Unauthorized(f"{connection.peer} could not be verified: {error}") from error


async def prove(
    connection: DataConnection,
    *,
    secret: str | None = None,
    pairings: Pairings | None = None,
    within: float = PATIENCE,
) -> bytes | None:
    """Prove who we are where the far side asks for it, and have it prove the same.

    To be called before anything is received. Returns None, or the far side's first message
    where it is binary: then it has asked for nothing, and proved nothing.

    Raises:
        Unauthorized: we cannot prove it, or the far side could not; the connection is closed.
        ConnectionClosed: it broke meanwhile.
        LocalProtocolError: a secret that is too short, or trouble with the pairings' file.
    """
    key = _key_of(secret) if secret is not None else None
    try:
        with anyio.fail_after(within):
            return await _prove(connection, key, pairings)
    except (DecodeError, Unauthorized) as error:
        await connection.aclose()
        raise Unauthorized(f"{connection.peer}: {error}") from error
    except TimeoutError as error:
        await connection.aclose()
        raise Unauthorized(f"{connection.peer} said nothing for {within:g} seconds") from error
    except anyio.EndOfStream as error:
        from peerjs_trio.connection import BrokenConnection

        raise BrokenConnection("the far side has closed it during the handshake") from error


async def _verify(
    connection: DataConnection, secret: bytes | None, pairings: Pairings | None
) -> Verified:
    local, remote = fingerprints_of(connection)
    verifier = Verifier(
        Channel(client=remote, server=local),
        nonce=secrets.token_bytes(32),
        id_secret=pairings.id_secret if pairings else None,
        secret=secret is not None,
    )
    await connection.send(verifier.challenge)
    claim = verifier.claim(await connection.receive())
    key = pairings.key_of(claim.pair, claim.generation) if pairings and claim.pair else None
    if not claim.pair:
        key = secret
    if not verifier.holds(claim, key):
        raise Unauthorized("the proof does not hold")
    assert key is not None
    pair = entropy = None
    if pairings and claim.pair:
        noted = partial(pairings.proved, claim.pair, claim.generation)
        pair, entropy = await anyio.to_thread.run_sync(noted)
    await connection.send(verifier.welcome(claim, key, entropy))
    return Verified(pair)


async def _prove(
    connection: DataConnection, secret: bytes | None, pairings: Pairings | None
) -> bytes | None:
    first = await connection.receive()
    if isinstance(first, bytes):
        return first
    local, remote = fingerprints_of(connection)
    prover = Prover(Channel(client=local, server=remote), secrets.token_bytes(32))
    challenge = prover.challenge(first)
    pair = _known(challenge, pairings) if pairings else None
    if pair is not None:
        key = pair.keys.key
        claim = prover.claim(challenge, key, pair=pair.id, generation=pair.keys.generation)
    elif secret is not None and "secret" in challenge.methods:
        key = secret
        claim = prover.claim(challenge, key)
    else:
        wanted = " or ".join(challenge.methods) or "nothing that we know"
        raise Unauthorized(f"the far side takes these proofs, and we have none: {wanted}")
    await connection.send(prover.response(claim))
    entropy = prover.finish(await connection.receive(), challenge, claim, key)
    if pair is not None and pairings is not None:
        await anyio.to_thread.run_sync(pairings.welcomed, pair, entropy)
    return None


def fingerprints_of(connection: DataConnection) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ours and theirs. Raises Unauthorized of a connection that proofs cannot be bound to."""
    if connection.serialization != "raw" or not connection.reliable or connection.redial:
        raise Unauthorized("proofs need a connection that is raw, reliable, and not redialled")
    return connection.fingerprints.local, connection.fingerprints.remote


async def refuse(connection: DataConnection, reason: str) -> None:
    """Close the connection, and tell why."""
    with anyio.move_on_after(_FAREWELL, shield=True):
        try:
            await connection.send(refused(reason))
            await connection.aclose(flush=True)
        except (PeerError, TimeoutError):
            pass  # gone already, or as good as
    await connection.aclose()


def _known(challenge: Challenge, pairings: Pairings) -> Pair | None:
    """The device that has made this challenge."""
    if challenge.hint is None or "pair" not in challenge.methods:
        return None
    for pair in reversed(pairings.pairs):
        if pair.id_secret and equal(hint_of(pair.id_secret, challenge.nonce), challenge.hint):
            return pair
    return None
