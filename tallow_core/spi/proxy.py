"""The contract of a proxy: how a TCP connection goes by way of another machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.connector import Connector
from tallow_core.spi.driver import Driver
from tallow_core.types import Endpoint, SocketAddress, Touch


class Proxy(Driver):
    """Opens connections for a user's transports by way of a server.

    `carries` is what it takes beside "local", which needs no proxy: {"tcp"} today. A transport that
    touches something else is refused on its paths. Where the proxy is required, resolvers,
    discoveries and nat drivers that touch more than "local" are not used: they open sockets of
    their own. `remote_names` says that it resolves host names at its own end, so that no name is
    looked up here. `touches` is what it uses of the network itself, `reveals` says in one sentence
    what its server and the network learn.
    """

    touches: ClassVar[frozenset[Touch]]
    reveals: ClassVar[str]
    carries: ClassVar[frozenset[Touch]]
    remote_names: ClassVar[bool]

    @abstractmethod
    def __init__(self, settings: DriverSettings) -> None:
        """Take what the driver needs of the settings (its options); touch neither network nor
        files. Options that cannot work are a `ConfigError`."""

    @abstractmethod
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
        """Open a connection to `host` and `port` before `deadline` (on the clock of the running
        loop).

        `direct` opens the one to the proxy's own server; nothing else may be dialled. `host` is a
        name only with `remote_names`, else numeric. Connections of different `isolation` (at most
        64 letters, digits and hyphens) shall not share what others could link them by, as far as
        the proxy can do that. `local` is handed on to `direct`.

        A server that cannot be reached, breaks off, answers nonsense or says that it cannot reach
        the destination is an `UnreachableError`; refused credentials are a `ConfigError`; a
        destination that its rules forbid is a `PolicyError`. In each of these cases, and when
        it is cancelled, no connection stays open.
        """


class OnionService(ABC):
    """An optional power of a `Proxy`: it makes a port of this machine reachable by a name of its
    network. Nothing in Tallow calls it yet; the kit checks it."""

    @abstractmethod
    def serve(self, port: int) -> AbstractAsyncContextManager[Endpoint]:
        """While the context is open, connections to the endpoint that it gives arrive at `port` of
        the loopback address 127.0.0.1. A server that cannot do it is an `UnreachableError`. The
        endpoint's scheme is the name of the driver; a transport takes its host and port. Leaving
        the context, also when it is cancelled, takes the name back."""
