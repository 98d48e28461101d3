"""Finding the PeerServers of the local network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import attrs
import trio

from peerjs_proto.endpoint import DEFAULT_KEY, Endpoint, validate_id
from peerjs_proto.errors import InvalidId, ServerUnavailable
from peerjs_proto.states import Session
from peerjs_trio.websocket import Transport, TransportError, WebSocketTransport

from .mdns import Mdns, MdnsError, Service, interfaces, open_mdns
from .record import SERVICE, VERSION, is_path

if TYPE_CHECKING:
    from peerjs_trio.peer import Peer

__all__ = ["LanServer", "Search", "find_servers"]

_SETTLE: Final = 1.0
"Seconds that further servers have after the first, so that all peers choose among the same."

_PATIENCE: Final = 2.0
"Seconds for a server to answer at one address."

_HEAD_START: Final = 0.25
"Seconds that an address has before the next is tried, as in RFC 8305."

_ADDRESSES: Final = 8
"Of one server, that are tried."


@attrs.frozen
class LanServer:
    """A PeerServer of the local network, which has answered."""

    name: str
    "As it is announced; anybody on the network could have chosen it."
    url: str
    "As :func:`open_peer` takes it, with one of its addresses."


async def find_servers(
    *,
    timeout: float = 10.0,  # noqa: ASYNC109 - its end is no error where there is a server
    transport: Transport | None = None,
) -> list[LanServer]:
    """PeerServers that are announced on the local network, and answer; by name.

    Returns a second after the first has answered. So whoever asks in the same network finds
    the same first one.

    :param timeout: seconds for that.
    :param transport: how to ask them whether they are there.

    Raises ServerUnavailable where there is none, with what to look at.
    """
    found: dict[str, LanServer] = {}
    try:
        links = await trio.to_thread.run_sync(interfaces)
        async with open_mdns(links) as mdns, mdns.browse(SERVICE) as names:
            with trio.move_on_after(timeout) as patience:
                await _look(mdns, names, transport or WebSocketTransport(), found, patience)
    except MdnsError as error:
        raise ServerUnavailable(
            f"cannot look for a server on the local network: {error}"
        ) from error
    if not found:
        raise ServerUnavailable(
            f"no PeerServer on the local network within {timeout:g} s. Is one announced there "
            "(peerjs serve --lan), on the same network as this machine? Firewalls must let UDP "
            "port 5353 through, and the server's port; guest Wi-Fi keeps devices apart"
        )
    return sorted(found.values(), key=lambda server: server.name)


class Search:
    """For the server of one peer."""

    def __init__(self, key: str, patience: float, transport: Transport) -> None:
        """``patience`` is in seconds."""
        self._key = key
        self._patience = patience
        self._transport = transport

    async def endpoints(self) -> list[Endpoint]:
        """Where there are servers, in order. Raises what :func:`find_servers` does."""
        servers = await find_servers(timeout=self._patience, transport=self._transport)
        return [Endpoint.parse(server.url, self._key) for server in servers]

    async def follow(self, peer: Peer) -> None:
        """Look again whenever the server is lost, which may have another address by then."""
        async for state in peer.states():
            if state is Session.WAITING and peer.state is state:
                with suppress(ServerUnavailable):
                    endpoints = await self.endpoints()
                    with peer._driver.turn() as core:
                        core.move(endpoints)


async def _look(
    mdns: Mdns,
    names: trio.MemoryReceiveChannel[str],
    transport: Transport,
    found: dict[str, LanServer],
    patience: trio.CancelScope,
) -> None:
    """Until ``patience`` ends, which has a second left once there is one."""

    async def consider(name: str) -> None:
        service = await mdns.resolve(SERVICE, name)
        url = await _first_that_answers(_urls(service), transport)
        if url is not None:
            found[name] = LanServer(service.name, url)
            patience.deadline = min(patience.deadline, trio.current_time() + _SETTLE)

    async with trio.open_nursery() as nursery:
        async for name in names:
            nursery.start_soon(consider, name)


def _urls(service: Service) -> list[str]:
    path = service.properties.get("path", "/")
    if service.properties.get("version", VERSION) != VERSION or not is_path(path):
        return []
    scheme = "https" if service.properties.get("tls") == "1" else "http"
    urls = []
    for address in filter(_may_be_a_neighbour, service.addresses):
        host = f"[{address}]" if ":" in address else address
        urls.append(f"{scheme}://{host}:{service.port}/{path.strip('/')}")
    return urls[:_ADDRESSES]


def _may_be_a_neighbour(address: str) -> bool:
    parsed = ip_address(address)
    # Without its interface a link-local address leads nowhere.
    lost = parsed.version == 6 and parsed.is_link_local and "%" not in address
    return not (lost or parsed.is_loopback or parsed.is_multicast or parsed.is_unspecified)


async def _first_that_answers(urls: Sequence[str], transport: Transport) -> str | None:
    """One by which a PeerServer is reached; the earlier ones have a head start."""
    answered: list[str] = []

    async def ask(number: int, url: str) -> None:
        await trio.sleep(number * _HEAD_START)
        if await _answers(url, transport):
            answered.append(url)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for number, url in enumerate(urls):
            nursery.start_soon(ask, number, url)
    return answered[0] if answered else None


async def _answers(url: str, transport: Transport) -> bool:
    """Whether it gives out ids: for any key, which is asked for later."""
    try:
        endpoint = Endpoint.parse(url, DEFAULT_KEY)
        with trio.move_on_after(_PATIENCE):
            status, body = await transport.request("GET", endpoint.id_url(), max_bytes=200)
            return status == 200 and validate_id(body.decode("utf-8", "replace").strip()) != ""
    except (TransportError, InvalidId):
        return False
    return False
