"""Leaf types that every layer shares."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

ReadBuffer: TypeAlias = bytes | bytearray | memoryview
"""Bytes that are only read."""

WriteBuffer: TypeAlias = bytearray | memoryview
"""Contiguous, writable bytes."""


class Role(Enum):
    """Who printed the code (HOST, "A" in the specification) and who typed it (GUEST, "B")."""

    HOST = "host"
    GUEST = "guest"

    @property
    def peer(self) -> Role:
        """The other end's role."""
        return Role.GUEST if self is Role.HOST else Role.HOST


class Trust(Enum):
    """What makes a transport believe that it reached whom it dialled.

    PEER is for relays: the pin in the endpoint, or without one the system's roots and the name.
    SESSION is for direct paths: a pin is compared if the endpoint has one; otherwise the
    transport's own encryption is cover only and the session protocol authenticates.
    """

    PEER = "peer"
    SESSION = "session"


Touch: TypeAlias = Literal["local", "tcp", "udp", "multicast"]
"""What a driver uses of the network: nothing beyond this machine, TCP connections that a
`Connector` opens for it, UDP, or multicast."""

PathKind: TypeAlias = Literal[
    "local", "lan", "internet", "mapped", "punched", "turn", "proxy", "tor", "relay"
]
"""What lies between the two ends of a connection, as far as the end that opened or accepted it
knows."""


class SocketAddress(NamedTuple):
    """An address that a socket can be bound or connected to; `host` is numeric."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place to dial or to listen at.

    `scheme` is one of a transport's `schemes`; `pin` is 64 lower-case hex digits. A transport
    without ports (see `Transport.addressing`) has its whole address in `host`, and None for `port`.
    `path` is empty or begins with "/"; `parameters` are the pairs of a query, in their order. Both
    are percent-encoded where the URL needs it, and decoded here.
    """

    scheme: str
    host: str
    port: int | None = None
    pin: str | None = None
    path: str = ""
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def authority(self) -> str:
        """`HOST:PORT`, with brackets around an IPv6 address; without ports, the address itself."""
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`SCHEME://AUTHORITY/PATH?KEY=VALUE`, without the pin."""
        return f"{self.scheme}://{self.authority}{self._rest()}"

    def _rest(self) -> str:
        if not self.path and not self.parameters:
            return ""
        from urllib.parse import quote, urlencode  # hardly any transport needs it

        query = f"?{urlencode(self.parameters, quote_via=quote)}" if self.parameters else ""
        return quote(self.path, safe="/:@!$&'()*+,;=~-._") + query

    def __str__(self) -> str:
        return f"{self.url}#sha256={self.pin}" if self.pin else self.url


class NetworkPath(NamedTuple):
    """How the other end is reached.

    `kind`: found on this machine, dialled directly, or through a relay. `address` is for people: an
    endpoint's URL or a numeric address. `transport` is the driver's name at this end. Functions
    that dial travel beside a path, not in it.
    """

    kind: Literal["local", "direct", "relay"]
    address: str
    transport: str

    @property
    def relayed(self) -> bool:
        """Whether a relay is on it."""
        return self.kind == "relay"


CandidateKind: TypeAlias = Literal["host", "mapped", "reflexive", "relayed"]
"""Where the other end meets an address: at an interface of this machine, at a port that a gateway
forwards, at what a server outside sees of a socket, or at a relay for addresses (TURN)."""
