"""Which internet addresses are everybody's, and which are somebody's own network."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_NOT_PUBLIC_4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a carrier's customers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; where clouds serve their metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; some clouds serve metadata here too
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
"""IANA's registry of IPv4 special-purpose addresses, and multicast."""
_GLOBAL_6: Final = IPv6Network("2000::/3")
"""The only part of IPv6 that is given out. Outside are loopback, link-local, site-local and unique
local addresses, multicast, and those that hide an IPv4 address: mapped, compatible, NAT64."""
_NOT_PUBLIC_6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 hides an IPv4 address
        "3fff::/20",  # documentation
    )
)
"""IANA's registry of IPv6 special-purpose addresses, within `_GLOBAL_6`."""
_SITE_BITS: Final = 64
"""One customer's network in IPv6 has at least so many addresses (RFC 6177)."""
_NUMBER: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


def is_public(address: str) -> bool:
    """Tell whether an address belongs to a host of the public internet.

    Only an address in its usual form can: everything else, and one with a zone, is not public.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _NOT_PUBLIC_4)
    if parsed.scope_id is not None or parsed not in _GLOBAL_6:
        return False
    return not any(parsed in network for network in _NOT_PUBLIC_6)


def is_odd_number(host: str) -> bool:
    """Tell whether a host is an IPv4 address in a form that only C's old parser reads.

    `0x7f.1`, `017700000001`, `127.1`: names end in no number, so nobody writes these in good faith.
    """
    last = host.rstrip(".").rpartition(".")[2]
    if not _NUMBER.fullmatch(last):
        return False
    try:
        IPv4Address(host)
    except ValueError:
        return True
    return False


def site(address: str) -> str:
    """Return what stands for one caller: an IPv4 address, or an IPv6 address's /64 network.

    What is no address stands for itself, cut to the length of one.
    """
    text = address.strip()
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:  # IPv4 with a port, as some proxies write it
        bare = bare.partition(":")[0]
    try:
        parsed = ip_address(bare)
    except ValueError:
        return text[:64]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Network((int(parsed), _SITE_BITS), strict=False))
    return str(parsed)
