"""The conformance kit refuses transports that are broken in the ways that matter, with sockets and
without; its own transport passes."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tallow_core.directories import Directories
from tallow_core.errors import BrokenOffError, UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.kinds import TRANSPORT
from tallow_core.spi.socket_streams import SocketListener, SocketStream
from tallow_core.spi.sockets import bind
from tallow_core.spi.transport import ByteStream, Listener, StreamFacts, Transport
from tallow_core.testing import ConformanceError
from tallow_core.testing.checks import bounded
from tallow_core.testing.checks import dial_checks as dialling
from tallow_core.testing.checks import listener_checks as listening
from tallow_core.testing.checks import stream_checks as streams
from tallow_core.testing.checks import transport_checks as transport
from tallow_core.testing.links import LossyStream, StreamFaults
from tallow_core.testing.memory_transport import (
    BACKLOG,
    MemoryTransport,
    MultiplexedMemoryTransport,
)
from tallow_core.testing.suite import Check, run_checks
from tallow_core.types import Endpoint, ReadBuffer, WriteBuffer
from tallow_plugins.transports.tcp import Tcp
from tallow_plugins.transports.tls import Tls

pytestmark = pytest.mark.sockets

Held = Callable[[type[Transport], DriverSettings], None]
NEVER = 1e9


@pytest.fixture
def settings(tmp_path: Path) -> DriverSettings:
    return DriverSettings(
        directories=Directories(
            tmp_path / "config", tmp_path / "state", tmp_path / "data", tmp_path / "runtime"
        )
    )


class BindsAll(Tcp):
    """Listens at every address."""

    async def listen(self, endpoint: Endpoint, **rest: Any) -> Listener:
        listener = await super().listen(Endpoint("tcp", "0.0.0.0", endpoint.port), **rest)
        listener.endpoint = Endpoint("tcp", endpoint.host, listener.endpoint.port)
        return listener


class BindsElsewhere(MemoryTransport):
    """Listens under another name than it was asked to."""

    async def listen(self, endpoint: Endpoint, **rest: Any) -> Listener:
        return await super().listen(self.local(), **rest)


class AnswersEverywhere(MemoryTransport):
    """Takes every name for the one that it listens at."""

    here: ClassVar[Endpoint]

    async def listen(self, endpoint: Endpoint, **rest: Any) -> Listener:
        type(self).here = endpoint
        return await super().listen(endpoint, **rest)

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        return await super().dial(self.here, deadline, **rest)


class SharesPorts(Tcp):
    """Takes another port where the one that was asked for is in use."""

    async def listen(self, endpoint: Endpoint, **rest: Any) -> Listener:
        try:
            return await super().listen(endpoint, **rest)
        except UnreachableError:
            return await super().listen(replace(endpoint, port=0), **rest)


class IgnoresDeadline(Tcp):
    """Waits for an answer as long as it takes."""

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        return await super().dial(endpoint, NEVER, **rest)


class IgnoresHandshakeDeadline(Tls):
    """Waits for the other side's part of the handshake as long as it takes."""

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        if deadline < asyncio.get_running_loop().time():
            raise UnreachableError("too late")
        return await super().dial(endpoint, deadline + 60, **rest)


class GivesUpLate(Tcp):
    """Dials once more until the deadline, although it was refused."""

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        try:
            return await super().dial(endpoint, deadline, **rest)
        except UnreachableError:
            await asyncio.sleep(max(0, deadline - asyncio.get_running_loop().time()))
            raise


class OneAtATime(Tcp):
    """Waits for the first word of a connection before it takes the next."""

    async def listen(self, endpoint: Endpoint, **rest: Any) -> Listener:
        class Slow(SocketListener):
            async def accept(self) -> ByteStream:
                stream = await super().accept()
                try:
                    await stream.receive_into(bytearray(1))
                except BaseException:
                    await stream.aclose()
                    raise
                return stream

        return Slow(endpoint, await bind(endpoint), SocketStream)


class Lingers(MemoryTransport):
    """Lets go of a name only long after its listener has closed."""

    async def listen(self, endpoint: Endpoint, **rest: Any) -> Listener:
        if endpoint.host in _used:
            raise UnreachableError("in use")
        _used.add(endpoint.host)
        return await super().listen(endpoint, **rest)


_used: set[str] = set()


class Swallows(MemoryTransport):
    """Goes on accepting when it is cancelled."""

    async def listen(self, endpoint: Endpoint, **rest: Any) -> Listener:
        listener = await super().listen(endpoint, **rest)
        accept = listener.accept

        async def stubborn() -> ByteStream:
            while True:
                try:
                    return await accept()
                except asyncio.CancelledError:
                    continue

        listener.accept = stubborn  # type: ignore[method-assign]
        return listener


class Strangers(MemoryTransport):
    """Does not know who called."""

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        stream = await super().dial(endpoint, deadline, **rest)
        stream.facts = StreamFacts("", loopback=True, encrypted=False, path="local")
        return stream


class Splits(MemoryTransport):
    """Cannot read what it prints."""

    def local(self) -> Endpoint:
        return replace(super().local(), port=7)


DRIVERS: list[tuple[type[Transport], Held, str]] = [
    (BindsAll, listening.listener_binds_exactly, "not asked for"),
    (BindsElsewhere, listening.listener_binds_exactly, "which was asked for"),
    (AnswersEverywhere, listening.listener_binds_exactly, "another place"),
    (SharesPorts, listening.listener_binds_exactly, "an address in use raised nothing"),
    (IgnoresDeadline, dialling.dial_keeps_its_deadline, "after the deadline raised nothing"),
    (IgnoresHandshakeDeadline, dialling.dial_keeps_its_deadline, "did not end in time"),
    (GivesUpLate, dialling.refusal_is_immediate, "did not end in time"),
    (OneAtATime, listening.half_open_connections_block_none, "silent connections block"),
    (Lingers, listening.closed_endpoint_is_free, "in use"),
    (Swallows, transport.calls_can_be_cancelled, "accept swallows cancellation"),
    (Strangers, transport.facts_agree, "facts.peer is ''"),
    (Splits, listening.endpoints_are_parsed, "UsageError: 'here"),
]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that hangs is found sooner than a user would like to be sure."""
    monkeypatch.setattr(bounded, "PATIENCE_SECONDS", 3.0)
    for module in (streams, dialling, listening, transport):
        monkeypatch.setattr(module, "SOON", 1.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("driver", "check", "why"), DRIVERS, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_broken_transport_is_refused(
    driver: type[Transport], check: Held, why: str, settings: DriverSettings
) -> None:
    with pytest.raises(ConformanceError, match=why):
        Check(check.__name__, lambda: check(driver, settings)).run()


class Faulty(Tcp):
    """Breaks the contract through the streams that it dials."""

    stream: type[SocketStream]

    async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
        below = await super().dial(endpoint, deadline, **rest)
        sock = below.detach()
        assert sock is not None
        return self.stream(sock)


class Loses(SocketStream):
    """Drops the end of what it sends."""

    async def send(self, *buffers: ReadBuffer) -> None:
        await super().send(*[bytes(buffer)[:60_000] for buffer in buffers])


class Reorders(SocketStream):
    """Sends the pieces of one call in the wrong order."""

    async def send(self, *buffers: ReadBuffer) -> None:
        await super().send(*reversed(buffers))


class Resets(SocketStream):
    """Closes with a reset, which loses what is on its way."""

    async def aclose(self) -> None:
        if not self._ready.closed:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._ready.close()
            self._sock.close()


class NeverEnds(SocketStream):
    """Keeps the end to itself."""

    async def send_eof(self) -> None:
        """Say nothing."""


class Leaves(SocketStream):
    """Forgets the calls under way."""

    async def receive_into(self, buffer: WriteBuffer) -> int:
        await asyncio.get_running_loop().create_future()
        return 0


class WaitsOn(SocketStream):
    """Swallows cancellation, and waits again."""

    async def receive_into(self, buffer: WriteBuffer) -> int:
        while True:
            try:
                return await super().receive_into(buffer)
            except asyncio.CancelledError:
                continue


class TakesItForTheEnd(SocketStream):
    """Swallows cancellation, and reports the end of the stream."""

    async def receive_into(self, buffer: WriteBuffer) -> int:
        try:
            return await super().receive_into(buffer)
        except asyncio.CancelledError:
            return 0


class SendsIntoTheVoid(SocketStream):
    """Does not tell that the other end has gone."""

    async def send(self, *buffers: ReadBuffer) -> None:
        try:
            await super().send(*buffers)
        except BrokenOffError:
            return


FAULTS: list[tuple[type[SocketStream], Held]] = [
    (Loses, transport.bytes_arrive_whole),
    (Reorders, transport.bytes_arrive_whole),
    (Resets, transport.tail_survives_close),
    (NeverEnds, transport.end_is_seen),
    (Leaves, transport.close_ends_calls),
    (WaitsOn, transport.calls_can_be_cancelled),
    (TakesItForTheEnd, transport.calls_can_be_cancelled),
    (SendsIntoTheVoid, transport.broken_connection_is_reported),
]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("stream", "check"), FAULTS, ids=lambda value: value.__name__)
def test_a_faulty_stream_is_refused(
    stream: type[SocketStream], check: Held, settings: DriverSettings
) -> None:
    class Driver(Faulty):
        """The fault under test."""

    Driver.stream = stream
    check(Tcp, settings)
    with pytest.raises(ConformanceError):
        check(Driver, settings)


def behind(faults: StreamFaults) -> type[MemoryTransport]:
    """The memory transport with a bad link in front of what dials."""

    class Lossy(MemoryTransport):
        async def dial(self, endpoint: Endpoint, deadline: float, **rest: Any) -> ByteStream:
            return LossyStream(await super().dial(endpoint, deadline, **rest), faults)

    return Lossy


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "faults",
    [StreamFaults(cut=100_000), StreamFaults(stall=100_000), StreamFaults(flip=800_000)],
    ids=str,
)
def test_a_bad_link_is_no_transport(faults: StreamFaults, settings: DriverSettings) -> None:
    with pytest.raises(ConformanceError):
        transport.bytes_arrive_whole(behind(faults), settings)


def test_a_link_that_only_splits_is_one(settings: DriverSettings) -> None:
    run_checks(TRANSPORT, behind(StreamFaults(step=1_000)), settings)


@pytest.mark.parametrize("driver", [MemoryTransport, MultiplexedMemoryTransport])
def test_the_memory_transport_keeps_its_contract(
    driver: type[Transport], settings: DriverSettings
) -> None:
    assert run_checks(TRANSPORT, driver, settings)


def test_a_full_memory_listener_holds_a_dial_until_its_deadline(settings: DriverSettings) -> None:
    async def fill() -> int:
        async with streams.listening(MemoryTransport(settings)) as listener:
            for number in range(2 * BACKLOG):
                try:
                    await streams.dial(MemoryTransport(settings), listener.endpoint, patience=0.1)
                except UnreachableError:
                    return number
        return -1

    assert asyncio.run(fill()) == BACKLOG
