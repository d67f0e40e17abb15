"""The plugin loader that the settings ask for, and a check of what they say of drivers."""

from __future__ import annotations

from tallow_core.config.plugin_options import variable
from tallow_core.config.schema import Settings
from tallow_core.errors import ConfigError, UsageError
from tallow_core.registry.catalog import Catalog
from tallow_core.registry.entry import STATES, PluginEntry
from tallow_core.registry.kinds import KINDS
from tallow_core.registry.loader import PluginLoader
from tallow_core.text import nearest, printable


def loader_of(settings: Settings, *, watch: bool = True) -> PluginLoader:
    """A loader of what is installed and allowed, whose drivers get the user's options. Drivers of
    others are watched in use, or are as they are."""
    return PluginLoader(
        Catalog.scan(settings.plugins),
        settings.directories,
        settings.driver_options.of,
        watch=watch,
    )


def check_options(settings: Settings, loader: PluginLoader) -> list[str]:
    """Check all that is set for drivers; return warnings about what has no effect here.

    Raises `ConfigError` or `UsageError` for a driver that is mistyped or named by a flag and cannot
    be used, a key that the driver does not have, and a value that it does not take.
    """
    options, catalog = settings.driver_options, loader.catalog
    warnings = [
        _absent(catalog, driver, where, options.flag) for driver, where in options.named().items()
    ]
    warnings += _stray_variables(settings, catalog)
    given = {*options.named(), *(each.id for each in _with_variables(settings, catalog))}
    for kind in KINDS:
        for entry in catalog.entries(kind):
            if entry.id in given and entry.state == "allowed":
                driver = loader.attempt(kind, entry.name)
                if driver is not None:
                    options.of(kind.name, driver)
    return [text for text in warnings if text]


def _absent(catalog: Catalog, driver: str, where: str, flag: str) -> str:
    """Why settings of `driver` have no effect; "" if it can be loaded. Raises `UsageError` if
    `flag` set them."""
    entries = [entry for entry in catalog.all_entries if entry.id == driver]
    if not entries:
        near = nearest(driver, {entry.id for entry in catalog.all_entries})
        text = f"{where} sets options of {printable(driver)}, which is not installed{near}"
        if where == flag:
            raise UsageError(text)
        if near:
            raise ConfigError(text)
        return text
    entry = min(entries, key=lambda each: STATES.index(each.state))
    if entry.state == "allowed":
        return ""
    text = f"{where} sets options of {driver}, which cannot be used: {catalog.reason(entry)}"
    if where == flag:
        raise UsageError(text)
    return text


def _with_variables(settings: Settings, catalog: Catalog) -> list[PluginEntry]:
    return [each for each in catalog.all_entries if settings.driver_options.variables(each.id)]


def _stray_variables(settings: Settings, catalog: Catalog) -> list[str]:
    starts = tuple({variable(entry.id, "") for entry in catalog.all_entries})
    return [
        f"the environment variable {printable(name)} is of no driver that is installed"
        for name in settings.driver_options.environment
        if not name.startswith(starts)
    ]
