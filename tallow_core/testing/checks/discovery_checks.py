"""What every discovery driver has to do. Each check takes the driver class and settings whose
directories may be written to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from tallow_core.spi.discovery import Advert, Discovery
from tallow_core.testing.checks.bounded import complete
from tallow_core.testing.checks.driver_checks import descriptor_is_complete
from tallow_core.testing.expect import ConformanceError, require
from tallow_core.types import Endpoint

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

_HERE = Advert("482159", Endpoint("tcp", "127.0.0.1", 41234))
_OTHER = Advert("77012", Endpoint("tcp", "127.0.0.1", 41235))
_NOBODY = "600613"
_WHILE = 0.4
"""Seconds in which nothing must be found."""


def reveals_is_stated(driver: type[Discovery], settings: DriverSettings) -> None:
    """The driver says in a sentence what it reveals."""
    descriptor_is_complete(driver)
    require(driver.reveals.endswith("."), "`reveals` is not a sentence")


def announcement_is_found(driver: type[Discovery], settings: DriverSettings) -> None:
    """What is announced is found under its nameplate, and nothing else is; its nameplate counts as
    taken."""

    async def find() -> None:
        discovery = driver(settings)
        async with discovery.announce(_OTHER), discovery.announce(_HERE):
            for advert in (_HERE, _OTHER):
                found = await _first(driver(settings), advert.nameplate)
                require(found == advert.endpoint, f"browse found {found}, not what was announced")
            await _finds_nothing(
                driver(settings), _NOBODY, "browse finds a nameplate that nobody announced"
            )
            taken = discovery.nameplates()
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
                await browsing == _HERE.endpoint,
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
            _HERE.nameplate not in discovery.nameplates(), "an announcement outlives its context"
        )
        await _finds_nothing(
            driver(settings), _HERE.nameplate, "an announcement is found after its context"
        )

    complete(end())


CHECKS: tuple[Callable[[type[Discovery], DriverSettings], None], ...] = (
    reveals_is_stated,
    announcement_is_found,
    later_announcement_is_found,
    announcement_ends,
)


async def _finds_nothing(discovery: Discovery, nameplate: str, otherwise: str) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_WHILE):
            await _first(discovery, nameplate)
            raise ConformanceError(otherwise)


async def _first(discovery: Discovery, nameplate: str) -> Endpoint:
    async for endpoint in discovery.browse(nameplate):
        return endpoint
    raise ConformanceError("browse ended by itself")
