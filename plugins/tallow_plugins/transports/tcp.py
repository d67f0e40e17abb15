"""TCP (RFC 9293): the plainest path. Everything on it is sealed by the session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.authority import parse_authority
from tallow_core.spi.connector import Connector
from tallow_core.spi.socket_streams import SocketListener, SocketStream
from tallow_core.spi.sockets import bind
from tallow_core.spi.transport import ByteStream, Listener, Transport
from tallow_core.types import Endpoint, SocketAddress, Touch, Trust


class Tcp(Transport):
    """TCP, not encrypted by itself."""

    name = "tcp"
    preference = 10
    encrypted: ClassVar[bool] = False
    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    reveals: ClassVar[str] = (
        "The network sees both addresses, sizes and times, and sealed records; the other end sees"
        " this end's address."
    )

    def __init__(self, settings: DriverSettings) -> None:
        """Nothing of the settings is needed."""

    def parse(self, scheme: str, text: str) -> Endpoint:
        return parse_authority(scheme, text, pins=False)

    async def dial(
        self,
        endpoint: Endpoint,
        deadline: float,
        *,
        trust: Trust,
        network: Connector,
        local: SocketAddress | None = None,
    ) -> ByteStream:
        return await network.connect(endpoint.host, endpoint.port or 0, deadline, local=local)

    async def listen(self, endpoint: Endpoint, *, lasting: bool, shared: bool = False) -> Listener:
        return SocketListener(endpoint, await bind(endpoint, shared=shared), SocketStream)


@hookimpl
def tallow_offer_transport() -> Iterable[type[Transport]]:
    """Hand over the driver."""
    return [Tcp]
