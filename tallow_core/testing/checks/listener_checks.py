"""Endpoints and listeners: the checks of transports that depend on what an endpoint is
(`Transport.addressing`)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tallow_core.errors import BrokenOffError, TallowError, UnreachableError, UsageError
from tallow_core.spi.transport import ByteStream, Listener, Transport
from tallow_core.testing.checks.bare_sockets import bare
from tallow_core.testing.checks.bounded import complete
from tallow_core.testing.checks.stream_checks import (
    SOON,
    dial,
    expect,
    listening,
    pair,
    receive_all,
)
from tallow_core.testing.expect import ConformanceError, refuses, require
from tallow_core.types import Endpoint

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

_HALF_OPEN = 100
_BAD_AUTHORITIES = {
    "ip": (
        "",
        ":1",
        "host:",
        "host:x",
        "host:-1",
        "host:65536",
        "::1:80",
        "[::g]:1",
        "a b:1",
        "h:1#",
        "h:1#sha256=" + "0" * 63,
    ),
    "path": ("", "relative", "127.0.0.1:80", "/a\0b"),
    "name": ("",),
}


_READABLE = (
    ("127.0.0.1:4321", "127.0.0.1", 4321),
    ("[::1]:0", "::1", 0),
    ("relay.example:65535", "relay.example", 65535),
)


def endpoints_are_parsed(driver: type[Transport], settings: DriverSettings) -> None:
    """`HOST:PORT` and `[V6]:PORT` (for `ip`) are read under each scheme, what an endpoint prints is
    read back, and anything else is a `UsageError`."""
    transport = driver(settings)
    known = [transport.local()]
    require(known[0].scheme in driver.schemes, f"{known[0]} is of none of its schemes")
    for scheme in driver.schemes if driver.addressing == "ip" else ():
        for text, host, port in _READABLE:
            known.append(found := transport.parse(scheme, text))
            require(
                (found.scheme, found.host, found.port) == (scheme, host, port),
                f"parse({scheme!r}, {text!r}) is {found!r}",
            )
    for endpoint in known:
        scheme, _, text = str(endpoint).partition("://")
        require(transport.parse(scheme, text) == endpoint, f"parse() does not read back {endpoint}")
        require(
            (endpoint.port is not None) == (driver.addressing == "ip"),
            f"{endpoint} has a port, or lacks one",
        )
    for text in _BAD_AUTHORITIES[driver.addressing]:
        bad = partial(transport.parse, driver.schemes[0], text)
        refuses(UsageError, bad, f"the address {text!r}")


def listener_binds_exactly(driver: type[Transport], settings: DriverSettings) -> None:
    """T-18: a listener is to be had where it was asked to be and nowhere else; an address in use is
    an `UnreachableError`."""

    async def exact() -> None:
        transport = driver(settings)
        asked = transport.local()
        listener = await transport.listen(asked, lasting=False)
        try:
            if driver.addressing == "ip":
                await _only_at_its_address(listener.endpoint)
            else:
                await _only_at_its_place(transport, asked, listener.endpoint)
            again = transport.listen(replace(listener.endpoint, pin=None), lasting=False)
            await expect(UnreachableError, again, "listening at an address in use")
        finally:
            await listener.aclose()

    complete(exact())


async def _only_at_its_address(endpoint: Endpoint) -> None:
    require(bool(endpoint.port), "the listener's endpoint does not have the real port")
    require(
        await _connects("127.0.0.1", endpoint.port),
        "nothing answers at the listener's own endpoint",
    )
    require(
        not await _connects("127.0.0.2", endpoint.port),
        "the listener answers at an address that was not asked for",
    )


async def _connects(host: str, port: int | None) -> bool:
    try:
        async with asyncio.timeout(SOON):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


async def _only_at_its_place(transport: Transport, asked: Endpoint, found: Endpoint) -> None:
    require(
        replace(found, pin=None) == asked,
        f"the listener's endpoint is {found}, not {asked}, which was asked for",
    )
    require(
        transport.addressing != "path" or _is_there(asked.host),
        "there is nothing at the path that was asked for",
    )
    other = transport.local()
    require(other != asked, "local() gives a place that is in use")
    await (await dial(transport, found)).aclose()
    await expect(
        UnreachableError, dial(transport, other), "dialling another place than the listener's"
    )


def _is_there(path: str) -> bool:
    return os.path.lexists(path)


def listener_closes(driver: type[Transport], settings: DriverSettings) -> None:
    """Closing a listener ends its `accept` with a `BrokenOffError` and refuses new dials; accepted
    streams go on."""

    async def close() -> None:
        async with pair(driver, settings) as (listener, client, server):
            accepting = asyncio.create_task(listener.accept())
            await asyncio.sleep(0)
            await listener.aclose()
            await listener.aclose()
            await expect(BrokenOffError, accepting, "accept under way at aclose")
            await expect(
                UnreachableError,
                dial(driver(settings), listener.endpoint),
                "dialling a closed listener",
            )
            await client.send(b"still here")
            await client.send_eof()
            require(
                await receive_all(server, 64) == b"still here", "a stream ended with its listener"
            )

    complete(close())


def closed_endpoint_is_free(driver: type[Transport], settings: DriverSettings) -> None:
    """Where a listener has closed, another can listen at once."""

    async def twice() -> None:
        transport = driver(settings)
        async with listening(transport) as listener:
            endpoint = replace(listener.endpoint, pin=None)
        again = await transport.listen(endpoint, lasting=False)
        await again.aclose()

    complete(twice())


def half_open_connections_block_none(driver: type[Transport], settings: DriverSettings) -> None:
    """T-18: connections that never say a word neither hold up `accept` nor the connection that
    comes after them."""

    async def crowd() -> None:
        transport = driver(settings)
        async with (
            listening(transport) as listener,
            _greeted(listener),
            _crowd(transport, listener.endpoint),
        ):
            try:
                async with (
                    asyncio.timeout(SOON),
                    aclosing(await dial(transport, listener.endpoint)) as client,
                ):
                    require(
                        await client.receive_into(bytearray(5)) > 0,
                        "silent connections block the next one",
                    )
            except (TimeoutError, TallowError) as error:
                raise ConformanceError("silent connections block the next one") from error

    complete(crowd())


@asynccontextmanager
async def _crowd(transport: Transport, endpoint: Endpoint) -> AsyncIterator[None]:
    """Silent connections: bare sockets where the system has them, else dialled ones."""
    if (found := bare(endpoint)) is None:
        streams = [await dial(transport, endpoint) for _ in range(_HALF_OPEN)]
        yield
        await asyncio.gather(*(stream.aclose() for stream in streams))
        return
    family, address = found
    callers = [socket.socket(family) for _ in range(_HALF_OPEN)]
    try:
        for caller in callers:
            caller.settimeout(SOON)
            caller.connect(address)
        yield
    finally:
        for caller in callers:
            caller.close()


@asynccontextmanager
async def _greeted(listener: Listener) -> AsyncIterator[None]:
    """Every connection is greeted, each by a task of its own."""
    serving = asyncio.create_task(_greet_all(listener))
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.wait({serving}, timeout=SOON)


async def _greet_all(listener: Listener) -> None:
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(_greet(await listener.accept()))


async def _greet(stream: ByteStream) -> None:
    try:
        with suppress(BrokenOffError):
            await stream.send(b"hello")
            await stream.receive_into(bytearray(1))
    finally:
        await stream.aclose()
