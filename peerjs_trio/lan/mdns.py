"""Multicast DNS, by python-zeroconf: services of the local network, announced and browsed.

zeroconf has a thread and an event loop of its own, and calls that wait for them: those are made in
threads of trio's, and what it finds is handed over. Whatever it raises is an :class:`MdnsError`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import attrs
import trio

try:
    import ifaddr
    import zeroconf
except ImportError as error:
    raise ImportError(
        'the local network needs zeroconf: pip install "peerjs-sansio[lan]"', name=error.name
    ) from error

__all__ = ["Interface", "Mdns", "MdnsError", "Service", "interfaces", "open_mdns"]

_RESOLVE: Final = 1.0
"Seconds for one attempt to learn more of a service. It cannot be cancelled."

_AT_ONCE: Final = 8
"Services asked for at once: one thread each."

_NAMES: Final = 64
"Services that are told of and not yet asked for; more are passed over."


class MdnsError(Exception):
    """There is no network, or it does not take multicast. The text is for people."""


@attrs.frozen
class Interface:
    """One that this machine has to others, with its addresses."""

    index: int
    addresses: tuple[str, ...]
    "IPv4 first. Link-local ones of IPv6 only where there are no others."

    @property
    def has_ipv4(self) -> bool:
        return ":" not in self.addresses[0]


@attrs.frozen
class Service:
    """What somebody announces, or says to."""

    name: str
    "Of this one, among all of its kind on the network."
    port: int
    addresses: tuple[str, ...]
    properties: Mapping[str, str]


def interfaces() -> tuple[Interface, ...]:
    """Those that are there now, without loopback. Raises MdnsError."""
    with _errors():
        adapters = list(ifaddr.get_adapters())
    found = []
    for adapter in adapters:
        addresses = [ip.ip if isinstance(ip.ip, str) else ip.ip[0] for ip in adapter.ips]
        usable = tuple(sorted(filter(_is_seen_by_others, addresses), key=_kind))
        if usable and adapter.index is not None:
            named = tuple(address for address in usable if _kind(address) < _LINK_LOCAL) or usable
            found.append(Interface(adapter.index, named))
    return tuple(found)


@asynccontextmanager
async def open_mdns(links: Sequence[Interface]) -> AsyncIterator[Mdns]:
    """Take part on these interfaces. Leaving the block withdraws what was announced.

    Raises MdnsError.
    """
    with _errors():
        core = await trio.to_thread.run_sync(_open, links)
    try:
        yield Mdns(core)
    finally:
        with trio.CancelScope(shield=True), _errors():
            await trio.to_thread.run_sync(core.close)


class Mdns:
    """Made by :func:`open_mdns`. ``kind`` is such as ``_http._tcp.local.``"""

    def __init__(self, core: zeroconf.Zeroconf) -> None:
        self._core = core
        self._resolving = trio.CapacityLimiter(_AT_ONCE)

    async def announce(self, kind: str, service: Service, host: str) -> str:
        """Tell the network; takes two seconds. The name, with a number where it was in use.

        ``host`` is a name for this machine, ending in ``.local.``, that nobody else claims.
        """
        info = zeroconf.ServiceInfo(
            kind,
            f"{service.name}.{kind}",
            port=service.port,
            properties=dict(service.properties),
            server=host,
            parsed_addresses=list(service.addresses),
        )

        def register() -> None:
            self._core.register_service(info, allow_name_change=True)

        with _errors():
            await trio.to_thread.run_sync(register)
        return info.name.removesuffix(f".{kind}")

    @asynccontextmanager
    async def browse(self, kind: str) -> AsyncIterator[trio.MemoryReceiveChannel[str]]:
        """Names of services for :meth:`resolve`, each once, as they are heard of."""
        inlet, outlet = trio.open_memory_channel[str](_NAMES)
        listener = _Listener(trio.lowlevel.current_trio_token(), inlet)
        with _errors():
            browser = zeroconf.ServiceBrowser(self._core, kind, listener=listener)
        with outlet:
            try:
                yield outlet
            finally:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(browser.cancel)

    async def resolve(self, kind: str, name: str) -> Service:
        """Where a service is; waits for as long as nobody says so."""
        info = zeroconf.ServiceInfo(kind, name)
        with _errors():
            while not await trio.to_thread.run_sync(
                info.request, self._core, _RESOLVE * 1000, limiter=self._resolving
            ):
                pass
        label = info.name.removesuffix(f".{kind}")
        return Service(
            "".join(filter(str.isprintable, label)),
            info.port or 0,
            tuple(sorted(info.parsed_scoped_addresses(), key=_kind)),
            {key: value or "" for key, value in info.decoded_properties.items()},
        )


class _Listener(zeroconf.ServiceListener):
    """Called in a thread of zeroconf's."""

    def __init__(self, token: trio.lowlevel.TrioToken, inlet: trio.MemorySendChannel[str]) -> None:
        self._token = token
        self._inlet = inlet
        self._told: set[str] = set()

    def add_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        self._token.run_sync_soon(self._tell, name)

    def update_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        """It is resolved when it is needed."""

    def remove_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        """Whoever asks it will notice."""

    def _tell(self, name: str) -> None:
        if len(self._told) < _NAMES and name not in self._told:
            self._told.add(name)
            with suppress(trio.BrokenResourceError):  # nobody listens any more
                self._inlet.send_nowait(name)


def _open(links: Sequence[Interface]) -> zeroconf.Zeroconf:
    # By IPv4 where there is that: it tells of IPv6 addresses, too.
    by_ipv4: list[Any] = [link.addresses[0] for link in links if link.has_ipv4]
    by_ipv6: list[Any] = [link.index for link in links if not link.has_ipv4]
    if not by_ipv4 and not by_ipv6:
        raise OSError("this machine is on no network")
    version = zeroconf.IPVersion.All if by_ipv6 else zeroconf.IPVersion.V4Only
    return zeroconf.Zeroconf(interfaces=by_ipv4 + by_ipv6, ip_version=version)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, zeroconf.Error) as error:
        words = error.strerror if isinstance(error, OSError) else None
        raise MdnsError(words or str(error) or type(error).__name__) from error


_LINK_LOCAL: Final = 2


def _kind(address: str) -> int:
    """Sorts addresses: IPv4, IPv6, and link-local IPv6, which needs its interface."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4:
        return 0
    return _LINK_LOCAL if parsed.is_link_local else 1


def _is_seen_by_others(address: str) -> bool:
    return not ipaddress.ip_address(address).is_loopback
