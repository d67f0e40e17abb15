"""The conformance kit refuses broken transports that only dial, proxies and resolvers; its own
fakes pass."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from tallow_core.errors import UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.kinds import DISCOVERY, NAT, PROXY, RESOLVER, TRANSPORT, Kind
from tallow_core.spi.authority import parse_authority
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.connector import Connector
from tallow_core.spi.resolver import Resolved
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.spi.transport import Transport, TransportRole
from tallow_core.testing.expect import ConformanceError
from tallow_core.testing.fake_discovery import FakeDiscovery
from tallow_core.testing.fake_nat import FakeNat
from tallow_core.testing.fake_network import FakeProxy, FakeResolver
from tallow_core.testing.memory_transport import MemoryTransport, MultiplexedMemoryTransport
from tallow_core.testing.subjects import scratch
from tallow_core.testing.suite import run_checks
from tallow_core.types import Endpoint, Touch

pytestmark = pytest.mark.sockets


class DialOnly(Transport):
    """Begins with a handshake of one byte each way."""

    name: ClassVar[str] = "dial-only"
    roles: ClassVar[frozenset[TransportRole]] = frozenset({"dial"})
    encrypted: ClassVar[bool] = False
    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    reveals: ClassVar[str] = "Both addresses."

    def __init__(self, settings: DriverSettings) -> None:
        pass

    def parse(self, scheme: str, text: str) -> Endpoint:
        return parse_authority(scheme, text, pins=False, paths=True)

    async def dial(
        self, endpoint: Endpoint, deadline: float, *, network: Connector, **rest: Any
    ) -> ByteStream:
        assert endpoint.port is not None
        stream = await self._connected(endpoint, deadline, network, **rest)
        try:
            async with asyncio.timeout_at(deadline):
                answer = bytearray(1)
                if not await stream.receive_into(answer) or answer != b"!":
                    raise UnreachableError("the listener says nothing that is known")
        except TimeoutError:
            await self._leave(stream)
            raise UnreachableError("the listener does not answer") from None
        except BaseException:
            await self._leave(stream)
            raise
        return stream

    async def _connected(
        self, endpoint: Endpoint, deadline: float, network: Connector, **rest: Any
    ) -> ByteStream:
        return await network.connect(
            endpoint.host, endpoint.port or 0, deadline, local=rest["local"]
        )

    async def _leave(self, stream: ByteStream) -> None:
        await stream.aclose()


class DropsLocal(DialOnly):
    """Dials from any address."""

    async def _connected(
        self, endpoint: Endpoint, deadline: float, network: Connector, **rest: Any
    ) -> ByteStream:
        return await network.connect(endpoint.host, endpoint.port or 0, deadline)


class DialsElsewhere(DialOnly):
    """Looks the name up by itself."""

    async def _connected(
        self, endpoint: Endpoint, deadline: float, network: Connector, **rest: Any
    ) -> ByteStream:
        looked_up = replace(endpoint, host="192.0.2.1")
        return await super()._connected(looked_up, deadline, network, **rest)


class DialsAlone(DialOnly):
    """Uses no connector."""

    async def _connected(
        self, endpoint: Endpoint, deadline: float, network: Connector, **rest: Any
    ) -> ByteStream:
        own = replace(endpoint, host="127.0.0.1", port=1)
        return await super()._connected(own, deadline, DirectConnector(), **rest)


class LeavesOpen(DialOnly):
    """Keeps the connection of a dial that failed."""

    _kept: ClassVar[list[ByteStream]] = []

    async def _leave(self, stream: ByteStream) -> None:
        self._kept.append(stream)


class HasNoDeadline(DialOnly):
    """Waits for its listener for good."""

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        return await super().dial(endpoint, deadline + 3600, **rest)


class LeaksErrors(DialOnly):
    """Ends with an error that the contract does not have."""

    async def _leave(self, stream: ByteStream) -> None:
        await stream.aclose()
        raise ValueError


class LooksUp(FakeProxy):
    """Resolves nothing at its own end: what it is given, `direct` has to look up."""

    async def connect(self, direct: Connector, host: str, *rest: Any, **more: Any) -> ByteStream:
        await (await direct.connect(host, 1080, *rest[1:], local=None)).aclose()
        return await super().connect(direct, host, *rest, **more)


class NoServer(FakeProxy):
    """Does not use `direct`."""

    async def connect(self, direct: Connector, *rest: Any, **more: Any) -> ByteStream:
        raise UnreachableError("no way")


class Portless(FakeProxy):
    """An onion service without a port."""

    def serve(self, port: int) -> Any:
        return super().serve(0)


class Finds(FakeResolver):
    """Has an address for every name."""

    async def resolve(self, name: str, deadline: float) -> Resolved:
        return Resolved(("192.0.2.1",))


class FindsNames(FakeResolver):
    """Answers with a name."""

    table: ClassVar[Mapping[str, tuple[str, ...]]] = {"localhost": ("other.example",)}


class Unstated(FakeResolver):
    """Does not say what it reveals."""

    reveals: ClassVar[str] = ""


@pytest.fixture
def settings() -> Iterator[DriverSettings]:
    with scratch() as found:
        yield found


@pytest.mark.parametrize(
    ("kind", "driver"),
    [
        (TRANSPORT, MemoryTransport),
        (TRANSPORT, MultiplexedMemoryTransport),
        (TRANSPORT, DialOnly),
        (PROXY, FakeProxy),
        (RESOLVER, FakeResolver),
        (DISCOVERY, FakeDiscovery),
        pytest.param(NAT, FakeNat, marks=pytest.mark.slow),
    ],
)
def test_fakes_pass(kind: Kind[Any], driver: type, settings: DriverSettings) -> None:
    assert run_checks(kind, driver, settings)


@pytest.mark.parametrize(
    ("kind", "driver", "check"),
    [
        (TRANSPORT, DropsLocal, "`local` was not handed to the connector"),
        (TRANSPORT, DialsElsewhere, "it dials 192.0.2.1 instead"),
        (TRANSPORT, DialsAlone, "dialling_is_left_to_the_connector"),
        (TRANSPORT, LeavesOpen, "a_silent_listener_is_left"),
        (TRANSPORT, HasNoDeadline, "a_silent_listener_is_left"),
        (TRANSPORT, LeaksErrors, "a_silent_listener_is_left: a dial raised ValueError"),
        (PROXY, LooksUp, "names_are_not_looked_up_here"),
        (PROXY, NoServer, "a_dead_server_is_unreachable"),
        (PROXY, Portless, "an_onion_service_has_an_endpoint"),
        (RESOLVER, Finds, "an_unknown_name_is_unreachable"),
        (RESOLVER, FindsNames, "addresses_are_numeric"),
        (RESOLVER, Unstated, "facts_are_stated"),
    ],
)
def test_a_broken_driver_is_refused(
    kind: Kind[Any], driver: type, check: str, settings: DriverSettings
) -> None:
    with pytest.raises(ConformanceError, match=check):
        run_checks(kind, driver, settings)
