"""A network for tests: a connector that remembers what was asked of it, a resolver with a table,
and a proxy without a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar, NamedTuple

from tallow_core.errors import TallowError, UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.connector import Connector
from tallow_core.spi.proxy import OnionService, Proxy
from tallow_core.spi.resolver import Resolved, Resolver
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.types import Endpoint, ReadBuffer, SocketAddress, Touch, WriteBuffer


class Call(NamedTuple):
    """One call of `connect`."""

    host: str
    port: int
    local: SocketAddress | None


class RecordingConnector(Connector):
    """Connects without a proxy and keeps every call in `calls`.

    `names` maps host names to addresses; any other name does not resolve. With `refusal` each call
    raises that. Without `sockets` its streams have no socket to give up. `redirect` is connected to
    in place of every destination.
    """

    def __init__(
        self,
        names: Mapping[str, str] | None = None,
        *,
        refusal: TallowError | None = None,
        sockets: bool = True,
        redirect: SocketAddress | None = None,
    ) -> None:
        self.calls: list[Call] = []
        self._names = names or {}
        self._refusal = refusal
        self._sockets = sockets
        self._redirect = redirect
        self._direct = DirectConnector(self._addresses)

    async def connect(
        self, host: str, port: int, deadline: float, *, local: SocketAddress | None = None
    ) -> ByteStream:
        """See `Connector.connect`."""
        self.calls.append(Call(host, port, local))
        if self._refusal is not None:
            raise self._refusal
        stream = await self._direct.connect(
            *(self._redirect or (host, port)), deadline, local=local
        )
        return stream if self._sockets else _Socketless(stream)

    async def resolve(self, host: str, deadline: float) -> tuple[str, ...]:
        """See `Connector.resolve`."""
        return await self._direct.resolve(host, deadline)

    async def _addresses(self, name: str, deadline: float) -> Sequence[str]:
        if name not in self._names:
            raise UnreachableError(f"{name} is not known here")
        return (self._names[name],)


class _Socketless(ByteStream):
    """A stream that keeps its socket to itself."""

    def __init__(self, stream: ByteStream) -> None:
        self.facts = stream.facts
        self._stream = stream

    async def receive_into(self, buffer: WriteBuffer) -> int:
        return await self._stream.receive_into(buffer)

    async def send(self, *buffers: ReadBuffer) -> None:
        await self._stream.send(*buffers)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class FakeResolver(Resolver):
    """Knows the names in `table`, and remembers what it was asked in `asked`."""

    name = "fake-resolver"
    touches: ClassVar[frozenset[Touch]] = frozenset({"local"})
    reveals: ClassVar[str] = "Nothing: the answers are in a table."
    table: ClassVar[Mapping[str, tuple[str, ...]]] = {"localhost": ("127.0.0.1",)}

    def __init__(self, settings: DriverSettings) -> None:
        self.asked: list[str] = []

    async def resolve(self, name: str, deadline: float) -> Resolved:
        """See `Resolver.resolve`."""
        self.asked.append(name)
        if name not in self.table:
            raise UnreachableError(f"{name} is not in the table")
        return Resolved(self.table[name])


class FakeProxy(Proxy, OnionService):
    """Connects to every destination itself, and gives a port of this machine a name."""

    name = "fake-proxy"
    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    reveals: ClassVar[str] = "Nothing: there is no server."
    carries: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    remote_names: ClassVar[bool] = True

    def __init__(self, settings: DriverSettings) -> None:
        self.isolations: list[str] = []

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
        """See `Proxy.connect`."""
        self.isolations.append(isolation)
        return await direct.connect(host, port, deadline, local=local)

    def serve(self, port: int) -> AbstractAsyncContextManager[Endpoint]:
        """See `OnionService.serve`."""
        return self._served(port)

    @asynccontextmanager
    async def _served(self, port: int) -> AsyncIterator[Endpoint]:
        yield Endpoint(self.name, "127.0.0.1", port)
