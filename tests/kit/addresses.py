"""Addresses that a machine may dial when a stranger names them, and those it must not."""

from __future__ import annotations

from ipaddress import ip_address

from tallow_core.protocol.lanes.candidates import Address, refusal
from tallow_core.spi.interface_addresses import interface_addresses


def own_addresses() -> list[Address]:
    """Those of this machine that a session may list."""
    found = [ip_address(text) for text in interface_addresses()]
    return [address for address in found if not refusal(address)]


REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "100.100.100.200",
    "168.63.129.16",
    "::",
    "::1",
    "fe80::1",
    "febf::1",
    "ff02::1",
    "ff0e::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001::1",
]


DIALLED = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.2.1",
    "8.8.8.8",
    "fd00::1",
    "fd00:ec2::255",
    "2a00::1",
    "2001:db8::1",
]
