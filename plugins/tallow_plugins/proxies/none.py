"""No proxy: every connection is opened by this machine itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.connector import Connector
from tallow_core.spi.proxy import Proxy
from tallow_core.types import SocketAddress, Touch


class NoProxy(Proxy):
    """Passes every connection on to the direct connector."""

    name = "none"
    preference = 0
    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    reveals: ClassVar[str] = "The network sees both addresses of every connection."
    carries: ClassVar[frozenset[Touch]] = frozenset({"local", "tcp", "udp", "multicast"})
    remote_names: ClassVar[bool] = False

    def __init__(self, settings: DriverSettings) -> None:
        """Nothing of the settings is needed."""

    async def connect(
        self,
        direct: Connector,
        host: str,
        port: int,
        deadline: float,
        *,
        isolation: str,
        local: SocketAddress | None = None,
    ) -> ByteStream:
        return await direct.connect(host, port, deadline, local=local)


@hookimpl
def tallow_offer_proxy() -> Iterable[type[Proxy]]:
    """Hand over the driver."""
    return [NoProxy]
