"""What a transport with pins has to do; one without passes these checks over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tallow_core.errors import AuthenticationError, BrokenOffError
from tallow_core.spi.transport import Listener, Transport
from tallow_core.testing.checks.bounded import complete
from tallow_core.testing.checks.stream_checks import dial, expect, listening, receive_all
from tallow_core.testing.expect import require
from tallow_core.types import Trust

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings


def wrong_pin_is_refused(driver: type[Transport], settings: DriverSettings) -> None:
    """Where the transport has pins: a wrong one is an `AuthenticationError`, and the listener gets
    no byte of ours."""

    async def wrong(listener: Listener) -> None:
        pinned = replace(listener.endpoint, pin="0" * 64)
        for trust in Trust:
            accepting = asyncio.create_task(_first_bytes(listener))
            await expect(
                AuthenticationError,
                dial(driver(settings), pinned, trust=trust),
                f"a wrong pin with {trust}",
            )
            require(await accepting == b"", "bytes were sent to a listener with the wrong pin")

    complete(_where_pinned(driver, settings, wrong))


def unknown_certificate_is_refused(driver: type[Transport], settings: DriverSettings) -> None:
    """Where the transport has pins: a listener that nothing vouches for is refused with
    `Trust.PEER` and no pin."""

    async def unknown(listener: Listener) -> None:
        accepting = asyncio.create_task(_first_bytes(listener))
        unpinned = replace(listener.endpoint, pin=None)
        await expect(
            AuthenticationError,
            dial(driver(settings), unpinned, trust=Trust.PEER),
            "an unknown certificate",
        )
        require(await accepting == b"", "bytes were sent to a listener that nothing vouches for")

    complete(_where_pinned(driver, settings, unknown))


def lasting_identity_lasts(driver: type[Transport], settings: DriverSettings) -> None:
    """Where the transport has pins: a lasting listener keeps its pin, any other has a fresh one,
    and the right one is accepted."""

    async def lasting(listener: Listener) -> None:
        pins = []
        for _ in range(2):
            async with listening(driver(settings), lasting=True) as kept:
                pins.append(kept.endpoint.pin)
        require(pins[0] == pins[1], "the lasting identity changed between two starts")
        require(
            listener.endpoint.pin not in pins,
            "a listener that should not last shows the lasting identity",
        )
        accepting = asyncio.create_task(_first_bytes(listener))
        client = await dial(driver(settings), listener.endpoint, trust=Trust.PEER)
        await client.send(b"hello")
        await client.aclose()
        require(await accepting == b"hello", "the right pin does not lead to a working stream")

    complete(_where_pinned(driver, settings, lasting))


async def _where_pinned(
    driver: type[Transport],
    settings: DriverSettings,
    check: Callable[[Listener], Coroutine[Any, Any, None]],
) -> None:
    async with listening(driver(settings)) as listener:
        if listener.endpoint.pin is not None:
            await check(listener)


async def _first_bytes(listener: Listener) -> bytes:
    stream = await listener.accept()
    try:
        return await receive_all(stream, 4096)
    except BrokenOffError:
        return b""
    finally:
        await stream.aclose()
