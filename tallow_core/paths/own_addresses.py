"""The addresses of this machine that another one might reach."""

from __future__ import annotations

import ipaddress
from itertools import chain, zip_longest

from tallow_core.protocol.lanes.candidates import Address, refusal


def own_addresses() -> list[Address]:
    """The addresses of all interfaces, without those that nobody is told; IPv6 and IPv4 in turn.
    None where the system does not say."""
    import ifaddr  # only sessions through a relay need it

    found: dict[Address, None] = {}
    try:
        adapters = list(ifaddr.get_adapters())
    except OSError:
        return []
    for adapter in adapters:
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if not refusal(address):
                found[address] = None
    sixes = [address for address in found if address.version == 6]
    fours = [address for address in found if address.version == 4]
    return [
        address for address in chain.from_iterable(zip_longest(sixes, fours)) if address is not None
    ]
