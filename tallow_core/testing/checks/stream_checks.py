"""Streams between the two ends of a driver, for the checks of transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tallow_core.errors import TallowError
from tallow_core.spi.connector import Connector
from tallow_core.spi.socket_streams import DirectConnector
from tallow_core.spi.transport import ByteStream, Listener, Transport
from tallow_core.testing.expect import ConformanceError
from tallow_core.types import Endpoint, SocketAddress, Trust

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

SOON = 5.0
"""Seconds within which a dial and what follows from it at once has to happen on one machine."""


@asynccontextmanager
async def listening(transport: Transport, *, lasting: bool = False) -> AsyncIterator[Listener]:
    """A listener on this machine, closed at the end."""
    listener = await transport.listen(transport.local(), lasting=lasting)
    try:
        yield listener
    finally:
        await listener.aclose()


async def dial(
    transport: Transport,
    endpoint: Endpoint,
    *,
    patience: float = SOON,
    trust: Trust = Trust.SESSION,
    network: Connector | None = None,
    local: SocketAddress | None = None,
) -> ByteStream:
    """Dial with a deadline in `patience` seconds, by `network` or else without a proxy."""
    deadline = asyncio.get_running_loop().time() + patience
    return await transport.dial(
        endpoint, deadline, trust=trust, network=network or DirectConnector(), local=local
    )


@asynccontextmanager
async def pair(
    driver: type[Transport], settings: DriverSettings, network: Connector | None = None
) -> AsyncIterator[tuple[Listener, ByteStream, ByteStream]]:
    """A listener and the two ends of one connection to it. Each end has sent a byte: a listener's
    handshake may wait for its first use."""
    transport = driver(settings)
    async with listening(transport) as listener:
        accepting = asyncio.create_task(_accept(listener))
        try:
            client = await dial(transport, listener.endpoint, network=network)
        except BaseException:
            await _abandon(accepting)
            raise
        server = await accepting
        try:
            await client.receive_into(bytearray(1))
            yield listener, client, server
        finally:
            await asyncio.gather(client.aclose(), server.aclose())


async def _accept(listener: Listener) -> ByteStream:
    stream = await listener.accept()
    await stream.send(b"\0")
    return stream


async def _abandon(accepting: asyncio.Task[ByteStream]) -> None:
    """Close what was accepted, if anything was."""
    accepting.cancel()
    await asyncio.wait({accepting})
    if not accepting.cancelled() and accepting.exception() is None:
        await accepting.result().aclose()


async def receive_all(stream: ByteStream, chunk: int) -> bytes:
    """Everything up to the end of the stream, read in pieces of at most `chunk` bytes."""
    buffer, received = bytearray(chunk), bytearray()
    while got := await stream.receive_into(buffer):
        received += buffer[:got]
    return bytes(received)


async def expect(
    error: type[TallowError], call: Coroutine[Any, Any, object] | asyncio.Task[Any], what: str
) -> None:
    """`ConformanceError` unless `call` raises `error`."""
    try:
        result = await call
    except error:
        return
    except Exception as other:
        raise ConformanceError(
            f"{what} raised {type(other).__name__}, not {error.__name__}"
        ) from other
    if isinstance(result, ByteStream | Listener):
        await result.aclose()
    raise ConformanceError(f"{what} raised nothing, not {error.__name__}")
