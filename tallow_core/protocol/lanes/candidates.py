"""Candidates: addresses at which one end of a session listens for more lanes, sent on the control
lane (docs/protocol/lanes.md, "Candidates").

A hostile peer may list any address. So the number of candidates is limited, and `refusal` names the
addresses that are never dialled: those of this machine, of this link, of groups of hosts, and those
at which clouds serve credentials.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple, TypeAlias

from tallow_core.offers import NAME
from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.types import Endpoint, ReadBuffer

MAX_CANDIDATES = 16
MAX_CANDIDATE_LISTS = 32
"""Candidates messages of one end in a session; one more ends the session."""

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_PIN_SIZE = 32

METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
    )
)
"""Addresses at which clouds serve a machine's credentials to any process on it."""

_EMBEDDING = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
    )
)
"""IPv6 addresses that stand for an IPv4 one: compatible, mapped, NAT64, 6to4, Teredo."""


def refusal(address: Address) -> str:
    """The reason why this address is neither dialled nor listed; "" if it may be."""
    if address in METADATA:
        return "an address of a cloud's metadata service"
    for holds, what in (
        (address.is_unspecified, "the unspecified address"),
        (address.is_loopback, "a loopback address"),
        (address.is_link_local, "a link-local address"),
        (address.is_multicast, "a multicast address"),
        (
            isinstance(address, ipaddress.IPv4Address)
            and (address.packed[0] == 0 or address.is_reserved),
            "no address of a host",
        ),
        (
            isinstance(address, ipaddress.IPv6Address)
            and any(address in network for network in _EMBEDDING),
            "one that stands for another",
        ),
    ):
        if holds:
            return what
    return ""


class Candidate(NamedTuple):
    """One place: the name of a transport, an address, a port (1 to 65535), and the pin if the
    transport has one."""

    transport: str
    address: Address
    port: int
    pin: str | None = None

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint to dial."""
        return Endpoint(self.transport, str(self.address), self.port, self.pin)


def write_candidates(candidates: list[Candidate]) -> bytes:
    """The body of CANDIDATES: count[1] || for each transport (text8) || 4 or 6 [1] || address[4 or
    16] || port[2] || 0 or 1 [1] || pin[32] if that was 1."""
    writer = Writer().u8(len(candidates))
    for candidate in candidates:
        writer.text8(candidate.transport).u8(candidate.address.version).raw(
            candidate.address.packed
        ).u16(candidate.port)
        writer.u8(candidate.pin is not None).raw(bytes.fromhex(candidate.pin or ""))
    return writer.done()


def read_candidates(body: ReadBuffer) -> list[Candidate]:
    """Read the body of CANDIDATES. Raises `RemoteProtocolError`. The caller checks each address by
    `refusal` before it dials."""
    reader = Reader(body, "Candidates")
    count = reader.u8()
    if not 1 <= count <= MAX_CANDIDATES:
        raise malformed(f"{count} candidates, not 1 to {MAX_CANDIDATES}")
    candidates = [_read_one(reader) for _ in range(count)]
    reader.end()
    if len(set(candidates)) < count:
        raise malformed("a candidate that is listed twice")
    return candidates


def _read_one(reader: Reader) -> Candidate:
    transport, version = reader.text8(), reader.u8()
    if not NAME.fullmatch(transport):
        raise malformed("a candidate of a transport without a name")
    if version not in (4, 6):
        raise malformed(f"a candidate of address family {version}")
    address = (
        ipaddress.IPv4Address(reader.raw(4))
        if version == 4
        else ipaddress.IPv6Address(reader.raw(16))
    )
    port, pinned = reader.u16(), reader.u8()
    if port == 0 or pinned > 1:
        raise malformed("a candidate with fields out of bounds")
    return Candidate(transport, address, port, reader.raw(_PIN_SIZE).hex() if pinned else None)
