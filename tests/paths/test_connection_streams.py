"""Streams by one connection, as long as it carries another one, with the memory transport."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from tallow_core.directories import Directories
from tallow_core.errors import BrokenOffError, PluginError
from tallow_core.paths.connection_streams import StreamSource, each_stream
from tallow_core.plugin_settings import DriverSettings
from tallow_core.spi.byte_stream import ByteStream, Multiplexed
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.spi.transport import Listener, Transport
from tallow_core.testing.memory_transport import MemoryTransport, MultiplexedMemoryTransport
from tallow_core.types import Trust


@pytest.fixture
def settings(tmp_path: Path) -> DriverSettings:
    return DriverSettings(Directories(*(tmp_path / part for part in "csdr")))


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await work

    asyncio.run(bounded())


async def open_both(transport: Transport) -> tuple[Listener, StreamSource, list[int]]:
    """A listener, a source of streams to it, and how often it was dialled (the length)."""
    bound = await transport.listen(transport.local(), lasting=False)
    dials: list[int] = []

    async def dial() -> ByteStream:
        dials.append(len(dials))
        deadline = asyncio.get_running_loop().time() + 5
        return await transport.dial(
            bound.endpoint, deadline, trust=Trust.SESSION, network=DirectConnector()
        )

    return each_stream(bound, transport), StreamSource(dial), dials


async def word(stream: ByteStream) -> bytes:
    buffer = bytearray(9)
    return bytes(buffer[: await stream.receive_into(buffer)])


@pytest.mark.parametrize(
    ("driver", "expected"), [(MemoryTransport, 10), (MultiplexedMemoryTransport, 2)]
)
def test_a_connection_is_dialled_where_the_last_one_is_full(
    driver: type[Transport], expected: int, settings: DriverSettings
) -> None:
    async def work() -> None:
        listener, source, dials = await open_both(driver(settings))
        for number in range(10):
            near = await source.open()
            far = await listener.accept()
            await near.send(bytes([number]))
            assert await word(far) == bytes([number])
        assert len(dials) == expected
        await listener.aclose()

    run(work())


def test_a_connection_that_ended_is_dialled_again(settings: DriverSettings) -> None:
    async def work() -> None:
        listener, source, dials = await open_both(MultiplexedMemoryTransport(settings))
        near, far = await source.open(), await listener.accept()
        await far.aclose()
        await near.aclose()
        again = await source.open()
        assert isinstance(await listener.accept(), Multiplexed)
        assert len(dials) == 2
        await again.aclose()
        await listener.aclose()

    run(work())


def test_closing_ends_an_accept_and_what_was_not_accepted(settings: DriverSettings) -> None:
    async def work() -> None:
        listener, source, _ = await open_both(MultiplexedMemoryTransport(settings))
        accepting = asyncio.create_task(listener.accept())
        near = await source.open()
        await accepting
        further = await source.open()
        waiting = asyncio.create_task(listener.accept())
        await waiting
        last = asyncio.create_task(listener.accept())
        await asyncio.sleep(0)
        await listener.aclose()
        for _ in range(2):
            with pytest.raises(BrokenOffError):
                await last
            last = asyncio.create_task(listener.accept())
        last.cancel()
        for stream in (near, further):
            await stream.aclose()

    run(work())


class Faulty(Listener):
    """Fails as a plugin may."""

    def __init__(self, listener: Listener) -> None:
        self.bound, self.endpoint = listener.bound, listener.endpoint
        self._listener = listener

    async def accept(self) -> ByteStream:
        raise PluginError("the driver failed")

    async def aclose(self) -> None:
        await self._listener.aclose()


def test_a_failure_of_the_listener_reaches_its_caller(settings: DriverSettings) -> None:
    """Else the host would wait for ever at a listener that accepts nothing."""

    async def work() -> None:
        transport = MultiplexedMemoryTransport(settings)
        bound = await transport.listen(transport.local(), lasting=False)
        listener = each_stream(Faulty(bound), transport)
        for _ in range(2):
            with pytest.raises(PluginError, match="the driver failed"):
                await listener.accept()
        await listener.aclose()

    run(work())
