"""The conformance kit refuses transports and discoveries that are broken in what they state, in
how they use a connector, and in optional powers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from tallow_core.errors import ConfigError, UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.kinds import DISCOVERY, TRANSPORT, Kind
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.connector import Connector
from tallow_core.spi.discovery import Scope
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.spi.transport import Listener, Transport, TransportRole
from tallow_core.testing.expect import ConformanceError
from tallow_core.testing.fake_discovery import FakeDiscovery
from tallow_core.testing.memory_transport import (
    MemoryStream,
    MemoryTransport,
    MultiplexedMemoryStream,
    MultiplexedMemoryTransport,
)
from tallow_core.testing.subjects import scratch
from tallow_core.testing.suite import checks_of
from tallow_core.types import Endpoint, Touch
from tallow_plugins.transports.tcp import Tcp

pytestmark = pytest.mark.sockets


class DoesBoth(MemoryTransport):
    """Says that it only dials, and listens too."""

    roles: ClassVar[frozenset[TransportRole]] = frozenset({"dial"})


class DoesLess(Transport):
    """Does not listen, and does not say so."""

    name = "does-less"
    encrypted: ClassVar[bool] = False
    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})
    reveals: ClassVar[str] = "Both addresses."

    def __init__(self, settings: DriverSettings) -> None:
        pass

    def parse(self, scheme: str, text: str) -> Endpoint:
        return Endpoint(scheme, text, 1)

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        raise UnreachableError("no way")


class DoesNothing(MemoryTransport):
    """Has no role."""

    roles: ClassVar[frozenset[TransportRole]] = frozenset()


class OddScheme(MemoryTransport):
    """Has a scheme that is none."""

    schemes: ClassVar[tuple[str, ...]] = ("Memory://",)


class UsesNothingKnown(MemoryTransport):
    """States a use of the network that there is not."""

    touches: ClassVar[frozenset[Any]] = frozenset({"bluetooth"})


class SaysNothing(MemoryTransport):
    """Does not say what it reveals."""

    reveals: ClassVar[str] = ""


class SaysTcp(MemoryTransport):
    """States TCP, and does not dial it."""

    touches: ClassVar[frozenset[Touch]] = frozenset({"tcp"})


class FarAway(Tcp):
    """Takes this machine for another one."""

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        stream = await super().dial(endpoint, deadline, **rest)
        stream.facts = replace(stream.facts, path="internet")
        return stream


class BoundElsewhere(Tcp):
    """Does not say where it listens."""

    async def listen(self, endpoint: Endpoint, **rest: Any) -> Listener:
        listener = await super().listen(endpoint, **rest)
        listener.bound = replace(listener.endpoint, port=1)
        return listener


class NotShared(Tcp):
    """Keeps its port to itself."""

    async def listen(self, endpoint: Endpoint, *, lasting: bool, shared: bool = False) -> Listener:
        return await super().listen(endpoint, lasting=lasting)


class DialsAlone(Tcp):
    """Does not use the connector."""

    async def dial(
        self, endpoint: Endpoint, deadline: float, *, network: Connector, **rest: Any
    ) -> ByteStream:
        return await super().dial(endpoint, deadline, network=DirectConnector(), **rest)


class LooksNamesUp(Tcp):
    """Looks names up before it dials."""

    async def dial(
        self, endpoint: Endpoint, deadline: float, *, network: Connector, **rest: Any
    ) -> ByteStream:
        here = replace(endpoint, host="127.0.0.1")
        return await super().dial(here, deadline, network=network, **rest)


class DropsLocal(Tcp):
    """Dials from any address."""

    async def dial(
        self, endpoint: Endpoint, deadline: float, *, local: Any = None, **rest: Any
    ) -> ByteStream:
        return await super().dial(endpoint, deadline, **rest)


class ExplainsPolicy(Tcp):
    """Replaces what the connector says."""

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        try:
            return await super().dial(endpoint, deadline, **rest)
        except ConfigError as error:
            raise UnreachableError("it cannot be reached") from error


class NeedsSocket(Tcp):
    """Runs over sockets only."""

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        stream = await super().dial(endpoint, deadline, **rest)
        if type(stream).detach is ByteStream.detach:
            await stream.aclose()
            raise UnreachableError("it has no socket")
        return stream


class LacksPower(MultiplexedMemoryTransport):
    """States several streams, and has one."""

    stream_class: ClassVar[type[MemoryStream]] = MemoryStream


class HidesPower(MultiplexedMemoryTransport):
    """Has several streams, and states one."""

    max_streams: ClassVar[int] = 1


class TakesMore(MultiplexedMemoryTransport):
    """Opens more streams than it states."""

    max_streams: ClassVar[int] = 4


class _EndsAll(MultiplexedMemoryStream):
    async def open_stream(self) -> ByteStream:
        further = await super().open_stream()
        self._further = [*getattr(self, "_further", ()), further]
        return further

    async def aclose(self) -> None:
        for further in getattr(self, "_further", ()):
            await further.aclose()
        await super().aclose()


class EndsWithTheFirst(MultiplexedMemoryTransport):
    """Ends all streams with the first."""

    stream_class: ClassVar[type[MemoryStream]] = _EndsAll


class StatesTooMuch(FakeDiscovery):
    """Is of this machine alone, and says that it is found everywhere."""

    scope: ClassVar[Scope] = "wide"


class NeedsTime(FakeDiscovery):
    """Has nothing to say once it is late."""

    async def nameplates(self, deadline: float) -> frozenset[str]:
        raise TimeoutError


STATED = "descriptor_fits"
CONNECTOR = "tcp_is_left_to_the_connector"
STREAMS = "further_streams_go_by_one_connection"
BROKEN: tuple[tuple[Kind[Any], type, str, str], ...] = (
    (TRANSPORT, DoesBoth, STATED, "has a method listen, and `roles` does not name it"),
    (TRANSPORT, DoesLess, STATED, "`roles` names listen, and the driver has no method listen"),
    (TRANSPORT, DoesNothing, STATED, "`roles` is not stated"),
    (TRANSPORT, OddScheme, STATED, "`schemes` are not of the form"),
    (TRANSPORT, UsesNothingKnown, STATED, "`touches` is"),
    (TRANSPORT, SaysNothing, STATED, "`reveals` is not a sentence"),
    (TRANSPORT, FarAway, "facts_agree", "facts.path is 'internet' for this machine"),
    (TRANSPORT, BoundElsewhere, "facts_agree", "listener.bound is not where it listens"),
    (TRANSPORT, NotShared, "shared_port_is_shared", "is not shared"),
    (TRANSPORT, SaysTcp, CONNECTOR, "dials without the connector"),
    (TRANSPORT, DialsAlone, CONNECTOR, "dials without the connector"),
    (TRANSPORT, LooksNamesUp, CONNECTOR, "a name was not left to the connector"),
    (TRANSPORT, DropsLocal, CONNECTOR, "`local` was not handed to the connector"),
    (TRANSPORT, ExplainsPolicy, CONNECTOR, "raised UnreachableError, not PolicyError"),
    (TRANSPORT, NeedsSocket, "any_stream_carries_it", "it has no socket"),
    (TRANSPORT, LacksPower, STREAMS, "lacks `Multiplexed`"),
    (TRANSPORT, HidesPower, STREAMS, "max_streams is 1"),
    (TRANSPORT, TakesMore, STREAMS, "one stream too many raised nothing"),
    (TRANSPORT, EndsWithTheFirst, STREAMS, "it was closed on this side"),
    (DISCOVERY, StatesTooMuch, "reveals_is_stated", "`scope` is host exactly where"),
    (DISCOVERY, NeedsTime, "a_past_deadline_is_no_error", "TimeoutError"),
)


@pytest.fixture
def settings() -> Iterator[DriverSettings]:
    with scratch() as found:
        yield found


@pytest.mark.parametrize(
    ("kind", "driver", "check", "why"),
    BROKEN,
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_driver_is_refused(
    kind: Kind[Any], driver: type, check: str, why: str, settings: DriverSettings
) -> None:
    (found,) = [each for each in checks_of(kind, driver, settings) if each.name == check]
    with pytest.raises(ConformanceError, match=why):
        found.run()
