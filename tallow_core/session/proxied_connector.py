"""TCP by a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tallow_core.errors import PolicyError, UnreachableError
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.connector import Connector
from tallow_core.spi.proxy import Proxy
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.spi.sockets import is_numeric
from tallow_core.text import printable
from tallow_core.types import SocketAddress

Lookup: TypeAlias = Callable[[str, float], Awaitable[tuple[str, ...]]]
"""The numeric addresses of a name, before a deadline."""


class ProxiedConnector(Connector):
    """Names are resolved here by `resolve`, unless the proxy does it at its end. `resolve_server`
    resolves the name of the proxy's own server, which cannot be looked up by way of it; `isolation`
    gives the word that keeps connections to a host and port apart from others."""

    def __init__(
        self,
        proxy: Proxy,
        isolation: Callable[[str, int], str],
        resolve_server: Lookup,
        resolve: Lookup,
    ) -> None:
        self._proxy = proxy
        self._isolation = isolation
        self._direct = DirectConnector(resolve_server)
        self._resolve = resolve

    async def connect(
        self, host: str, port: int, deadline: float, *, local: SocketAddress | None = None
    ) -> ByteStream:
        """See `Connector.connect`."""
        isolation = self._isolation(host, port)
        if self._proxy.remote_names or is_numeric(host):
            return await self._proxy.connect(
                self._direct, host, port, deadline, isolation=isolation, local=local
            )
        loop = asyncio.get_running_loop()
        addresses = await self._resolve(host, deadline)
        failure = UnreachableError("it has no address")
        for position, address in enumerate(addresses):
            share = (deadline - loop.time()) / (len(addresses) - position)
            try:
                return await self._proxy.connect(
                    self._direct,
                    address,
                    port,
                    loop.time() + share,
                    isolation=isolation,
                    local=local,
                )
            except UnreachableError as error:
                failure = error
        raise UnreachableError(f"{printable(host)}: {failure}")

    async def resolve(self, host: str, deadline: float) -> tuple[str, ...]:
        """See `Connector.resolve`."""
        if self._proxy.remote_names and not is_numeric(host):
            raise PolicyError(
                f"{printable(host)} is not looked up: the proxy {self._proxy.name} resolves names"
                " itself; use a transport that dials TCP"
            )
        return await self._resolve(host, deadline)
