"""Telling the local network of a PeerServer."""

from __future__ import annotations

import logging
import secrets
import socket
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import attrs
import trio

from peerjs_proto.errors import LocalProtocolError
from peerjs_trio.background import open_background
from peerjs_trio.observe import log

from .mdns import Interface, Mdns, MdnsError, Service, interfaces, open_mdns
from .record import SERVICE, VERSION, is_path

if TYPE_CHECKING:
    from peerjs_trio.server import PeerServer

__all__ = ["announce", "check_announced"]

_LOOK_AGAIN: Final = 5.0
"Seconds between looks at this machine's addresses."

_NAME_BYTES: Final = 60
"A label has 63 (RFC 6763, 4.1.1), of which a number takes some where a name is in use."


@asynccontextmanager
async def announce(
    server: PeerServer | int, *, name: str | None = None, path: str = "/", tls: bool = False
) -> AsyncIterator[None]:
    """Tell the local network of a PeerServer for as long as the block lasts.

    :param server: one of :func:`open_server`, or the port of another program's on this machine.
    :param name: by which people tell servers apart, one for each; this machine's, and four digits
        of its network card's, if not given. Of several servers, peers prefer the first by name.
    :param path: everything is under, for a port.
    :param tls: whether it is ``https``, for a port. The certificate must be for the addresses.

    Its key is not announced: whoever is to come in knows it.

    Returns at once; the network knows after some two seconds, and again when this machine gets
    other addresses. Where there is no network it waits for one, and the log says so. Raises
    LocalProtocolError for what nobody else could reach, or cannot be a name.
    """
    address = "::"
    if not isinstance(server, int):
        address, path, tls = server.listens_on, server.path, server.is_secure
        server = server.port
    if not 0 < server <= 65535:
        raise LocalProtocolError(f"{server} is no port of a server: 1 to 65535")
    name = check_announced(name, path)
    if ip_address(address).is_loopback:
        raise LocalProtocolError(
            f"a server on {address} cannot be announced: this machine alone can reach it. "
            'Let it listen on "::", which is all addresses, or on one that others see'
        )
    record = _Record(name, server, path, tls, address)
    async with open_background() as tasks:
        tasks.start_soon(record.stay_announced)
        yield


def check_announced(name: str | None, path: str) -> str:
    """The name to announce. Raises LocalProtocolError where it, or the path, cannot be."""
    if name is None:
        # Machines that were installed alike have one name.
        name = f"{socket.gethostname().partition('.')[0]}-{uuid.getnode() & 0xFFFF:04x}"
    if not name.isprintable() or "." in name or not 0 < len(name.encode()) <= _NAME_BYTES:
        words = f"up to {_NAME_BYTES} bytes, none of them a dot or a control character"
        raise LocalProtocolError(f"{name!r:.80} is no name for a server: {words}")
    if not is_path(path):
        raise LocalProtocolError(f"{path!r} cannot be announced as the path of a server")
    return name


@attrs.frozen
class _Record:
    name: str
    port: int
    path: str
    tls: bool
    listens_on: str
    # A name of its own: this machine's may be claimed by another program, with other addresses.
    host: str = attrs.field(factory=lambda: f"peerjs-{secrets.token_hex(6)}.local.")

    async def stay_announced(self) -> None:
        said = ""
        while True:
            try:
                links = await trio.to_thread.run_sync(interfaces)
                async with open_mdns(links) as mdns:
                    await self._announce(mdns, links)
                    said = ""
                    # Systems tell of a change in ways of their own.
                    while await trio.to_thread.run_sync(interfaces) == links:  # noqa: ASYNC110
                        await trio.sleep(_LOOK_AGAIN)
            except MdnsError as error:
                if said != (said := str(error)):
                    log(logging.WARNING, "not_announced", reason=said)
                await trio.sleep(_LOOK_AGAIN)

    async def _announce(self, mdns: Mdns, links: Sequence[Interface]) -> None:
        addresses = tuple(filter(self._is_served, (a for link in links for a in link.addresses)))
        properties = {"version": VERSION, "path": self.path, "tls": str(int(self.tls))}
        service = Service(self.name, self.port, addresses, properties)
        name = await mdns.announce(SERVICE, service, self.host)
        log(logging.INFO, "announced", name=name, addresses=", ".join(addresses))

    def _is_served(self, address: str) -> bool:
        # "::" has IPv4 as well.
        return self.listens_on in ("::", address) or (
            self.listens_on == "0.0.0.0" and ":" not in address
        )
