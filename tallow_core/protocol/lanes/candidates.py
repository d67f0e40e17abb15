"""Candidates: addresses at which one end of a session listens for more lanes, sent on the control
lane (docs/protocol/lanes.md, "Candidates").

A hostile peer may list any address. So the number of candidates is limited, and `refusal` names the
addresses that are never dialled: those of this machine, of this link, of groups of hosts, and those
at which clouds serve credentials.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple, TypeAlias, get_args

from tallow_core.offers import NAME
from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.types import CandidateKind, Endpoint, ReadBuffer

MAX_CANDIDATES = 16
MAX_CANDIDATE_LISTS = 32
"""The most Candidates messages of one end in a session. One more ends the session."""
MAX_DRIVER_DATA_BYTES = 512
"""The most bytes of opaque data of the driver that found a candidate."""

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


KINDS: tuple[CandidateKind, ...] = get_args(CandidateKind)
"""A kind's number on the wire is its place here."""


class Candidate(NamedTuple):
    """One place: `transport` is the name of a transport driver, `port` is 1 to 65535, `pin` is 64
    hex digits if the transport has one. The greater `priority` (32 bits) is dialled first. `data`
    is opaque to the core, at most `MAX_DRIVER_DATA_BYTES`; no address in it is ever dialled."""

    transport: str
    address: Address
    port: int
    pin: str | None = None
    kind: CandidateKind = "host"
    priority: int = 0
    data: bytes = b""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint to dial."""
        return Endpoint(self.transport, str(self.address), self.port, self.pin)


def write_candidates(candidates: list[Candidate]) -> bytes:
    """The body of CANDIDATES: count[1] || for each kind[1] || priority[4] || transport (text8) ||
    place || 0 or 1 [1] || pin[32] if that was 1 || data (bytes16)."""
    writer = Writer().u8(len(candidates))
    for each in candidates:
        writer.u8(KINDS.index(each.kind)).u32(each.priority).text8(each.transport)
        write_place(writer, each.address, each.port)
        writer.u8(each.pin is not None).raw(bytes.fromhex(each.pin or "")).bytes16(each.data)
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
    if len({candidate.endpoint for candidate in candidates}) < count:
        raise malformed("a candidate that is listed twice")
    return candidates


def _read_one(reader: Reader) -> Candidate:
    kind, priority, transport = reader.u8(), reader.u32(), reader.text8()
    if kind >= len(KINDS):
        raise malformed(f"a candidate of kind {kind}")
    if not NAME.fullmatch(transport):
        raise malformed("a candidate of a transport without a name")
    address, port = read_place(reader)
    pinned = reader.u8()
    if pinned > 1:
        raise malformed("a candidate with fields out of bounds")
    pin = reader.raw(_PIN_SIZE).hex() if pinned else None
    data = reader.bytes16(MAX_DRIVER_DATA_BYTES)
    return Candidate(transport, address, port, pin, KINDS[kind], priority, data)


def write_place(writer: Writer, address: Address, port: int) -> None:
    """4 or 6 [1] || address[4 or 16] || port[2]."""
    writer.u8(address.version).raw(address.packed).u16(port)


def read_place(reader: Reader) -> tuple[Address, int]:
    """Read what `write_place` wrote; raises `RemoteProtocolError`, also for port 0."""
    version = reader.u8()
    if version not in (4, 6):
        raise malformed(f"a candidate of address family {version}")
    address = (
        ipaddress.IPv4Address(reader.raw(4))
        if version == 4
        else ipaddress.IPv6Address(reader.raw(16))
    )
    if not (port := reader.u16()):
        raise malformed("a candidate with fields out of bounds")
    return address, port
