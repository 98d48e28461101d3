"""Whose request it is, and what counts as one network."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from peerjs_proto.addresses import Proxies, network_of
from peerjs_proto.errors import LocalProtocolError

addresses = st.ip_addresses().map(str)
junk = st.text(max_size=20) | st.sampled_from(["unknown", "_hidden", "", "1.2.3", "for=192.0.2.1"])


# --- proxies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "client"),
    [
        # Nobody is believed unless told.
        ("", "10.0.0.1", "192.0.2.1", "10.0.0.1"),
        ("false", "127.0.0.1", "192.0.2.1", "127.0.0.1"),
        ("true", "192.0.2.9", "192.0.2.1", "192.0.2.9"),
        # From the end, past those that are trusted.
        ("true", "10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("true", "10.0.0.1", "192.0.2.1, 192.0.2.2", "192.0.2.2"),
        ("TRUE", "::1", "192.0.2.1, 192.0.2.2, 10.0.0.2,fd00::3", "192.0.2.2"),
        ("true", "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("true", "10.0.0.1", "", "10.0.0.1"),
        # Exactly those named.
        ("192.0.2.7", "192.0.2.7", "192.0.2.1", "192.0.2.1"),
        ("192.0.2.7", "192.0.2.8", "192.0.2.1", "192.0.2.8"),
        ("192.0.2.7", "10.0.0.1", "192.0.2.1", "10.0.0.1"),
        ("2001:db8::/32, 10.0.0.0/8", "2001:db8:5::1", "2001:db9::1, 10.1.1.1", "2001:db9::1"),
        # IPv4 in IPv6, as sockets for both have it, and ports, as some proxies write them.
        ("true", "::ffff:10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.0/120", "192.0.2.7", "192.0.2.1, 198.51.100.1", "198.51.100.1"),
        ("true", "::1", "192.0.2.1:4711", "192.0.2.1"),
        ("true", "::1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("true", "::1", "[2001:db8::1]", "2001:db8::1"),
        # What is no address ends the search.
        ("true", "10.0.0.1", "192.0.2.1, unknown", "10.0.0.1"),
        ("true", "10.0.0.1", "192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
        ("true", "/run/socket", "192.0.2.1", "/run/socket"),
        ("true", "", "192.0.2.1", ""),
    ],
)
def test_the_address_of_a_client(proxies: str, peer: str, forwarded: str, client: str) -> None:
    found = Proxies.parse(proxies).client_address(peer, {"x-forwarded-for": forwarded})
    assert found == client


def test_a_request_without_the_header_is_its_peers() -> None:
    assert Proxies.parse("true").client_address("10.0.0.1", {}) == "10.0.0.1"


@pytest.mark.parametrize("text", ["yes", "10.0.0.0/8,", "10.0.0.1/8", "proxy.example", "1"])
def test_proxies_that_are_none(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="proxies"):
        Proxies.parse(text)


@given(st.lists(addresses | junk), addresses, addresses)
def test_nothing_before_a_trusted_proxys_word_counts(
    written: list[str], client: str, proxy: str
) -> None:
    # A client may write what it likes: the proxy adds the address it is called from.
    client, proxy = (Proxies().client_address(address, {}) for address in (client, proxy))
    assume(client != proxy)
    headers = {"x-forwarded-for": ", ".join([*written, client])}
    assert Proxies.parse(proxy).client_address(proxy, headers) == client
    assert Proxies().client_address(proxy, headers) == proxy


@given(junk | addresses, junk | addresses)
def test_a_header_never_raises(peer: str, forwarded: str) -> None:
    Proxies.parse("true").client_address(peer, {"x-forwarded-for": forwarded})
    network_of(forwarded)


# --- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        *((address, "private") for address in ("10.9.8.7", "172.31.0.1", "192.168.178.2")),
        *((address, "private") for address in ("127.0.0.1", "::1", "fd12::1", "fe80::1%eth0")),
        *((address, "private") for address in ("169.254.1.1", "::ffff:10.0.0.1")),
        ("172.32.0.1", "172.32.0.1"),
        ("100.64.0.1", "100.64.0.1"),  # a provider's: its customers have nothing in common
        ("", ""),
        ("/run/socket", "/run/socket"),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_one_slash_64_is_one_network(address: object, host: int) -> None:
    first = int(ip_address(str(address))) >> 64 << 64
    neighbour = ip_address(first | host)
    if network_of(str(address)) != "private" and neighbour.version == 6 and first:
        assert network_of(str(neighbour)) == network_of(str(address))
