"""All checks of a kind over one driver, one by one or together.

`pytest --pyargs tallow_core.testing.suite --tallow KIND:NAME` collects them for an installed
driver: the plugin that comes with the wheel does, and this module needs no test of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tallow_core.registry.kinds import (
    AUTHENTICATOR,
    CIPHER,
    COMMAND,
    COMPRESSOR,
    DISCOVERY,
    HASH,
    KEM,
    NAT,
    PROXY,
    RESOLVER,
    ROOMS,
    SIGNATURE,
    TRANSPORT,
    Kind,
)
from tallow_core.testing.checks import cipher_checks as cipher
from tallow_core.testing.checks import code_checks as authenticator
from tallow_core.testing.checks import command_checks as command
from tallow_core.testing.checks import compressor_checks as compressor
from tallow_core.testing.checks import core_checks as core
from tallow_core.testing.checks import discovery_checks as discovery
from tallow_core.testing.checks import hash_checks as hash
from tallow_core.testing.checks import kem_checks as kem
from tallow_core.testing.checks import nat_checks as nat
from tallow_core.testing.checks import proxy_checks as proxy
from tallow_core.testing.checks import resolver_checks as resolver
from tallow_core.testing.checks import rooms_checks as rooms
from tallow_core.testing.checks import signature_checks as signature
from tallow_core.testing.checks import transport_checks as transport
from tallow_core.testing.expect import ConformanceError, require

if TYPE_CHECKING:
    from tallow_core.plugin_settings import DriverSettings

CHECKS: Mapping[str, tuple[Callable[..., None], ...]] = {
    CIPHER.name: cipher.CHECKS,
    KEM.name: kem.CHECKS,
    SIGNATURE.name: signature.CHECKS,
    HASH.name: hash.CHECKS,
    AUTHENTICATOR.name: authenticator.CHECKS,
    COMPRESSOR.name: compressor.CHECKS,
    TRANSPORT.name: transport.CHECKS,
    DISCOVERY.name: discovery.CHECKS,
    PROXY.name: proxy.CHECKS,
    RESOLVER.name: resolver.CHECKS,
    NAT.name: nat.CHECKS,
    ROOMS.name: rooms.CHECKS,
    COMMAND.name: command.CHECKS,
}
"""Kind name -> its checks, in the order in which they run. Each takes the driver class; those of
`BUILT_WITH_SETTINGS` settings too."""

CORE: Mapping[str, tuple[Callable[[], None], ...]] = core.CHECKS
"""Primitives that the core uses without a driver -> their checks."""

BUILT_WITH_SETTINGS = frozenset(
    {TRANSPORT.name, DISCOVERY.name, PROXY.name, RESOLVER.name, NAT.name, ROOMS.name}
)
"""The kinds whose drivers are built from settings."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one driver."""

    name: str
    held: Callable[[], None]

    def run(self) -> None:
        """Raise `ConformanceError` if the driver fails it, also for an exception that the check
        does not expect."""
        try:
            self.held()
        except ConformanceError:
            raise
        except (Exception, SystemExit) as error:
            raise ConformanceError(f"{type(error).__name__}: {error}") from error


def checks_of(
    kind: Kind[Any], driver: type[Any], settings: DriverSettings | None = None
) -> list[Check]:
    """The checks of `kind`, bound to `driver`.

    `settings`, whose directories may be written to, are needed for the kinds in
    `BUILT_WITH_SETTINGS`; where they hold no options, the driver gets its defaults.
    """
    if settings is not None and settings.options is None and driver.options is not None:
        settings = settings._replace(options=driver.options())
    arguments: tuple[object, ...] = (
        (driver, settings) if kind.name in BUILT_WITH_SETTINGS else (driver,)
    )
    checks: tuple[Callable[..., None], ...] = CHECKS[kind.name]
    if kind is AUTHENTICATOR:
        checks = authenticator.checks_for(driver)
    elif kind is TRANSPORT:
        checks = transport.checks_for(driver)
    return [Check(check.__name__, _bind(check, arguments)) for check in checks]


def core_checks(primitive: str) -> list[Check]:
    """The checks of a primitive of `CORE`."""
    return [Check(check.__name__, check) for check in CORE[primitive]]


def run_checks(kind: Kind[Any], driver: type, settings: DriverSettings | None = None) -> list[str]:
    """Hold `driver` to every check of `kind`; return the names of those that it passed, which are
    all of them.

    `settings` are as for `checks_of`. The first broken promise raises `ConformanceError`, naming
    driver and check.
    """
    require(
        issubclass(driver, kind.contract),
        f"{driver.__name__} does not implement {kind.contract.__name__}",
    )
    require(
        not inspect.isabstract(driver),
        f"{driver.__name__} leaves methods of {kind.contract.__name__} open",
    )
    require(
        settings is not None or kind.name not in BUILT_WITH_SETTINGS,
        f"a {kind.name} driver is checked with settings",
    )
    checks = checks_of(kind, driver, settings)
    for check in checks:
        try:
            check.run()
        except ConformanceError as error:
            raise ConformanceError(f"{driver.__name__}, {check.name}: {error}") from error
    return [check.name for check in checks]


def _bind(check: Callable[..., None], arguments: tuple[object, ...]) -> Callable[[], None]:
    return lambda: check(*arguments)
