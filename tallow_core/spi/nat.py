"""The contract of nat drivers: how two ends behind address translators reach one another directly.

The core listens, dials, and decides which addresses may be dialled. A driver finds addresses at
which this end may be reached (`Nat.gather`), and has perhaps the powers to have a gateway forward
a port (`Maps`) and to open a way through both translators (`Punches`).

A driver talks to servers and gateways of its user. It never opens a connection to an address of the
other end by itself: it asks `SignalChannel.connect`, which dials only what the other end listed in
a typed field and what the core admits (T-19). What the other end sends as data is opaque, and no
address in it is ever used.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Literal, NamedTuple, TypeAlias

from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.driver import Driver
from tallow_core.types import CandidateKind, Endpoint, PathKind, Role, SocketAddress, Touch

SocketProtocol: TypeAlias = Literal["tcp", "udp"]
"""What an address is for: a TCP connection or UDP datagrams."""


class Reach(NamedTuple):
    """An address at which this end may be reached.

    `address` is numeric. `base` is the socket that connections arrive at, one of the `bases` given
    to `gather`. A base with port 0 asks the core to listen at a free port of that address, which
    has to be one of this machine; `port` is then 0 too. `lifetime` is in seconds, None if the
    address stays. `data` is for the driver of the same name at the other end, at most 512 bytes.
    It is listed to the other end and checked there, but not handed to a driver yet: a list of
    candidates does not name the driver. What drivers have to exchange goes by signals.
    """

    kind: CandidateKind
    protocol: SocketProtocol
    address: str
    port: int
    base: SocketAddress
    lifetime: float | None = None
    data: bytes = b""


class Hole(NamedTuple):
    """A way that is open: what is sent from `local` reaches the other end at `remote`, and the
    other way round. The driver has closed the sockets with which it opened the way."""

    protocol: SocketProtocol
    local: SocketAddress
    remote: SocketAddress
    kind: PathKind


class RelayView(NamedTuple):
    """What the relay of the session says: the address and port that it sees of this end, and its
    own endpoint. Nothing fills it yet: `gather` is given None, and has to be of use without it."""

    address: str
    port: int
    endpoint: Endpoint


class SignalChannel(ABC):
    """What a driver may do with the driver of the same name at the other end."""

    @property
    @abstractmethod
    def addresses(self) -> tuple[SocketAddress, ...]:
        """Every address of the other end that may be dialled: what it listed as candidates and
        beside signals, without what the core refuses."""

    @abstractmethod
    async def send(self, data: bytes, addresses: Sequence[SocketAddress] = ()) -> None:
        """Send `data`, at most 16 KiB, and up to 16 addresses of this end, which are the only ones
        that the other end may dial. In a session at most 64 messages with 256 KiB of data; one more
        is a `PolicyError`. The session that ends is a `TransportError`. Cancelled in the middle
        of the message it breaks the session's connection, before that it sends nothing; the message
        counts in both cases."""

    @abstractmethod
    async def receive(self) -> bytes:
        """The data of the next message. Its addresses are in `addresses` by then. Cancelling it
        loses no message."""

    @abstractmethod
    async def connect(
        self,
        address: SocketAddress,
        deadline: float,
        *,
        local: SocketAddress | None = None,
        protocol: SocketProtocol = "tcp",
    ) -> socket.socket:
        """A socket that does not block, bound to `local` and connected to `address`, which has to
        be one of `addresses`; the caller closes it.

        Raises `PolicyError` for every other address and beyond 64 different places in a session,
        `UnreachableError` if there is no connection at `deadline` (on the clock of the running
        loop). Cancelling it leaves no socket open; the place counts.
        """


class Nat(Driver):
    """Finds addresses. `touches` is what the driver uses of the network: one that touches more than
    "local" is not used where a proxy is required. `reveals` says in one sentence what others learn
    when it is used."""

    touches: ClassVar[frozenset[Touch]]
    reveals: ClassVar[str]

    @abstractmethod
    def __init__(self, settings: DriverSettings) -> None:
        """Take what the driver needs of the settings; touch neither network nor files."""

    @abstractmethod
    def gather(
        self,
        bases: Sequence[SocketAddress],
        deadline: float,
        *,
        relay_view: RelayView | None,
    ) -> AsyncIterator[Reach]:
        """Yield addresses as they are found, until `deadline` (on the clock of the running loop) at
        the latest. `bases` are the sockets at which the core listens so far, none at first.
        `relay_view` is None so far, see `RelayView`.

        It is called again when bases have changed, and from time to time: what is still valid is
        yielded again. It may be cancelled at any moment, and leaves no socket or task behind then.
        An exception, or staying beyond the deadline, has the driver left out for the session, with
        a warning.
        """


class Maps(ABC):
    """The power to have a gateway forward a port."""

    @abstractmethod
    def map(self, base: SocketAddress, lifetime: float) -> AbstractAsyncContextManager[Reach]:
        """Forward a port to `base` while the context is open, asked for `lifetime` seconds at
        a time and renewed by the driver. Leaving the context, also when it is cancelled, takes the
        mapping back, within a second; so does cancelling it while it is entered.

        A gateway that does not, or that is not there, is an `UnreachableError`.
        """


class Punches(ABC):
    """The power to open a way through translators at both ends at the same time."""

    @abstractmethod
    async def punch(self, role: Role, signals: SignalChannel, deadline: float) -> Hole:
        """Open a way with the driver of the same name at the other end, which is called with the
        other role at about the same time.

        The guest then dials from `Hole.local`, and the host accepts at its own. No way until
        `deadline` is an `UnreachableError`. Cancelling it leaves no socket open; the other end is
        not informed, and ends at its deadline.
        """
