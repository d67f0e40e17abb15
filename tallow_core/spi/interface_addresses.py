"""The addresses of this machine's network interfaces, for drivers and for the core."""

from __future__ import annotations

import ipaddress
from itertools import chain, zip_longest


def interface_addresses() -> list[str]:
    """Those of every interface in their text form, without loopback and link-local ones; IPv6 and
    IPv4 in turn. None where the system does not say."""
    import ifaddr  # only sessions through a relay need it

    found: dict[ipaddress.IPv4Address | ipaddress.IPv6Address, None] = {}
    try:
        adapters = list(ifaddr.get_adapters())
    except OSError:
        return []
    for adapter in adapters:
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if not (address.is_loopback or address.is_link_local or address.is_unspecified):
                found[address] = None
    sixes = [str(address) for address in found if address.version == 6]
    fours = [str(address) for address in found if address.version == 4]
    return [each for each in chain.from_iterable(zip_longest(sixes, fours)) if each is not None]
