"""Stand-ins for what nat drivers meet: a driver that uses every power, and the core's half of
signals."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

from tallow_core.errors import PolicyError, UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.protocol.lanes.signal import MAX_SIGNAL_BYTES, MAX_SIGNAL_PLACES, MAX_SIGNALS
from tallow_core.spi.nat import (
    Hole,
    Maps,
    Nat,
    Punches,
    Reach,
    RelayView,
    SignalChannel,
    SocketProtocol,
)
from tallow_core.testing.expect import require
from tallow_core.types import Role, SocketAddress, Touch


class FakeNat(Nat, Maps, Punches):
    """Uses every part of the contract, with a gateway and a peer that are not there. `mapped`
    counts the mappings that stand."""

    name: ClassVar[str] = "fake-nat"
    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    reveals: ClassVar[str] = "Nothing."

    def __init__(self, settings: DriverSettings) -> None:
        self.mapped = 0

    async def gather(
        self, bases: Sequence[SocketAddress], deadline: float, *, relay_view: RelayView | None
    ) -> AsyncIterator[Reach]:
        """See `Nat.gather`: an own address, what the relay sees, and waiting until the deadline."""
        yield Reach("host", "tcp", "192.0.2.1", 0, SocketAddress("192.0.2.1", 0))
        for base in bases:
            if relay_view is not None:
                yield Reach("reflexive", "tcp", relay_view.address, 1, base, 60.0, b"?")
        await asyncio.sleep(max(0.0, deadline - asyncio.get_running_loop().time()))

    def map(self, base: SocketAddress, lifetime: float) -> AbstractAsyncContextManager[Reach]:
        """See `Maps.map`: the gateway says yes."""
        return self._mapping(base, lifetime)

    @asynccontextmanager
    async def _mapping(self, base: SocketAddress, lifetime: float) -> AsyncIterator[Reach]:
        self.mapped += 1
        try:
            yield Reach("mapped", "tcp", "198.51.100.1", 4711, base, lifetime)
        finally:
            self.mapped -= 1

    async def punch(self, role: Role, signals: SignalChannel, deadline: float) -> Hole:
        """See `Punches.punch`: greet, and ask the core for a socket."""
        await signals.send(b"hello", [SocketAddress("192.0.2.99", 9)])
        async with asyncio.timeout_at(deadline):
            if await signals.receive() != b"hello":
                raise UnreachableError("it does not know this driver")
        remote = signals.addresses[-1]
        made = await signals.connect(remote, deadline)
        made.close()
        return Hole("tcp", SocketAddress("192.0.2.1", 0), remote, "punched")


class FakeSignalChannel(SignalChannel):
    """The core's half, for one driver: `sent` has its data, `refused` what it asked a socket to and
    must not have. A socket that it gets is one of a pair, connected to nothing."""

    def __init__(self, own: Sequence[SocketAddress]) -> None:
        self.own = own
        self.sent: list[bytes] = []
        self.refused: list[SocketAddress] = []
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self._peer: FakeSignalChannel | None = None
        self._admitted: list[SocketAddress] = []

    @classmethod
    def pair(
        cls, host: Sequence[SocketAddress], guest: Sequence[SocketAddress]
    ) -> tuple[FakeSignalChannel, FakeSignalChannel]:
        """Both ends. Each has listed its addresses to the other."""
        ends = cls(host), cls(guest)
        for end, peer in (ends, ends[::-1]):
            end._peer = peer
            end._admitted = list(peer.own)
        return ends

    @property
    def addresses(self) -> tuple[SocketAddress, ...]:
        """See `SignalChannel.addresses`."""
        return tuple(self._admitted)

    async def send(self, data: bytes, addresses: Sequence[SocketAddress] = ()) -> None:
        """See `SignalChannel.send`; more than a session carries is a `ConformanceError`."""
        require(
            len(data) <= MAX_SIGNAL_BYTES
            and len(addresses) <= MAX_SIGNAL_PLACES
            and len(self.sent) < MAX_SIGNALS,
            "it sends more signals, data or addresses than a session carries",
        )
        self.sent.append(bytes(data))
        if self._peer is not None:
            self._peer._admitted += addresses
            self._peer.inbox.put_nowait(bytes(data))

    async def receive(self) -> bytes:
        """See `SignalChannel.receive`."""
        return await self.inbox.get()

    async def connect(
        self,
        address: SocketAddress,
        deadline: float,
        *,
        local: SocketAddress | None = None,
        protocol: SocketProtocol = "tcp",
    ) -> socket.socket:
        """See `SignalChannel.connect`."""
        if address not in self._admitted:
            self.refused.append(address)
            raise PolicyError("it is no address that the other side listed")
        await asyncio.sleep(0)
        made, other = socket.socketpair()
        other.close()
        made.setblocking(False)
        return made
