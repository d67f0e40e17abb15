"""What every resolver has to do. Each check takes the driver class and settings whose directories
may be written to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tallow_core.errors import UnreachableError
from tallow_core.spi.resolver import Resolved, Resolver
from tallow_core.spi.sockets import is_numeric
from tallow_core.testing.checks.bounded import complete
from tallow_core.testing.checks.driver_checks import (
    descriptor_is_complete,
    network_facts_are_stated,
)
from tallow_core.testing.checks.stream_checks import SOON, expect
from tallow_core.testing.expect import require

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

_UNKNOWN = "tallow-kit.invalid"
"""A name that never has an address (RFC 6761 section 6.4)."""


def facts_are_stated(driver: type[Resolver], settings: DriverSettings) -> None:
    """The driver says what it touches and, in a sentence, what it reveals."""
    descriptor_is_complete(driver)
    network_facts_are_stated(driver)


def an_unknown_name_is_unreachable(driver: type[Resolver], settings: DriverSettings) -> None:
    """A name without an address is an `UnreachableError`, before the deadline."""

    async def ask() -> None:
        asked = _ask(driver, settings, _UNKNOWN, SOON)
        await expect(UnreachableError, asked, f"resolving {_UNKNOWN}")

    complete(ask())


def a_deadline_is_kept(driver: type[Resolver], settings: DriverSettings) -> None:
    """A deadline that has passed is an `UnreachableError` at once."""

    async def late() -> None:
        asking = asyncio.ensure_future(_ask(driver, settings, _UNKNOWN, -1.0))
        await asyncio.wait({asking}, timeout=SOON / 2)
        require(asking.done(), "resolving after the deadline did not end")
        await expect(UnreachableError, asking, "resolving after the deadline")

    complete(late())


def addresses_are_numeric(driver: type[Resolver], settings: DriverSettings) -> None:
    """What is found for `localhost`, if anything is, are numeric addresses, at least one."""

    async def ask() -> None:
        try:
            found = await _ask(driver, settings, "localhost", SOON)
        except UnreachableError:
            return
        require(isinstance(found, Resolved), f"the answer is {found!r}, not a Resolved")
        require(
            isinstance(found.addresses, tuple) and bool(found.addresses),
            "an answer without an address",
        )
        require(all(map(is_numeric, found.addresses)), f"{found.addresses} are not numeric")

    complete(ask())


async def _ask(
    driver: type[Resolver], settings: DriverSettings, name: str, patience: float
) -> Resolved:
    deadline = asyncio.get_running_loop().time() + patience
    return await driver(settings).resolve(name, deadline)


CHECKS: tuple[Callable[[type[Resolver], DriverSettings], None], ...] = (
    facts_are_stated,
    an_unknown_name_is_unreachable,
    a_deadline_is_kept,
    addresses_are_numeric,
)
