"""What a transport that dials has to do: its deadline, and how it uses the connector."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from tallow_core.errors import BrokenOffError, PolicyError, UnreachableError
from tallow_core.spi.transport import ByteStream, Multiplexed, Transport
from tallow_core.testing.checks.bare_sockets import DEADLINE_SECONDS, silent
from tallow_core.testing.checks.bounded import complete
from tallow_core.testing.checks.stream_checks import (
    SOON,
    dial,
    expect,
    listening,
    pair,
    receive_all,
)
from tallow_core.testing.expect import ConformanceError, require
from tallow_core.testing.fake_network import RecordingConnector
from tallow_core.types import Endpoint, SocketAddress

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

_NAME = "listener.example"


def refusal_is_immediate(driver: type[Transport], settings: DriverSettings) -> None:
    """Dialling where nothing listens is an `UnreachableError` at once, not at the deadline."""

    async def refused() -> None:
        transport = driver(settings)
        async with listening(transport) as listener:
            endpoint = listener.endpoint
        await _gives_up(driver, settings, endpoint, "dialling a closed endpoint", patience=4 * SOON)

    complete(refused())


def dial_keeps_its_deadline(driver: type[Transport], settings: DriverSettings) -> None:
    """A deadline that has passed, a listener without room for one more, and (where a dial includes
    a handshake) one that never says a word: each is an `UnreachableError` when the time is over."""

    async def late() -> None:
        async with listening(driver(settings)) as listener:
            await _gives_up(
                driver, settings, listener.endpoint, "dialling after the deadline", patience=-1.0
            )
        for room in (False, True):
            with silent(driver, settings, room=room) as endpoint:
                # Where there is room and no handshake, the connection stands, and nothing is wrong
                # with that.
                if endpoint is not None and (driver.encrypted or not room):
                    await _gives_up(
                        driver,
                        settings,
                        endpoint,
                        f"dialling a listener that {'is silent' if room else 'has no room'}",
                    )

    complete(late())


async def _gives_up(
    driver: type[Transport],
    settings: DriverSettings,
    endpoint: Endpoint,
    what: str,
    *,
    patience: float = DEADLINE_SECONDS,
) -> None:
    dialling = asyncio.ensure_future(dial(driver(settings), endpoint, patience=patience))
    await asyncio.wait({dialling}, timeout=SOON)
    require(dialling.done(), f"{what} did not end in time")
    await expect(UnreachableError, dialling, what)


def tcp_is_left_to_the_connector(driver: type[Transport], settings: DriverSettings) -> None:
    """Where the transport touches "tcp": it dials by the connector alone, leaves names to it, hands
    `local` on, and lets its errors pass. Any other transport leaves the connector alone."""

    async def connect() -> None:
        network = RecordingConnector()
        uses_tcp = "tcp" in driver.touches
        async with pair(driver, settings, network) as (listener, _, _):
            endpoint = listener.endpoint
            require(
                bool(network.calls) is uses_tcp,
                "it touches tcp, and dials without the connector"
                if uses_tcp
                else "it dials by the connector, and does not touch tcp",
            )
        if uses_tcp and driver.addressing == "ip":
            await _names_pass(driver, settings)
            await _local_passes(driver, settings)
        if uses_tcp:
            closed = RecordingConnector(refusal=PolicyError("not by this path"))
            refused = dial(driver(settings), endpoint, network=closed)
            await expect(PolicyError, refused, "dialling by a connector that policy closes")

    complete(connect())


async def _names_pass(driver: type[Transport], settings: DriverSettings) -> None:
    async with listening(driver(settings)) as listener:
        real = listener.endpoint
        network = RecordingConnector({_NAME: real.host})
        accepting = asyncio.create_task(listener.accept())
        named = Endpoint(real.scheme, _NAME, real.port, real.pin, real.path, real.parameters)
        greeting = asyncio.create_task(_greet(accepting))
        stream = await dial(driver(settings), named, network=network)
        await stream.aclose()
        await greeting
        require(
            [call.host for call in network.calls] == [_NAME],
            "a name was not left to the connector",
        )


async def _greet(accepting: asyncio.Task[ByteStream]) -> None:
    stream = await accepting
    with suppress(BrokenOffError):
        await stream.send(b"\0")
    await stream.aclose()


async def _local_passes(driver: type[Transport], settings: DriverSettings) -> None:
    local = SocketAddress("127.0.0.1", 0)
    async with listening(driver(settings)) as listener:
        network = RecordingConnector()
        greeting = asyncio.create_task(_greet(asyncio.create_task(listener.accept())))
        stream = await dial(driver(settings), listener.endpoint, network=network, local=local)
        await stream.aclose()
        await greeting
        require(
            [call.local for call in network.calls] == [local],
            "`local` was not handed to the connector",
        )


def any_stream_carries_it(driver: type[Transport], settings: DriverSettings) -> None:
    """Where the transport touches "tcp": it also runs over a stream that has no socket to give
    up."""

    async def carry() -> None:
        network = RecordingConnector(sockets=False)
        async with pair(driver, settings, network) as (_, client, server):
            content = bytes(range(256)) * 1_000
            sending = asyncio.create_task(_send_and_end(client, content))
            require(
                await receive_all(server, 7_001) == content, "what arrived is not what was sent"
            )
            await sending
            await server.send(b"and back")
            await server.aclose()
            require(await receive_all(client, 64) == b"and back", "nothing came back")

    if "tcp" in driver.touches:
        complete(carry())


async def _send_and_end(stream: ByteStream, content: bytes) -> None:
    await stream.send(content)
    await stream.send_eof()


def further_streams_go_by_one_connection(driver: type[Transport], settings: DriverSettings) -> None:
    """Where `max_streams` is above 1: streams are opened by either end up to that number, carry
    bytes each by itself, and outlive the first; one more is a `BrokenOffError`."""

    async def further() -> None:
        async with pair(driver, settings) as (_, client, server):
            if driver.max_streams == 1:
                require(not isinstance(client, Multiplexed), "max_streams is 1")
                return
            require(
                isinstance(client, Multiplexed) and isinstance(server, Multiplexed),
                f"max_streams is {driver.max_streams}, and a stream lacks `Multiplexed`",
            )
            assert isinstance(client, Multiplexed)
            assert isinstance(server, Multiplexed)
            opened = [await client.open_stream(), await server.open_stream()]
            accepted = [await server.accept_stream(), await client.accept_stream()]
            opened += [await server.open_stream() for _ in range(driver.max_streams - 3)]
            await expect(BrokenOffError, server.open_stream(), "one stream too many")
            await client.aclose()
            for number, (near, far) in enumerate(zip(opened, accepted, strict=False)):
                await near.send(bytes([number]))
                await near.send_eof()
                require(await receive_all(far, 9) == bytes([number]), "streams are mixed up")
            await asyncio.gather(*(stream.aclose() for stream in (*opened, *accepted)))

    complete(further())


def shared_port_is_shared(driver: type[Transport], settings: DriverSettings) -> None:
    """Where the transport has TCP ports: of a `shared` listener others bind the port and dial from
    it."""

    async def shared() -> None:
        transport = driver(settings)
        listener = await transport.listen(transport.local(), lasting=False, shared=True)
        try:
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                other.bind((listener.bound.host, listener.bound.port))
        except OSError as error:
            raise ConformanceError("the port of a shared listener is not shared") from error
        finally:
            await listener.aclose()

    if driver.addressing == "ip" and "tcp" in driver.touches and hasattr(socket, "SO_REUSEPORT"):
        complete(shared())
