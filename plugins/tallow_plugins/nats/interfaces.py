"""The addresses of this machine's network interfaces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import ClassVar

from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.interface_addresses import interface_addresses
from tallow_core.spi.nat import Nat, Reach, RelayView
from tallow_core.types import SocketAddress, Touch


class Interfaces(Nat):
    """Asks the operating system, and nothing else."""

    name: ClassVar[str] = "interfaces"
    preference: ClassVar[int] = 10
    touches: ClassVar[frozenset[Touch]] = frozenset({"local"})
    reveals: ClassVar[str] = (
        "Nothing to the network; to the other side, the addresses of this machine."
    )

    def __init__(self, settings: DriverSettings) -> None:
        pass

    async def gather(
        self, bases: Sequence[SocketAddress], deadline: float, *, relay_view: RelayView | None
    ) -> AsyncIterator[Reach]:
        """IPv6 and IPv4 addresses in turn, each for the core to listen at a free port. None where
        the system does not say."""
        for address in interface_addresses():
            yield Reach("host", "tcp", address, 0, SocketAddress(address, 0))


@hookimpl
def tallow_offer_nat() -> Iterable[type[Nat]]:
    """Offer the driver."""
    return [Interfaces]
