"""Whose request it is: addresses, the proxies that may speak for others, and networks.

A proxy writes the address it was called from at the end of ``X-Forwarded-For``; whatever stands
before that, anybody can have written. So the list is read from its end, for as long as the one who
wrote an entry is trusted. npm peer's ``proxied: true`` believes the first entry: there every caller
chooses an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

import attrs

from .errors import LocalProtocolError

__all__ = ["Proxies", "network_of"]

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


@attrs.frozen
class Proxies:
    """Who is believed about the address of somebody else; nobody, unless told."""

    networks: tuple[_Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Proxies:
        """Proxies as an option says them.

        Args:
            text: ``"true"`` for this machine and private networks, ``"false"`` or nothing for
                none, or addresses and networks with commas between: ``"10.0.0.7, 2001:db8::/32"``.

        Raises:
            LocalProtocolError: for anything else.
        """
        match text.strip().lower():
            case "true":
                return cls(_PRIVATE)
            case "" | "false":
                return cls()
        try:
            return cls(tuple(_network(part.strip()) for part in text.split(",")))
        except ValueError as error:
            raise LocalProtocolError(f"proxies are true, false, or networks: {error}") from None

    def client_address(self, peer: str, headers: Mapping[str, str]) -> str:
        """The address a request comes from.

        Args:
            peer: The other end of the socket.
            headers: Those of the request, names in lower case. Where a header came more than
                once, its values with commas between (RFC 9110, 5.2).

        What is no address ends the search: the last one a trusted proxy vouched for counts.
        """
        address = _address(peer)
        if address is None:
            return peer
        forwarded = headers.get("x-forwarded-for", "").split(",")
        while forwarded and self._trusts(address):
            named = _address(_without_port(forwarded.pop().strip()))
            if named is None:
                break
            address = named
        return str(address)

    def _trusts(self, address: _Address) -> bool:
        return _is_in(address, self.networks)


def network_of(address: str) -> str:
    """Whom one address stands for: the unit of rooms, and of limits for each caller.

    An IPv4 address for itself, an IPv6 address for its /64, which is what one customer gets at
    least. All private, loopback and link-local addresses are one network, ``"private"``: whoever
    comes from one is on the server's own. What is no address stands for itself.
    """
    parsed = _address(address)
    if parsed is None:
        return address
    if _is_in(parsed, _PRIVATE):
        return "private"
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def _address(text: str) -> _Address | None:
    """What the text says, IPv6 that only wraps IPv4 (RFC 4291, 2.5.5.2) as IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(text: str) -> _Network:
    network = ip_network(text)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    # As addresses are: sockets for both versions show IPv4 wrapped, and so people write it down.
    if mapped is not None and network.prefixlen >= 96:
        return IPv4Network((mapped, network.prefixlen - 96))
    return network


def _without_port(text: str) -> str:
    """Some proxies add the port: ``192.0.2.1:4711``, ``[2001:db8::1]:4711``."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _is_in(address: _Address, networks: tuple[_Network, ...]) -> bool:
    # An address is in no network of the other version.
    return any(address in network for network in networks)


_PRIVATE: Final[tuple[_Network, ...]] = tuple(
    ip_network(network)
    for network in (
        *("127.0.0.0/8", "::1/128"),  # loopback
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918
        "fc00::/7",  # RFC 4193
        *("169.254.0.0/16", "fe80::/10"),  # link-local
    )
)
