"""Announces and looks up nameplates with the discovery drivers. A driver that raises anything is
left out with a warning: it never ends a transfer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address

from tallow_core.errors import TallowError
from tallow_core.protocol.lanes.candidates import refusal
from tallow_core.session.context import Context
from tallow_core.spi.discovery import Advert, Discovery
from tallow_core.spi.interface_addresses import interface_addresses
from tallow_core.spi.sockets import is_loopback
from tallow_core.text import printable
from tallow_core.types import Endpoint

NAMEPLATES_SECONDS = 1.0
"""The time for which drivers may look for announced nameplates."""
PATIENCE_SECONDS = 1.0
"""The time that a driver may take beyond its deadline."""
ANNOUNCE_SECONDS = 5.0
"""The time that an announcement may take to begin, and to end."""
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def leave_out(context: Context, driver: Discovery, error: BaseException) -> None:
    """Go on without a driver, and warn about it."""
    if driver in context.discoveries:
        context.discoveries.remove(driver)
    context.reporter.warn(f"discovery by {driver.name} is left out: {_sentence(error)}")


def _sentence(error: BaseException) -> str:
    if isinstance(error, TallowError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return printable(f"{type(error).__name__}: {error}")


async def nameplates(context: Context) -> frozenset[str]:
    """The nameplates that discovery sees now."""
    deadline = asyncio.get_running_loop().time() + NAMEPLATES_SECONDS
    found = await asyncio.gather(
        *(_nameplates_of(context, driver, deadline) for driver in list(context.discoveries))
    )
    return frozenset().union(*found)


async def _nameplates_of(context: Context, driver: Discovery, deadline: float) -> frozenset[str]:
    try:
        async with asyncio.timeout_at(deadline + PATIENCE_SECONDS):
            return frozenset(await driver.nameplates(deadline))
    except Exception as error:
        leave_out(context, driver, error)
        return frozenset()


def drivers_beside(context: Context, endpoints: list[Endpoint]) -> list[Discovery]:
    """The drivers in use beside `endpoints`: where one of those hides where this machine is, none
    that others could see it by."""
    hiding = any(context.network.transport(each.scheme).hides_addresses for each in endpoints)
    return [each for each in context.discoveries if each.scope == "host" or not hiding]


async def announce(
    context: Context,
    nameplate: str,
    endpoints: list[Endpoint],
    stack: AsyncExitStack,
    *,
    relays: list[Endpoint],
) -> bool:
    """Have every driver announce the endpoints that fit its scope until `stack` closes; whether any
    does."""
    announced = False
    for driver in drivers_beside(context, endpoints + relays):
        fitting = _fitting(context, driver, endpoints)
        if fitting:
            advert = Advert(nameplate, tuple(fitting))
            try:
                await stack.enter_async_context(_announced(context, driver, advert))
                announced = True
            except Exception as error:
                leave_out(context, driver, error)
    return announced


@asynccontextmanager
async def _announced(context: Context, driver: Discovery, advert: Advert) -> AsyncIterator[None]:
    announcement = driver.announce(advert)
    async with asyncio.timeout(ANNOUNCE_SECONDS):
        await announcement.__aenter__()
    try:
        yield
    finally:
        try:
            async with asyncio.timeout(ANNOUNCE_SECONDS):
                await announcement.__aexit__(None, None, None)
        except Exception as error:
            leave_out(context, driver, error)


def _fitting(context: Context, driver: Discovery, endpoints: list[Endpoint]) -> list[Endpoint]:
    here = driver.scope == "host"
    return [
        endpoint
        for each in endpoints
        if is_here(context, each) is here
        for endpoint in (_dialable(each) if not here else [each])
    ]


def is_here(context: Context, endpoint: Endpoint) -> bool:
    """Whether an endpoint is for this machine alone."""
    transport = context.network.transport(endpoint.scheme)
    return transport.on_this_machine or is_loopback(endpoint.host)


def _dialable(endpoint: Endpoint) -> list[Endpoint]:
    """The endpoints for one that listens at every address: one for each address of this machine."""
    if endpoint.host not in _EVERYWHERE:
        return [endpoint]
    version = 6 if ":" in endpoint.host else 4
    return [
        replace(endpoint, host=str(address))
        for address in map(ip_address, interface_addresses())
        if address.version == version and not refusal(address)
    ]
