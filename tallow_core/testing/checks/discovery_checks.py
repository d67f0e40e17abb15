"""What every discovery driver has to do. Each check takes the driver class and settings whose
directories may be written to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, get_args

from tallow_core.spi.discovery import Advert, Discovery, Scope
from tallow_core.testing.checks.bounded import complete
from tallow_core.testing.checks.driver_checks import (
    descriptor_is_complete,
    network_facts_are_stated,
)
from tallow_core.testing.expect import ConformanceError, require
from tallow_core.types import Endpoint

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

_HERE = Advert(
    "482159", (Endpoint("tcp", "127.0.0.1", 41234), Endpoint("tls", "127.0.0.1", 41236, "ab" * 32))
)
_OTHER = Advert("77012", (Endpoint("tcp", "127.0.0.1", 41235),))
_UNKNOWN = "600613"
_QUIET_SECONDS = 0.4
"""How long nothing must be found."""
_SOON_SECONDS = 2.0
"""The deadline for the nameplates."""


def reveals_is_stated(driver: type[Discovery], settings: DriverSettings) -> None:
    """The driver says in a sentence what it reveals, how far, and what it touches."""
    descriptor_is_complete(driver)
    network_facts_are_stated(driver)
    require(driver.scope in get_args(Scope), f"`scope` is {driver.scope!r}")
    require(
        (driver.scope == "host") == (driver.touches <= {"local"}),
        "`scope` is host exactly where nothing beyond this machine is touched",
    )


def announcement_is_found(driver: type[Discovery], settings: DriverSettings) -> None:
    """What is announced is found under its nameplate, and nothing else is; its nameplate counts as
    taken."""

    async def find() -> None:
        discovery = driver(settings)
        async with discovery.announce(_OTHER), discovery.announce(_HERE):
            for advert in (_HERE, _OTHER):
                found = await _all(driver(settings), advert)
                require(
                    found == set(advert.endpoints),
                    f"browse found {found}, not what was announced",
                )
            await _finds_nothing(
                driver(settings), _UNKNOWN, "browse finds a nameplate that was not announced"
            )
            taken = await discovery.nameplates(_deadline())
            require(
                {_HERE.nameplate, _OTHER.nameplate} <= taken, "nameplates() misses an announced one"
            )

    complete(find())


def later_announcement_is_found(driver: type[Discovery], settings: DriverSettings) -> None:
    """A browser that came first finds what is announced later."""

    async def wait() -> None:
        browsing = asyncio.create_task(_first(driver(settings), _HERE.nameplate))
        await asyncio.sleep(0)
        async with driver(settings).announce(_HERE):
            require(
                await browsing in _HERE.endpoints,
                "browse found something else than what was announced",
            )

    complete(wait())


def announcement_ends(driver: type[Discovery], settings: DriverSettings) -> None:
    """An announcement is gone when its context closes."""

    async def end() -> None:
        discovery = driver(settings)
        async with discovery.announce(_HERE):
            pass
        require(
            _HERE.nameplate not in await discovery.nameplates(_deadline()),
            "an announcement outlives its context",
        )
        await _finds_nothing(
            driver(settings), _HERE.nameplate, "an announcement is found after its context"
        )

    complete(end())


def a_past_deadline_is_no_error(driver: type[Discovery], settings: DriverSettings) -> None:
    """`nameplates` answers also where its deadline has passed: with what it has by then."""

    async def late() -> None:
        async with asyncio.timeout(_SOON_SECONDS):
            found = await driver(settings).nameplates(asyncio.get_running_loop().time() - 1)
        require(isinstance(found, frozenset), f"nameplates() is {found!r}, not a frozenset")

    complete(late())


CHECKS: tuple[Callable[[type[Discovery], DriverSettings], None], ...] = (
    reveals_is_stated,
    announcement_is_found,
    later_announcement_is_found,
    announcement_ends,
    a_past_deadline_is_no_error,
)


async def _finds_nothing(discovery: Discovery, nameplate: str, otherwise: str) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_QUIET_SECONDS):
            await _first(discovery, nameplate)
            raise ConformanceError(otherwise)


def _deadline() -> float:
    return asyncio.get_running_loop().time() + _SOON_SECONDS


async def _all(discovery: Discovery, advert: Advert) -> set[Endpoint]:
    found: set[Endpoint] = set()
    async for endpoint in discovery.browse(advert.nameplate):
        found.add(endpoint)
        if len(found) == len(advert.endpoints):
            return found
    raise ConformanceError("browse ended by itself")


async def _first(discovery: Discovery, nameplate: str) -> Endpoint:
    async for endpoint in discovery.browse(nameplate):
        return endpoint
    raise ConformanceError("browse ended by itself")
