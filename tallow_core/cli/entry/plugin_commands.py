"""The commands that plugins add, read from metadata: no plugin is imported for a list."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tallow_core.registry.catalog import Catalog
from tallow_core.registry.entry import PluginEntry
from tallow_core.registry.kinds import COMMAND
from tallow_core.registry.permissions import BLOCK_VARIABLE, FIRST_PARTY, Permissions

if TYPE_CHECKING:
    from tallow_core.config.schema import Settings


def summaries() -> list[tuple[str, str]]:
    """(name, first line of its documentation) of each command that may be run."""
    return [(entry.name, entry.summary()) for entry in _entries(None)]


def names() -> list[str]:
    """The names of the commands that may be run."""
    return [entry.name for entry in _entries(None)]


def _entries(settings: Settings | None) -> list[PluginEntry]:
    catalog = Catalog.scan(Permissions() if settings is None else settings.plugins)
    entries = catalog.entries(COMMAND)
    if settings is None and (
        BLOCK_VARIABLE in os.environ or any(entry.distribution != FIRST_PARTY for entry in entries)
    ):
        # Only now is it worth reading the config file: it may allow what others installed.
        return _entries(_settings())
    return [entry for entry in entries if entry.state == "allowed"]


def _settings() -> Settings:
    from tallow_core.config.layers import load_settings
    from tallow_core.config.schema import Settings
    from tallow_core.errors import ConfigError

    try:
        return load_settings(None, {}, os.environ)
    except ConfigError:
        return Settings()  # the help must show even so; any command will say what is wrong


def function(settings: Settings, name: str) -> Callable[..., Any] | None:
    """Import the plugin that adds the command `name` and return its function; None if there is none
    of that name.

    Raises `PluginError`, which says why one that is there may not be used.
    """
    catalog = Catalog.scan(settings.plugins)
    if not any(entry.name == name for entry in catalog.entries(COMMAND)):
        return None
    from tallow_core.config.plugins import loader_of

    return loader_of(settings).load(COMMAND, name).function()
