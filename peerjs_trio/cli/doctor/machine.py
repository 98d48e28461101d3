"""This machine: its network interfaces, IPv6, the kernel's buffers, and what is installed."""

from __future__ import annotations

import ipaddress
import platform
import socket
from importlib import metadata
from pathlib import Path
from typing import Final

from peerjs_trio.cli import version
from peerjs_trio.rtc.probe import local_addresses

from .finding import Finding, Tell

__all__ = ["check_machine"]

_LIBRARIES: Final = ("trio", "trio-websocket", "aiortc", "aioice", "wrtc", "msgpack")

_RMEM_MAX: Final = Path("/proc/sys/net/core/rmem_max")

_WANTED: Final = 4 << 20
"Bytes of UDP receive buffer that the engine aiortc asks for."

_FAR: Final = "2000::1"
"Any address out there: nothing is sent to it."


def check_machine(tell: Tell) -> None:
    """All that can be known at once."""
    _check_versions(tell)
    _check_buffers(tell)
    addresses = local_addresses()
    _check_interfaces(tell, addresses)
    _check_ipv6(tell, addresses)


def _check_versions(tell: Tell) -> None:
    versions = {name: _installed(name) for name in _LIBRARIES}
    facts = {"python": platform.python_version(), "peerjs-sansio": version(), **versions}
    said = [f"{name} {number or 'not installed'}" for name, number in facts.items()]
    fast = 'The fast engine: python -m pip install "peerjs-sansio[fast]"'
    advice = "" if versions["wrtc"] else fast
    tell(Finding("versions", "ok", ", ".join(said), advice, {"versions": facts}))


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _check_buffers(tell: Tell) -> None:
    try:
        limit = int(_RMEM_MAX.read_text())
    except (OSError, ValueError):
        return  # another kind of system
    facts = {"rmem_max": limit}
    text = f"net.core.rmem_max is {limit} bytes"
    if limit >= _WANTED:
        tell(Finding("buffers", "ok", text, facts=facts))
    else:
        advice = f"aiortc loses datagrams with less than: sysctl -w net.core.rmem_max={_WANTED}"
        tell(Finding("buffers", "note", text, advice, facts))


def _check_interfaces(tell: Tell, addresses: list[str]) -> None:
    facts = {"addresses": addresses}
    if addresses:
        tell(Finding("interfaces", "ok", ", ".join(addresses), facts=facts))
    else:
        text = "there is none besides loopback, whose addresses WebRTC does not use"
        advice = "Connect this machine to a network; a container needs one, too."
        tell(Finding("interfaces", "wrong", text, advice, facts))


def _check_ipv6(tell: Tell, addresses: list[str]) -> None:
    world = [a for a in addresses if ipaddress.ip_address(a).version == 6 and _is_global(a)]
    route = _has_route()
    facts = {"addresses": world, "route": route}
    if world and route:
        tell(Finding("ipv6", "ok", f"{', '.join(world)}, with a route", facts=facts))
    elif world:
        advice = "Its router does not announce itself; connections are made by IPv4."
        tell(Finding("ipv6", "note", f"{', '.join(world)}, but no route", advice, facts))
    else:
        text = "no global address: connections are made by IPv4, which is enough for most"
        tell(Finding("ipv6", "note", text, facts=facts))


def _is_global(address: str) -> bool:
    return ipaddress.ip_address(address).is_global


def _has_route() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect((_FAR, 9))
    except OSError:
        return False
    return True
