"""Run all checks of a kind over one driver."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tallow_core.kinds import AUTHENTICATOR, CIPHER, COMMAND, DISCOVERY, HASH, KEM, ROOMS, SIGNATURE, TRANSPORT, Kind
from tallow_core.testing.checks import authenticator, cipher, discovery, hash, kem, rooms, signature, transport
from tallow_core.testing.expect import ConformanceError, require

if TYPE_CHECKING:
    from tallow_core.settings import Settings

CHECKS: Mapping[str, tuple[Callable[..., None], ...]] = {
    CIPHER.name: cipher.CHECKS,
    KEM.name: kem.CHECKS,
    SIGNATURE.name: signature.CHECKS,
    HASH.name: hash.CHECKS,
    AUTHENTICATOR.name: authenticator.CHECKS,
    TRANSPORT.name: transport.CHECKS,
    DISCOVERY.name: discovery.CHECKS,
    ROOMS.name: rooms.CHECKS,
    COMMAND.name: (),
}
"""Kind name -> its checks, in the order in which they run. Each takes the driver class; those of `BUILT_WITH_SETTINGS` settings too."""

BUILT_WITH_SETTINGS = frozenset({TRANSPORT.name, DISCOVERY.name, ROOMS.name})
"""The kinds whose drivers are built from settings."""


def run_checks(kind: Kind[Any], driver: type, settings: Settings | None = None) -> list[str]:
    """Hold `driver` to every check of `kind`; return the names of those that it passed, which are all of them.

    `settings`, whose directories may be written to, are needed for the kinds in `BUILT_WITH_SETTINGS`. The first broken promise raises
    `ConformanceError`, naming driver and check; so does an exception that no check expects.
    """
    require(issubclass(driver, kind.contract), f"{driver.__name__} does not implement {kind.contract.__name__}")
    require(not inspect.isabstract(driver), f"{driver.__name__} leaves methods of {kind.contract.__name__} open")
    arguments: tuple[object, ...] = (driver,)
    if kind.name in BUILT_WITH_SETTINGS:
        require(settings is not None, f"a {kind.name} driver is checked with settings")
        arguments = (driver, settings)
    checks = checks_for(kind, driver)
    for check in checks:
        _run(check, driver.__name__, arguments)
    return [check.__name__ for check in checks]


def checks_for(kind: Kind[Any], driver: type) -> tuple[Callable[..., None], ...]:
    """The checks of `kind` that apply to `driver`: all, except where the kind has several contracts."""
    return authenticator.checks_for(driver) if kind is AUTHENTICATOR else CHECKS[kind.name]


def _run(check: Callable[..., None], name: str, arguments: tuple[object, ...]) -> None:
    try:
        check(*arguments)
    except ConformanceError as error:
        raise ConformanceError(f"{name}, {check.__name__}: {error}") from error
    except Exception as error:
        raise ConformanceError(f"{name}, {check.__name__}: {type(error).__name__}: {error}") from error
