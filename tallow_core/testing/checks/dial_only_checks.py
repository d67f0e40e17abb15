"""What a transport that only dials TCP has to do: shown against a bad server, since the kit has no
listener for it. Each check takes the driver class and settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tallow_core.errors import (
    AuthenticationError,
    BrokenOffError,
    PolicyError,
    UnreachableError,
)
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.transport import Transport
from tallow_core.testing.checks.bad_servers import bad_server
from tallow_core.testing.checks.bare_sockets import DEADLINE_SECONDS
from tallow_core.testing.checks.bounded import complete
from tallow_core.testing.checks.stream_checks import SOON, dial, expect
from tallow_core.testing.expect import ConformanceError, require
from tallow_core.testing.fake_network import RecordingConnector
from tallow_core.types import SocketAddress

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

_NAME = "listener.example"
_PORT = 7171
_LOCAL = SocketAddress("127.0.0.1", 0)


def dialling_is_left_to_the_connector(driver: type[Transport], settings: DriverSettings) -> None:
    """It dials by the connector alone, leaves names to it, hands `local` on, and lets its errors
    pass."""

    async def connect() -> None:
        for refusal in (UnreachableError("nothing listens there"), PolicyError("not by this path")):
            network = RecordingConnector(refusal=refusal)
            await expect(type(refusal), _dial(driver, settings, network, SOON), "a closed path")
            require(bool(network.calls), "it dials without the connector")
            for call in network.calls:
                require((call.host, call.port) == (_NAME, _PORT), f"it dials {call.host} instead")
                require(call.local == _LOCAL, "`local` was not handed to the connector")

    complete(connect())


def a_silent_listener_is_left(driver: type[Transport], settings: DriverSettings) -> None:
    """Where a dial includes a handshake: a listener that says nothing is given up at the deadline,
    with an `UnreachableError`, and when the dial is cancelled. No connection stays open."""

    async def silent() -> None:
        async with bad_server(b"") as server:
            await _ends(_task(driver, settings, server.direct, DEADLINE_SECONDS))
            await server.all_closed()
            task = _task(driver, settings, server.direct, SOON)
            await asyncio.wait({task}, timeout=DEADLINE_SECONDS)
            task.cancel()
            await _ends(task)
            await server.all_closed()

    complete(silent())


def nonsense_breaks_off(driver: type[Transport], settings: DriverSettings) -> None:
    """A listener that answers nonsense is an error of the dial or of the stream, one that the
    contract has, and no connection stays open."""

    async def nonsense() -> None:
        for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(64), b"\xff" * 64):
            async with bad_server(answer, closes=True) as server:
                await _ends(_task(driver, settings, server.direct, SOON))
                await server.all_closed()

    complete(nonsense())


CHECKS: tuple[Callable[[type[Transport], DriverSettings], None], ...] = (
    dialling_is_left_to_the_connector,
    a_silent_listener_is_left,
    nonsense_breaks_off,
)


async def _dial(
    driver: type[Transport], settings: DriverSettings, network: RecordingConnector, patience: float
) -> ByteStream:
    transport = driver(settings)
    endpoint = transport.parse(driver.schemes[0], f"{_NAME}:{_PORT}")
    return await dial(transport, endpoint, patience=patience, network=network, local=_LOCAL)


def _task(
    driver: type[Transport], settings: DriverSettings, network: RecordingConnector, patience: float
) -> asyncio.Task[None]:
    async def use() -> None:
        stream = await _dial(driver, settings, network, patience)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await stream.receive_into(bytearray(64))
        except (TimeoutError, BrokenOffError, AuthenticationError):
            pass
        finally:
            await stream.aclose()

    return asyncio.create_task(use())


async def _ends(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task}, timeout=SOON)
    if not task.done():
        task.cancel()
        raise ConformanceError("a dial did not end in time")
    try:
        await task
    except (UnreachableError, AuthenticationError, BrokenOffError, asyncio.CancelledError):
        return
    except Exception as other:
        raise ConformanceError(
            f"a dial raised {type(other).__name__}, not UnreachableError"
        ) from other
