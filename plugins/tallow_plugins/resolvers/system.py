"""The resolver of the operating system: getaddrinfo(3), with its hosts file and its DNS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.resolver import Resolved, Resolver
from tallow_core.spi.sockets import look_up, unreachable
from tallow_core.types import Touch


class SystemResolver(Resolver):
    """Asks the system on a thread, so that a slow answer holds up nothing."""

    name = "system"
    preference = 10
    touches: ClassVar[frozenset[Touch]] = frozenset({"udp", "tcp"})
    reveals: ClassVar[str] = (
        "The system's name servers, and where the system asks in clear text also the network, see"
        " every name that is looked up."
    )

    def __init__(self, settings: DriverSettings) -> None:
        """Nothing of the settings is needed."""

    async def resolve(self, name: str, deadline: float) -> Resolved:
        try:
            return Resolved(await look_up(name, deadline))
        except OSError as error:
            raise unreachable(name, error) from error


@hookimpl
def tallow_offer_resolver() -> Iterable[type[Resolver]]:
    """Hand over the driver."""
    return [SystemResolver]
