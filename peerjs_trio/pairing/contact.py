"""First contact: a code on one side, typed on the other."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import anyio
import anyio.to_thread

from peerjs_proto.errors import ConnectionClosed, DecodeError, PeerError, Unauthorized
from peerjs_proto.pair_codes import Codes
from peerjs_proto.pairing import DIGITS, ENTROPY, ClientContact, Device, DeviceContact
from peerjs_proto.proofs import Channel
from peerjs_proto.rates import Rate, Spending
from peerjs_trio.connection import BrokenConnection, DataConnection
from peerjs_trio.peer import Peer

from .handshake import PATIENCE, fingerprints_of, refuse
from .store import Pair, Pairings

__all__ = ["LABEL", "Device", "discover", "offer_pairing", "pair_with"]

LABEL = "peerjs-pair"

_TYPING = 300.0
"Seconds that a person has to read the code and to type it."

_AT_ONCE = 16
"First contacts under way; the oldest is closed for the next."

_CONTACTS = Rate(per_second=1.0, burst=30.0)
"Of strangers, all together."

_log = logging.getLogger("peerjs_trio")


async def offer_pairing(
    peer: Peer,
    pairings: Pairings,
    *,
    show_code: Callable[[str], object],
    paired: Callable[[Pair], object] = lambda pair: None,
) -> None:
    """Be a device that others can pair with, until it is cancelled or the peer is closed.

    :param show_code: called with each code that is good from now on, in place of the one before.
        Each is good for one pairing, three tries, and ten minutes.
    :param paired: called with each new pair, when it is stored on both sides.

    Strangers see our name and tag, and no more. Whoever guesses on and on waits longer and longer.
    """
    offer = _Offer(pairings, show_code, paired)
    incoming = peer.incoming_connections(LABEL)
    strangers = Spending(_CONTACTS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(offer.show_codes)
        async for connection in incoming:
            if len(offer.scopes) >= _AT_ONCE:
                offer.scopes[0].cancel()
                del offer.scopes[0]
            tasks.start_soon(offer.answer, connection)
            # Of those that come faster the oldest are closed: see incoming_connections.
            await anyio.sleep(strangers.spend(anyio.current_time()))
        tasks.cancel_scope.cancel()


async def pair_with(
    peer: Peer,
    remote_id: str,
    pairings: Pairings,
    *,
    ask_code: Callable[[Device], Awaitable[str]],
) -> Pair:
    """Pair with a device that offers it.

    :param ask_code: called with the name and tag of the device; returns the code that it shows.

    Raises:
        Unauthorized: the code is wrong, or somebody stands between. Nothing is stored.
        LocalProtocolError: what was typed cannot be a code.
        PeerError: what :meth:`peerjs_trio.Peer.connect` raises, and ConnectionClosed.
    """
    async with await _connect(peer, remote_id) as connection:
        try:
            contact, device = await _hello(connection)
            code = await ask_code(device)
            pake = contact.enter(code, name=pairings.name, entropy=secrets.token_bytes(ENTROPY))
            confirm = contact.receive_pake(await _asked(connection, pake))
            new = contact.receive_confirm(await _asked(connection, confirm))
        except DecodeError as error:
            raise Unauthorized(f"{remote_id}: {error}") from error
        except anyio.EndOfStream:
            raise BrokenConnection("the device has closed the connection") from None
        return await anyio.to_thread.run_sync(pairings.add, new)


async def discover(peer: Peer, remote_ids: Iterable[str]) -> dict[str, Device]:
    """Those of these peers that offer pairing, and what they say of themselves.

    Nothing of it is proved: it helps people to choose. Who does not answer is left out.
    """
    found: dict[str, Device] = {}
    limiter = anyio.CapacityLimiter(8)

    async def ask(remote_id: str) -> None:
        async with limiter:
            try:
                async with await _connect(peer, remote_id) as connection:
                    _, found[remote_id] = await _hello(connection)
            except (PeerError, anyio.EndOfStream, TimeoutError) as error:
                _log.debug("%s does not offer pairing: %s", remote_id, error)

    async with anyio.create_task_group() as tasks:
        for remote_id in dict.fromkeys(remote_ids):
            tasks.start_soon(ask, remote_id)
    return found


async def _connect(peer: Peer, remote_id: str) -> DataConnection:
    return await peer.connect(remote_id, label=LABEL, serialization="raw", reliable=True)


async def _hello(connection: DataConnection) -> tuple[ClientContact, Device]:
    local, remote = fingerprints_of(connection)
    contact = ClientContact(Channel(client=local, server=remote))
    return contact, contact.receive_hello(await _asked(connection, contact.hello))


async def _asked(connection: DataConnection, text: str) -> str | bytes:
    """The answer. Raises Unauthorized where none comes in time."""
    with anyio.move_on_after(PATIENCE):
        await connection.send(text)
        answer: str | bytes = await connection.receive()
        return answer
    raise Unauthorized(f"{connection.peer} said nothing for {PATIENCE:g} seconds")


class _Offer:
    """What all first contacts of one device share."""

    def __init__(
        self,
        pairings: Pairings,
        show_code: Callable[[str], object],
        paired: Callable[[Pair], object],
    ) -> None:
        self._pairings = pairings
        self._show_code = show_code
        self._paired = paired
        self._codes = Codes()
        self._changed = anyio.Event()
        self.scopes: list[anyio.CancelScope] = []
        "Of the contacts under way, the oldest first."

    async def show_codes(self) -> None:
        """Show a code, and the next one when it is over."""
        while True:
            changed, now = self._changed, anyio.current_time()
            due = self._codes.wanted_at(now)
            if due <= now:
                code = "".join(secrets.choice("0123456789") for _ in range(DIGITS))
                self._codes.show(code, now)
                self._show_code(code)
                continue
            with anyio.move_on_after(due - now):
                await changed.wait()

    async def answer(self, connection: DataConnection) -> None:
        """One first contact, whatever it does."""
        with anyio.CancelScope() as scope:
            self.scopes.append(scope)
            try:
                await self._answer(connection)
            except (DecodeError, Unauthorized) as error:
                _log.warning("no pairing with %s: %s", connection.peer, error)
                await refuse(connection, str(error))
            except (ConnectionClosed, anyio.EndOfStream):
                _log.info("%s looked, and left without pairing", connection.peer)
            except TimeoutError:
                await refuse(connection, "it took too long")
            except (PeerError, OSError) as error:
                _log.error("nobody can be paired with: %s", error)
                await refuse(connection, "pairing is not possible at present")
            finally:
                with anyio.CancelScope(shield=True):
                    await connection.aclose()
                if scope in self.scopes:
                    self.scopes.remove(scope)

    async def _answer(self, connection: DataConnection) -> None:
        local, remote = fingerprints_of(connection)
        contact = DeviceContact(
            Channel(client=remote, server=local),
            name=self._pairings.name,
            id_secret=self._pairings.id_secret,
            codes=self._codes,
            entropy=secrets.token_bytes(ENTROPY),
        )
        stored: Pair | None = None
        try:
            for patience in (PATIENCE, _TYPING, PATIENCE):
                with anyio.fail_after(patience):
                    text = await connection.receive()
                answer = contact.receive(text, anyio.current_time())
                if contact.pair is not None:
                    stored = await anyio.to_thread.run_sync(self._pairings.add, contact.pair)
                await connection.send(answer)
            # The client closes it when it has stored what it was told.
            with anyio.move_on_after(PATIENCE), suppress(ConnectionClosed, anyio.EndOfStream):
                await connection.receive()
        finally:
            contact.end(anyio.current_time())
            self._changed.set()
            self._changed = anyio.Event()
            if stored is not None:
                _log.info("paired with %s", stored.name)
                self._paired(stored)
